"""A partition of usage.events with its facts, as whoever amends an event reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from domain.acceptance import accepts
from projections.invoicing.log import source_records
from runtime.kafka import offset_of, read_offsets, read_partition
from schemas.topics import USAGE_FACTS_TOPIC
from schemas.usage_wire import from_wire_usage_facts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from domain.usage.facts import UsageFacts
    from domain.usage.records import SourceRecord
    from runtime.settings import Settings


class PartitionLog(Protocol):
    """Reads one partition; every call reads anew, and may be repeated."""

    @property
    def partition(self) -> int:
        """Return its number."""

    @property
    def partitions(self) -> int:
        """Return how many usage.events has."""

    def accepted_facts(self, *, start: int, position: int) -> Iterator[tuple[int, UsageFacts]]:
        """Yield the facts that count, each with its facts offset, up to the present end.

        Args:
            start: Facts offset of the first record to look at.
            position: Source offset that what counts before it leads to.

        Raises:
            Fatal: facts_gap or log_truncated.
            Retryable: broker_away.
        """

    def facts_at(self, offsets: Collection[int]) -> Iterator[UsageFacts]:
        """Yield the facts at some facts offsets, given in ascending order.

        Raises:
            Fatal: log_truncated.
            Retryable: broker_away, when one of them does not come.
        """

    def records(self, start: int, end: int) -> Iterable[SourceRecord]:
        """Return the source records [start, end), from the log or its archive.

        Raises:
            Fatal: log_truncated, archive_gap, archive_corrupt or archive_foreign.
            Retryable: broker_away.
        """


@dataclass(frozen=True, slots=True)
class KafkaPartitionLog:
    """A partition on the broker.

    Args:
        settings: Where the broker and the archive are.
        partition: Its number.
    """

    settings: Settings
    partition: int

    @property
    def partitions(self) -> int:
        """Return how many usage.events has."""
        return self.settings.partitions

    def accepted_facts(self, *, start: int, position: int) -> Iterator[tuple[int, UsageFacts]]:
        """Read on to the end that usage.facts has at the time of the call."""
        for message in read_partition(
            self.settings, USAGE_FACTS_TOPIC, self.partition, start=start
        ):
            facts = from_wire_usage_facts(message.value())
            if accepts(
                position=position, from_offset=facts.from_offset, to_offset=facts.to_offset
            ):
                position = facts.to_offset
                yield offset_of(message), facts

    def facts_at(self, offsets: Collection[int]) -> Iterator[UsageFacts]:
        """Jump to them."""
        for message in read_offsets(self.settings, USAGE_FACTS_TOPIC, self.partition, offsets):
            yield from_wire_usage_facts(message.value())

    def records(self, start: int, end: int) -> Iterator[SourceRecord]:
        """Read the log, and its archive where the log no longer reaches back."""
        return source_records(self.settings, partition=self.partition, start=start, end=end)
