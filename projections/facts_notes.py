"""Notes on a partition's facts: they are read once, and what an amendment needs of them is noted.

1. Reading to the end finds the event, and only the event says which hour matters. So of every
   record that touches the customer it is noted where it lies, and which hours it touches.
2. The announcement comes behind all that was read. Reading on from there finds it.
3. The records that touch the event's hour are read again, for the keys that they counted. They are
   few; to keep the keys of all hours would take as much memory as the customer has events.

What was read cannot change: a log is only added to, and a record that counts does so for good.

Memory: 24 bytes per record and hour that it touches; catalogues, sets of dimensions and amended
keys as they are.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from domain.codes import Code
from domain.errors import invariant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from domain.usage.dimension_sets import KnownSet
    from domain.usage.facts import CatalogueApplied, UsageFacts
    from projections.partition_log import PartitionLog


class NotedStretch(NamedTuple):
    """A facts record that touches an hour of the customer.

    Args:
        facts_offset: Where it lies in usage.facts.
        start, end: The source offsets [start, end) that it covers.
    """

    facts_offset: int
    start: int
    end: int


class FactsNotes:
    """What the facts of a customer's partition say of it, as far as they were read.

    Args:
        log: The partition.
        tenant: Tenant of the customer.
        customer: Whose notes these are.
    """

    def __init__(self, log: PartitionLog, *, tenant: str, customer: str) -> None:
        self.log = log
        self.owner = tenant, customer
        self.position = 0
        """One past the last source offset that what was noted covers."""
        self.catalogues: list[CatalogueApplied] = []
        """The tenant's, in the order of the log."""
        self.sets: list[tuple[int, KnownSet]] = []
        """The tenant's sets of dimensions that are kept apart, each with the first source offset
        of its record, in the order of the log."""
        self.amended: dict[bytes, int] = {}
        """Source offset of the newest amendment of each amended key of the customer."""
        self._touched: dict[int, array[int]] = {}
        """By hour the numbers of its stretches, one stretch after the other."""
        self._start = 0

    def read_on(self) -> Iterator[UsageFacts]:
        """Yield the facts that count behind those that are noted, up to the present end.

        One is noted when the next is asked for. Who stops before that gets it again the next time.

        Raises:
            Fatal: facts_gap or log_truncated.
            Retryable: broker_away.
        """
        for offset, facts in self.log.accepted_facts(start=self._start, position=self.position):
            yield facts
            self._note(offset, facts)

    def stretches(self, hour: int) -> list[NotedStretch]:
        """Return the stretches that touch an hour, in the order of the log.

        Args:
            hour: Hours since 1970 UTC.
        """
        numbers = iter(self._touched.get(hour, ()))
        return [NotedStretch(*each) for each in zip(numbers, numbers, numbers, strict=True)]

    def read_again(self, stretches: Sequence[NotedStretch]) -> Iterator[UsageFacts]:
        """Yield the facts of some stretches, in their order.

        Raises:
            Fatal: log_truncated, or state_corrupt, when one of them is another one now.
            Retryable: broker_away.
        """
        again = self.log.facts_at([each.facts_offset for each in stretches])
        for stretch, facts in zip(stretches, again, strict=True):
            invariant(
                (facts.from_offset, facts.to_offset) == (stretch.start, stretch.end),
                Code.STATE_CORRUPT,
                "a facts record is another one than was read before",
                facts_offset=stretch.facts_offset,
            )
            yield facts

    def _note(self, offset: int, facts: UsageFacts) -> None:
        tenant, _ = self.owner
        series = facts.series
        self.catalogues += [item for item in facts.catalogues if item.tenant == tenant]
        known = series.known_sets(series.admitted.tolist())
        self.sets += [(facts.from_offset, item) for item in known if item[0] == tenant]
        for item in facts.amendments:
            if (item.tenant, item.customer) == self.owner:
                self.amended[item.key] = item.offset
        for hour in self._hours(facts):
            self._touched.setdefault(hour, array("q")).extend(
                NotedStretch(offset, facts.from_offset, facts.to_offset)
            )
        self._start, self.position = offset + 1, facts.to_offset

    def _hours(self, facts: UsageFacts) -> list[int]:
        series, windows = facts.series, facts.windows
        if self.owner not in series.owners:
            return []
        number = series.owners.index(self.owner)
        hours: list[int] = np.unique(windows.hour[series.owner[windows.series] == number]).tolist()
        return hours
