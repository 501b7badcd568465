"""What all aggregations have in common: a state per window that adds up, and one value of it.

A state is a commutative monoid: merged() of nothing is the neutral element, and neither order nor
grouping matter. So hours may be split, repeated over flushes and added up in any way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from domain.period import HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.aggregation.window_row import WindowRow

State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class Measured:
    """A quantity of one meter.

    Args:
        nanos: The quantity in billionths, never negative (G-08).
        is_estimate: Whether it is near the true one instead of equal to it.
    """

    nanos: int
    is_estimate: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open span of time, milliseconds since 1970 UTC."""

    start_ms: int
    end_ms: int

    def holds_hour(self, hour: int) -> bool:
        """Say whether an hour, counted since 1970 UTC, begins within the span."""
        return self.start_ms <= hour * HOUR_MS < self.end_ms

    def is_after_hour(self, hour: int) -> bool:
        """Say whether the hour begins before the span does."""
        return hour * HOUR_MS < self.start_ms


class Measure(Protocol[State]):
    """One aggregation."""

    @property
    def state_version(self) -> int:
        """Return the version of the state; it rises when old state would be misread."""

    def of(self, row: WindowRow) -> State:
        """Return the state of one window."""

    def merged(self, states: Sequence[State]) -> State:
        """Return the state of all windows together; of none, the neutral element."""

    def value(self, state: State, span: Span) -> Measured:
        """Return what the state comes to over the span asked for; 0 for the neutral element."""
