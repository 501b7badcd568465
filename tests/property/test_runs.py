"""Laws of runs and filters: whatever is put in is asked for, found, and never denied."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.usage.key_filter import KeyFilter, patterns_of
from domain.usage.runs import (
    KEY_AHEAD_MS,
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
from domain.usage.seen import hashes_of
from tests.support.seen_keys import Add, rows_of_adds, uuid7_of

HIGH_MS = 1_700_000_000_000
MADE_MS = st.one_of(
    st.integers(-1, 2**48 - 1),
    st.integers(HIGH_MS + KEY_AHEAD_MS - 2, HIGH_MS + KEY_AHEAD_MS + 2),
    st.integers(HIGH_MS - 2, HIGH_MS + 2),
)
KEYS = st.one_of(
    st.integers(0, 2**128 - 1),
    st.integers(0, 3),
    st.builds(uuid7_of, st.integers(0, 2**48 - 1), st.integers(0, 2**62 - 1)),
)
ADDS = st.lists(
    st.builds(Add, KEYS, st.integers(0, 2**64 - 1), st.integers(0, 3), st.integers(0, 500_000)),
    min_size=1,
    max_size=300,
    unique_by=lambda add: (add.key, add.owner),
)


class TestClasses:
    @given(made_ms=MADE_MS)
    @settings(max_examples=500)
    def test_a_key_is_asked_for_where_it_was_put(self, made_ms: int) -> None:
        """Whatever it claims: the run that holds it is among those that may."""
        made = np.array([made_ms], dtype=np.int64)
        (kind,) = classes_of(made, high_ms=HIGH_MS).tolist()
        assert may_be_in(KeyClass(kind), made, high_ms=HIGH_MS).all()

    @given(made_ms=MADE_MS, before_ms=st.integers(1, 2**40))
    @settings(max_examples=200)
    def test_a_fresh_key_asks_no_timed_run_of_before(self, made_ms: int, before_ms: int) -> None:
        """What it gains: runs closed more than five minutes before it was made are left alone."""
        made = np.array([made_ms], dtype=np.int64)
        high_ms = made_ms - KEY_AHEAD_MS - before_ms
        assert not may_be_in(KeyClass.TIMED, made, high_ms=high_ms).any()

    @given(made_ms=st.integers(0, 2**48 - 1), tail=st.integers(0, 2**62 - 1))
    def test_reads_the_time_of_a_uuid7(self, made_ms: int, tail: int) -> None:
        """RFC 9562: 48 bits of milliseconds, version 7, variant 10."""
        rows = rows_of_adds([Add(uuid7_of(made_ms, tail))])
        assert [made_ms] == made_ms_of(rows).tolist()

    @given(key=st.integers(0, 2**128 - 1), version=st.integers(0, 15), variant=st.integers(0, 3))
    def test_takes_no_other_key_for_one(self, key: int, version: int, variant: int) -> None:
        """Another version, or another variant."""
        key = key & ~(0xF << 76) & ~(0x3 << 62) | version << 76 | variant << 62
        is_v7 = (version, variant) == (7, 2)
        assert [key >> 80 if is_v7 else -1] == made_ms_of(rows_of_adds([Add(key)])).tolist()


class TestBlocks:
    @given(adds=ADDS, block_rows=st.sampled_from([1, 2, 7, 128]))
    @settings(max_examples=200)
    def test_every_row_is_in_the_block_that_its_hash_names(
        self, adds: list[Add], block_rows: int
    ) -> None:
        """And no other key or owner is taken for it."""
        rows = rows_of_adds(adds)
        hashes = hashes_of(rows, (3, 4))
        order = np.argsort(hashes)
        bits = block_bits_of(len(rows), block_rows=block_rows)
        blocks = blocks_of(rows[order], hashes[order], bits=bits)
        numbers = high_bits_of(hashes, bits).tolist()
        for row, number in zip(rows, numbers, strict=True):
            assert row.tobytes() == row_in(blocks[number], row.tobytes())
        absent = Add(adds[0].key, owner=9)
        assert row_in(blocks[numbers[0]], rows_of_adds([absent]).tobytes()) is None
        assert sorted(rows.tolist()) == sorted(rows_in(b"".join(blocks)).tolist())
        assert 2**bits == len(blocks)
        assert len(rows) <= block_rows * len(blocks) < 2 * max(len(rows), block_rows)

    def test_a_key_is_no_match_across_two_rows(self) -> None:
        """Its bytes may stand where no row begins: before the row itself, or without one."""
        wanted = rows_of_adds([Add(key=7 << 64, fingerprint=1, owner=2, hour=2)])
        # The last half of this row and the first of the next read like the wanted key.
        before = np.array([[1, 1, 1, 7], [0, 5, 5, 5]], dtype=np.uint64)
        assert row_in(before.tobytes(), wanted.tobytes()) is None
        both = before.tobytes() + wanted.tobytes()
        assert wanted.tobytes() == row_in(both, wanted.tobytes())


class TestKeyFilter:
    @given(
        hashes=st.lists(st.integers(0, 2**64 - 1), max_size=100),
        others=st.lists(st.integers(0, 2**64 - 1), max_size=100),
        keys=st.sampled_from([1, 8, 1000]),
    )
    @settings(max_examples=200)
    def test_never_denies_a_key_that_was_put_in(
        self, hashes: list[int], others: list[int], keys: int
    ) -> None:
        """However full, in however many parts, and after its words were stored."""
        words = KeyFilter.for_keys(keys)
        for part in (hashes, others):
            words.add(np.array(sorted(part), dtype=np.uint64))
        asked = np.array(hashes + others, dtype=np.uint64)
        again = KeyFilter(np.frombuffer(words.words.tobytes(), dtype=np.uint64))
        assert again.may_hold(asked, patterns_of(asked)).all()

    def test_denies_nearly_all_others_when_it_is_full(self) -> None:
        """A yes that is wrong costs a block: measured 0.37 %."""
        draw = np.random.default_rng(1)
        words = KeyFilter.for_keys(1 << 16)
        words.add(np.sort(draw.integers(0, 2**64, size=1 << 16, dtype=np.uint64)))
        asked = draw.integers(0, 2**64, size=200_000, dtype=np.uint64)
        wrong = int(words.may_hold(asked, patterns_of(asked)).sum())
        assert 0 < wrong < 200_000 * 0.006
