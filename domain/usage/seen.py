"""One generation of the seen index: an open-addressing hash table in numpy columns.

32 bytes a slot, at most 60 % full, filled and asked a whole micro-batch at a time. Keys are
compared in full, never by hash alone.
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
ROW_BYTES = 32
_MIX_A, _MIX_B, _MIX_C = (
    np.uint64(value) for value in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)
)
_SHIFT, _HALF, _ONE, _LOW_HALF = (np.uint64(value) for value in (29, 32, 1, 2**32 - 1))
_REMEMBERED = np.uint64(REMEMBERED_HOURS)

Int32s = np.ndarray[tuple[int], np.dtype[np.int32]]
Int64s = np.ndarray[tuple[int], np.dtype[np.int64]]
UInt64s = np.ndarray[tuple[int], np.dtype[np.uint64]]
Rows = np.ndarray[tuple[int, int], np.dtype[np.uint64]]
"""A row per key: high key half, low key half, fingerprint, owner << 32 | arrival hour + 1. Its
last column is 0 where there is no key."""
Bools = np.ndarray[tuple[int], np.dtype[np.bool_]]
Int8s = np.ndarray[tuple[int], np.dtype[np.int8]]
Salt = tuple[int, int]


class Verdict(IntEnum):
    """What the index says of an event."""

    NEW = 0
    DUPLICATE = 1
    CONFLICT = 2


def rows_of(
    *, owner: Int32s, high: UInt64s, low: UInt64s, fingerprint: UInt64s, hour: Int32s
) -> Rows:
    """This function will put the columns of keys together; hours since 1970, at least 0."""
    owner_part = owner.astype(np.uint64) << _HALF
    return np.column_stack((high, low, fingerprint, owner_part | (hour.astype(np.uint64) + _ONE)))


def hashes_of(rows: Rows, salt: Salt) -> UInt64s:
    """This function will mix key, owner and salt into 64 bits each.

    Whoever does not know the salt cannot send keys that all collide. Tables take slots from the
    low bits; runs take blocks, and filters words, from the high ones.
    """
    mixed: UInt64s = (rows[:, 0] ^ np.uint64(salt[0])) * _MIX_A
    mixed ^= mixed >> _SHIFT
    mixed += (rows[:, 1] ^ np.uint64(salt[1])) * _MIX_B
    mixed ^= mixed >> _SHIFT
    mixed += (rows[:, 3] >> _HALF) * _MIX_C
    mixed *= _MIX_A
    mixed ^= mixed >> _SHIFT
    return mixed


def hours_of(rows: Rows) -> UInt64s:
    """This function will return arrival hours plus one; 0 where there is no key."""
    return rows[:, 3] & _LOW_HALF


def is_remembered(held: Rows, hours: UInt64s | np.uint64) -> Bools:
    """This function will say which keys an event of such an arrival hour plus one still meets."""
    return hours_of(held) + _REMEMBERED >= hours


class SeenTable:
    """Keys in memory, each with the fingerprint of the event that was counted.

    One row in one place, so that a look-up touches one cache line.

    Args:
        salt: Moves keys to unforeseeable slots. It changes no answer, only where it is found.
        slots: Slots to begin with, a power of two.
    """

    def __init__(self, *, salt: Salt, slots: int = SLOTS_MIN) -> None:
        self._salt = salt
        self._count = 0
        self._table: Rows = np.zeros((slots, 4), dtype=np.uint64)

    def __len__(self) -> int:
        """Return how many keys are held, forgotten ones included until the next growth."""
        return self._count

    @property
    def slots(self) -> int:
        """Return the size of the table."""
        return len(self._table)

    @property
    def rows(self) -> Rows:
        """Return a copy of all rows held, in no order."""
        rows: Rows = self._table[self._table[:, 3] != 0]
        return rows

    def find(self, rows: Rows, hashes: UInt64s) -> Rows:
        """This function will look keys up and change nothing.

        Args:
            rows: Keys wanted, with the arrival hours of the events that ask.
            hashes: Their hashes_of.

        Returns:
            The row held of each key that is still remembered, zeros for the others.
        """
        table = self._table
        mask = len(table) - 1
        found: Rows = np.zeros((len(rows), 4), dtype=np.uint64)
        pending = np.arange(len(rows), dtype=np.int64)
        slots = self._slots_of(hashes)
        while pending.size:
            wanted = rows.take(pending, axis=0)
            held = table.take(slots, axis=0)
            differs = held ^ wanted
            free = held[:, 3] == 0
            same = ((differs[:, 0] | differs[:, 1] | (differs[:, 3] >> _HALF)) == 0) & ~free
            known = same & is_remembered(held, hours_of(wanted))
            found[pending[known]] = held[known]
            again = ~(free | same)
            slots = slots[again] + 1 & mask
            pending = pending[again]
        return found

    def insert(self, rows: Rows, hashes: UInt64s) -> Int8s:
        """This function will judge keys in order and remember the new ones.

        Args:
            rows: Keys with arrival hours that never fall. A key that arrived more than
                REMEMBERED_HOURS earlier counts as never seen.
            hashes: Their hashes_of.

        Returns:
            A Verdict per key; of equal keys the first position wins.
        """
        self._make_room(rows)
        return self._insert(rows, hashes)

    def _insert(self, rows: Rows, hashes: UInt64s) -> Int8s:
        """Probe linearly, all rows in step, until each has found its key or a free slot."""
        table = self._table
        mask = len(table) - 1
        verdicts = np.zeros(len(rows), dtype=np.int8)
        pending = np.arange(len(rows), dtype=np.int64)
        slots = self._slots_of(hashes)
        while pending.size:
            wanted = rows.take(pending, axis=0)
            held = table.take(slots, axis=0)
            differs = held ^ wanted
            free = held[:, 3] == 0
            same = ((differs[:, 0] | differs[:, 1] | (differs[:, 3] >> _HALF)) == 0) & ~free
            expired = same & ~is_remembered(held, hours_of(wanted))
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

    def _slots_of(self, hashes: UInt64s) -> Int64s:
        return (hashes & np.uint64(len(self._table) - 1)).astype(np.int64)

    def _make_room(self, coming: Rows) -> None:
        """Grow before the table gets too full; keys forgotten at this hour are left behind."""
        slots = len(self._table)
        if (self._count + len(coming)) * LOAD_DENOMINATOR <= slots * LOAD_NUMERATOR:
            return
        remembered = is_remembered(self._table, hours_of(coming).min())
        kept = self._table[(self._table[:, 3] != 0) & remembered]
        while (len(kept) + len(coming)) * LOAD_DENOMINATOR > slots * LOAD_NUMERATOR:
            slots *= 2
        self._count = 0
        self._table = np.zeros((slots, 4), dtype=np.uint64)
        for start in range(0, len(kept), REHASH_ROWS):
            part = kept[start : start + REHASH_ROWS]
            self._insert(part, hashes_of(part, self._salt))
