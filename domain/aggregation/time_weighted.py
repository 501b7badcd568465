"""Time-weighted: a value holds until the next one; quantity is value times hours.

A sketch keeps the steps of its hour: the last value of each second. A value that an hour does not
change holds on from the hour before, so the measure needs the last window before the period too:
whoever gathers windows brings it along. Before a series' first event its value is 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from domain.aggregation.groups import cuts
from domain.aggregation.measure import Measured
from domain.period import HOUR_MS
from domain.quantity import NANOS_PER_UNIT

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Sequence

    from domain.aggregation.measure import Span
    from domain.aggregation.window_row import WindowRow

STATE_VERSION = 1
HEADER = bytes((2, STATE_VERSION))
SECOND_MS = 1_000
ENTRY = np.dtype(
    [("at_ms", "<u4"), ("offset", "<i8"), ("units", "<i8"), ("nanos", "<i4")], align=False
)
"""A step: milliseconds since the hour began, source offset, value. 3,600 of them are 84 KiB."""


def sketches_of(
    window: np.ndarray,
    occurred_ms: np.ndarray,
    offset: np.ndarray,
    units: np.ndarray,
    nanos: np.ndarray,
) -> Iterator[tuple[int, bytes]]:
    """This function will make one sketch per window.

    Args:
        window: Window number per event, int64.
        occurred_ms: When each event occurred, milliseconds since 1970 UTC.
        offset: Source offset of each.
        units: Whole units of each value.
        nanos: Billionths beside them.

    Yields:
        Window number and sketch, by window.
    """
    entries = np.zeros(window.size, dtype=ENTRY)
    entries["at_ms"] = occurred_ms % HOUR_MS
    entries["offset"], entries["units"], entries["nanos"] = offset, units, nanos
    window, entries = _last_of_seconds(window, entries)
    for number, start, end in cuts(window):
        yield number, HEADER + entries[start:end].tobytes()


def merged_bytes(sketches: Sequence[bytes]) -> bytes:
    """This function will merge sketches: of each second the last step stays."""
    entries = np.concatenate([_read(sketch) for sketch in sketches])
    _, kept = _last_of_seconds(np.zeros(entries.size, dtype=np.int64), entries)
    return HEADER + kept.tobytes()


def _last_of_seconds(window: np.ndarray, entries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep the last step of each window and second: by time, offset, and then the larger value.

    The value decides between events of one source record at one moment, so that merging does not
    depend on an order that nobody keeps.
    """
    order = np.lexsort(
        (entries["nanos"], entries["units"], entries["offset"], entries["at_ms"], window)
    )
    window, entries = window[order], entries[order]
    second = entries["at_ms"] // SECOND_MS
    is_last = np.ones(window.size, dtype=np.bool_)
    is_last[:-1] = (window[1:] != window[:-1]) | (second[1:] != second[:-1])
    return window[is_last], entries[is_last]


def _read(sketch: bytes) -> np.ndarray:
    return np.frombuffer(sketch, dtype=ENTRY, offset=len(HEADER))


Step: TypeAlias = "tuple[int, Hashable, int]"
"""When, milliseconds since 1970 UTC; series; value in billionths from then on."""
Place: TypeAlias = tuple[tuple[tuple[str, str], ...], int]
"""Dimensions and hour: a window of one meter."""


class TimeWeighted:
    """State: the sketches by window: each series has steps of its own."""

    state_version = STATE_VERSION

    def of(self, row: WindowRow) -> dict[Place, bytes]:
        """Return the window's sketch."""
        return {(row.dimensions, row.hour): row.sketch} if row.sketch else {}

    def merged(self, states: Sequence[dict[Place, bytes]]) -> dict[Place, bytes]:
        """Keep all windows; sketches of the same one merge."""
        found: dict[Place, list[bytes]] = {}
        for state in states:
            for place, sketch in state.items():
                found.setdefault(place, []).append(sketch)
        return {
            place: sketches[0] if len(sketches) == 1 else merged_bytes(sketches)
            for place, sketches in sorted(found.items())
        }

    def value(self, state: dict[Place, bytes], span: Span) -> Measured:
        """Return value times hours over the span, all series added up."""
        steps = steps_of(
            (dimensions, hour, sketch) for (dimensions, hour), sketch in state.items()
        )
        return next(measured_spans(steps, [span])) or Measured(0)


def steps_of(sketches: Iterable[tuple[Hashable, int, bytes]]) -> list[Step]:
    """This function will return the steps of many series by time.

    Args:
        sketches: Series, hour since 1970 UTC and sketch; in any order.
    """
    steps = [
        (hour * HOUR_MS + at_ms, series, units * NANOS_PER_UNIT + nanos)
        for series, hour, sketch in sketches
        for at_ms, _, units, nanos in _read(sketch).tolist()
    ]
    return sorted(steps, key=_at_ms)


def measured_spans(steps: Sequence[Step], spans: Iterable[Span]) -> Iterator[Measured | None]:
    """This function will measure span after span in one walk over all steps.

    Args:
        steps: By time, of all series that add up.
        spans: Ascending and apart.

    Yields:
        Value times hours, rounded once, half up, to a billionth; None before the first step.
    """
    held: dict[Hashable, int] = {}
    held_sum = 0
    place = 0
    for span in spans:
        area, now_ms = 0, span.start_ms
        while place < len(steps) and steps[place][0] < span.end_ms:
            at_ms, series, nanos = steps[place]
            if at_ms > now_ms:
                area += held_sum * (at_ms - now_ms)
                now_ms = at_ms
            held_sum += nanos - held.get(series, 0)
            held[series] = nanos
            place += 1
        area += held_sum * (span.end_ms - now_ms)
        yield Measured((2 * area + HOUR_MS) // (2 * HOUR_MS)) if held else None


def _at_ms(step: Step) -> int:
    return step[0]
