"""Average: the sum of the values through the number of events."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from domain.aggregation.measure import Measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.aggregation.measure import Span
    from domain.aggregation.window_row import WindowRow

SumAndCount: TypeAlias = tuple[int, int]


class Average:
    """State: the sum in billionths, and the number of events."""

    state_version = 1

    def of(self, row: WindowRow) -> SumAndCount:
        """Return the window's sum and events."""
        return row.sum_nanos, row.events

    def merged(self, states: Sequence[SumAndCount]) -> SumAndCount:
        """Add both."""
        return sum(state[0] for state in states), sum(state[1] for state in states)

    def value(self, state: SumAndCount, span: Span) -> Measured:
        """Return the average."""
        del span
        return average_of(*state)


def average_of(total_nanos: int, count: int) -> Measured:
    """This function will divide a sum by a count, rounded half up to a billionth."""
    return Measured((2 * total_nanos + count) // (2 * count) if count else 0)
