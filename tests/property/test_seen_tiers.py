"""The seen index with a cold tier against a dict: where a key lies changes no verdict."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.usage.seen_index import SeenIndex
from tests.support.cold_tiers import HOUR_MS, MemoryTier, TieredIndex, fill
from tests.support.seen_keys import (
    REMEMBERED_HOURS,
    Add,
    PlainIndex,
    plain_verdicts,
    uuid7_of,
)

START_HOUR = 490_000
JUMPS = st.sampled_from(
    [0] * 30 + [1, 20, REMEMBERED_HOURS - 1, REMEMBERED_HOURS, REMEMBERED_HOURS + 1]
)
AHEAD_MS = st.sampled_from(
    [-40 * 24 * HOUR_MS, -HOUR_MS, -1, 0, 299_999, 300_000, 300_001, HOUR_MS, 50 * 24 * HOUR_MS]
)
"""How far a UUIDv7's claim lies ahead of the clock: any amount, and the edges of five minutes."""


@st.composite
def keys(draw: st.DrawFn, hour: int) -> int:
    """A key of any sort; few of each, so that they come again."""
    tail = draw(st.integers(0, 3))
    sort = draw(st.sampled_from(["fresh", "any", "any", "random", "like v7"]))
    if sort == "fresh":
        return uuid7_of(hour * HOUR_MS, tail)
    if sort == "any":
        return uuid7_of(START_HOUR * HOUR_MS + draw(AHEAD_MS), tail)
    if sort == "like v7":  # a hash that happens to carry the version and the variant
        return uuid7_of(draw(st.sampled_from([0, 2**48 - 1])), tail)
    return tail << 64 | draw(st.integers(0, 3))


@st.composite
def micro_batches(draw: st.DrawFn) -> list[list[Add]]:
    hour, batches, known = START_HOUR, [], [0]
    for _ in range(draw(st.integers(2, 20))):
        batch = []
        for _ in range(draw(st.integers(1, 6))):
            hour += draw(JUMPS)
            is_again = draw(st.booleans())
            key = draw(st.sampled_from(known)) if is_again else draw(keys(hour))
            known = [*known[-20:], key]
            fingerprint = draw(st.sampled_from([5, 5, 5, 6]))
            batch.append(Add(key, fingerprint, draw(st.integers(0, 1)), hour))
        batches.append(batch)
    return batches


EVENTS = st.lists(
    st.sampled_from(["", "", "", "", "end", "die", "reload", "lose"]), min_size=20, max_size=20
)
"""What happens before each micro-batch: an orderly restart, one that loses what was not written,
a state dropped, an append that was never acknowledged."""


@contextmanager
def tiered(memory_keys: int) -> Iterator[TieredIndex]:
    with tempfile.TemporaryDirectory() as folder:
        index = TieredIndex(Path(folder), memory_keys)
        yield index
        index.end()


class TestSeenTiers:
    @given(batches=micro_batches(), memory_keys=st.integers(2, 12), events=EVENTS)
    @settings(max_examples=200)
    def test_say_what_a_dict_says_at_any_rotation_and_after_any_restart(
        self, batches: list[list[Add]], memory_keys: int, events: list[str]
    ) -> None:
        """Keys of every sort, hours that jump, generations that leave, processes that die."""
        plain = PlainIndex()
        with tiered(memory_keys) as index:
            for batch, event in zip(batches, events, strict=False):
                if event == "lose":
                    index.judge(batch)
                if event in ("lose", "reload"):
                    index.checkpoint.write()
                    index.load()
                if event in ("end", "die"):
                    index.end() if event == "end" else index.die()
                    index.open()
                assert [plain.add(add) for add in batch] == index.add(batch)

    @given(batches=micro_batches(), memory_keys=st.integers(2, 12), size=st.integers(1, 9))
    @settings(max_examples=200)
    def test_are_the_indexs_own_doing_whatever_keeps_the_keys(
        self, batches: list[list[Add]], memory_keys: int, size: int
    ) -> None:
        """Over the plainest tier there is, in any split."""
        adds = [add for batch in batches for add in batch]
        tier = MemoryTier()
        index = SeenIndex(cold=tier, memory_keys=memory_keys)
        assert plain_verdicts(adds) == fill(index, tier, adds, size=size)

    @given(batches=micro_batches(), size=st.integers(1, 9))
    @settings(max_examples=50)
    def test_without_a_tier_everything_stays_in_memory(
        self, batches: list[list[Add]], size: int
    ) -> None:
        """No generation ever leaves, however few keys memory should hold."""
        adds = [add for batch in batches for add in batch]
        index = SeenIndex(memory_keys=2)
        assert plain_verdicts(adds) == fill(index, MemoryTier(), adds, size=size)
        assert index._old is None
