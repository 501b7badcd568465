"""Which facts count, read from the middle of a partition."""

from types import SimpleNamespace
from typing import Any

import pytest

from projections.listed_events import chain

TRUE = [(0, 3), (3, 7), (7, 9), (9, 12)]
"""The records that count."""


def read(*spans: tuple[int, int]) -> list[tuple[int, int]]:
    """What is taken of records that cover these offsets."""
    facts: Any = [SimpleNamespace(from_offset=first, to_offset=end) for first, end in spans]
    return [(each.from_offset, each.to_offset) for each in chain(facts)]


class TestChain:
    @pytest.mark.parametrize("begin", range(len(TRUE)))
    @pytest.mark.parametrize("place", range(len(TRUE) + 1))
    @pytest.mark.parametrize("late", [(0, 2), (0, 3), (3, 4), (3, 8), (7, 9), (7, 100)])
    def test_leaves_a_late_writers_record_out_wherever_it_lies(
        self, begin: int, place: int, late: tuple[int, int]
    ) -> None:
        """It begins where one that counts did, and comes behind that one."""
        if place <= [first for first, _ in TRUE].index(late[0]):
            place = len(TRUE)
        later = [*TRUE[:place], late, *TRUE[place:]][begin:]
        found = read(*later)
        if place == begin and (later[1:] or [(late[1], 0)])[0][0] == late[1]:
            # Nothing tells it from the one that counted, which says the same of its offsets.
            assert late == found.pop(0)
        assert found == [span for number, span in enumerate(later, begin) if number != place]

    def test_of_nothing_is_nothing(self) -> None:
        assert read() == []
