"""Telling windows that cannot be in the table yet from those that may be.

A COPY right into the table costs the database a third of an INSERT … ON CONFLICT: 2.8 against
8.2 µs a row, measured. A partition's windows are written by whoever holds its position row, and by
nobody else, so its writer may know: a window is new when its hour lies above the newest hour the
table had when the writer took over, and the writer itself has not written it since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from projections.position import NO_HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.usage.seen import Int32s, UInt64s

_SLOT_BITS = 25
"""Written windows are marked in 2^25 slots of a byte, 32 MiB; sharing a slot costs only speed."""
_MARKS_MAX = 2**_SLOT_BITS // 8
"""More marks than this and too many new windows meet a used slot: start over."""
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(64 - _SLOT_BITS)


class FreshWindows:
    """Remembers what this process wrote above the floor of each partition.

    A wrong "new" would violate the primary key, so it must never happen; a wrong "known" is slow.
    """

    def __init__(self) -> None:
        self._floors: dict[int, int] = {}
        self._highs: dict[int, int] = {}
        self._slots = np.zeros(2**_SLOT_BITS, dtype=np.bool_)
        self._marks = 0

    def place(self, hours_high: Mapping[int, int]) -> None:
        """Take over partitions: windows up to these hours may be in the table."""
        self._floors.update(hours_high)

    def take_new(
        self, *, partition: Int32s, hour: Int32s, id_low: UInt64s, hours_high: Mapping[int, int]
    ) -> np.ndarray:
        """Say which windows are new, and remember all of them as written.

        Args:
            partition: Partition of each window.
            hour: Hours since 1970 UTC.
            id_low: Last 8 bytes of the series' id.
            hours_high: Newest hour the table will have, for each of these partitions.

        Returns:
            True for each window that is certainly not in the table.
        """
        floor_of = np.zeros(int(partition.max()) + 1, dtype=np.int64)
        for number in np.unique(partition).tolist():
            floor_of[number] = self._floors.get(number, np.iinfo(np.int32).max)
        slot = ((id_low + hour.astype(np.uint64)) * _SPREAD) >> _SHIFT
        is_new: np.ndarray = (hour > floor_of[partition]) & ~self._slots[slot]
        self._slots[slot] = True
        # Two new windows may share a slot; both are new all the same.
        self._marks += int(hour.size)
        self._highs.update(hours_high)
        if self._marks > _MARKS_MAX:
            self._start_over()
        return is_new

    def _start_over(self) -> None:
        for partition, floor in self._floors.items():
            self._floors[partition] = max(floor, self._highs.get(partition, NO_HOUR))
        self._slots[:] = False
        self._marks = 0
