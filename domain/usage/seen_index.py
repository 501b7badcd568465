"""The seen index: which event keys were counted, so that none is counted twice.

Keys are in memory in two generations, and behind them in a cold tier, where there is one. A key is
forgotten by the arrival hours of itself and of the event that repeats it, so every replay forgets
at the same place, however it splits the partition into micro-batches and wherever its keys lie.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from domain.usage.cold_tier import Generation
from domain.usage.seen import SeenTable, Verdict, hashes_of

if TYPE_CHECKING:
    from domain.usage.cold_tier import ColdTier
    from domain.usage.seen import Int8s, Rows, Salt

MEMORY_KEYS = 1_000_000
"""Keys held in memory where there is a cold tier, in two generations of half as many, plus one
micro-batch: 64 MiB of tables. Enough that a busy partition finds the repeats of its last minutes
without asking the tier."""


@dataclass(frozen=True, slots=True)
class _Closed:
    """The older generation in memory."""

    table: SeenTable
    high_ms: int
    position: int


class SeenIndex:
    """Keys counted on one partition, each with the fingerprint of the event that was counted.

    Args:
        salt: Two 64-bit numbers that mix the hashes where there is no cold tier.
        cold: Keys beyond memory; without it everything stays in one growing table.
        memory_keys: Keys in memory, where there is a cold tier.
    """

    def __init__(
        self,
        *,
        salt: Salt = (0, 0),
        cold: ColdTier | None = None,
        memory_keys: int = MEMORY_KEYS,
    ) -> None:
        self._salt = salt if cold is None else cold.salt
        self._cold = cold
        self._generation_keys = max(1, memory_keys // 2)
        self._young = SeenTable(salt=self._salt)
        self._old: _Closed | None = None

    def __len__(self) -> int:
        """Return how many keys are in memory, some forgotten ones included."""
        return len(self._young) + (0 if self._old is None else len(self._old.table))

    def make_room(self, *, high_ms: int, position: int) -> Generation | None:
        """This function will close the young generation when it is full.

        To be called before the keys of a micro-batch are added: as long as one append at most is
        in flight, all keys held then come from acknowledged facts.

        Args:
            high_ms: Largest append time seen, milliseconds since 1970 UTC.
            position: Source position reached.

        Returns:
            The generation that left memory and that the cold tier must take before anything else
            is asked; None while none has to leave.
        """
        if self._cold is None or len(self._young) < self._generation_keys:
            return None
        leaving, slots = self._old, self._young.slots
        self._old = _Closed(self._young, high_ms, position)
        self._young = SeenTable(salt=self._salt, slots=slots)
        if leaving is None:
            return None
        return Generation(leaving.table.rows, leaving.high_ms, leaving.position)

    def add(self, rows: Rows) -> Int8s:
        """This function will judge events in order and remember the new ones.

        An unexpired key is held in one place at most, since it was new nowhere else: the order in
        which the places are asked changes no answer.

        Args:
            rows: Keys by rows_of. Arrival hours never fall, neither here nor from call to call;
                a key that arrived more than REMEMBERED_HOURS earlier counts as never seen.

        Returns:
            A Verdict per event; of equal keys the first position wins.
        """
        hashes = hashes_of(rows, self._salt)
        places = [] if self._old is None else [self._old.table.find]
        if self._cold is not None and not self._cold.is_empty:
            places.append(self._cold.find)
        if not places:
            return self._young.insert(rows, hashes)
        verdicts = np.zeros(len(rows), dtype=np.int8)
        left = np.arange(len(rows), dtype=np.int64)
        for find in places:
            found = find(rows, hashes)
            known = found[:, 3] != 0
            if known.any():
                equal = found[known, 2] == rows[known, 2]
                verdicts[left[known]] = np.where(equal, Verdict.DUPLICATE, Verdict.CONFLICT)
                rows, hashes, left = rows[~known], hashes[~known], left[~known]
        verdicts[left] = self._young.insert(rows, hashes)
        return verdicts

    def find(self, rows: Rows) -> Rows:
        """This function will look keys up wherever they lie, and change nothing.

        Args:
            rows: Keys by rows_of, with the arrival hours of those who ask.

        Returns:
            The row held of each key that is still remembered, zeros for the others.
        """
        hashes = hashes_of(rows, self._salt)
        found = self._young.find(rows, hashes)
        places = [] if self._old is None else [self._old.table.find]
        if self._cold is not None and not self._cold.is_empty:
            places.append(self._cold.find)
        for find in places:
            left = np.flatnonzero(found[:, 3] == 0)
            if left.size:
                found[left] = find(rows[left], hashes[left])
        return found

    def put(self, rows: Rows) -> None:
        """This function will remember keys of accepted facts, which are new by their nature."""
        self._young.insert(rows, hashes_of(rows, self._salt))
