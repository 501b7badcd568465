"""Cold tiers for tests: a dict, and RocksDB with tiny sizes; and an index over either."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from domain.usage.cold_tier import ColdTier, FoldBase, Generation
from domain.usage.runs import rows_in
from domain.usage.seen import Rows, Salt, UInt64s
from domain.usage.seen_index import SeenIndex
from streams.checkpoint import Checkpoint
from streams.seen_runs import RunLimits, SeenRuns
from tests.support.seen_keys import NEW, REMEMBERED_HOURS, Add, rows_of_adds

HOUR_MS = 3_600_000
TINY = RunLimits(block_rows=2, filter_keys=16, filters_resident=1, small_rows=4, small_runs=3)
"""So that a handful of keys fills blocks and filters, merges runs, and reads filters back."""


class MemoryTier:
    """The port as a dict: what the index needs of a cold tier, and no more."""

    salt: Salt = (1, 2)

    def __init__(self) -> None:
        self.kept: dict[tuple[int, int, int], list[tuple[int, int]]] = {}
        self.positions: list[int] = []

    @property
    def is_empty(self) -> bool:
        return not self.kept

    def find(self, rows: Rows, hashes: UInt64s) -> Rows:
        assert len(rows) == len(hashes)
        found = np.zeros((len(rows), 4), dtype=np.uint64)
        for index, (high, low, _, last) in enumerate(rows.tolist()):
            for fingerprint, held in self.kept.get((high, low, last >> 32), []):
                if held % 2**32 + REMEMBERED_HOURS >= last % 2**32:
                    found[index] = (high, low, fingerprint, held)
        return found

    def take(self, generation: Generation, *, base: FoldBase, position: int) -> None:
        assert generation.position <= position
        self.positions.append(generation.position)
        for high, low, fingerprint, last in generation.rows.tolist():
            self.kept.setdefault((high, low, last >> 32), []).append((fingerprint, last))


@dataclass
class TieredIndex:
    """An index over RocksDB that lives through restarts, as a fold and its worker would.

    Args:
        path: Directory of the store.
        memory_keys: Keys in memory.
        limits: Sizes of the tier.
    """

    path: Path
    memory_keys: int = 4
    limits: RunLimits = TINY
    accepted: list[Rows] = field(default_factory=list)
    """What the facts would hold, one entry per position."""

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        """Open the store, load it, and replay the tail that it lacks."""
        checkpoint = Checkpoint.opened(self.path, identity="test")
        assert checkpoint is not None
        self.checkpoint = checkpoint
        self.load()

    def load(self) -> None:
        """Begin again with the store as it is."""
        self.runs = SeenRuns(self.checkpoint, limits=self.limits)
        self.received_ms = 0
        for part in self.runs.load():
            self.received_ms = max(self.received_ms, part.received_high_ms)
        self.index = SeenIndex(cold=self.runs, memory_keys=self.memory_keys)
        self.position = self.checkpoint.start
        for value in self.checkpoint.records():
            self._put(rows_in(value))
        assert self.position == self.checkpoint.position
        for rows in self.accepted[self.position :]:
            self._put(rows)
            self._note(rows)

    def _put(self, rows: Rows) -> None:
        self._make_room()
        if len(rows):
            self.received_ms = max(self.received_ms, (int(rows[-1, 3]) % 2**32 - 1) * HOUR_MS)
        self.index.put(rows)
        self.position += 1

    def _note(self, rows: Rows) -> None:
        self.checkpoint.note(
            facts_offset=self.position - 1, compact=rows.tobytes(), position=self.position
        )

    def _make_room(self) -> None:
        leaving = self.index.make_room(high_ms=self.received_ms, position=self.position)
        if leaving is not None:
            base = FoldBase(received_high_ms=self.received_ms)
            self.runs.take(leaving, base=base, position=self.position)

    def judge(self, adds: list[Add]) -> list[int]:
        """Judge a micro-batch whose append is never acknowledged."""
        self._make_room()
        self.received_ms = max(self.received_ms, adds[-1].hour * HOUR_MS)
        verdicts: list[int] = self.index.add(rows_of_adds(adds)).tolist()
        return verdicts

    def add(self, adds: list[Add]) -> list[int]:
        """Judge a micro-batch and acknowledge it."""
        verdicts = self.judge(adds)
        rows = rows_of_adds(adds)[np.array(verdicts) == NEW]
        self.accepted.append(rows)
        self.position += 1
        self._note(rows)
        return verdicts

    def end(self) -> None:
        """Close as a revoked partition does."""
        self.checkpoint.close()

    def die(self) -> None:
        """Close without writing what was pending."""
        self.checkpoint._pending.clear()
        self.checkpoint.close()


def fill(index: SeenIndex, tier: ColdTier, adds: list[Add], *, size: int) -> list[int]:
    """Judge events in micro-batches and let generations go to the tier."""
    verdicts: list[int] = []
    for position, start in enumerate(range(0, len(adds), size)):
        part = adds[start : start + size]
        high_ms = part[0].hour * HOUR_MS
        leaving = index.make_room(high_ms=high_ms, position=position)
        if leaving is not None:
            tier.take(leaving, base=FoldBase(received_high_ms=high_ms), position=position)
        verdicts += index.add(rows_of_adds(part)).tolist()
    return verdicts
