"""The cold tier of the seen index in RocksDB: immutable runs behind filters.

Order of a generation's way out of memory:
1. cut it into at most one run per class, sorted by hash, together with the small runs before it
   when they have become many, and write the blocks, unnamed yet;
2. seal the filters that are full, and write them the same way;
3. bring all of that to the disk;
4. write in one batch: the list of runs, owners and catalogues, the pending records and the
   position, and without the records, the merged and the forgotten runs that are needed no longer.
A crash before 4 leaves blocks that nobody names; they are removed at the next start.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from domain.codes import Code
from domain.errors import invariant
from domain.period import HOUR_MS
from domain.usage.cold_tier import FoldBase
from domain.usage.key_filter import KeyFilter, patterns_of
from domain.usage.runs import (
    KeyClass,
    block_bits_of,
    blocks_of,
    classes_of,
    high_bits_of,
    made_ms_of,
    may_be_in,
    row_in,
    rows_in,
)
from domain.usage.seen import (
    REMEMBERED_HOURS,
    ROW_BYTES,
    hashes_of,
    hours_of,
    is_remembered,
)
from runtime import failpoints
from streams.kept_base import KeptBase
from streams.seen_filters import FILTERS_RESIDENT_MAX, Group, ResidentFilters, Run
from streams.store import StoreLost

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.usage.cold_tier import Generation
    from domain.usage.seen import Int64s, Rows, Salt, UInt64s
    from streams.checkpoint import Checkpoint

_META = b"tier"
_END = b"\xff" * 8
PAGE_BLOCKS = 512
"""Blocks read at once, 2 MiB; about 10 ms of work, and the bound of a look-up's memory."""
RUNS_DROPPED_MAX = 8
"""Forgotten runs dropped with one generation; bounds its pause. The rest goes with the next."""


@dataclass(frozen=True, slots=True)
class RunLimits:
    """Sizes of the tier; tests make them small.

    Args:
        block_rows: Keys of a block: 4 KiB, what a disk reads at once anyway.
        filter_keys: Keys of a filter: 8 MiB, so that 10 million untimed keys ask three.
        filters_resident: Sealed filters in memory.
        small_rows: A run with fewer keys is small. A quarter of a generation: merging costs less
            than writing did, and a full filter has some 40 runs at most, however rare its class.
        small_runs: So many small runs behind one filter become one.
    """

    block_rows: int = 128
    filter_keys: int = 1 << 22
    filters_resident: int = FILTERS_RESIDENT_MAX
    small_rows: int = 1 << 17
    small_runs: int = 8


class _Asked(NamedTuple):
    """A look-up on its way through the runs; found is filled in."""

    rows: Rows
    hashes: UInt64s
    made_ms: Int64s
    patterns: UInt64s
    found: Rows


def _block_key(number: int, block: int = 0) -> bytes:
    return number.to_bytes(4, "big") + block.to_bytes(4, "big")


