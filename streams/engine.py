"""The fold engine: shares a source topic's partitions with other workers and runs their folds."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Generic

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from domain.errors import Retryable
from runtime import clock, metrics
from runtime.kafka import (
    OFFSET_LOST,
    broker_away,
    check_topics,
    client_config,
    new_consumer,
    new_producer,
    partition_ends,
)
from runtime.logs import logger
from streams.binding import Binding, Facts, Record
from streams.checkpoint import Checkpoint
from streams.partition import PartitionWorker, source_gap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from confluent_kafka import Message, Producer

    from runtime.settings import Settings
    from runtime.shutdown import Shutdown

CONSUME_MESSAGES_MAX = 2_000
"""Messages of one poll; bounds how long a round takes and what it holds in memory."""
POLL_BUSY_S, POLL_IDLE_S = 0.005, 0.05
"""How long a poll may wait while work is pending, and while there is none, seconds."""
FETCH_LIMITS = {
    "queued.min.messages": 5_000,
    "queued.max.messages.kbytes": 8_192,
    "fetch.max.bytes": 4_194_304,
    "fetch.message.max.bytes": 1_048_576,
}
"""Records read ahead: a fold is slower than the broker, so more would only cost memory."""
COLLECTOR_THRESHOLD = 100_000
"""New objects between two looks for cycles: about one micro-batch of single events."""
COMMIT_INTERVAL_MS = 2_000
"""Time between two advisory commits; they serve lag displays only."""
_TOPIC_LOST = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 -- its public name
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 -- its public name
)


def await_topics(settings: Settings, shutdown: Shutdown) -> None:
    """This function will check the topics as soon as the broker answers, or the end is requested.

    Raises:
        Fatal: topic_missing or topic_mismatch.
    """
    while not shutdown.is_requested:
        try:
            check_topics(settings)
        except Retryable as error:
            logger().warning("fold.waits", error=str(error))
            shutdown.wait_ms(error.retry_after_ms)
        else:
            return


def calm_the_collector() -> None:
    """This function will make Python look for reference cycles rarely.

    A micro-batch makes tens of thousands of short-lived objects and no cycles; at the default of
    700 the collector walked them over and over (measured: a third of a single event's cost).
    """
    gc.freeze()
    gc.set_threshold(COLLECTOR_THRESHOLD, 20, 20)


class FoldEngine(Generic[Record, Facts]):
    """Owns one thread's clients and the partitions that the group gives it.

    Args:
        settings: Limits and where the broker is.
        binding: The kind of fold.
        shutdown: Asks the loop to end.
        group: Consumer group that shares the partitions; empty for the one of this topic. Workers
            of different groups are unfenced writers on the same partitions, which is safe.
    """

    def __init__(
        self,
        settings: Settings,
        binding: Binding[Record, Facts],
        shutdown: Shutdown,
        *,
        group: str = "",
    ) -> None:
        self._settings = settings
        self._binding = binding
        self._shutdown = shutdown
        self._topic = binding.topic.name
        self._group = group or f"tidegauge.fold.{self._topic}"
        self._workers: dict[int, PartitionWorker[Record, Facts]] = {}
        self._paused: set[int] = set()
        self._topic_id = ""
        self._is_producer_broken = False
        self._must_check_topics = False
        self._check_at_ms = 0
        self._committed_at_ms = 0
        self._consumer: Consumer
        self._producer: Producer

    @property
    def partitions(self) -> dict[int, bool]:
        """Return the partitions held, and whether each has its state, for health answers."""
        return {number: worker.is_running for number, worker in list(self._workers.items())}

    def run(self, *, until: Mapping[int, int] | None = None) -> None:
        """Work until the end is requested.

        Args:
            until: End by itself as soon as every one of these partitions is at its position.

        Raises:
            Fatal: When going on would make wrong figures.
        """
        calm_the_collector()
        await_topics(self._settings, self._shutdown)
        if self._shutdown.is_requested:
            return
        self._topic_id = self._facts_topic_id()
        self._producer = self._new_producer()
        self._consumer = new_consumer(
            self._settings,
            group=self._group,
            **FETCH_LIMITS,
        )
        self._consumer.subscribe(
            [self._topic],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_revoke,
        )
        try:
            while not self._shutdown.is_requested:
                self._round()
                if until is not None and self._is_past(until):
                    return
        finally:
            self._close()

    def _is_past(self, ends: Mapping[int, int]) -> bool:
        return all(
            number in self._workers and self._workers[number].position >= end
            for number, end in ends.items()
        )

    def _new_producer(self) -> Producer:
        self._is_producer_broken = False
        return new_producer(self._settings, error_cb=self._on_producer_error)

    def _on_producer_error(self, error: KafkaError) -> None:
        """A fatal error ends an idempotent producer for good; anything else it mends itself."""
        if error.fatal():
            self._is_producer_broken = True
        logger().warning("fold.producer_error", error=str(error), fatal=error.fatal())

    def _replace_producer(self) -> None:
        self._producer = self._new_producer()
        for worker in self._workers.values():
            worker.drop_state("the producer broke")

    def _mend(self) -> None:
        """Do what callbacks asked for and must not do themselves."""
        if self._is_producer_broken:
            self._replace_producer()
        if self._must_check_topics:
            self._check_topics()

    def _round(self) -> None:
        """Poll the source, then let every partition do its next piece of work."""
        self._mend()
        busy = any(worker.is_waiting for worker in self._workers.values())
        arrived: dict[int | None, list[Message]] = {}
        for message in self._consumer.consume(
            CONSUME_MESSAGES_MAX, timeout=POLL_BUSY_S if busy else POLL_IDLE_S
        ):
            error = message.error()
            if error is not None:
                self._on_error(error, message)
            else:
                arrived.setdefault(message.partition(), []).append(message)
        for number, worker in self._workers.items():
            if number in arrived:
                worker.offer(arrived[number])
        self._producer.poll(0)
        if not self._must_check_topics:
            for worker in self._workers.values():
                worker.advance()
        self._regulate()
        self._commit_advisory()

    def _check_topics(self) -> None:
        """Compare the topics with the catalogue; while the broker is away, try again later.

        It is asked for where it cannot be done: an error inside a callback or between two messages
        of a poll would lose what the poll has already given.
        """
        if clock.monotonic_ms() < self._check_at_ms:
            return
        try:
            check_topics(self._settings)
        except Retryable as error:
            logger().warning("fold.waits", error=str(error))
            self._check_at_ms = clock.monotonic_ms() + error.retry_after_ms
        else:
            self._must_check_topics = False

    def _regulate(self) -> None:
        """Pause partitions that have enough buffered, resume the others."""
        full = {number for number, worker in self._workers.items() if worker.is_full}
        changes = (
            (self._consumer.pause, full - self._paused),
            (self._consumer.resume, (self._paused - full) & self._workers.keys()),
        )
        for change, numbers in changes:
            if numbers:
                change([TopicPartition(self._topic, number) for number in numbers])
        self._paused = full

    def _on_error(self, error: KafkaError, message: Message) -> None:
        worker = self._workers.get(message.partition() or 0)
        if error.code() in OFFSET_LOST and worker is not None and worker.is_running:
            self._seek_again(worker)
        if error.code() in _TOPIC_LOST:
            self._must_check_topics = True
        logger().warning("fold.source_waits", error=str(error))

    def _on_assign(self, consumer: Consumer, assigned: list[TopicPartition]) -> None:
        """Take partitions on, paused: the source is read only after the restore has found where.

        The offset given here is a number, because a symbolic one is looked up in the background
        and its answer would override the seek that follows (seen on librdkafka 2.16).
        """
        self._must_check_topics = True
        for item in assigned:
            item.offset = 0
        consumer.incremental_assign(assigned)
        if assigned:
            consumer.pause(assigned)
        for item in assigned:
            metrics.FOLD_RESTORES.labels(self._topic, "assigned").inc()
            self._workers[item.partition] = PartitionWorker(
                self._settings,
                self._binding,
                item.partition,
                producer=lambda: self._producer,
                seek=self._seek,
                checkpoint=self._checkpoint_of(item.partition),
            )
        logger().info("fold.assigned", partitions=[item.partition for item in assigned])

    def _on_revoke(self, consumer: Consumer, revoked: list[TopicPartition]) -> None:
        for item in revoked:
            worker = self._workers.pop(item.partition, None)
            if worker is not None:
                worker.close()
        self._paused -= {item.partition for item in revoked}
        if revoked:
            consumer.incremental_unassign(revoked)
        logger().info("fold.revoked", partitions=[item.partition for item in revoked])

    def _seek(self, partition: int, offset: int) -> None:
        """Start reading the source at a position (Retryable while the client is not ready)."""
        where = TopicPartition(self._topic, partition, offset)
        try:
            try:
                self._consumer.seek(where)
            except KafkaException as error:
                if error.args[0].code() != KafkaError._STATE:  # noqa: SLF001 -- its public name
                    raise
                # Reading from offset 0 failed and ended, because retention took the head of the
                # log; a reader that has ended takes no seek, only a new start.
                self._consumer.incremental_unassign([where])
                self._consumer.incremental_assign([where])
            self._consumer.resume([where])
        except KafkaException as error:
            raise broker_away(error) from error

    def _seek_again(self, worker: PartitionWorker[Record, Facts]) -> None:
        """Go back to where a partition's reading should be, if the log still reaches there.

        Raises:
            Fatal: source_gap, when it does not.
        """
        try:
            low, high = partition_ends(self._consumer, self._topic, worker.partition)
            if not low <= worker.next_source <= high:
                raise source_gap(self._topic, worker.partition, worker.next_source, low)
            logger().warning("fold.seeks_again", partition=worker.partition, at=worker.next_source)
            self._seek(worker.partition, worker.next_source)
        except Retryable as error:  # it stays stalled, so the next look tries again
            logger().warning("fold.waits", partition=worker.partition, error=str(error))

    def _checkpoint_of(self, partition: int) -> Checkpoint | None:
        if not self._topic_id or not self._settings.checkpoint_interval_ms:
            return None
        return Checkpoint.opened(
            self._settings.state_dir / self._topic / str(partition),
            identity=f"{self._topic_id}/{self._binding.state_version}",
        )

    def _facts_topic_id(self) -> str:
        """Return the facts topic's id, which tells a topic from its successor of the same name."""
        if self._settings.broker_is_mock:
            return ""
        admin = AdminClient(client_config(self._settings))
        name = self._binding.topic.facts
        try:
            description = admin.describe_topics(TopicCollection([name]))[name].result(timeout=15)
        except KafkaException as error:
            raise broker_away(error) from error
        return str(description.topic_id)

    def _commit_advisory(self) -> None:
        """Tell the group how far the folds are, for lag displays; nothing ever reads it back."""
        now_ms = clock.monotonic_ms()
        if now_ms - self._committed_at_ms < COMMIT_INTERVAL_MS:
            return
        self._committed_at_ms = now_ms
        running = [worker for worker in self._workers.values() if worker.is_running]
        if not running:
            return
        for worker in running:
            _, high = self._consumer.get_watermark_offsets(
                TopicPartition(self._topic, worker.partition), cached=True
            )
            lag = max(0, high - worker.position)
            metrics.FOLD_LAG.labels(self._topic, str(worker.partition)).set(lag)
            if worker.has_stalled(high):
                self._seek_again(worker)
        try:
            self._consumer.commit(
                offsets=[
                    TopicPartition(self._topic, worker.partition, worker.position)
                    for worker in running
                ],
                asynchronous=True,
            )
        except KafkaException as error:
            logger().debug("fold.commit_skipped", error=str(error))

    def _close(self) -> None:
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()
        self._consumer.close()
        self._producer.flush(5)
