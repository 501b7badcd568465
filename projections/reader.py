"""One consumer of a facts topic: partitions come and go, each is paused until it is placed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition

from domain.codes import Code
from domain.errors import Fatal
from runtime.kafka import new_consumer
from runtime.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from confluent_kafka import Consumer, Message

    from runtime.settings import Settings


class FactsReader:
    """Reads the partitions of a topic that the group gives to this process.

    A new partition is held back until place() says where it goes on. The group's own offsets are
    for lag displays only.

    Args:
        settings: Where the broker is.
        topic: Facts topic.
        group: Consumer group; processes of one group share the partitions.
        on_gone: Told of partitions that are no longer ours.
    """

    def __init__(
        self, settings: Settings, *, topic: str, group: str, on_gone: Callable[[list[int]], None]
    ) -> None:
        self._topic = topic
        self._on_gone = on_gone
        self._placed: set[int] = set()
        self._unplaced: set[int] = set()
        self._is_held = False
        self._consumer = new_consumer(settings, group=group)
        self._consumer.subscribe(
            [topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
        )

    @property
    def unplaced(self) -> frozenset[int]:
        """Return the partitions that wait for place()."""
        return frozenset(self._unplaced)

    def read(self, *, timeout_ms: int) -> Message | None:
        """Wait for one record of a placed partition; None when there is none, or none of ours.

        Raises:
            Fatal: log_truncated or topic_missing; other errors are logged and waited out.
        """
        message = self._consumer.poll(timeout_ms / 1000)
        if message is None:
            return None
        error = message.error()
        if error is not None:
            self._judge(error, message.partition())
            return None
        return message if message.partition() in self._placed else None

    def place(self, offsets: dict[int, int]) -> None:
        """Let partitions go on from these offsets; one that cannot yet stays unplaced."""
        for partition, offset in offsets.items():
            if partition not in self._unplaced:
                continue
            at = TopicPartition(self._topic, partition, offset or OFFSET_BEGINNING)
            try:
                self._consumer.seek(at)
                if not self._is_held:
                    self._consumer.resume([at])
            except KafkaException as error:
                logger().info("projector.seek_later", partition=partition, error=str(error))
                continue
            self._unplaced.discard(partition)
            self._placed.add(partition)

    def unplace(self, partitions: Iterable[int]) -> None:
        """Hold partitions back until they are placed again."""
        ours = self._placed.intersection(partitions)
        self._placed -= ours
        self._unplaced |= ours
        self._pause(ours)

    def hold(self, *, is_held: bool) -> None:
        """Stop or let go the flow of all partitions; the group is not left."""
        if is_held == self._is_held:
            return
        self._is_held = is_held
        if is_held:
            self._pause(self._placed)
        else:
            self._consumer.resume([TopicPartition(self._topic, each) for each in self._placed])

    def show_progress(self, offsets: dict[int, int]) -> None:
        """Tell the group how far we are, for lag displays; a failure does not matter."""
        ours = [
            TopicPartition(self._topic, partition, offset)
            for partition, offset in offsets.items()
            if partition in self._placed
        ]
        if ours:
            try:
                self._consumer.commit(offsets=ours, asynchronous=True)
            except KafkaException as error:
                logger().info("projector.progress_not_shown", error=str(error))

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _pause(self, partitions: Iterable[int]) -> None:
        at = [TopicPartition(self._topic, partition) for partition in partitions]
        if at:
            self._consumer.pause(at)

    def _assigned(self, consumer: Consumer, at: list[TopicPartition]) -> None:
        numbers = [each.partition for each in at]
        # Where to start is in the database; until it is read nothing may flow.
        consumer.incremental_assign(
            [TopicPartition(self._topic, number, OFFSET_BEGINNING) for number in numbers]
        )
        self._unplaced.update(numbers)
        self._pause(numbers)
        logger().info("projector.assigned", topic=self._topic, partitions=numbers)

    def _revoked(self, consumer: Consumer, at: list[TopicPartition]) -> None:
        numbers = [each.partition for each in at]
        self._placed.difference_update(numbers)
        self._unplaced.difference_update(numbers)
        self._on_gone(numbers)
        consumer.incremental_unassign(at)
        logger().info("projector.revoked", topic=self._topic, partitions=numbers)

    def _judge(self, error: KafkaError, partition: int | None) -> None:
        code = error.code()
        if code == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 -- librdkafka's public name
            raise Fatal(
                Code.LOG_TRUNCATED,
                f"{self._topic}/{partition} does not reach to the projected position: {error}",
                next_step="The topic was truncated or made anew: restore it, or run "
                "`tidegauge rebuild` if the log that is there is the right one",
                topic=self._topic,
                partition=partition,
            )
        if code in {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC}:  # noqa: SLF001 -- likewise
            raise Fatal(
                Code.TOPIC_MISSING,
                f"topic {self._topic} does not exist",
                next_step="Run `tidegauge topics create`",
                topic=self._topic,
            )
        logger().warning("kafka.read_error", topic=self._topic, error=str(error))
