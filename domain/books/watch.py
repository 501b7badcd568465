"""What suspicion rules look at of one customer: when things happened, bounded."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from domain.suspicions import COUNT_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping


class Seen(StrEnum):
    """What is remembered with its time."""

    FAILURE = "failure"
    CAPTURE = "capture"
    REFUND = "refund"


@dataclass(frozen=True, slots=True)
class Watch:
    """The last times of each kind, and which rules spoke.

    Args:
        times_ms: Received times by kind, oldest first, the newest COUNT_MAX of them, milliseconds
            since 1970 UTC.
        raised_at_ms: When each rule raised a suspicion last.
    """

    times_ms: Mapping[Seen, tuple[int, ...]] = field(default_factory=dict)
    raised_at_ms: Mapping[str, int] = field(default_factory=dict)

    def with_seen(self, kind: Seen, *, at_ms: int) -> Watch:
        """Return the watch after one more; the oldest is let go of when there are too many."""
        times = (*self.times_ms.get(kind, ()), at_ms)[-COUNT_MAX:]
        return replace(self, times_ms={**self.times_ms, kind: times})

    def with_raised(self, rule: str, *, at_ms: int) -> Watch:
        """Return the watch after a rule raised a suspicion."""
        return replace(self, raised_at_ms={**self.raised_at_ms, rule: at_ms})

    def count(self, kind: Seen, *, after_ms: int) -> int:
        """Return how many of a kind are remembered with a later time."""
        return sum(1 for at_ms in self.times_ms.get(kind, ()) if at_ms > after_ms)


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A suspicion that was raised.

    Args:
        suspicion: Its id, sus_….
        customer: Whom it is about.
        rule: Rule that raised it.
        is_open: Whether nobody closed it yet.
    """

    suspicion: str
    customer: str
    rule: str
    is_open: bool
