"""The emergence binding: node.events in; detections, endings and the state of projects out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from domain.emergence.facts import EmergenceFacts
from domain.emergence.fold import STATE_VERSION, EmergenceFold
from domain.emergence.records import NodeRecord
from domain.errors import Retryable
from runtime import ids, metrics
from runtime.kafka import offset_of, received_at_ms
from runtime.schema_registry import new_foreign_schemas
from schemas.emergence_wire import from_wire_emergence_facts, to_wire_emergence_facts
from schemas.node_wire import from_wire_node_source
from schemas.topics import NODE_EVENTS, Topic
from streams.binding import DeadLetter

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator, Sequence

    from confluent_kafka import Message

    from runtime.settings import Settings
    from schemas.codec import ForeignSchemas
    from streams.checkpoint import Checkpoint

EVENTS_PER_RECORD = 16
"""What a node event weighs against a usage event when a micro-batch is bounded: it is a JSON
document that is judged (measured: 73 µs)."""


class EmergencePartition:
    """The emergence fold of one partition, as the engine wants it.

    Args:
        fold: The fold.
        partition: Partition number.
        foreign: Where schema ids are looked up that are not ours.
    """

    def __init__(
        self, fold: EmergenceFold, partition: int, foreign: ForeignSchemas | None = None
    ) -> None:
        self._fold = fold
        self._partition = str(partition)
        self._foreign = foreign

    def decode(
        self, messages: deque[Message], *, events_max: int, bytes_max: int
    ) -> list[NodeRecord]:
        """Read messages of node.events; their facts are about as large as they are.

        Raises:
            Retryable: Nobody can say now what the schema id of the first one means.
        """
        records: list[NodeRecord] = []
        records_max = max(1, events_max // EVENTS_PER_RECORD)
        bytes_left = bytes_max
        for message in messages:
            value = message.value()
            try:
                record = from_wire_node_source(
                    value,
                    offset=offset_of(message),
                    received_at_ms=received_at_ms(message),
                    key=message.key(),
                    foreign=self._foreign,
                )
            except Retryable:
                if records:
                    break
                raise
            records.append(record)
            bytes_left -= len(value or b"")
            if len(records) == records_max or bytes_left <= 0:
                break
        return records

    def step(
        self, records: Sequence[NodeRecord], *, from_offset: int, to_offset: int
    ) -> EmergenceFacts:
        """Fold a micro-batch."""
        return self._fold.step(records, from_offset=from_offset, to_offset=to_offset)

    def load(self) -> Iterator[None]:
        """Nothing: the records of the checkpoint are all there is."""
        return iter(())

    def restore(self, facts: EmergenceFacts) -> None:
        """Apply accepted facts."""
        self._fold.restore(facts)

    def dead_letters(self, facts: EmergenceFacts) -> list[DeadLetter]:
        """Return one dead letter for each refused record."""
        return [DeadLetter(item.offset, item.code, item.reason) for item in facts.rejects]

    def observe(self, facts: EmergenceFacts) -> None:
        """Count events by kind, rejects by code, and projects."""
        for kind, count in Counter(type(event).__name__ for event in facts.events).items():
            metrics.EMERGENCE_EVENTS.labels(kind).inc(count)
        for reject in facts.rejects:
            metrics.FOLD_REJECTS.labels(NODE_EVENTS.name, reject.code.value).inc()
        metrics.EMERGENCE_PROJECTS.labels(self._partition).set(self._fold.projects_held)


class EmergenceBinding:
    """Tells the engine where node events are read and how the facts look."""

    topic: Topic = NODE_EVENTS
    state_version = STATE_VERSION

    def __init__(self, settings: Settings) -> None:
        self._partitions = settings.partitions
        self._foreign = new_foreign_schemas(settings)
        self._writer = ids.new_id("wri")

    def new_fold(self, partition: int, checkpoint: Checkpoint | None) -> EmergencePartition:
        """Return a fold without projects."""
        del checkpoint  # no part of a project leaves memory
        fold = EmergenceFold(partition=partition, partitions=self._partitions)
        return EmergencePartition(fold, partition, self._foreign)

    def to_wire(self, facts: EmergenceFacts) -> bytes:
        """Write a record of emergence.facts."""
        return to_wire_emergence_facts(facts, writer=self._writer)

    def from_wire(self, value: bytes | None) -> EmergenceFacts:
        """Read a record of emergence.facts."""
        return from_wire_emergence_facts(value)

    def span(self, facts: EmergenceFacts) -> tuple[int, int]:
        """Return the source offsets covered."""
        return facts.from_offset, facts.to_offset

    def compact(self, facts: EmergenceFacts) -> bytes:
        """Write rows and catalogues only: a restore needs nothing else."""
        return self.to_wire(replace(facts, events=(), activity=(), rejects=()))
