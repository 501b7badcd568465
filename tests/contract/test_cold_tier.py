"""The port behind the seen index: the dict of the tests and RocksDB must do the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from domain.usage.cold_tier import ColdTier, FoldBase, Generation
from domain.usage.seen import hashes_of
from streams.checkpoint import Checkpoint
from streams.seen_runs import SeenRuns
from tests.support.cold_tiers import HOUR_MS, TINY, MemoryTier
from tests.support.seen_keys import REMEMBERED_HOURS, Add, rows_of_adds, uuid7_of

HOUR = 490_000
NOW_MS = HOUR * HOUR_MS
SORTS = {
    "random": Add(12345, 5, 1, HOUR),
    "all zeros": Add(0, 5, 1, HOUR),
    "all ones": Add(2**128 - 1, 5, 1, HOUR),
    "made now": Add(uuid7_of(NOW_MS, 9), 5, 1, HOUR),
    "made long ago": Add(uuid7_of(0, 9), 5, 1, HOUR),
    "made five minutes ahead": Add(uuid7_of(NOW_MS + 300_000, 9), 5, 1, HOUR),
    "made a little further ahead": Add(uuid7_of(NOW_MS + 300_001, 9), 5, 1, HOUR),
    "made at the end of time": Add(uuid7_of(2**48 - 1, 9), 5, 1, HOUR),
}


@dataclass
class Kept:
    """A tier, and how to read it again after a restart."""

    tier: ColdTier
    again: Callable[[], ColdTier]
    note: Callable[[int], None]
    position: int = 0

    def take(self, *adds: Add, high_ms: int = NOW_MS, now_ms: int = 0) -> None:
        """Give it a generation."""
        self.position += 1
        self.note(self.position)
        self.tier.take(
            Generation(rows_of_adds(list(adds)), high_ms, self.position),
            base=FoldBase(received_high_ms=now_ms or high_ms),
            position=self.position,
        )

    def find(self, *adds: Add) -> list[int]:
        """The fingerprint found for each key, 0 for none."""
        rows = rows_of_adds(list(adds))
        found = self.tier.find(rows, hashes_of(rows, self.tier.salt))
        assert np.array_equal(found[found[:, 3] != 0, :2], rows[found[:, 3] != 0, :2])
        fingerprints: list[int] = found[:, 2].tolist()
        return fingerprints

    def restart(self) -> None:
        self.tier = self.again()


class Opened:
    """RocksDB as a fold opens it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.open()

    def open(self) -> ColdTier:
        self.checkpoint = Checkpoint(self.path, identity="x")
        self.runs = SeenRuns(self.checkpoint, limits=TINY)
        for _ in self.runs.load():
            pass
        return self.runs

    def again(self) -> ColdTier:
        self.checkpoint.close()
        return self.open()

    def note(self, position: int) -> None:
        self.checkpoint.note(facts_offset=position, compact=b"", position=position)


@pytest.fixture(params=["memory", "RocksDB"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    if request.param == "memory":
        tier = MemoryTier()
        yield Kept(tier, lambda: tier, lambda position: None)
    else:
        opened = Opened(tmp_path / "s")
        yield Kept(opened.runs, opened.again, opened.note)
        opened.checkpoint.close()


class TestColdTier:
    def test_holds_nothing_at_first(self, kept: Kept) -> None:
        """Neither of keys nor of none."""
        assert kept.tier.is_empty
        assert [0, 0] == kept.find(*list(SORTS.values())[:2])
        assert [] == kept.find()

    @pytest.mark.parametrize("sort", SORTS)
    @pytest.mark.parametrize("is_restarted", [False, True])
    def test_finds_a_key_of_any_sort(self, kept: Kept, sort: str, is_restarted: bool) -> None:
        """Whatever its bits claim, also after later generations and a restart."""
        kept.take(*SORTS.values())
        for number in range(30):
            kept.take(
                Add(1000 + number, 6, 1, HOUR), Add(uuid7_of(NOW_MS, 1000 + number), 6, 1, HOUR)
            )
        if is_restarted:
            kept.restart()
        assert not kept.tier.is_empty
        assert [5, 0] == kept.find(SORTS[sort], replace(SORTS[sort], owner=2))

    def test_answers_for_each_key_of_a_call(self, kept: Kept) -> None:
        """Known and unknown ones together, and one of them twice."""
        kept.take(Add(1, 7, 0, HOUR), Add(2, 8, 0, HOUR))
        asked = [Add(number, 0, 0, HOUR) for number in (2, 3, 1, 2)]
        assert [8, 0, 7, 8] == kept.find(*asked)

    def test_forgets_by_the_hours_of_both(self, kept: Kept) -> None:
        """To the hour, whether the run is still there or not."""
        kept.take(Add(1, 7, 0, HOUR))
        later = [Add(1, 7, 0, HOUR + REMEMBERED_HOURS + more) for more in (0, 1)]
        assert [7, 0] == kept.find(*later)

    def test_forgets_one_key_of_a_generation_and_not_the_other(self, kept: Kept) -> None:
        """They left memory together and arrived an hour apart."""
        kept.take(Add(1, 7, 0, HOUR), Add(2, 8, 0, HOUR + 1))
        hour = HOUR + REMEMBERED_HOURS + 1
        assert [0, 8] == kept.find(Add(1, 7, 0, hour), Add(2, 8, 0, hour))

    def test_prefers_the_remembered_one_of_two(self, kept: Kept) -> None:
        """A key that was forgotten and came again lies in two generations."""
        kept.take(Add(1, 7, 0, HOUR))
        again = HOUR + REMEMBERED_HOURS + 1
        kept.take(Add(1, 9, 0, again), now_ms=NOW_MS)
        assert [9] == kept.find(Add(1, 0, 0, again))

    def test_keeps_what_is_remembered_while_others_are_dropped(self, kept: Kept) -> None:
        """One hour decides between two generations."""
        kept.take(Add(1, 7, 0, HOUR))
        kept.take(Add(2, 8, 0, HOUR + 1))
        hour = HOUR + REMEMBERED_HOURS + 1
        kept.take(Add(3, 9, 0, hour), high_ms=hour * HOUR_MS)
        kept.restart()
        assert [0, 8, 9] == kept.find(*[Add(number, 0, 0, hour) for number in (1, 2, 3)])

    def test_takes_a_generation_without_keys(self, kept: Kept) -> None:
        """All of them may be forgotten by then."""
        kept.take(Add(1, 7, 0, HOUR), now_ms=NOW_MS + (REMEMBERED_HOURS + 1) * HOUR_MS)
        kept.restart()
        assert [0] == kept.find(Add(1, 7, 0, HOUR + REMEMBERED_HOURS + 1))
