"""Runs in RocksDB: what is trimmed and dropped, what a crash leaves, what a torn store says."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.errors import Fatal
from domain.usage.amendments import no_state
from domain.usage.cold_tier import FoldBase, Generation
from domain.usage.facts import UsageFacts
from domain.usage.runs import KeyClass
from runtime.settings import Settings
from schemas.usage_wire import from_wire_usage_source, to_wire_catalogue
from streams.checkpoint import Checkpoint
from streams.seen_filters import Group, Run
from streams.seen_runs import RunLimits
from streams.store import StoreLost
from streams.usage import UsageBinding, UsagePartition
from tests.support.amending import amendment_record
from tests.support.cold_tiers import HOUR_MS, TieredIndex
from tests.support.seen_keys import (
    DUPLICATE,
    NEW,
    REMEMBERED_HOURS,
    Add,
    rows_of_adds,
    uuid7_of,
)
from tests.support.usage_facts import totals_of
from tests.support.usage_truth import CATALOGUE, Event, batch_record

HOUR = 490_000
NOW_MS = HOUR * HOUR_MS
ROOT = Path(__file__).parents[3]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[TieredIndex]:
    index = TieredIndex(tmp_path / "s")
    yield index
    index.end()


def random_adds(start: int, count: int, *, hour: int = HOUR) -> list[Add]:
    return [Add((number << 64) + 1, 5, 0, hour) for number in range(start, start + count)]


def fill(index: TieredIndex, count: int, *, start: int = 0, hour: int = HOUR) -> None:
    for number in range(start, start + count):
        index.add(random_adds(number, 1, hour=hour))


class TestTrimming:
    def test_the_checkpoint_holds_the_records_of_two_generations(self, index: TieredIndex) -> None:
        """However long the log becomes."""
        fill(index, 50)
        index.checkpoint.write()
        records = list(index.checkpoint.records())
        assert 50 == index.checkpoint.start + len(records)
        assert len(records) <= index.memory_keys
        assert index.runs.keys == index.checkpoint.start

    def test_a_run_whose_newest_key_is_forgotten_leaves_the_disk(self, index: TieredIndex) -> None:
        """Blocks and filter too, eight runs with each generation."""
        fill(index, 20)
        blocks = index.checkpoint.store.scan_blocks(b"\0", b"\xff", limit=1_000)
        assert len(blocks) > 5
        later = HOUR + REMEMBERED_HOURS + 1
        fill(index, 12, start=100, hour=later)
        newest = {run.newest_hour for group in index.runs._groups for run in group.runs}
        assert {later + 1} == newest
        numbers = {run.number for group in index.runs._groups for run in group.runs}
        stored = {group.stored for group in index.runs._groups} - {0}
        left = index.checkpoint.store.scan_blocks(b"\0", b"\xff", limit=1_000)
        assert numbers | stored == {int.from_bytes(key[:4], "big") for key, _ in left}

    def test_a_run_with_one_remembered_key_stays(self, index: TieredIndex) -> None:
        """And says so of that key only."""
        index.add([*random_adds(0, 1), *random_adds(1, 1, hour=HOUR + 1)])
        fill(index, 12, start=10, hour=HOUR + REMEMBERED_HOURS + 1)
        hour = HOUR + REMEMBERED_HOURS + 1
        again = [Add(1, 5, 0, hour), Add((1 << 64) + 1, 5, 0, hour)]
        assert [NEW, DUPLICATE] == index.add(again)

    def test_few_filters_are_in_memory_and_timed_ones_leave_first(
        self, index: TieredIndex
    ) -> None:
        """Every untimed key asks all untimed filters; old timed ones are asked seldom."""
        for number in range(60):
            made = [Add(uuid7_of(HOUR * HOUR_MS, number), 5, 0, HOUR)]
            index.add(made if number < 30 else random_adds(number, 1))
        groups = [group for group in index.runs._groups if group.stored]
        assert {KeyClass.TIMED, KeyClass.UNTIMED} == {group.kind for group in groups}
        resident = index.runs._resident
        assert 1 == len(resident._filters)
        resident._resident_max = 2
        untimed = next(group for group in groups if group.kind is KeyClass.UNTIMED)
        for group in [untimed, *(each for each in groups if each.kind is KeyClass.TIMED)]:
            resident.of(group)
        assert untimed.stored in resident._filters
        assert 2 == len(resident._filters)


class TestCrashing:
    SCRIPT = """
