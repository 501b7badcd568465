"""One partition of a fold: restore, buffer, fold, append, wait for the acknowledgement."""

from __future__ import annotations

import hashlib
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Generic

from confluent_kafka import KafkaException

from domain.codes import Code
from domain.errors import Fatal, Retryable, invariant
from runtime import clock, failpoints, metrics
from runtime.kafka import offset_of
from runtime.logs import logger
from schemas.topics import topic_of
from streams.binding import Binding, Facts, PartitionFold, Record
from streams.restore import Restoration
from streams.store import StoreLost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from confluent_kafka import KafkaError, Message, Producer

    from runtime.settings import Settings
    from streams.binding import DeadLetter
    from streams.checkpoint import Checkpoint

EVENT_BYTES_ESTIMATE = 160
"""Facts bytes of one event with a window of its own, measured; bounds a record beforehand."""
NO_LIMIT = 1 << 30
"""Records of a micro-batch, where nothing has shown that fewer are needed."""
DEAD_LETTER_TIMEOUT_S = 10
"""Longest wait for the acknowledgement of dead letters; then the state is read back and the same
records are folded again."""
DEAD_LETTER_BYTES_MAX = 5 * 1024 * 1024
"""Largest value that is copied whole; compressed on the wire a record may be far larger."""
DEAD_LETTER_HEAD_BYTES = 64 * 1024
"""What is kept of a larger one."""
STALL_MS = 5_000
"""A partition that gives nothing for so long although the log has more is sought again."""
BUFFER_BYTES_MAX = 3 * 1024 * 1024
"""Source bytes waiting for their fold; above it the partition is paused."""
MESSAGE_OVERHEAD_BYTES = 300
"""What a message costs in memory beside its value, about; counts where records are small."""


