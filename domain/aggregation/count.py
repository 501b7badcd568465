"""Count: how many events there were, whatever their values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.aggregation.measure import Measured
from domain.quantity import NANOS_PER_UNIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.aggregation.measure import Span
    from domain.aggregation.window_row import WindowRow


class Count:
    """State: the number of events."""

    state_version = 1

    def of(self, row: WindowRow) -> int:
        """Return the window's events."""
        return row.events

    def merged(self, states: Sequence[int]) -> int:
        """Add."""
        return sum(states)

    def value(self, state: int, span: Span) -> Measured:
        """Return the number of events, as units."""
        del span
        return Measured(state * NANOS_PER_UNIT)
