"""The seen index against a dict: any adds, in any split, give the same verdicts."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.usage import seen
from domain.usage.seen import REMEMBERED_HOURS, SeenTable
from domain.usage.seen_index import SeenIndex
from tests.support.seen_keys import Add, plain_verdicts, rows_of_adds


def judged(index: SeenIndex, adds: list[Add]) -> list[int]:
    verdicts: list[int] = index.add(rows_of_adds(adds)).tolist()
    return verdicts


def in_parts(index: SeenIndex, adds: list[Add], sizes: list[int]) -> list[int]:
    verdicts, at, turn = [], 0, 0
    while at < len(adds):
        size = sizes[turn % len(sizes)]
        verdicts += judged(index, adds[at : at + size])
        at, turn = at + size, turn + 1
    return verdicts


KEYS = st.one_of(
    st.sampled_from([0, 1, 2**64, 2**64 - 1, 2**128 - 1, 1 << 64 | 1]), st.integers(0, 40)
)
STEPS = st.sampled_from([0, 0, 0, 1, REMEMBERED_HOURS - 1, REMEMBERED_HOURS, REMEMBERED_HOURS + 1])
SIZES = st.lists(st.integers(1, 30), min_size=1, max_size=4)
SALT = st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))


@st.composite
def sequences(draw: st.DrawFn) -> list[Add]:
    hour, adds = draw(st.sampled_from([0, 1, 490_000])), []
    for _ in range(draw(st.integers(1, 60))):
        hour += draw(STEPS)
        fingerprint = draw(st.sampled_from([0, 0, 0, 7, 2**64 - 1]))
        adds.append(Add(draw(KEYS), fingerprint, draw(st.integers(0, 2)), hour))
    return adds


class TestSeenIndex:
    @given(adds=sequences(), sizes=SIZES, salt=SALT)
    @settings(max_examples=400)
    def test_says_what_a_dict_says(
        self, adds: list[Add], sizes: list[int], salt: tuple[int, int]
    ) -> None:
        """Repeats inside a batch, conflicts, forgotten keys, owners: in any split, at any salt."""
        assert plain_verdicts(adds) == in_parts(SeenIndex(salt=salt), adds, sizes)

    @given(adds=sequences(), sizes=SIZES, growths=st.integers(1, 3))
    @settings(max_examples=60)
    def test_says_the_same_after_it_has_grown(
        self, adds: list[Add], sizes: list[int], growths: int
    ) -> None:
        """Growing moves every key to another slot and loses none that is still remembered."""
        index = SeenIndex()
        half = len(adds) // 2
        verdicts = in_parts(index, adds[:half], sizes) if half else []
        slots = index._young.slots
        strangers = (slots * 3 // 5 + 1) * 2 ** (growths - 1)
        hour = adds[half].hour
        judged(index, [Add((9 << 64) + number, 1, 7, hour) for number in range(strangers)])
        assert slots * 2**growths == index._young.slots
        verdicts += in_parts(index, adds[half:], sizes)
        assert plain_verdicts(adds) == verdicts

    @given(adds=sequences(), sizes=SIZES, slots=st.sampled_from([0, 5, seen.SLOTS_MIN - 1]))
    @settings(max_examples=100)
    def test_compares_whole_keys_where_all_of_them_want_one_slot(
        self, adds: list[Add], sizes: list[int], slots: int
    ) -> None:
        """A hash that sends everything to one slot, even to the last, only makes it slower."""

        class Crowded(SeenTable):
            def _slots_of(  # type: ignore[explicit-override]
                self, hashes: seen.UInt64s
            ) -> seen.Int64s:
                return np.full(len(hashes), slots, dtype=np.int64)

        index = SeenIndex()
        index._young = Crowded(salt=(0, 0))
        assert plain_verdicts(adds) == in_parts(index, adds, sizes)

    def test_counts_each_key_once(self) -> None:
        """Its length is the number of different keys."""
        index = SeenIndex()
        adds = [Add(number % 500, 1, 0, 0) for number in range(2_000)]
        judged(index, adds)
        assert len(index) == 500

    def test_leaves_forgotten_keys_behind_when_it_grows(self) -> None:
        """So its memory follows the keys of the horizon, not of all time."""
        index = SeenIndex()
        full = seen.SLOTS_MIN * 3 // 5
        judged(index, [Add(number, 1, 0, 0) for number in range(full)])
        later = REMEMBERED_HOURS + 1
        judged(index, [Add((1 << 64) + number, 1, 0, later) for number in range(full)])
        assert (full, seen.SLOTS_MIN) == (len(index), index._young.slots)

    def test_takes_no_event_at_all(self) -> None:
        """Nothing in, nothing out."""
        assert judged(SeenIndex(), []) == []

    def test_stays_quick_when_somebody_sends_neighbouring_keys(self) -> None:
        """Counting keys spread over the table: look-ups stay short, whatever the pattern."""
        for pattern in (1, 2**32, 2**64, 2**96, 2**64 + 1):
            index = SeenIndex(salt=(123, 456))
            adds = [Add(number * pattern % 2**128, 1, 0, 0) for number in range(9_000)]
            judged(index, adds)
            rounds = _probe_rounds(index, adds)
            assert rounds < 80, f"{rounds} slots in a row for pattern {pattern}"


def _probe_rounds(index: SeenIndex, adds: list[Add]) -> int:
    """The longest run of taken slots: nobody looks further."""
    taken = np.flatnonzero(index._young._table[:, 3])
    gaps = np.flatnonzero(np.diff(taken) > 1)
    runs = np.diff(np.concatenate([[-1], gaps, [taken.size - 1]]))
    assert taken.size == len(adds)
    return int(runs.max())
