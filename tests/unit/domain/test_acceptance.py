"""The acceptance rule: one record for each offset, whoever wrote it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.acceptance import accepts
from domain.codes import Code
from domain.errors import Fatal


class TestAccepts:
    @pytest.mark.parametrize(
        ("verdict", "position", "start", "end"),
        [
            (True, 0, 0, 1),
            (True, 7, 7, 9),
            (False, 7, 6, 9),
            (False, 7, 0, 7),
            (False, 7, 6, 7),
        ],
    )
    def test_takes_what_continues_and_ignores_what_is_old(
        self, verdict: bool, position: int, start: int, end: int
    ) -> None:
        """Even when an old record reaches beyond the position."""
        assert verdict == accepts(position=position, from_offset=start, to_offset=end)

    @pytest.mark.parametrize("start", [8, 9, 2**62])
    def test_stops_at_a_gap(self, start: int) -> None:
        """Facts are missing: the operator must bring them back."""
        with pytest.raises(Fatal) as caught:
            accepts(position=7, from_offset=start, to_offset=start + 1)
        assert Code.FACTS_GAP == caught.value.code
        assert "nothing was skipped" in caught.value.next_step
        assert {"position": 7, "from_offset": start} == caught.value.fields

    @pytest.mark.parametrize(("start", "end"), [(7, 7), (7, 6)])
    def test_stops_at_a_record_that_covers_nothing(self, start: int, end: int) -> None:
        """It would be accepted for ever."""
        with pytest.raises(Fatal) as caught:
            accepts(position=7, from_offset=start, to_offset=end)
        assert Code.STATE_CORRUPT == caught.value.code

    @given(
        ends=st.lists(st.integers(1, 5), min_size=1, max_size=9),
        noise=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 9))),
    )
    def test_gives_one_chain_whatever_zombies_write(
        self, ends: list[int], noise: list[tuple[int, int, int]]
    ) -> None:
        """Every offset is covered once, by records that follow each other."""
        position, records = 0, []
        for size in ends:
            records.append((position, position + size))
            position += size
        for place, start, size in noise:
            at = place % (len(records) + 1)
            reached = max([end for _, end in records[:at]], default=0)
            if start < reached:
                records.insert(at, (start, start + size))
        covered: list[int] = []
        position = 0
        for start, end in records:
            if start > position:
                break
            if accepts(position=position, from_offset=start, to_offset=end):
                covered += range(start, end)
                position = end
        assert list(range(position)) == covered
