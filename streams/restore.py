"""Reading a fold's own facts back, in slices, so that the group's heartbeat never waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic

from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from domain.acceptance import accepts
from domain.codes import Code
from domain.errors import Fatal, Rejected, invariant
from runtime import clock, metrics
from runtime.kafka import OFFSET_LOST, new_consumer, offset_of, partition_ends
from runtime.logs import logger
from streams.binding import Binding, Facts, PartitionFold, Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from confluent_kafka import Message

    from runtime.settings import Settings
    from streams.checkpoint import Checkpoint

SLICE_MS = 20
SLICE_RECORDS = 50
"""Work of one slice: about as long as a micro-batch takes."""


class Restoration(Generic[Record, Facts]):
    """Brings a new fold to the end of its facts partition.

    Args:
        settings: Where the broker is.
        binding: How facts look.
        partition: Partition number.
        checkpoint: Local copy of the chain's beginning, or None. What is read beyond its end is
            noted in it: a copy with a hole would forget keys.

    Raises:
        StoreLost: The checkpoint cannot even be emptied.
    """

    def __init__(
        self,
        settings: Settings,
        binding: Binding[Record, Facts],
        partition: int,
        checkpoint: Checkpoint | None,
    ) -> None:
        self._binding = binding
        self._partition = partition
        self._topic = binding.topic.facts
        self.position = 0
        self.facts_end = 0
        self._checkpoint = checkpoint
        self._loading: Iterator[None] | None = None
        self._consumer = new_consumer(settings, group="tidegauge.restore")
        try:
            self._low, self._target = partition_ends(self._consumer, self._topic, partition)
            if checkpoint is not None and checkpoint.facts_end > self._target:
                # Ahead of the log: the log was replaced.
                logger().warning("checkpoint.ahead_of_log", partition=partition)
                checkpoint.clear()
            self.fold: PartitionFold[Record, Facts] = binding.new_fold(partition, checkpoint)
            if checkpoint is None:
                self._begin_reading()
            else:
                self._loading = self._load_steps(checkpoint)
        except BaseException:
            self._consumer.close()
            raise

    def _load_steps(self, checkpoint: Checkpoint) -> Iterator[None]:
        """Apply the checkpoint in small steps: what the fold keeps there, then the records."""
        yield from self.fold.load()
        position = checkpoint.start
        for value in checkpoint.records():
            facts = self._binding.from_wire(value)
            from_offset, to_offset = self._binding.span(facts)
            invariant(from_offset == position, Code.STATE_CORRUPT, "the checkpoint has a hole")
            self.fold.restore(facts)
            position = to_offset
            yield
        invariant(
            position == checkpoint.position, Code.STATE_CORRUPT, "the checkpoint ends elsewhere"
        )
        self.position, self.facts_end = checkpoint.position, checkpoint.facts_end

    def _load_slice(self, checkpoint: Checkpoint, steps: Iterator[None]) -> None:
        """Load for one slice; when all is there, or the copy is torn, go on with the facts."""
        give_way_ms = clock.monotonic_ms() + SLICE_MS
        is_torn = False
        try:
            for _ in steps:
                if clock.monotonic_ms() >= give_way_ms:
                    return
        except Exception as error:  # noqa: BLE001 -- however it is torn, the log has everything
            logger().warning("checkpoint.torn", partition=self._partition, error=str(error)[:200])
            is_torn = True  # cleared below: what the error holds may keep the store open
        if is_torn:
            checkpoint.clear()
            self.fold = self._binding.new_fold(self._partition, checkpoint)
            for _ in self.fold.load():
                pass  # an empty store holds nothing that could take long
        self._loading = None
        self._begin_reading()

    def _begin_reading(self) -> None:
        """Read the facts from where the checkpoint ends."""
        self._require_kept(self._low)
        start = self.facts_end or OFFSET_BEGINNING
        self._consumer.assign([TopicPartition(self._topic, self._partition, start)])

    def _require_kept(self, low: int) -> None:
        """Refuse a facts partition whose beginning is gone and is in no checkpoint (Fatal)."""
        if low > self.facts_end:
            raise Fatal(
                Code.FACTS_GAP,
                f"{self._topic}/{self._partition} starts at offset {low}, needed from "
                f"{self.facts_end}",
                next_step="Facts must be kept forever: restore the topic from a replica or "
                "backup and set its retention.ms to -1",
            )

    def advance(self) -> bool:
        """Read one slice; True when the fold has reached the end.

        Raises:
            Fatal: facts_gap or state_corrupt.
            StoreLost: The checkpoint failed; neither it nor this fold is of any more use.
        """
        if self._loading is not None and self._checkpoint is not None:
            self._load_slice(self._checkpoint, self._loading)
            return False
        if self.facts_end < self._target:
            for message in self._consumer.consume(SLICE_RECORDS, timeout=SLICE_MS / 1000):
                error = message.error()
                if error is None:
                    self._apply(message)
                elif error.code() in OFFSET_LOST:
                    raise Fatal(
                        Code.FACTS_GAP,
                        f"{self._topic}/{self._partition} no longer holds offset {self.facts_end}",
                        next_step="Restore the facts topic from a replica or backup",
                    )
                else:
                    logger().warning("fold.restore_waits", error=str(error))
        return self.facts_end >= self._target

    def _apply(self, message: Message) -> None:
        try:
            value = message.value()
            facts = self._binding.from_wire(value)
        except Rejected as error:
            raise Fatal(
                Code.STATE_CORRUPT,
                f"{self._topic}/{self._partition} offset {message.offset()}: {error.reason}",
                next_step="Restore the facts topic from a replica or backup",
            ) from error
        self.facts_end = offset_of(message) + 1
        from_offset, to_offset = self._binding.span(facts)
        if accepts(position=self.position, from_offset=from_offset, to_offset=to_offset):
            self.fold.restore(facts)
            self.position = to_offset
            self._note(facts, value or b"")
        else:
            metrics.FOLD_IGNORED.labels(self._topic).inc()

    def _note(self, facts: Facts, value: bytes) -> None:
        if self._checkpoint is None:
            return
        compact = self._binding.compact(facts)
        self._checkpoint.note(
            facts_offset=self.facts_end - 1,
            compact=value if compact is None else compact,
            position=self.position,
        )
        if self._checkpoint.is_due:
            self._checkpoint.write()

    def close(self) -> None:
        """Let go of the reader, and of the checkpoint in the middle of its loading."""
        self._loading = None
        self._consumer.close()
