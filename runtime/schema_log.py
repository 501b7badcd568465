"""The built-in schema registry on its log: reads schema.registrations, and appends to it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from domain.codes import Code
from domain.errors import Fatal, Rejected, Retryable
from runtime import clock, metrics
from runtime.kafka import (
    OFFSET_LOST,
    broker_away,
    close_reader,
    new_consumer,
    new_producer,
    offset_of,
    partition_ends,
    received_at_ms,
)
from schemas.subjects import (
    FOREIGN_ID_MIN,
    HAND_OUT_MS,
    Proposal,
    Registry,
    Version,
    to_wire_proposal,
)
from schemas.topics import SCHEMA_REGISTRATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runtime.settings import Settings
    from schemas.subjects import Foreign
    from schemas.topics import Topic

Answer = TypeVar("Answer")

ASK_WAIT_S = 2
"""How long a question waits for others before it is answered with "try again", s."""
READ_TIMEOUT_MS = 10_000
"""Longest wait for the end of the topic, ms; then the broker counts as away."""
ACKNOWLEDGE_TIMEOUT_MS = 12_000
"""Longest wait for the broker to take a proposal, ms; the client gives up 2 s earlier."""
READ_RECORDS_MAX = 100
"""Records of one read; so many of the largest have 25 MiB."""


@dataclass(slots=True)
class Lookup:
    """What came of asking a registry for an id.

    Args:
        is_found: Whether it knew the id.
    """

    is_found: bool = False


@contextmanager
def counted_lookup() -> Iterator[Lookup]:
    """This function will count what comes of the question in its block."""
    lookup = Lookup()
    try:
        yield lookup
    except Retryable:
        metrics.SCHEMA_LOOKUPS.labels("away").inc()
        raise
    metrics.SCHEMA_LOOKUPS.labels("found" if lookup.is_found else "unknown").inc()


class SchemaLog:
    """The registry of this process; safe to use from many threads.

    It connects at its first use. Everything it answers is as new as the log was at the call.

    Args:
        settings: Where the broker is.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._registry = Registry()
        self._consumer: Consumer | None = None
        self._seen_at_ms: dict[tuple[str, int], int] = {}
        # The log was read to its end after records of this append time had come.
        self._read_for_ms = -1

    def ask(self, question: Callable[[Registry], Answer]) -> Answer:
        """Answer a question from the registry as the log has it now; blocks.

        Args:
            question: Reads the registry and changes nothing.

        Raises:
            Retryable: broker_away, also when others wait for the broker longer than ASK_WAIT_S.
            Fatal: log_truncated.
        """
        # The threads that wait here are those that answer everything else, too.
        if not self._lock.acquire(timeout=ASK_WAIT_S):
            raise broker_away(f"{SCHEMA_REGISTRATIONS.name} is being read, and does not answer")
        try:
            self._catch_up()
            return question(self._registry)
        finally:
            self._lock.release()

    def find(self, topic: Topic, schema_id: int, *, received_at_ms: int) -> Foreign | None:
        """Return how a record is read (schemas.codec.ForeignSchemas); blocks.

        What is registered after a record was received does not count for it. So an id that the
        part of the log read so far has not is looked for once more, behind its end, and what is
        missing then stays missing for this record.
        """
        if schema_id < FOREIGN_ID_MIN:
            return None
        with self._lock:
            found = self._registry.foreign(topic, schema_id, received_at_ms=received_at_ms)
            if found is None and received_at_ms > self._read_for_ms:
                with counted_lookup() as outcome:
                    self._catch_up()
                    self._read_for_ms = received_at_ms
                    found = self._registry.foreign(topic, schema_id, received_at_ms=received_at_ms)
                    outcome.is_found = found is not None
            return found

    def register(self, subject: str, schema: str) -> Version:
        """Put a schema under a subject, or find it there; blocks.

        Returns:
            The version, durable and old enough to be used at once. Repeating changes nothing.

        Raises:
            Rejected: schema_invalid, schema_incompatible, subject_closed or schema_limit.
            Retryable: broker_away, when the outcome is unknown; repeat it.
        """
        proposal = Proposal(subject, schema)
        found = self.ask(lambda registry: registry.decide(proposal))
        if found is None:
            self._append(proposal)
            found = self.ask(lambda registry: registry.find(subject, schema))
        if (
            found is None
        ):  # another proposal came between: judged again, it says what speaks against
            found = self.ask(lambda registry: registry.decide(proposal))
        if found is None:
            raise broker_away(f"{SCHEMA_REGISTRATIONS.name} does not show what it acknowledged")
        self.await_age(found)
        return found

    def await_age(self, version: Version) -> None:
        """Wait until a version is old enough to be handed out (schemas.subjects.HAND_OUT_MS).

        Its age is counted from when this process read of it, on a clock that never goes back.
        """
        if version.own is None:
            seen_at_ms = self._seen_at_ms[version.subject, version.number]
            clock.sleep_ms(max(0, seen_at_ms + HAND_OUT_MS - clock.monotonic_ms()))

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            if self._consumer is not None:
                close_reader(self._consumer)
                self._consumer = None

    def _catch_up(self) -> None:
        """Fold what the log has beyond the registry's position; the caller holds the lock."""
        topic = SCHEMA_REGISTRATIONS.name
        if self._consumer is None:
            self._consumer = new_consumer(self._settings, group="tidegauge.schemas")
            self._consumer.assign([TopicPartition(topic, 0, self._registry.position)])
        low, high = partition_ends(self._consumer, topic, 0)
        if low > self._registry.position:
            raise _truncated(low)
        if high < self._registry.position:
            raise _truncated(high)
        give_up_ms = clock.monotonic_ms() + READ_TIMEOUT_MS
        while self._registry.position < high:
            for message in self._consumer.consume(READ_RECORDS_MAX, timeout=0.2):
                self._fold(message)
            if clock.monotonic_ms() > give_up_ms:
                raise broker_away(f"{topic} stopped at {self._registry.position} before {high}")

    def _fold(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            if error.code() in OFFSET_LOST:
                raise _truncated(self._registry.position + 1)
            return  # the deadline of the reading decides
        version = self._registry.apply(
            message.value(), offset=offset_of(message), received_at_ms=received_at_ms(message)
        )
        if version is not None:
            self._seen_at_ms[version.subject, version.number] = clock.monotonic_ms()

    def _append(self, proposal: Proposal) -> None:
        value = to_wire_proposal(proposal)
        if len(value) > SCHEMA_REGISTRATIONS.message_bytes_max:
            raise Rejected(Code.OVERSIZED, f"the proposal has {len(value)} bytes")
        delivered: list[KafkaError | None] = []
        producer = new_producer(
            self._settings, **{"delivery.timeout.ms": ACKNOWLEDGE_TIMEOUT_MS - 2_000}
        )
        try:
            producer.produce(
                SCHEMA_REGISTRATIONS.name,
                value,
                proposal.subject.encode(),
                partition=0,
                on_delivery=partial(_note, delivered),
            )
        except (KafkaException, BufferError) as error:
            raise broker_away(error) from error
        producer.flush(ACKNOWLEDGE_TIMEOUT_MS / 1000)
        if delivered != [None]:
            raise broker_away(delivered[0] if delivered else "a proposal stays unacknowledged")


def _note(delivered: list[KafkaError | None], error: KafkaError | None, _: Message) -> None:
    delivered.append(error)


def _truncated(offset: int) -> Fatal:
    return Fatal(
        Code.LOG_TRUNCATED,
        f"{SCHEMA_REGISTRATIONS.name} begins or ends at offset {offset}: what was read is gone",
        next_step="It gives ids their meaning and must be kept for ever: restore it from a "
        "replica or backup and set its retention.ms to -1",
    )