class SeenRuns:
    """The cold tier of one partition, in the same store as its checkpoint.

    Args:
        checkpoint: The checkpoint. Generations and records change together.
        limits: Sizes.
    """

    def __init__(self, checkpoint: Checkpoint, *, limits: RunLimits | None = None) -> None:
        self._checkpoint = checkpoint
        self._store = checkpoint.store
        self._limits = limits or RunLimits()
        self._groups: list[Group] = []
        self._open_filters: dict[KeyClass, KeyFilter] = {}
        self._resident = ResidentFilters(
            self._read_filter, resident_max=self._limits.filters_resident
        )
        self._next_number = 1
        self._base = KeptBase(self._store)

    @property
    def is_empty(self) -> bool:
        """Say whether there are no runs."""
        return not self._groups

    @property
    def salt(self) -> Salt:
        """Return what hashes are mixed with; it lives as long as the store's content."""
        return self._checkpoint.salt

    @property
    def keys(self) -> int:
        """Return how many keys are in runs, some forgotten ones included."""
        return sum(group.rows for group in self._groups)

    @property
    def runs(self) -> int:
        """Return how many runs there are."""
        return sum(len(group.runs) for group in self._groups)

    @property
    def filter_bytes(self) -> int:
        """Return the memory of all filters, bytes."""
        return self._resident.nbytes + sum(
            held.words.nbytes for held in self._open_filters.values()
        )

    # ── asking ──────────────────────────────────────────────────────────────────────────────────

    def find(self, rows: Rows, hashes: UInt64s) -> Rows:
        """Look keys up: the filters of their class first, then blocks of the runs that may."""
        found: Rows = np.zeros((len(rows), 4), dtype=np.uint64)
        if not len(rows):
            return found
        asked = _Asked(rows, hashes, made_ms_of(rows), patterns_of(hashes), found)
        for group in self._groups:
            at = np.flatnonzero(may_be_in(group.kind, asked.made_ms, high_ms=group.high_ms))
            if at.size:
                at = at[self._filter_of(group).may_hold(hashes[at], asked.patterns[at])]
            if at.size:
                for run in group.runs:
                    self._find_in_run(run, group.kind, at, asked)
        return found

    def _find_in_run(self, run: Run, kind: KeyClass, at: Int64s, asked: _Asked) -> None:
        at = at[asked.found[at, 3] == 0]
        at = at[may_be_in(kind, asked.made_ms[at], high_ms=run.high_ms)]
        at = at[run.newest_hour + REMEMBERED_HOURS >= hours_of(asked.rows[at])]
        for start in range(0, at.size, PAGE_BLOCKS):
            self._find_in_blocks(run, at[start : start + PAGE_BLOCKS], asked)

    def _find_in_blocks(self, run: Run, at: Int64s, asked: _Asked) -> None:
        numbers, block_of = np.unique(
            high_bits_of(asked.hashes[at], run.bits), return_inverse=True
        )
        blocks = self._store.blocks(
            [_block_key(run.number, number) for number in numbers.tolist()]
        )
        wanted = asked.rows[at].astype("<u8", copy=False).tobytes()
        held: list[bytes] = []
        places: list[int] = []
        for index, block in enumerate(block_of.tolist()):
            row = row_in(blocks[block], wanted[index * ROW_BYTES : (index + 1) * ROW_BYTES])
            if row is not None:
                held.append(row)
                places.append(index)
        rows = rows_in(b"".join(held))
        positions = at[np.array(places, dtype=np.int64)]
        remembered = is_remembered(rows, hours_of(asked.rows[positions]))
        asked.found[positions[remembered]] = rows[remembered]

    def _filter_of(self, group: Group) -> KeyFilter:
        return self._resident.of(group) if group.stored else self._open_filters[group.kind]

    def _read_filter(self, number: int) -> bytes:
        return self._store.blocks([_block_key(number)])[0]

    # ── taking ──────────────────────────────────────────────────────────────────────────────────

    def take(self, generation: Generation, *, base: FoldBase, position: int) -> None:
        """Write a generation as runs, trim the checkpoint, and drop forgotten runs.

        Raises:
            StoreLost: The store failed.
        """
        invariant(
            self._checkpoint.start <= generation.position <= position <= self._checkpoint.noted,
            Code.STATE_CORRUPT,
            "keys leave memory before their facts are acknowledged",
            position=position,
        )
        failpoints.pass_by("fold.before_run")
        hour = np.uint64(base.received_high_ms // HOUR_MS + 1)
        merged = self._write_runs(generation, hour)
        self._store.flush_blocks()
        failpoints.pass_by("fold.after_blocks")
        forgotten = self._forget_runs(hour)
        batch = self._store.batch()
        for number in merged + forgotten:
            self._store.drop_blocks(batch, _block_key(number), _block_key(number + 1))
        self._base.put(batch, base)
        batch.put(_META, self._meta(base.received_high_ms))
        self._checkpoint.write_with(batch, start=generation.position)
        failpoints.pass_by("fold.after_run")
        for number in forgotten:  # merged runs share files with others that are still needed
            self._store.reclaim_blocks(_block_key(number), _block_key(number + 1))

    def _write_runs(self, generation: Generation, hour: np.uint64) -> list[int]:
        """Steps 1 and 2, class by class; return the numbers of runs that were merged away."""
        rows = generation.rows
        classes = classes_of(made_ms_of(rows), high_ms=generation.high_ms)
        merged: list[int] = []
        for kind in KeyClass:
            chosen = rows[classes == kind]
            if len(chosen):
                group = self._open_group(kind, len(chosen))
                small = self._small_runs(group)
                chosen = np.concatenate([chosen, *(self._rows_of(run) for run in small)])
                group.runs = [run for run in group.runs if run not in small]
                merged += [run.number for run in small]
                self._write_run(group, chosen, hour, generation.high_ms)
        return merged

    def _small_runs(self, group: Group) -> list[Run]:
        """Return the small runs of a group when they are many: each would cost a look-up.

        A filter that says "maybe" sends a look-up to all of its runs. Of a class that is rare in
        each generation there would be hundreds.
        """
        small = [run for run in group.runs if run.rows < self._limits.small_rows]
        return small if len(small) >= self._limits.small_runs else []

    def _write_run(self, group: Group, rows: Rows, hour: np.uint64, high_ms: int) -> None:
        """Write remembered keys of one class; high_ms is that of their youngest generation."""
        rows = rows[is_remembered(rows, hour)]
        hashes = hashes_of(rows, self.salt)
        order = np.argsort(hashes)
        rows, hashes = rows[order], hashes[order]
        bits = block_bits_of(len(rows), block_rows=self._limits.block_rows)
        newest_hour = int(hours_of(rows).max(initial=0))
        run = Run(self._take_number(), len(rows), bits, high_ms, newest_hour)
        self._store.put_blocks(
            [_block_key(run.number, block) for block in range(1 << bits)],
            blocks_of(rows, hashes, bits=bits),
        )
        group.runs.append(run)
        self._open_filters[group.kind].add(hashes)

    def _rows_of(self, run: Run) -> Rows:
        return np.concatenate(list(self._pages_of(run)))

    def _pages_of(self, run: Run) -> Iterator[Rows]:
        """Yield the keys of a run in the order of their hashes, PAGE_BLOCKS at a time."""
        read = 0
        key, end = _block_key(run.number), _block_key(run.number + 1)
        while page := self._store.scan_blocks(key, end, limit=PAGE_BLOCKS):
            rows = rows_in(b"".join(block for _, block in page))
            read, key = read + len(rows), page[-1][0] + b"\0"
            yield rows
        if read != run.rows:
            raise StoreLost(f"run {run.number} lacks keys")

    def _open_group(self, kind: KeyClass, coming: int) -> Group:
        """Return the group that takes the next run of a class; seal the one that is full."""
        for group in self._groups:
            if group.kind is kind and not group.stored:
                if group.filtered + coming <= self._limits.filter_keys:
                    group.filtered += coming
                    return group
                self._seal(group)
        group = Group(kind, filtered=coming)
        self._groups.append(group)
        self._open_filters[kind] = KeyFilter.for_keys(max(coming, self._limits.filter_keys))
        return group

    def _seal(self, group: Group) -> None:
        group.stored = self._take_number()
        sealed = self._open_filters.pop(group.kind)
        words = sealed.words.astype("<u8", copy=False).tobytes()
        self._store.put_blocks([_block_key(group.stored)], [words])
        self._resident.put(group, sealed)

    def _take_number(self) -> int:
        number, self._next_number = self._next_number, self._next_number + 1
        return number

    def _forget_runs(self, hour: np.uint64) -> list[int]:
        """Leave out runs that no event can meet any more; return the numbers of what they had.

        This saves space and changes no verdict: a key of such a run counts as never seen.
        """
        forgotten = [
            run
            for group in self._groups
            for run in group.runs
            if run.newest_hour + REMEMBERED_HOURS < hour
        ][:RUNS_DROPPED_MAX]
        numbers = [run.number for run in forgotten]
        for group in self._groups:
            group.runs = [run for run in group.runs if run not in forgotten]
            if not group.runs:
                self._drop_filter(group, numbers)
        self._groups = [group for group in self._groups if group.runs]
        return numbers

    def _drop_filter(self, group: Group, numbers: list[int]) -> None:
        if group.stored:
            self._resident.forget(group.stored)
            numbers.append(group.stored)
        else:
            del self._open_filters[group.kind]

    def _meta(self, received_high_ms: int) -> bytes:
        return json.dumps(
            {
                "received_high_ms": received_high_ms,
                "next_number": self._next_number,
                "owners": self._base.owners,
                "catalogues": self._base.catalogues,
                "dimension_sets": self._base.dimension_sets,
                "groups": [[group.kind, group.stored, group.runs] for group in self._groups],
            }
        ).encode()

    # ── opening ─────────────────────────────────────────────────────────────────────────────────

    def load(self) -> Iterator[FoldBase]:
        """This function will read the tier in small steps; before its end nobody asks.

        Yields:
            State that the fold takes on, in parts; most of them are empty.

        Raises:
            Exception: The store is torn, whatever shows it.
        """
        meta = self._store.get(_META)
        fields = json.loads(meta) if meta is not None else None
        invariant(
            (fields is None) == (self._checkpoint.start == 0),
            Code.STATE_CORRUPT,
            "the checkpoint begins where no run ends",
        )
        if fields is None:
            self._drop_unnamed()
            return
        self._next_number = fields["next_number"]
        for kind, stored, runs in fields["groups"]:
            self._groups.append(Group(KeyClass(kind), stored, [Run(*run) for run in runs]))
        self._drop_unnamed()
        yield FoldBase(received_high_ms=fields["received_high_ms"])
        yield from self._load_filters()
        yield from self._base.load(
            owners=fields["owners"],
            catalogues=fields["catalogues"],
            dimension_sets=fields["dimension_sets"],
        )

    def _drop_unnamed(self) -> None:
        """Remove what a crash left behind: blocks whose numbers were not in use yet."""
        start = _block_key(self._next_number)
        if self._store.scan_blocks(start, _END, limit=1):
            batch = self._store.batch()
            self._store.drop_blocks(batch, start, _END)
            self._store.write(batch)

    def _load_filters(self) -> Iterator[FoldBase]:
        """Fill the filters that are not sealed from the blocks of their runs."""
        for group in self._groups:
            if group.stored:
                continue
            group.filtered = group.rows
            size = max(group.rows, self._limits.filter_keys)
            self._open_filters[group.kind] = words = KeyFilter.for_keys(size)
            for run in group.runs:
                for rows in self._pages_of(run):
                    words.add(hashes_of(rows, self.salt))
                    yield FoldBase()