import sys
from pathlib import Path
from runtime import failpoints
from tests.support.cold_tiers import TieredIndex
from tests.unit.streams.test_seen_runs import fill
index = TieredIndex(Path(sys.argv[1]))
failpoints.arm(sys.argv[2])
fill(index, 40)
"""

    @pytest.mark.parametrize("name", ["fold.before_run", "fold.after_blocks", "fold.after_run"])
    @pytest.mark.parametrize("count", [1, 2, 5])
    def test_at_any_point_of_a_generations_way_loses_and_doubles_no_key(
        self, tmp_path: Path, name: str, count: int
    ) -> None:
        """The store holds all of the step or nothing, and no block that nobody names."""
        done = subprocess.run(
            [sys.executable, "-c", self.SCRIPT, str(tmp_path / "s"), f"{name}:{count}"],
            cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, check=False, capture_output=True,
        )  # fmt: skip
        assert -signal.SIGKILL == done.returncode, done.stderr.decode()
        index = TieredIndex(tmp_path / "s")
        named = {run.number for group in index.runs._groups for run in group.runs}
        named |= {group.stored for group in index.runs._groups} - {0}
        found = index.checkpoint.store.scan_blocks(b"\0", b"\xff", limit=1_000)
        assert named == {int.from_bytes(key[:4], "big") for key, _ in found}
        known = index.position
        assert known <= 40
        verdicts = [index.add([add])[0] for add in random_adds(0, 40)]
        assert [DUPLICATE] * known + [NEW] * (40 - known) == verdicts
        index.end()


def lose_block(index: TieredIndex) -> None:
    store = index.checkpoint.store
    batch = store.batch()
    store.drop_blocks(batch, b"\0", b"\xff")
    store.write(batch)


def lose_entry(prefix: bytes) -> Callable[[TieredIndex], None]:
    def lose(index: TieredIndex) -> None:
        store = index.checkpoint.store
        batch = store.batch()
        batch.delete_range(prefix, prefix + b"\xff" * 8)
        store.write(batch)

    return lose


class TestTearing:
    def test_a_missing_block_is_no_answer(self, index: TieredIndex) -> None:
        """Never "not seen"."""
        fill(index, 12)
        lose_block(index)
        with pytest.raises(StoreLost):
            index.add(random_adds(0, 1))

    @pytest.mark.parametrize(
        "damage", [lose_block, lose_entry(b"tier")], ids=["blocks", "list of runs"]
    )
    def test_a_store_that_lacks_something_does_not_load(
        self, index: TieredIndex, damage: Callable[[TieredIndex], None]
    ) -> None:
        """Whoever loads it empties it then, and reads the facts."""
        fill(index, 12)
        damage(index)
        index.checkpoint.write()
        with pytest.raises((Fatal, StoreLost)):
            index.load()

    def test_keys_of_unacknowledged_facts_do_not_leave_memory(self, index: TieredIndex) -> None:
        """A run may hold only what the log has."""
        fill(index, 3)
        ahead = Generation(rows_of_adds(random_adds(0, 1)), HOUR * HOUR_MS, 3)
        with pytest.raises(Fatal):
            index.runs.take(ahead, base=FoldBase(), position=4)


class KeptFold:
    """The usage fold of a partition with its checkpoint, without a broker."""

    def __init__(self, path: Path) -> None:
        self._binding = UsageBinding(Settings(partitions=1, seen_memory_keys=4))
        self._path = path
        self.position = 0
        self.open()

    def open(self) -> None:
        self.checkpoint = Checkpoint(self._path, identity="x")
        self.partition: UsagePartition = self._binding.new_fold(0, self.checkpoint)
        for _ in self.partition.load():
            pass
        for value in self.checkpoint.records():
            self.partition.restore(self._binding.from_wire(value))
        self.fold = self.partition._fold
        assert self.position == self.checkpoint.position

    def restart(self) -> None:
        self.checkpoint.close()
        self.open()

    def take(self, value: bytes, *, received_ms: int = HOUR * HOUR_MS) -> UsageFacts:
        record = from_wire_usage_source(value, offset=self.position, received_at_ms=received_ms)
        facts = self.partition.step(
            [record], from_offset=self.position, to_offset=self.position + 1
        )
        self._note(facts)
        self.partition.observe(facts)
        return facts

    def restore(self, facts: UsageFacts) -> None:
        self.partition.restore(facts)
        self._note(facts)

    def _note(self, facts: UsageFacts) -> None:
        self.checkpoint.note(
            facts_offset=self.position,
            compact=self._binding.compact(facts),
            position=self.position + 1,
        )
        self.position += 1

    def send(self, start: int, *customers: str) -> dict[str, int]:
        events = [
            Event(key=start + number, customer=name, occurred_ms=HOUR * HOUR_MS)
            for number, name in enumerate(customers)
        ]
        return dict(+totals_of([self.take(batch_record(events))]))


PEAK: dict[str, Any] = {
    **CATALOGUE,
    "meters": [
        *CATALOGUE["meters"],  # type: ignore[misc]
        {"key": "peak", "event_type": "peak", "aggregation": "max", "unit": "unit"},
    ],
}


def catalogue(version: int, document: dict[str, Any] | None = None) -> bytes:
    content = json.dumps({**(document or CATALOGUE), "version": version})
    return to_wire_catalogue(tenant="acme", version=version, content=content)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[KeptFold]:
    kept = KeptFold(tmp_path / "s")
    kept.take(catalogue(1))
    yield kept
    kept.checkpoint.close()


class TestBase:
    """State beside the keys comes back from the store, and ends as it was."""

    def in_force(self, kept: KeptFold) -> list[int]:
        return [item.version for item in kept.fold.catalogues]

    def test_catalogues_in_force_outlive_their_records(self, kept: KeptFold) -> None:
        """The record that published them was trimmed long ago."""
        for number in range(6):
            kept.send(10 * number, "ann", "bob")
        assert kept.checkpoint.start > 1
        kept.restart()
        assert [1] == self.in_force(kept)
        assert {"received": 2, "accepted": 2} == kept.send(1_000, "ann", "bob")

    def test_a_base_newer_than_the_records_after_it_leads_to_the_same_state(
        self, kept: KeptFold
    ) -> None:
        """The base is of now, the records begin before: they pass through older catalogues."""
        versions = iter(range(2, 100))
        for number in range(6):
            kept.send(10 * number, "ann", "bob")
            kept.take(catalogue(next(versions)))
            kept.take(catalogue(next(versions)), received_ms=HOUR * HOUR_MS + number)
        kept.checkpoint.write()
        base = json.loads(kept.checkpoint.store.scan(b"c", b"d", limit=9)[0][1])
        records = [kept._binding.from_wire(value) for value in kept.checkpoint.records()]
        assert min(item.version for each in records for item in each.catalogues) < base[1]
        before = self.in_force(kept), kept.fold._received_high_ms
        kept.restart()
        assert before == (self.in_force(kept), kept.fold._received_high_ms)
        kept.take(catalogue(3))  # of before: no newer one may be forgotten
        assert before[0] == self.in_force(kept)

    def test_watches_outlive_their_records(self, kept: KeptFold) -> None:
        """An announced amendment may come after a restart that read no record of before."""
        event = Event(key=7, customer="ann", type="peak", occurred_ms=HOUR * HOUR_MS)
        kept.take(catalogue(2, PEAK))
        kept.take(batch_record([event]))
        at = kept.position
        kept.take(amendment_record(event, catalogue=PEAK, offset=at - 1, announces=True))
        for number in range(6):
            kept.send(10 * number + 100, "ann", "bob")
        assert kept.checkpoint.start > at + 1
        kept.restart()
        states = (no_state("peak"),)
        amended = amendment_record(
            event, catalogue=PEAK, offset=at - 1, announced_at=at, states=states
        )
        facts = kept.take(amended)
        assert 1 == len(facts.amendments)
        assert "[]" == facts.watches

    def test_owners_keep_the_numbers_that_rows_hold(self, kept: KeptFold) -> None:
        """Also when some of them were numbered by events that were not counted."""
        names = [f"customer {number}" for number in range(12)]
        for number, name in enumerate(names):
            kept.send(number, name)
            kept.send(number, name, "only seen, then new" if number % 3 else name)
        runs = kept.partition._runs
        assert runs is not None
        owners = kept.fold._owners[: runs._base.owners]
        assert len(owners) > 5
        kept.restart()
        assert owners == kept.fold._owners[: len(owners)]
        for number, name in enumerate(names):
            assert {"received": 1, "duplicates": 1} == kept.send(number, name)
        strangers = [name for name in names if name != names[0]]
        for name in strangers:
            assert {"received": 1, "accepted": 1} == kept.send(0, name)

    def test_a_restore_from_the_facts_keeps_memory_bounded_too(
        self, kept: KeptFold, tmp_path: Path
    ) -> None:
        """Else a worker that lost its disk would need memory for all keys, once."""
        facts = [kept.take(batch_record([Event(key=n, occurred_ms=NOW_MS)])) for n in range(30)]
        again = KeptFold(tmp_path / "again")
        again.position = 1
        again.checkpoint.note(facts_offset=0, compact=b"", position=1)
        for each in facts:
            again.restore(each)
        assert again.fold.keys_held <= 6
        assert 30 == again.fold.keys_held + again.partition._runs.keys  # type: ignore[union-attr]
        again.checkpoint.close()

    def test_metrics_tell_where_the_keys_are(self, kept: KeptFold) -> None:
        """Memory and runs together hold all of them."""
        for number in range(9):
            kept.send(10 * number, "ann", "bob")
        runs = kept.partition._runs
        assert runs is not None
        assert 18 == kept.fold.keys_held + runs.keys
        assert runs.runs > 1
        assert runs.filter_bytes > 0


class TestGroup:
    def test_is_closed_when_its_last_run_was(self) -> None:
        """Runs come in the order of time, so a fresh key leaves the whole group alone."""
        run = Run(number=1, rows=3, bits=0, high_ms=10, newest_hour=1)
        group = Group(KeyClass.TIMED, runs=[run, run._replace(number=2, high_ms=20)])
        assert (6, 20) == (group.rows, group.high_ms)


class TestMerging:
    def test_small_runs_behind_one_filter_become_one(self, tmp_path: Path) -> None:
        """Of a class that is rare in each generation there would be one run for each."""
        limits = RunLimits(block_rows=2, filter_keys=1_000, small_rows=50, small_runs=3)
        index = TieredIndex(tmp_path / "s", limits=limits)
        fill(index, 200)
        (group,) = index.runs._groups
        assert index.runs.keys == index.checkpoint.start
        assert sum(run.rows < 50 for run in group.runs) <= 3
        assert len(group.runs) <= 3 + 200 // 50
        index.end()
        index.open()
        assert [DUPLICATE] * 200 == [index.add([add])[0] for add in random_adds(0, 200)]
        index.end()

    def test_forgotten_keys_are_left_out(self, tmp_path: Path) -> None:
        """A merged run is as young as its youngest key, so they would stay for long."""
        limits = RunLimits(block_rows=2, filter_keys=1_000, small_rows=50, small_runs=3)
        index = TieredIndex(tmp_path / "s", limits=limits)
        index.add([*random_adds(0, 9), *random_adds(9, 1, hour=HOUR + 1)])
        fill(index, 12, start=10, hour=HOUR + REMEMBERED_HOURS + 1)
        assert index.runs.keys <= 11
        assert [DUPLICATE] == index.add(random_adds(9, 1, hour=HOUR + REMEMBERED_HOURS + 1))
        index.end()

    def test_a_filter_is_sealed_by_what_was_put_in_not_by_what_is_left(
        self, tmp_path: Path
    ) -> None:
        """Keys of dropped runs stay in it: of a rare class it would fill up for good."""
        limits = RunLimits(block_rows=2, filter_keys=10, small_rows=1, filters_resident=1)
        index = TieredIndex(tmp_path / "s", limits=limits)
        for week in range(60):
            fill(index, 1, start=week, hour=HOUR + week * REMEMBERED_HOURS // 4)
        assert 0 < index.runs.keys <= 8
        assert all(group.filtered <= 10 for group in index.runs._groups)
        index.end()
