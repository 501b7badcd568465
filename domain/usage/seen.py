"""The seen index: which event keys were counted, so that none is counted twice.

An open-addressing hash table in numpy columns: 32 bytes a slot, at most 60 % full, filled and
asked a whole micro-batch at a time. Keys are compared in full, never by hash alone. A key is
forgotten by the arrival hours of itself and of the event that repeats it, so every replay forgets
at the same place, however it splits the partition into micro-batches.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

HORIZON_HOURS = 35 * 24
"""How late an event may be, hours."""
REMEMBERED_HOURS = HORIZON_HOURS + 1
"""Hours a key is remembered after its arrival hour. An event may lie some minutes ahead of its
receipt, and arrive late in its hour: without the hour on top, a repeat could still be in time when
its key is forgotten, and would be counted twice."""
LOAD_NUMERATOR, LOAD_DENOMINATOR = 3, 5
"""Fullest the table may get; above it probe runs grow quickly (Knuth, TAOCP 3, 6.4)."""
SLOTS_MIN = 1 << 14
"""Slots of an empty table; 512 KiB."""
REHASH_ROWS = 1 << 16
"""Rows moved at once when the table grows; keeps the temporary columns in the cache."""
_MIX_A, _MIX_B, _MIX_C = (
    np.uint64(value) for value in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)
)
_SHIFT, _HALF, _ONE, _LOW_HALF = (np.uint64(value) for value in (29, 32, 1, 2**32 - 1))
_REMEMBERED = np.uint64(REMEMBERED_HOURS)
HOUR_MAX = 2**31 - 1

Int32s = np.ndarray[tuple[int], np.dtype[np.int32]]
Int64s = np.ndarray[tuple[int], np.dtype[np.int64]]
UInt64s = np.ndarray[tuple[int], np.dtype[np.uint64]]
Rows = np.ndarray[tuple[int, int], np.dtype[np.uint64]]
Bools = np.ndarray[tuple[int], np.dtype[np.bool_]]
Int8s = np.ndarray[tuple[int], np.dtype[np.int8]]


class Verdict(IntEnum):
    """What the index says of an event."""

    NEW = 0
    DUPLICATE = 1
    CONFLICT = 2


class SeenIndex:
    """Keys counted on one partition, each with the fingerprint of the event that was counted.

    A row of the table is (high key half, low key half, fingerprint, owner and hour), so that one
    look-up touches one cache line.

    Args:
        salt: Two 64-bit numbers that move keys to unforeseeable slots, so that nobody can send
            keys that all collide. They change no answer, only where it is found.
    """

    def __init__(self, *, salt: tuple[int, int] = (0, 0)) -> None:
        self._salt_high, self._salt_low = (np.uint64(part) for part in salt)
        self._count = 0
        self._table: Rows = np.zeros((SLOTS_MIN, 4), dtype=np.uint64)

    def __len__(self) -> int:
        """Return how many keys are held, forgotten ones included until the next growth."""
        return self._count

    @property
    def bytes_held(self) -> int:
        """Return the memory of the table, bytes."""
        return self._table.nbytes

    def add(
        self,
        *,
        owner: Int32s,
        high: UInt64s,
        low: UInt64s,
        fingerprint: UInt64s,
        hour: Int32s,
    ) -> Int8s:
        """This function will judge events in order and remember the new ones.

        Args:
            owner: Number of the (tenant, customer) the key belongs to.
            high: First 8 bytes of each key.
            low: Last 8 bytes of each key.
            fingerprint: Fingerprint of each event.
            hour: Arrival hour of each event, hours since 1970, at least 0, never falling. A key
                that arrived more than REMEMBERED_HOURS earlier counts as never seen.

        Returns:
            A Verdict per event; of equal keys the first position wins.
        """
        owner_part = owner.astype(np.uint64) << _HALF
        rows = np.column_stack(
            (high, low, fingerprint, owner_part | (hour.astype(np.uint64) + _ONE))
        )
        self._make_room(len(rows), int(hour.min(initial=HOUR_MAX)))
        return self._insert(rows)

    def _insert(self, rows: Rows) -> Int8s:
        """Probe linearly, all rows in step, until each has found its key or a free slot."""
        table = self._table
        mask = len(table) - 1
        verdicts = np.zeros(len(rows), dtype=np.int8)
        pending = np.arange(len(rows), dtype=np.int64)
        slots = self._slots_of(rows)
        while pending.size:
            wanted = rows.take(pending, axis=0)
            held = table.take(slots, axis=0)
            differs = held ^ wanted
            free = held[:, 3] == 0
            same = ((differs[:, 0] | differs[:, 1] | (differs[:, 3] >> _HALF)) == 0) & ~free
            last_hour = (held[:, 3] & _LOW_HALF) + _REMEMBERED
            expired = same & (last_hour < (wanted[:, 3] & _LOW_HALF))
            claimable = free | expired
            winner = self._claim(slots, claimable, wanted)
            self._count += int(np.count_nonzero(winner & free))
            known = same & ~expired
            equal = differs[known, 2] == 0
            verdicts[pending[known]] = np.where(equal, Verdict.DUPLICATE, Verdict.CONFLICT)
            again = ~(winner | known)
            slots = slots[again] + ~claimable[again] & mask
            pending = pending[again]
        return verdicts

    def _claim(self, slots: Int64s, claimable: Bools, wanted: Rows) -> Bools:
        """Write the rows that get a free slot: of rows that want the same one, the first."""
        winner = np.zeros(slots.size, dtype=np.bool_)
        positions = np.flatnonzero(claimable)
        at = slots[positions]
        # numpy keeps the last of several writes to one place, so reversed the first one stays.
        self._table[at[::-1], 3] = positions[::-1].astype(np.uint64)
        won = positions[self._table[at, 3] == positions.astype(np.uint64)]
        self._table[slots[won]] = wanted[won]
        winner[won] = True
        return winner

    def _slots_of(self, rows: Rows) -> Int64s:
        mixed = (rows[:, 0] ^ self._salt_high) * _MIX_A
        mixed ^= mixed >> _SHIFT
        mixed += (rows[:, 1] ^ self._salt_low) * _MIX_B
        mixed ^= mixed >> _SHIFT
        mixed += (rows[:, 3] >> _HALF) * _MIX_C
        mixed *= _MIX_A
        mixed ^= mixed >> _SHIFT
        return (mixed & np.uint64(len(self._table) - 1)).astype(np.int64)

    def _make_room(self, coming: int, hour: int) -> None:
        """Grow before the table gets too full; keys forgotten at this hour are left behind."""
        slots = len(self._table)
        if (self._count + coming) * LOAD_DENOMINATOR <= slots * LOAD_NUMERATOR:
            return
        hours = self._table[:, 3] & _LOW_HALF  # plus one; 0 where the slot is free
        kept = self._table[hours > np.uint64(max(0, hour - REMEMBERED_HOURS))]
        while (len(kept) + coming) * LOAD_DENOMINATOR > slots * LOAD_NUMERATOR:
            slots *= 2
        self._count = 0
        self._table = np.zeros((slots, 4), dtype=np.uint64)
        for start in range(0, len(kept), REHASH_ROWS):
            self._insert(kept[start : start + REHASH_ROWS])
