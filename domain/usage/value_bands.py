"""Bands of a meter's values: windows of a banded meter are kept apart by how large a value was.

A price with a bound per event (a fee of at least 0.30 each, say) needs to know how many events
were below and above it, and a window keeps sums alone. Bounds cut the values into bands, and each
band has windows of its own: inside a band every event is priced the same way, so its sums are
enough.

A value equal to a bound belongs below it: with bounds 10 and 20, band "0" holds values up to 10,
band "1" those above 10 up to 20, band "2" all others.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np

from domain.meter import VALUE_BAND, Meter
from domain.quantity import NANOS_PER_UNIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.usage.dimension_sets import DimensionSet
    from domain.usage.seen import Int32s, Int64s


def with_band(dimensions: DimensionSet, *, meter: Meter, nanos: int) -> DimensionSet:
    """This function will return the set that an event is counted under.

    Args:
        dimensions: Its group-by dimensions, or those of all others, sorted by name.
        meter: What counts it.
        nanos: Its value for the meter, in billionths.

    Returns:
        The same set for a meter without bands.
    """
    if not meter.value_bands:
        return dimensions
    return in_band(dimensions, bisect_left(meter.value_bands, nanos))


def in_band(dimensions: DimensionSet, band: int) -> DimensionSet:
    """This function will put a band into a set of dimensions, sorted by name."""
    return tuple(sorted((*dimensions, (VALUE_BAND, str(band)))))


def without_band(dimensions: DimensionSet) -> DimensionSet:
    """This function will return the group-by dimensions alone: what has a limit of its own."""
    return tuple(pair for pair in dimensions if pair[0] != VALUE_BAND)


def bands_of(bounds: Sequence[int], units: Int64s, nanos: Int32s) -> Int64s:
    """This function will find the band of each value.

    Units and billionths are compared one after the other: their product would not fit 64 bits.

    Args:
        bounds: Rising, in billionths.
        units: Whole parts of the values.
        nanos: Billionths beside them.
    """
    band = np.zeros(units.size, dtype=np.int64)
    for bound in bounds:
        whole, rest = divmod(bound, NANOS_PER_UNIT)
        band += (units > whole) | ((units == whole) & (nanos > rest))
    return band
