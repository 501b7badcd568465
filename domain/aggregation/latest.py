"""Latest: the value of the event that occurred last."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from domain.aggregation.measure import Measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.aggregation.measure import Span
    from domain.aggregation.window_row import WindowRow

Occurrence: TypeAlias = tuple[int, int, tuple[tuple[str, str], ...], int]
"""When it occurred, its source offset, its dimensions, its value in billionths."""


class Latest:
    """State: the last occurrence; None without events.

    Ties of time are broken by the source offset, then by the dimensions, for one source record may
    hold events of two series at the same moment.
    """

    state_version = 1

    def of(self, row: WindowRow) -> Occurrence | None:
        """Return the window's last occurrence."""
        return row.latest_occurred_ms, row.latest_offset, row.dimensions, row.latest_nanos

    def merged(self, states: Sequence[Occurrence | None]) -> Occurrence | None:
        """Keep the last one."""
        return max((state for state in states if state is not None), default=None)

    def value(self, state: Occurrence | None, span: Span) -> Measured:
        """Return its value."""
        del span
        return Measured(0 if state is None else state[-1])
