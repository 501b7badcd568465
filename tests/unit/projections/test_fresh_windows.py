"""A window that may be in the table is never called new."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections import fresh_windows
from projections.fresh_windows import FreshWindows
from projections.position import NO_HOUR

FLUSH = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 3)), min_size=1, unique=True
)
"""Windows as (partition, hour, series), each once."""


def _take(
    fresh: FreshWindows, flush: list[tuple[int, int, int]], highs: dict[int, int]
) -> list[bool]:
    partition, hour, series = (
        np.array(column, dtype=np.int32) for column in zip(*flush, strict=True)
    )
    for number, at in zip(partition.tolist(), hour.tolist(), strict=True):
        highs[number] = max(highs.get(number, NO_HOUR), at)
    ids = series.astype(np.uint64) * np.uint64(2**40 + 1) + partition.astype(np.uint64)
    found: list[bool] = fresh.take_new(
        partition=partition, hour=hour, id_low=ids, hours_high=highs
    ).tolist()
    return found


class TestFreshWindows:
    @pytest.mark.parametrize("marks_max", [1, 10**6])
    @given(flushes=st.lists(FLUSH, max_size=8))
    def test_calls_nothing_new_twice(
        self, marks_max: int, flushes: list[list[tuple[int, int, int]]]
    ) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fresh_windows, "_MARKS_MAX", marks_max)
            fresh = FreshWindows()
            fresh.place(dict.fromkeys(range(3), NO_HOUR))
            written: set[tuple[int, int, int]] = set()
            highs: dict[int, int] = {}
            for flush in flushes:
                for window, is_new in zip(flush, _take(fresh, flush, highs), strict=True):
                    assert not (is_new and window in written)
                    written.add(window)

    def test_calls_a_later_hour_new_once(self) -> None:
        fresh = FreshWindows()
        fresh.place({0: 4})
        assert _take(fresh, [(0, 4, 1), (0, 5, 1)], {}) == [False, True]
        assert _take(fresh, [(0, 5, 1), (0, 5, 2)], {}) == [False, True]

    def test_takes_the_floor_of_a_partition_that_comes_back(self) -> None:
        fresh = FreshWindows()
        fresh.place({0: NO_HOUR})
        fresh.place({0: 9})
        assert _take(fresh, [(0, 9, 1), (0, 10, 1)], {}) == [False, True]

    def test_calls_nothing_new_in_a_partition_it_was_never_given(self) -> None:
        assert _take(FreshWindows(), [(0, 5, 1)], {}) == [False]
