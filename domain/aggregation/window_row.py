"""One hour of one series, as everything behind the fold reads it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WindowRow:
    """One hour of one series of one customer's meter, as the usage fold counted it.

    Args:
        meter: Meter key.
        dimensions: (name, value) pairs that split the meter, sorted by name.
        hour: Hours since 1970 UTC.
        events: Events counted.
        sum_nanos: Sum of the values, in billionths like all values here.
        min_nanos: Smallest value.
        max_nanos: Largest value.
        latest_nanos: Value that occurred last.
        latest_occurred_ms: When it occurred, milliseconds since 1970 UTC.
        latest_offset: Its source offset, which breaks ties of time.
        first_offset: First source offset that holds a counted event.
        last_offset: Last source offset that holds a counted event, inclusive.
        key_digest: Sum of the counted keys modulo 2^128.
        late: Events received more than an hour after the window ended.
        sketch: What the meter's aggregation needs beyond these; empty for most.
    """

    meter: str
    dimensions: tuple[tuple[str, str], ...]
    hour: int
    events: int
    sum_nanos: int
    min_nanos: int
    max_nanos: int
    latest_nanos: int
    latest_occurred_ms: int
    latest_offset: int
    first_offset: int
    last_offset: int
    key_digest: int
    late: int
    sketch: bytes = b""
