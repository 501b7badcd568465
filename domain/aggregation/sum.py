"""Sum: the values of all events added up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.aggregation.measure import Measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.aggregation.measure import Span
    from domain.aggregation.window_row import WindowRow


class Sum:
    """State: the sum in billionths."""

    state_version = 1

    def of(self, row: WindowRow) -> int:
        """Return the window's sum."""
        return row.sum_nanos

    def merged(self, states: Sequence[int]) -> int:
        """Add."""
        return sum(states)

    def value(self, state: int, span: Span) -> Measured:
        """Return the sum."""
        del span
        return Measured(state)
