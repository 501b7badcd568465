"""Percentile: the value that a share of the events does not exceed, to 1 % of the value.

A sketch counts events by bucket, as in Masson, Rim, Lee, "DDSketch: A Fast and Fully-Mergeable
Quantile Sketch with Relative-Error Guarantees", VLDB 2019. The borders are whole numbers made by
integer arithmetic instead of a logarithm: equal on every machine, and the error holds without a
float. The rank is the nearest one: the smallest value that at least the share does not exceed.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from domain.aggregation.groups import cuts
from domain.aggregation.measure import Measured
from domain.quantity import NANOS_PER_UNIT, UNITS_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from domain.aggregation.measure import Span
    from domain.aggregation.window_row import WindowRow

STATE_VERSION = 1
HEADER = bytes((3, STATE_VERSION))
ERROR_PERCENT = 1
"""Largest relative error of a value, in percent: the usual choice of the paper."""
ENTRY = np.dtype([("bucket", "<i2"), ("events", "<i8")])
_UNIT_START = -(-(2**62) // NANOS_PER_UNIT)
"""Values from here on are told apart by whole units: their billionths leave int64."""


def _ladder(start: int, end: int, *, unit: int) -> tuple[list[int], list[int]]:
    """Return lower borders and representatives of the buckets from start to at least end.

    A bucket holds the numbers up to hi, of which r is at most 1 % away: r - lo <= lo / 100 and
    hi - r <= hi / 100. With a unit above 1 the numbers have a fraction, which hi leaves room for.
    """
    room = 0 if unit == 1 else 1
    lows, values = [], []
    low = start
    while low < end:
        value = low + low * ERROR_PERCENT // 100
        lows.append(low)
        values.append(value * unit)
        low = value * 100 // (100 - ERROR_PERCENT) + 1 - room
    return lows, values


_NANO_LOWS, _NANO_VALUES = _ladder(1, _UNIT_START * NANOS_PER_UNIT, unit=1)
_UNIT_LOWS, _UNIT_VALUES = _ladder(_UNIT_START, UNITS_MAX, unit=NANOS_PER_UNIT)
_LOWS = np.array(_NANO_LOWS, dtype=np.int64), np.array(_UNIT_LOWS, dtype=np.int64)
_VALUES = (0, *_NANO_VALUES, *_UNIT_VALUES)
"""Representative of each bucket in billionths; bucket 0 holds zero alone."""


def buckets_of(units: np.ndarray, nanos: np.ndarray) -> np.ndarray:
    """This function will return the bucket of each value, an index into representatives.

    Args:
        units: Whole units, int64, not negative and below UNITS_MAX.
        nanos: Billionths beside them.
    """
    low_lows, high_lows = _LOWS
    is_high = units >= _UNIT_START
    whole = np.where(is_high, 0, units) * NANOS_PER_UNIT + nanos
    low = np.searchsorted(low_lows, whole, side="right")
    high = len(low_lows) + np.searchsorted(high_lows, units, side="right")
    return np.where(is_high, high, low)


def representative(bucket: int) -> int:
    """This function will return the value, in billionths, that stands for a bucket."""
    return _VALUES[bucket]


def sketches_of(
    window: np.ndarray, units: np.ndarray, nanos: np.ndarray
) -> Iterator[tuple[int, bytes]]:
    """This function will make one sketch per window.

    Args:
        window: Window number per event, int64.
        units: Whole units of each event's value.
        nanos: Billionths beside them.

    Yields:
        Window number and sketch, by window.
    """
    code, events = np.unique(window * len(_VALUES) + buckets_of(units, nanos), return_counts=True)
    window, bucket = np.divmod(code, len(_VALUES))
    entries = _entries(bucket, events)
    for number, start, end in cuts(window):
        yield number, HEADER + entries[start:end].tobytes()


def merged_bytes(sketches: Sequence[bytes]) -> bytes:
    """This function will merge sketches: the events of each bucket added up."""
    entries = np.concatenate([_read(sketch) for sketch in sketches])
    bucket, place = np.unique(entries["bucket"], return_inverse=True)
    events = np.zeros(bucket.size, dtype=np.int64)
    np.add.at(events, place, entries["events"])
    return HEADER + _entries(bucket, events).tobytes()


def _entries(bucket: np.ndarray, events: np.ndarray) -> np.ndarray:
    entries = np.zeros(bucket.size, dtype=ENTRY)
    entries["bucket"], entries["events"] = bucket, events
    return entries


def _read(sketch: bytes) -> np.ndarray:
    return np.frombuffer(sketch, dtype=ENTRY, offset=len(HEADER))


class Percentile:
    """State: one sketch; empty bytes without events.

    Args:
        percent: Which percentile, above 0 and at most 100.
    """

    state_version = STATE_VERSION

    def __init__(self, percent: Fraction) -> None:
        self._share = percent / 100

    def of(self, row: WindowRow) -> bytes:
        """Return the window's sketch."""
        return row.sketch

    def merged(self, states: Sequence[bytes]) -> bytes:
        """Merge the sketches."""
        found = [state for state in states if state]
        return merged_bytes(found) if found else b""

    def value(self, state: bytes, span: Span) -> Measured:
        """Return the representative of the bucket that the rank falls into."""
        del span
        if not state:
            return Measured(0)
        entries = _read(state)
        passed = np.cumsum(entries["events"])
        rank = -(-self._share * int(passed[-1]) // 1)  # the ceiling
        place = int(np.searchsorted(passed, int(rank), side="left"))
        return Measured(representative(int(entries["bucket"][place])), is_estimate=True)
