"""Max: the largest value among all events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.aggregation.measure import Measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.aggregation.measure import Span
    from domain.aggregation.window_row import WindowRow


class Maximum:
    """State: the largest value in billionths; None without events."""

    state_version = 1

    def of(self, row: WindowRow) -> int | None:
        """Return the window's largest value."""
        return row.max_nanos

    def merged(self, states: Sequence[int | None]) -> int | None:
        """Compare."""
        return max((state for state in states if state is not None), default=None)

    def value(self, state: int | None, span: Span) -> Measured:
        """Return the largest value."""
        del span
        return Measured(state or 0)
