"""A slow second opinion on the usage fold, written from the words of the design, in plain dicts.

Nothing here is imported from domain/: codes, limits and the canonical forms are written again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from tests.support.kafka_hash import partition_of
from tests.support.poison import BATCH, EVENT, framed

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
NANO = 10**9
METERS: list[dict[str, Any]] = [
    {"key": "tokens", "event_type": "llm", "group_by": ["model", "region"]},
    {"key": "tokens_total", "event_type": "llm", "group_by": []},
    {"key": "latency", "event_type": "call", "group_by": ["region"], "value": "property:ms"},
    {"key": "calls", "event_type": "call", "group_by": ["region"]},
    {"key": "disk", "event_type": "disk", "group_by": []},
]
"""One event may feed several meters, and two meters may read different values of it."""
CATALOGUE = {
    "version": 1,
    "meters": [{**meter, "aggregation": "sum", "unit": "unit"} for meter in METERS],
    "plans": [],
}


@dataclass(frozen=True, slots=True)
class Event:
    """One event as its sender means it; the value is quantity times 10^-scale."""

    key: int
    customer: str = "ann"
    type: str = "llm"
    occurred_ms: int = 0
    quantity: int = 1
    scale: int = 0
    dimensions: tuple[tuple[str, str], ...] = ()
    properties: tuple[tuple[str, str], ...] = ()
    fingerprint: int = 1


def batch_record(
    events: Sequence[Event], *, tenant: str = "acme", backfill: bool = False, **changes: Any
) -> bytes:
    """Encode events as one UsageBatch; its one scale is the largest of theirs."""
    scale = max((event.scale for event in events), default=0)
    strings = list(dict.fromkeys(text for each in events for text in (each.customer, each.type)))
    maps = list(dict.fromkeys(event.dimensions for event in events if event.dimensions))
    record = {
        "tenant": tenant,
        "source": "truth",
        "producer_id": bytes(16),
        "sequence": 0,
        "sent_at_ms": 0,
        "backfill": backfill,
        "strings": strings,
        "dimension_sets": [dict(pairs) for pairs in maps],
        "keys": b"".join(event.key.to_bytes(16, "big") for event in events),
        "fingerprints": b"".join(event.fingerprint.to_bytes(8, "big") for event in events),
        "customer": [strings.index(event.customer) for event in events],
        "type": [strings.index(event.type) for event in events],
        "dimension_set": [
            1 + maps.index(event.dimensions) if event.dimensions else 0 for event in events
        ],
        "occurred_at_ms": [event.occurred_ms for event in events],
        "scale": scale,
        "quantity": [event.quantity * 10 ** (scale - event.scale) for event in events],
        "foreign_ids": [],
        "properties": [
            {"index": index, "name": name, "value": value}
            for index, event in enumerate(events)
            for name, value in event.properties
        ],
    }
    return framed(BATCH, record | changes)


def event_record(
    event: Event, *, tenant: str = "acme", backfill: bool = False, **changes: Any
) -> bytes:
    """Encode one event as a UsageEvent."""
    record = {
        "tenant": tenant,
        "source": "truth",
        "key": event.key.to_bytes(16, "big"),
        "fingerprint": event.fingerprint.to_bytes(8, "big"),
        "id": f"{event.key:032x}",
        "customer": event.customer,
        "type": event.type,
        "occurred_at_ms": event.occurred_ms,
        "quantity": event.quantity,
        "scale": event.scale,
        "dimensions": dict(event.dimensions),
        "properties": dict(event.properties),
        "backfill": backfill,
    }
    return framed(EVENT, record | changes)


@dataclass(slots=True)
class Window:
    """What is counted of one series and hour; values in whole billionths."""

    events: int = 0
    late: int = 0
    sum: int = 0
    min: int = 10**40
    max: int = -1
    latest: int = 0
    latest_at: tuple[int, int] = (-1, -1)
    first_offset: int = 10**18
    last_offset: int = -1
    digest: int = 0


WindowKey = tuple[str, str, str, tuple[tuple[str, str], ...], int]
"""Tenant, customer, meter, dimensions, hour."""


@dataclass
class Truth:
    """Counts events one by one, as a person would.

    Args:
        partitions: Partition count.
        meters: Meters in force, of every tenant that is in `tenants`.
        tenants: Tenants that have a catalogue.
    """

    partitions: int = 1
    meters: Sequence[Mapping[str, Any]] = field(default_factory=lambda: METERS)
    tenants: Sequence[str] = ("acme",)
    windows: dict[WindowKey, Window] = field(default_factory=dict)
    totals: Counter[str] = field(default_factory=Counter)
    rejects: Counter[tuple[int, int, int, str]] = field(default_factory=Counter)
    """(partition, offset, first index, code) → events."""
    seen: dict[tuple[str, str, int], int] = field(default_factory=dict)

    def take(
        self, events: Sequence[Event], *, tenant: str, backfill: bool, partition: int, offset: int,
        received_ms: int,
    ) -> None:  # fmt: skip
        """Count one record's events."""
        first: dict[str, int] = {}
        for index, event in enumerate(events):
            self.totals["received"] += 1
            code = self._refusal(event, tenant, partition, received_ms, backfill=backfill)
            known = self.seen.get((tenant, event.customer, event.key))
            if not code and known == event.fingerprint:
                self.totals["duplicates"] += 1
                continue
            if not code and known is not None:
                self.totals["conflicts"] += 1
                self.rejects[partition, offset, index, "conflict"] += 1
                continue
            if code:
                self.totals["rejected"] += 1
                self.rejects[partition, offset, first.setdefault(code, index), code] += 1
                continue
            self.totals["accepted"] += 1
            self.seen[tenant, event.customer, event.key] = event.fingerprint
            self._count(event, tenant, offset, received_ms)

    def refuse(self, *, partition: int, offset: int, events: int, code: str) -> None:
        """Count a record that is refused whole."""
        self.totals["received"] += events
        self.totals["rejected"] += events
        self.rejects[partition, offset, -1, code] += events

    def _meters_of(self, event: Event, tenant: str) -> list[Mapping[str, Any]]:
        if tenant not in self.tenants:
            return []
        return [meter for meter in self.meters if meter["event_type"] == event.type]

    def _refusal(
        self, event: Event, tenant: str, partition: int, received_ms: int, *, backfill: bool
    ) -> str:
        """The first rule an event breaks, in the order in which they count; empty for none."""
        meters = self._meters_of(event, tenant)
        age_ms = received_ms - event.occurred_ms
        home = partition_of(tenant, event.customer, partitions=self.partitions)
        rules = (
            ("bad_value", not _is_sound(event)),
            ("unknown_type", not meters),
            ("too_late", age_ms > 35 * DAY_MS and not backfill),
            ("future", -age_ms > 5 * MINUTE_MS),
            ("misrouted", home != partition),
            ("bad_value", any(_value(event, meter) is None for meter in meters)),
        )
        return next((code for code, is_broken in rules if is_broken), "")

    def _count(self, event: Event, tenant: str, offset: int, received_ms: int) -> None:
        hour = event.occurred_ms // HOUR_MS
        for meter in self._meters_of(event, tenant):
            names = set(meter["group_by"])
            dimensions = tuple(sorted(pair for pair in event.dimensions if pair[0] in names))
            key = (tenant, event.customer, str(meter["key"]), dimensions, hour)
            window = self.windows.setdefault(key, Window())
            value = _value(event, meter)
            assert value is not None
            window.events += 1
            window.late += received_ms - (hour + 1) * HOUR_MS > HOUR_MS
            window.sum += value
            window.min = min(window.min, value)
            window.max = max(window.max, value)
            if (event.occurred_ms, offset) >= window.latest_at:
                window.latest, window.latest_at = value, (event.occurred_ms, offset)
            window.first_offset = min(window.first_offset, offset)
            window.last_offset = max(window.last_offset, offset)
            window.digest = (window.digest + event.key) % 2**128