class PartitionWorker(Generic[Record, Facts]):
    """Runs the fold of one partition, step by step, never blocking.

    Order of one round (design: the log-arbitrated fold):
    1. restore from the own facts to their end, then seek the source to the position;
    2. fold a micro-batch [position, q);
    3. append one facts record, one unacknowledged at most;
    4. on the acknowledgement at the expected offset go on, on anything else go to 1.

    Args:
        settings: Limits and where the broker is.
        binding: The kind of fold.
        partition: Partition number.
        producer: Gives the present producer, for facts and dead letters.
        seek: Moves the source reader to an offset.
        checkpoint: Local copy of the facts, or None.
    """

    def __init__(
        self,
        settings: Settings,
        binding: Binding[Record, Facts],
        partition: int,
        *,
        producer: Callable[[], Producer],
        seek: Callable[[int, int], None],
        checkpoint: Checkpoint | None,
    ) -> None:
        self._settings = settings
        self._binding = binding
        self.partition = partition
        self._producer = producer
        self._seek = seek
        self._checkpoint = checkpoint
        self._has_lost_store = False
        self._topic = binding.topic
        self._facts_bytes_max = topic_of(self._topic.facts).message_bytes_max
        self._records_max = NO_LIMIT
        self._events_max = min(
            settings.fold_batch_events_max,
            max(1, settings.fold_batch_bytes_max // EVENT_BYTES_ESTIMATE),
        )
        self._restoration: Restoration[Record, Facts] | None = None
        self._retry_at_ms = 0
        self._fold: PartitionFold[Record, Facts] | None = None
        self.position = 0
        self._facts_end = 0
        self._buffer: deque[Message] = deque()
        self._buffered_bytes = 0
        self.next_source = 0
        self._oldest_ms = 0
        self._offered_at_ms = 0
        self._in_flight: Facts | None = None
        self._appended_at_ms = 0
        self._written_at_ms = clock.monotonic_ms()
        self._is_closed = False

    @property
    def is_running(self) -> bool:
        """Say whether the state is there and source records are taken."""
        return self._fold is not None

    @property
    def is_full(self) -> bool:
        """Say whether enough is buffered, so that the source should pause."""
        return self._buffered_bytes > BUFFER_BYTES_MAX

    @property
    def is_waiting(self) -> bool:
        """Say whether something is due soon, so that the loop should not sleep long."""
        return bool(self._buffer) or self._in_flight is not None or not self.is_running

    def has_stalled(self, source_end: int) -> bool:
        """Say whether the log has more, and has not given it for a while."""
        return (
            not self._buffer
            and self.next_source < source_end
            and clock.monotonic_ms() - self._offered_at_ms > STALL_MS
        )

    def offer(self, messages: Sequence[Message]) -> None:
        """Buffer source messages, which come in rising order.

        Raises:
            Fatal: source_gap, when an offset is missing.
        """
        if self._fold is None:
            return
        first, last = offset_of(messages[0]), offset_of(messages[-1])
        if first < self.next_source:  # read before the last seek
            messages = [item for item in messages if offset_of(item) >= self.next_source]
            if not messages:
                return
            first = offset_of(messages[0])
        if first != self.next_source or last - first + 1 != len(messages):
            raise source_gap(self._topic.name, self.partition, self.next_source, first)
        self._offered_at_ms = clock.monotonic_ms()
        if not self._buffer:
            self._oldest_ms = self._offered_at_ms
        self.next_source = last + 1
        self._buffer.extend(messages)
        self._buffered_bytes += self._bytes_of(messages)

    def _bytes_of(self, messages: Iterable[Message]) -> int:
        return sum(len(message) + MESSAGE_OVERHEAD_BYTES for message in messages)

    def advance(self) -> None:
        """Do the next piece of work, if there is one."""
        lost = ""
        try:
            if self._fold is None:
                self._restore_slice()
            elif self._in_flight is None and self._buffer and self._is_batch_due():
                self._append_next()
        except StoreLost as error:
            lost = str(error)  # what the error holds may keep the store open
        if lost:
            self._lose_store(lost)

    def _restore_slice(self) -> None:
        """Step 1: read the own facts; wait and try again while the broker is away."""
        if clock.monotonic_ms() < self._retry_at_ms:
            return
        try:
            if self._restoration is None:
                self._restoration = Restoration(
                    self._settings, self._binding, self.partition, self._checkpoint
                )
            if not self._restoration.advance():
                return
            self._seek(self.partition, self._restoration.position)
        except StoreLost:
            raise
        except Retryable as error:
            logger().warning("fold.waits", partition=self.partition, error=str(error))
            self._retry_at_ms = clock.monotonic_ms() + error.retry_after_ms
            return
        done, self._restoration = self._restoration, None
        done.close()
        self._fold = done.fold
        self.position = self.next_source = done.position
        self._facts_end = done.facts_end
        self._offered_at_ms = clock.monotonic_ms()
        logger().info(
            "fold.restored",
            topic=self._topic.name,
            partition=self.partition,
            position=self.position,
            facts_end=self._facts_end,
        )

    def _is_batch_due(self) -> bool:
        waited = clock.monotonic_ms() - self._oldest_ms
        return (
            waited >= self._settings.fold_linger_ms
            or self._buffered_bytes >= self._settings.fold_batch_bytes_max
        )

    def _append_next(self) -> None:
        """Steps 2 and 3: fold as much as fits, put refused records aside, append the facts."""
        fold = self._fold
        if fold is None or clock.monotonic_ms() < self._retry_at_ms:
            return
        try:
            records = fold.decode(
                self._buffer,
                events_max=self._events_max,
                bytes_max=self._settings.fold_batch_bytes_max,
            )[: self._records_max]
        except Retryable as error:  # the records stay where they are
            logger().warning("fold.waits", partition=self.partition, error=str(error))
            self._retry_at_ms = clock.monotonic_ms() + error.retry_after_ms
            return
        taken = [self._buffer.popleft() for _ in records]
        self._buffered_bytes -= self._bytes_of(taken)
        self._oldest_ms = clock.monotonic_ms()
        to_offset = self.position + len(records)
        facts = fold.step(records, from_offset=self.position, to_offset=to_offset)
        value = self._binding.to_wire(facts)
        if len(value) > self._facts_bytes_max:
            self._fold_less(records)
            return
        if not self._put_aside(fold, facts, taken):
            self.drop_state("dead letters were not acknowledged")
            return
        self._in_flight = facts
        self._appended_at_ms = clock.monotonic_ms()
        failpoints.pass_by("fold.before_append")
        on_delivery = partial(self._on_acknowledged, facts, value)
        if not self._produce(self._topic.facts, value, on_delivery=on_delivery):
            self.drop_state("the client refused the facts record")

    def _fold_less(self, records: Sequence[Record]) -> None:
        """Give up a facts record that is too large to be read, and fold half as much next time.

        One source record always fits: the limits on meters per type, dimensions and batches see
        to it (domain.catalogue.METERS_PER_TYPE_MAX).
        """
        invariant(
            len(records) > 1,
            Code.STATE_CORRUPT,
            "the facts of one source record do not fit into a facts record",
            position=self.position,
        )
        self._records_max = len(records) // 2
        self.drop_state("the facts record would be too large")

    def _put_aside(
        self, fold: PartitionFold[Record, Facts], facts: Facts, taken: Sequence[Message]
    ) -> bool:
        """Copy refused records to the dead-letter topic, before the facts that mention them.

        A crash between the two leaves a second copy after the retry, never none; a copy is known
        by its source offset and code.

        Returns:
            False when the broker did not acknowledge every copy in time.
        """
        letters = fold.dead_letters(facts)
        written: list[bool] = []
        for letter in letters:
            self._produce(
                self._topic.dead,
                *copy_of(taken[letter.offset - self.position], letter, source=self._topic.name),
                on_delivery=lambda error, _: written.append(error is None),
            )
        if letters:
            self._producer().flush(DEAD_LETTER_TIMEOUT_S)
        return len(written) == len(letters) and all(written)

    def _produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        headers: list[tuple[str, str | bytes | None]] | None = None,
        *,
        on_delivery: Callable[[KafkaError | None, Message], None],
    ) -> bool:
        """Hand a record to the producer; False when the client refuses it."""
        try:
            self._producer().produce(
                topic,
                value,
                key,
                partition=self.partition,
                headers=headers or [],
                on_delivery=on_delivery,
            )
        except (KafkaException, BufferError) as error:
            logger().warning("fold.produce_refused", topic=topic, error=str(error))
            return False
        return True

    def _on_acknowledged(
        self, facts: Facts, value: bytes, error: KafkaError | None, message: Message
    ) -> None:
        """Step 4: the offset tells whether anybody else wrote since."""
        if self._is_closed or facts is not self._in_flight or self._fold is None:
            return  # a late answer to a state that was dropped: it says nothing of this one
        self._in_flight = None
        if error is not None or message.offset() != self._facts_end:
            self.drop_state(str(error) if error is not None else "another writer")
            return
        failpoints.pass_by("fold.after_append")
        self._records_max = NO_LIMIT
        _, self.position = self._binding.span(facts)
        self._facts_end += 1
        self._fold.observe(facts)
        labels = (self._topic.name, str(self.partition))
        metrics.FOLD_POSITION.labels(*labels).set(self.position)
        metrics.FOLD_APPEND_SECONDS.labels(self._topic.name).observe(
            (clock.monotonic_ms() - self._appended_at_ms) / 1000
        )
        self._note_checkpoint(facts, value)

    def _note_checkpoint(self, facts: Facts, value: bytes) -> None:
        if self._checkpoint is None:
            return
        compact = self._binding.compact(facts)
        self._checkpoint.note(
            facts_offset=self._facts_end - 1,
            compact=value if compact is None else compact,
            position=self.position,
        )
        waited = clock.monotonic_ms() - self._written_at_ms
        if self._checkpoint.is_due or waited >= self._settings.checkpoint_interval_ms:
            failpoints.pass_by("fold.before_checkpoint")
            self._write_checkpoint()
            failpoints.pass_by("fold.after_checkpoint")
            self._written_at_ms = clock.monotonic_ms()

    def _write_checkpoint(self) -> None:
        lost = ""
        try:
            if self._checkpoint is not None:
                self._checkpoint.write()
        except StoreLost as error:
            lost = str(error)
        if lost:
            self._lose_store(lost)

    def _lose_store(self, reason: str) -> None:
        """Empty a store that failed and begin again from the facts, which have everything.

        Going on without it would forget the keys that are in it only. When it fails once more, or
        cannot be emptied, the partition does without until it is assigned again: then all keys
        stay in memory.
        """
        logger().error("checkpoint.lost", partition=self.partition, error=reason[:300])
        self._forget_state()
        if self._restoration is not None:
            self._restoration.close()
            self._restoration = None
        checkpoint, self._checkpoint = self._checkpoint, None
        if checkpoint is None:
            return
        try:
            checkpoint.clear()
            if self._has_lost_store:
                checkpoint.close()
            else:
                self._checkpoint = checkpoint
        except StoreLost as again:
            logger().error("checkpoint.gone", partition=self.partition, error=str(again)[:300])
        self._has_lost_store = True

    def drop_state(self, reason: str) -> None:
        """Forget the state and read it back from the facts: somebody else wrote, or may have."""
        logger().warning("fold.dropped_state", partition=self.partition, reason=reason)
        self._forget_state()
        self._write_checkpoint()

    def _forget_state(self) -> None:
        metrics.FOLD_RESTORES.labels(self._topic.name, "append").inc()
        self._fold = None
        self._in_flight = None
        self._buffer.clear()
        self._buffered_bytes = 0

    def close(self) -> None:
        """Let go of the partition: nothing to flush, nothing to commit."""
        self._is_closed = True
        self._fold = None
        self._buffer.clear()
        if self._restoration is not None:
            self._restoration.close()
        if self._checkpoint is not None:
            try:
                self._checkpoint.close()
            except StoreLost as error:  # what is written stays, and the facts have the rest
                logger().error("checkpoint.lost", partition=self.partition, error=str(error)[:300])


