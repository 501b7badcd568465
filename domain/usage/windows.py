"""Hourly window deltas in columns: how events become them and how deltas merge.

A delta is mergeable (a commutative monoid): sums, counts and digests add, min and max compare, the
latest value is the one that occurred last, ties broken by source offset. So any split of a
partition into micro-batches gives the same windows.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from domain.quantity import NANOS_PER_UNIT, UNITS_MAX
from domain.usage.seen import Int32s, Int64s, UInt64s

_LOW_32 = np.uint64(2**32 - 1)
_HALF = np.uint64(32)
_ONE = np.uint64(1)


@dataclass(frozen=True, slots=True)
class WindowDeltas:
    """Window deltas, one per index; values are whole units plus billionths in [0, 10^9).

    Args:
        series: Number of the series, an index into a list kept beside the deltas.
        hour: Hours since 1970 UTC.
        events: Events counted, less those taken away by amendments.
        late: Events received more than an hour after their window ended.
        sum_units, sum_nanos: Sum of the values.
        min_units, min_nanos: Smallest value.
        max_units, max_nanos: Largest value.
        latest_units, latest_nanos: Value that occurred last.
        latest_occurred_ms: When it occurred, milliseconds since 1970 UTC.
        latest_offset: Its source offset, which breaks ties of time.
        first_offset, last_offset: Range of source offsets that holds every counted event.
        digest_high, digest_low: Sum of the counted keys modulo 2^128, in two halves.
    """

    series: Int32s
    hour: Int32s
    events: Int32s
    late: Int32s
    sum_units: Int64s
    sum_nanos: Int32s
    min_units: Int64s
    min_nanos: Int32s
    max_units: Int64s
    max_nanos: Int32s
    latest_units: Int64s
    latest_nanos: Int32s
    latest_occurred_ms: Int64s
    latest_offset: Int64s
    first_offset: Int64s
    last_offset: Int64s
    digest_high: UInt64s
    digest_low: UInt64s

    def __len__(self) -> int:
        """Return how many windows have a delta."""
        return int(self.series.size)

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """Return the columns by name, in declaration order."""
        return {name: getattr(self, name) for name in COLUMN_NAMES}


NEUTRAL: dict[str, int] = {
    "min_units": UNITS_MAX,
    "min_nanos": 0,
    "max_units": 0,
    "max_nanos": 0,
    "latest_units": 0,
    "latest_nanos": 0,
    "latest_occurred_ms": -1,
    "latest_offset": -1,
}
"""Smallest, largest and latest value of no event: what merging changes nothing. No value is
negative, none reaches UNITS_MAX, and nothing occurs before 1970."""

COLUMN_NAMES = tuple(item.name for item in fields(WindowDeltas))
COLUMN_TYPES: dict[str, np.dtype] = {
    name: np.dtype(
        np.uint64
        if name.startswith("digest")
        else np.int64
        if name.endswith(("_units", "_ms", "_offset"))
        else np.int32
    )
    for name in COLUMN_NAMES
}


def no_deltas() -> WindowDeltas:
    """This function will return the neutral element of merging."""
    return WindowDeltas(**{name: np.zeros(0, dtype=kind) for name, kind in COLUMN_TYPES.items()})


@dataclass(frozen=True, slots=True)
class Voids:
    """Rows of single events that are taken away again.

    Args:
        row: Which rows, ascending.
        key_high, key_low: Key of the event that each takes away.
        offset: Source offset at which it was counted.
        is_bare: Whether smallest, largest and latest value are stated beside the delta, which
            then has none.
    """

    row: Int64s
    key_high: UInt64s
    key_low: UInt64s
    offset: Int64s
    is_bare: np.ndarray


def deltas_of_events(  # noqa: PLR0913 -- one column per fact of an event
    *,
    series: Int32s,
    hour: Int32s,
    late: Int32s,
    units: Int64s,
    nanos: Int32s,
    occurred_ms: Int64s,
    offset: Int64s,
    key_high: UInt64s,
    key_low: UInt64s,
    voids: Voids | None = None,
) -> WindowDeltas:
    """This function will fold single events, in source order, into one delta per window.

    The columns are those of WindowDeltas, one row per event; voids says which of them are not
    added but taken away.
    """
    single = WindowDeltas(
        series=series,
        hour=hour,
        events=np.ones(series.size, dtype=np.int32),
        late=late,
        sum_units=units,
        sum_nanos=nanos,
        min_units=units,
        min_nanos=nanos,
        max_units=units,
        max_nanos=nanos,
        latest_units=units,
        latest_nanos=nanos,
        latest_occurred_ms=occurred_ms,
        latest_offset=offset,
        first_offset=offset,
        last_offset=offset,
        digest_high=key_high,
        digest_low=key_low,
    )
    return merged(single if voids is None else _taken_away(single, voids))


def _taken_away(single: WindowDeltas, voids: Voids) -> WindowDeltas:
    """Turn rows into what undoes them: numbers, sums and keys are subtracted.

    Smallest, largest and latest value stay what they are, so that merging them changes nothing:
    the event was merged in before. Bare rows have none.
    """
    row = voids.row
    columns = {name: column.copy() for name, column in single.columns.items()}
    for name in ("events", "late"):
        columns[name][row] *= -1
    units, nanos = single.sum_units[row], single.sum_nanos[row]
    borrow = (nanos > 0).astype(np.int64)
    columns["sum_units"][row] = -units - borrow
    columns["sum_nanos"][row] = (NANOS_PER_UNIT - nanos) * borrow
    columns["latest_offset"][row] = voids.offset
    # Two's complement of 128 bits: the halves carry into each other only where the low one is 0.
    columns["digest_low"][row] = ~voids.key_low + _ONE
    columns["digest_high"][row] = ~voids.key_high + (voids.key_low == 0).astype(np.uint64)
    for name, value in NEUTRAL.items():
        columns[name][row[voids.is_bare]] = value
    return WindowDeltas(**columns)


def concatenated(parts: list[WindowDeltas]) -> WindowDeltas:
    """This function will put deltas of one numbering of series behind each other, unmerged."""
    if not parts:
        return no_deltas()
    return WindowDeltas(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMN_NAMES}
    )


def merged(deltas: WindowDeltas) -> WindowDeltas:
    """This function will merge deltas of the same series and hour into one, sorted by both.

    Of two latest values with equal time and offset the later position wins: inside one source
    record events are in order.
    """
    if len(deltas) == 0:
        return deltas
    order = np.lexsort(
        (deltas.latest_offset, deltas.latest_occurred_ms, deltas.hour, deltas.series)
    )
    series, hour = deltas.series[order], deltas.hour[order]
    first = np.ones(order.size, dtype=np.bool_)
    first[1:] = (series[1:] != series[:-1]) | (hour[1:] != hour[:-1])
    if first.all():
        return WindowDeltas(**{name: column[order] for name, column in deltas.columns.items()})
    starts = np.flatnonzero(first)
    last = np.append(starts[1:], order.size) - 1
    group = np.cumsum(first) - 1
    sum_units, sum_nanos = _summed(deltas.sum_units[order], deltas.sum_nanos[order], starts)
    min_units, min_nanos = _least(deltas.min_units[order], deltas.min_nanos[order], starts, group)
    max_units, max_nanos = _most(deltas.max_units[order], deltas.max_nanos[order], starts, group)
    digest_high, digest_low = _added_128(
        deltas.digest_high[order], deltas.digest_low[order], starts
    )
    return WindowDeltas(
        series=series[starts],
        hour=hour[starts],
        events=np.add.reduceat(deltas.events[order], starts, dtype=np.int32),
        late=np.add.reduceat(deltas.late[order], starts, dtype=np.int32),
        sum_units=sum_units,
        sum_nanos=sum_nanos,
        min_units=min_units,
        min_nanos=min_nanos,
        max_units=max_units,
        max_nanos=max_nanos,
        latest_units=deltas.latest_units[order][last],
        latest_nanos=deltas.latest_nanos[order][last],
        latest_occurred_ms=deltas.latest_occurred_ms[order][last],
        latest_offset=deltas.latest_offset[order][last],
        first_offset=np.minimum.reduceat(deltas.first_offset[order], starts),
        last_offset=np.maximum.reduceat(deltas.last_offset[order], starts),
        digest_high=digest_high,
        digest_low=digest_low,
    )


def _summed(units: Int64s, nanos: Int32s, starts: Int64s) -> tuple[Int64s, Int32s]:
    """Add values per group and carry whole units out of the billionths."""
    nano_sum = np.add.reduceat(nanos, starts, dtype=np.int64)
    carry = nano_sum // NANOS_PER_UNIT
    unit_sum = np.add.reduceat(units, starts) + carry
    return unit_sum, (nano_sum - carry * NANOS_PER_UNIT).astype(np.int32)


def _least(units: Int64s, nanos: Int32s, starts: Int64s, group: Int64s) -> tuple[Int64s, Int32s]:
    """Return the smallest value per group: first by units, then by billionths among equals."""
    least = np.minimum.reduceat(units, starts)
    among_equals = np.where(units == least[group], nanos, np.int32(NANOS_PER_UNIT))
    return least, np.minimum.reduceat(among_equals, starts)


def _most(units: Int64s, nanos: Int32s, starts: Int64s, group: Int64s) -> tuple[Int64s, Int32s]:
    """Return the largest value per group: first by units, then by billionths among equals."""
    most = np.maximum.reduceat(units, starts)
    among_equals = np.where(units == most[group], nanos, np.int32(-1))
    return most, np.maximum.reduceat(among_equals, starts)


def _added_128(high: UInt64s, low: UInt64s, starts: Int64s) -> tuple[UInt64s, UInt64s]:
    """Add 128-bit numbers per group modulo 2^128; 32-bit limbs show the carry of the low half."""
    low_limb = np.add.reduceat(low & _LOW_32, starts)
    high_limb = np.add.reduceat(low >> _HALF, starts) + (low_limb >> _HALF)
    low_sum = (high_limb << _HALF) | (low_limb & _LOW_32)
    return np.add.reduceat(high, starts) + (high_limb >> _HALF), low_sum