def _is_sound(event: Event) -> bool:
    return (
        0 <= Fraction(event.quantity, 10**event.scale) < 10**14
        and 0 <= event.occurred_ms < 253_402_300_800_000
        and _is_clean(event.customer, 200)
        and _is_clean(event.type, 200)
        and len(event.dimensions) <= 32
        and all(_is_clean(name, 64) and _is_clean(text, 256) for name, text in event.dimensions)
    )


def _is_clean(text: str, length_max: int) -> bool:
    return 0 < len(text) <= length_max and all(
        ord(letter) >= 32 and ord(letter) != 127 for letter in text
    )


def _value(event: Event, meter: Mapping[str, Any]) -> int | None:
    """The billionths a meter reads of an event; None when it cannot."""
    name = str(meter.get("value", "")).removeprefix("property:")
    if not name:
        return int(Fraction(event.quantity, 10**event.scale) * NANO)
    text = dict(event.properties).get(name, "")
    whole, dot, fraction = text.partition(".")
    digits = whole.isascii() and whole.isdigit() and len(whole) <= 29
    if not digits or (dot and not (fraction.isascii() and fraction.isdigit())):
        return None
    nanos = Fraction(text) * NANO
    return int(nanos) if nanos.denominator == 1 and nanos < 10**14 * NANO else None
