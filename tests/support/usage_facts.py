"""Facts records of the usage fold read back into plain values, to be compared with a truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from domain.usage.facts import UsageFacts
from tests.support.usage_truth import NANO, Window, WindowKey


def windows_of(facts: Iterable[UsageFacts]) -> dict[WindowKey, Window]:
    """Add up window deltas one by one, in Python's own integers."""
    windows: dict[WindowKey, Window] = {}
    for each in facts:
        columns = {name: column.tolist() for name, column in each.windows.columns.items()}
        for row in range(len(each.windows)):
            delta = {name: column[row] for name, column in columns.items()}
            _merge(windows.setdefault(_key_of(each, delta), Window()), delta)
    return windows


def _key_of(facts: UsageFacts, delta: dict[str, int]) -> WindowKey:
    series, number = facts.series, delta["series"]
    tenant, customer = series.owners[int(series.owner[number])]
    dimensions = series.dimension_sets[int(series.dimensions[number])]
    meter = series.meters[int(series.meter[number])]
    return tenant, customer, meter, tuple(sorted(dimensions.items())), delta["hour"]


def _merge(window: Window, delta: dict[str, int]) -> None:
    value = {
        name: delta[f"{name}_units"] * NANO + delta[f"{name}_nanos"]
        for name in ("sum", "min", "max", "latest")
    }
    window.events += delta["events"]
    window.late += delta["late"]
    window.sum += value["sum"]
    window.min = min(window.min, value["min"])
    window.max = max(window.max, value["max"])
    at = (delta["latest_occurred_ms"], delta["latest_offset"])
    if at > window.latest_at:
        window.latest, window.latest_at = value["latest"], at
    window.first_offset = min(window.first_offset, delta["first_offset"])
    window.last_offset = max(window.last_offset, delta["last_offset"])
    digest = (delta["digest_high"] << 64) | delta["digest_low"]
    window.digest = (window.digest + digest) % 2**128


def totals_of(facts: Iterable[UsageFacts]) -> Counter[str]:
    """Add up the intake counts."""
    totals: Counter[str] = Counter()
    for each in facts:
        for count in each.counts:
            for name in ("received", "accepted", "duplicates", "conflicts", "rejected"):
                totals[name] += getattr(count, name)
    return totals


def rejects_of(
    facts: Iterable[UsageFacts], *, partition: int = 0
) -> Counter[tuple[int, int, int, str]]:
    """Count the events of every reject."""
    rejects: Counter[tuple[int, int, int, str]] = Counter()
    for each in facts:
        for reject in each.rejects:
            rejects[partition, reject.offset, reject.index, reject.code.value] += reject.events
    return rejects


def keys_of(facts: Iterable[UsageFacts]) -> list[tuple[str, str, int]]:
    """List the accepted keys with their owners, in order."""
    return [
        (*each.series.owners[owner], (high << 64) | low)
        for each in facts
        for owner, high, low in zip(
            each.accepted.owner.tolist(),
            each.accepted.high.tolist(),
            each.accepted.low.tolist(),
            strict=True,
        )
    ]