def copy_of(
    message: Message, letter: DeadLetter, *, source: str
) -> tuple[bytes | None, bytes | None, list[tuple[str, str | bytes | None]]]:
    """This function will make a dead letter: value, key and headers.

    The value is the raw bytes. Of a value too large to be kept only the head is, with the length
    and hash of the whole in the headers; the source topic has it as long as it is retained.
    """
    value = message.value()
    headers: list[tuple[str, str | bytes | None]] = [
        ("topic", source.encode()),
        ("partition", str(message.partition()).encode()),
        ("offset", str(letter.offset).encode()),
        ("code", letter.code.value.encode()),
        ("reason", letter.reason.encode()),
    ]
    if value is not None and len(value) > DEAD_LETTER_BYTES_MAX:
        headers += [
            ("bytes", str(len(value)).encode()),
            ("sha256", hashlib.sha256(value).hexdigest().encode()),
        ]
        value = value[:DEAD_LETTER_HEAD_BYTES]
    return value, message.key(), headers


def source_gap(topic: str, partition: int, expected: int, found: int) -> Fatal:
    """This function will say that source records are missing."""
    return Fatal(
        Code.SOURCE_GAP,
        f"{topic}/{partition}: expected offset {expected}, the log gave {found}",
        next_step="Records are missing: was the topic truncated, compacted or written with "
        "transactions? Restore it before starting again; nothing was skipped",
        partition=partition,
    )
