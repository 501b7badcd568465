"""The usage binding: usage.events in, window deltas and accepted keys out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from domain.codes import Code
from domain.errors import Retryable
from domain.usage.facts import UsageFacts, no_sketches
from domain.usage.fold import STATE_VERSION, UsageFold
from domain.usage.records import EventBatch, SourceRecord, stands_alone
from domain.usage.windows import no_deltas
from runtime import ids, metrics
from runtime.kafka import offset_of, received_at_ms
from runtime.schema_registry import new_foreign_schemas
from schemas.topics import USAGE_EVENTS, Topic
from schemas.usage_wire import from_wire_usage_facts, from_wire_usage_source, to_wire_usage_facts
from streams.binding import DeadLetter
from streams.seen_runs import SeenRuns

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator, Sequence

    from confluent_kafka import Message

    from runtime.settings import Settings
    from schemas.codec import ForeignSchemas
    from streams.checkpoint import Checkpoint


class UsagePartition:
    """The usage fold of one partition, as the engine wants it.

    Args:
        fold: The fold.
        partition: Partition number.
        runs: The fold's cold tier, where it has one.
        foreign: Where schema ids are looked up that are not ours.
    """

    def __init__(
        self,
        fold: UsageFold,
        partition: int,
        runs: SeenRuns | None = None,
        foreign: ForeignSchemas | None = None,
    ) -> None:
        self._fold = fold
        self._partition = str(partition)
        self._runs = runs
        self._foreign = foreign

    def decode(
        self, messages: deque[Message], *, events_max: int, bytes_max: int
    ) -> list[SourceRecord]:
        """Read messages of usage.events until they hold enough windows or bytes.

        A record that stands alone is read alone.

        Raises:
            Retryable: Nobody can say now what the schema id of the first one means.
        """
        records: list[SourceRecord] = []
        events_left = events_max // self._fold.meters_per_event_max
        bytes_left = bytes_max
        for message in messages:
            value = message.value()
            try:
                record = from_wire_usage_source(
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
            body = record.body
            if stands_alone(record):
                return records or [record]
            records.append(record)
            events_left -= len(body.occurred_at_ms) if isinstance(body, EventBatch) else 1
            bytes_left -= len(value or b"")
            if events_left <= 0 or bytes_left <= 0:
                break
        return records

    def step(
        self, records: Sequence[SourceRecord], *, from_offset: int, to_offset: int
    ) -> UsageFacts:
        """Fold a micro-batch."""
        return self._fold.step(records, from_offset=from_offset, to_offset=to_offset)

    def load(self) -> Iterator[None]:
        """Open the cold tier and take on the state that it kept."""
        if self._runs is not None:
            for part in self._runs.load():
                self._fold.resume(part)
                yield

    def restore(self, facts: UsageFacts) -> None:
        """Apply accepted facts."""
        self._fold.restore(facts)

    def dead_letters(self, facts: UsageFacts) -> list[DeadLetter]:
        """Return one dead letter per refused record and code."""
        letters = {
            (item.offset, item.code): DeadLetter(item.offset, item.code, item.reason)
            for item in facts.rejects
            if item.code is not Code.DIMENSION_LIMIT  # counted: there is nothing to send again
        }
        return list(letters.values())

    def observe(self, facts: UsageFacts) -> None:
        """Count events by fate and rejects by code."""
        for fate in ("accepted", "duplicates", "conflicts", "rejected"):
            total = sum(getattr(count, fate) for count in facts.counts)
            if total:
                metrics.FOLD_EVENTS.labels(self._partition, fate).inc(total)
        for reject in facts.rejects:
            metrics.FOLD_REJECTS.labels(USAGE_EVENTS.name, reject.code.value).inc(reject.events)
        metrics.SEEN_KEYS.labels(self._partition).set(self._fold.keys_held)
        if self._runs is not None:
            metrics.SEEN_RUN_KEYS.labels(self._partition).set(self._runs.keys)
            metrics.SEEN_RUNS.labels(self._partition).set(self._runs.runs)
            metrics.SEEN_FILTER_BYTES.labels(self._partition).set(self._runs.filter_bytes)


class UsageBinding:
    """Tells the engine where usage is read and how its facts look."""

    topic: Topic = USAGE_EVENTS
    state_version = STATE_VERSION

    def __init__(self, settings: Settings) -> None:
        self._partitions = settings.partitions
        self._memory_keys = settings.seen_memory_keys
        self._foreign = new_foreign_schemas(settings)
        self._writer = ids.new_id("wri")

    def new_fold(self, partition: int, checkpoint: Checkpoint | None) -> UsagePartition:
        """Return an empty usage fold; without a checkpoint it keeps all keys in memory."""
        runs = None if checkpoint is None else SeenRuns(checkpoint)
        fold = UsageFold(
            partition=partition,
            partitions=self._partitions,
            salt=ids.random_salt(),
            cold=runs,
            memory_keys=self._memory_keys,
        )
        return UsagePartition(fold, partition, runs, self._foreign)

    def to_wire(self, facts: UsageFacts) -> bytes:
        """Write a record of usage.facts."""
        return to_wire_usage_facts(facts, writer=self._writer)

    def from_wire(self, value: bytes | None) -> UsageFacts:
        """Read a record of usage.facts."""
        return from_wire_usage_facts(value)

    def span(self, facts: UsageFacts) -> tuple[int, int]:
        """Return the source offsets covered."""
        return facts.from_offset, facts.to_offset

    def compact(self, facts: UsageFacts) -> bytes:
        """Write keys, catalogues, admitted sets and watches: a restore needs no windows."""
        bare = replace(
            facts,
            series=facts.series.admitted_only(),
            windows=no_deltas(),
            sketches=no_sketches(),
            counts=(),
            rejects=(),
            amendments=(),
            restated=frozenset(),
        )
        return self.to_wire(bare)
