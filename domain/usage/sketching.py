"""From the events of a micro-batch to the sketches of its windows, by aggregation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from domain.aggregation import percentile, time_weighted, unique
from domain.aggregation.kinds import Aggregation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from domain.usage.seen import Int32s, Int64s, UInt64s


@dataclass(frozen=True, slots=True)
class SketchInput:
    """Events of one meter, in columns.

    Args:
        window: Number of the window that each event falls into.
        units, nanos: Value of each.
        occurred_ms: When each occurred, milliseconds since 1970 UTC.
        offset: Source offset of each.
        hashes: Hash of each one's text, of a meter that counts different ones.
    """

    window: Int64s
    units: Int64s
    nanos: Int32s
    occurred_ms: Int64s
    offset: Int64s
    hashes: UInt64s | None

    def chosen(self, mask: np.ndarray) -> SketchInput:
        """Return the events that the mask marks."""
        return SketchInput(
            window=self.window[mask],
            units=self.units[mask],
            nanos=self.nanos[mask],
            occurred_ms=self.occurred_ms[mask],
            offset=self.offset[mask],
            hashes=None if self.hashes is None else self.hashes[mask],
        )


def _unique(fed: SketchInput) -> Iterator[tuple[int, bytes]]:
    hashes = np.zeros(fed.window.size, np.uint64) if fed.hashes is None else fed.hashes
    return unique.sketches_of(fed.window, hashes)


def _time_weighted(fed: SketchInput) -> Iterator[tuple[int, bytes]]:
    return time_weighted.sketches_of(fed.window, fed.occurred_ms, fed.offset, fed.units, fed.nanos)


def _percentile(fed: SketchInput) -> Iterator[tuple[int, bytes]]:
    return percentile.sketches_of(fed.window, fed.units, fed.nanos)


SKETCHES: dict[Aggregation, Callable[[SketchInput], Iterator[tuple[int, bytes]]]] = {
    Aggregation.UNIQUE: _unique,
    Aggregation.TIME_WEIGHTED: _time_weighted,
    Aggregation.PERCENTILE: _percentile,
}
"""Makers of sketches; the other aggregations need none."""
