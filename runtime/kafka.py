"""Kafka at the edge: clients as we configure them, topics created and checked, partitions read."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewTopic,
)

from domain.codes import Code
from domain.errors import Fatal, Retryable
from runtime import clock
from runtime.logs import logger
from schemas.topics import SCHEMA_EXTERNAL, TOPICS, Topic, topic_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from runtime.settings import Settings

ADMIN_TIMEOUT_S = 15
"""Longest wait for an answer of the broker to an administrative call, seconds."""
CLOSE_WAIT_S = 20.0
"""Longest wait for a reader to close, seconds: longer than any answer of a broker is awaited."""
READ_STALL_MS = 30_000
"""A partition that gives nothing for so long before its known end is reported as broker away."""
JUMP_RECORDS_MIN = 400
"""Records between two wanted ones that a reader passes over; beyond, it jumps, which takes 6 ms,
as long as passing over so many."""
JUMP_FETCH_BYTES = 1_048_576
"""What a reader that jumps fetches at once: the next jump throws away what was fetched ahead. A
larger record comes whole all the same."""
OFFSET_LOST = (
    KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001 -- its public name
    KafkaError.OFFSET_OUT_OF_RANGE,
)
"""Errors that say that the log no longer holds an offset."""
FRAME_BYTES_MAX = 65_536
"""What Kafka puts around a record, generously."""
MESSAGE_BYTES_MAX = 17 * 1024 * 1024
"""Largest record a client sends or takes: the largest of any topic, and its frame."""


def client_config(settings: Settings) -> dict[str, Any]:
    """This function will return what every client of ours shares."""
    return {
        "bootstrap.servers": settings.kafka,
        "log_level": 2,
        "socket.keepalive.enable": True,
        "reconnect.backoff.max.ms": 2000,
        **json.loads(settings.kafka_config.get_secret_value()),
    }


def new_producer(settings: Settings, **overrides: Any) -> Producer:  # noqa: ANN401 -- librdkafka's own options
    """This function will return an idempotent producer that waits for all replicas."""
    return Producer(
        {
            **client_config(settings),
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "lz4",
            "linger.ms": 0,
            "message.max.bytes": MESSAGE_BYTES_MAX,
            "delivery.timeout.ms": 30_000,
            **overrides,
        }
    )


def new_consumer(settings: Settings, *, group: str, **overrides: Any) -> Consumer:  # noqa: ANN401 -- librdkafka's own options
    """This function will return a consumer that commits nothing by itself and never skips.

    A missing offset is an error, never a silent jump to the newest record.
    """
    return Consumer(
        {
            **client_config(settings),
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "fetch.queue.backoff.ms": 10,
            "fetch.wait.max.ms": 50,
            "fetch.message.max.bytes": MESSAGE_BYTES_MAX,
            "queued.max.messages.kbytes": 65_536,
            "session.timeout.ms": settings.kafka_session_timeout_ms,
            "heartbeat.interval.ms": max(300, settings.kafka_session_timeout_ms // 5),
            "partition.assignment.strategy": "cooperative-sticky",
            **overrides,
        }
    )


def offset_of(message: Message) -> int:
    """This function will return the offset of a consumed message, which always has one."""
    offset = message.offset()
    return -1 if offset is None else offset


def received_at_ms(message: Message) -> int:
    """This function will return the broker's append time, milliseconds since 1970 UTC."""
    kind, timestamp = message.timestamp()
    return 0 if kind == TIMESTAMP_NOT_AVAILABLE else int(timestamp)


def close_reader(consumer: Consumer) -> None:
    """This function will close a consumer that was given its partitions, and wait a bounded time.

    Once in many thousand times librdkafka waits for good for one of its own threads
    (confluentinc/librdkafka issue 5434, open): whoever asked would wait with it, and no signal
    ends that. What is left behind then ends with the process. Not for a member of a group, whose
    close calls back on its own thread.
    """
    closing = threading.Thread(target=consumer.close, name="kafka-close", daemon=True)
    closing.start()
    closing.join(CLOSE_WAIT_S)
    if closing.is_alive():
        logger().warning("kafka.close_hangs", waited_s=CLOSE_WAIT_S)


def partition_ends(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """This function will return the first kept offset and one past the last one.

    Raises:
        Retryable: broker_away, when nobody answers.
    """
    try:
        low, high = consumer.get_watermark_offsets(
            TopicPartition(topic, partition), timeout=ADMIN_TIMEOUT_S
        )
    except KafkaException as error:
        raise broker_away(error) from error
    return low, high


def offset_at(settings: Settings, topic: Topic, partition: int, *, at_ms: int) -> int | None:
    """This function will return the first offset that was appended at a time or later.

    Args:
        settings: Where the broker is.
        topic: Topic with LogAppendTime.
        partition: Partition number.
        at_ms: Milliseconds since 1970 UTC.

    Returns:
        None when everything is older.

    Raises:
        Retryable: broker_away.
    """
    consumer = new_consumer(settings, group="tidegauge.reader")
    try:
        (found,) = consumer.offsets_for_times(
            [TopicPartition(topic.name, partition, at_ms)], timeout=ADMIN_TIMEOUT_S
        )
    except KafkaException as error:
        raise broker_away(error) from error
    finally:
        close_reader(consumer)
    return found.offset if found.offset >= 0 else None


def broker_away(error: object) -> Retryable:
    """This function will turn a client's error into ours."""
    return Retryable(
        Code.BROKER_AWAY,
        f"Kafka does not answer: {error}",
        retry_after_ms=1000,
        next_step="Check TIDEGAUGE_KAFKA and the broker; work resumes by itself",
    )


def read_partition(
    settings: Settings, topic: Topic, partition: int, *, start: int = 0, end: int | None = None
) -> Iterator[Message]:
    """This function will yield a partition's records from start to its present end, in order.

    Args:
        settings: Where the broker is.
        topic: Topic to read.
        partition: Partition number.
        start: First offset wanted.
        end: One past the last offset wanted; None for the end at the time of the call.

    Raises:
        Fatal: log_truncated, when the log no longer reaches back to start.
        Retryable: broker_away, when records stop coming before the end.
    """
    consumer = new_consumer(settings, group="tidegauge.reader", **{"enable.partition.eof": False})
    try:
        low, high = partition_ends(consumer, topic.name, partition)
        stop = high if end is None else min(end, high)
        if stop > start:
            _require_kept(topic, partition, low=low, start=start)
        consumer.assign([TopicPartition(topic.name, partition, start or OFFSET_BEGINNING)])
        yield from _messages(consumer, f"{topic.name}/{partition}", start=start, stop=stop)
    finally:
        close_reader(consumer)


def read_offsets(
    settings: Settings, topic: Topic, partition: int, offsets: Iterable[int]
) -> Iterator[Message]:
    """This function will yield the records at some offsets of a partition, and fetch few others.

    Args:
        settings: Where the broker is.
        topic: Topic to read.
        partition: Partition number.
        offsets: In ascending order; there has been a record at each, and between them no gap: the
            topic is not compacted and nobody writes to it in transactions.

    Raises:
        Fatal: log_truncated, when the log no longer reaches back to the first one.
        Retryable: broker_away, when one of them does not come.
    """
    consumer = new_consumer(
        settings,
        group="tidegauge.reader",
        **{"fetch.message.max.bytes": JUMP_FETCH_BYTES, "queued.max.messages.kbytes": 1024},
    )
    try:
        low, _ = partition_ends(consumer, topic.name, partition)
        position: int | None = None
        for offset in offsets:
            if position is None or offset - position > JUMP_RECORDS_MIN:
                _require_kept(topic, partition, low=low, start=offset)
                consumer.assign([TopicPartition(topic.name, partition, offset)])
                position = offset
            place = f"{topic.name}/{partition}"
            for message in _messages(consumer, place, start=position, stop=offset + 1):
                if offset_of(message) == offset:
                    yield message
            position = offset + 1
    finally:
        close_reader(consumer)


def _require_kept(topic: Topic, partition: int, *, low: int, start: int) -> None:
    if low > start:
        raise Fatal(
            Code.LOG_TRUNCATED,
            f"{topic.name}/{partition} starts at offset {low}, {start} was asked for",
            next_step="Raise the topic's retention or read from an archive",
        )


def _messages(consumer: Consumer, place: str, *, start: int, stop: int) -> Iterator[Message]:
    """Yield records [start, stop) of the partition that a consumer is at, topic/number."""
    position, waited_since = start, clock.monotonic_ms()
    while position < stop:
        # No more than there are: a fetch waits for its whole number, or its time.
        for message in consumer.consume(min(1000, stop - position), timeout=0.2):
            if message.error() is not None:
                logger().warning("kafka.read_error", error=str(message.error()))
                continue
            position = offset_of(message) + 1
            if position > stop:
                return
            yield message
            waited_since = clock.monotonic_ms()  # the reader's own time is no wait for the broker
        if clock.monotonic_ms() - waited_since > READ_STALL_MS:
            raise broker_away(f"{place} stopped at {position} before {stop}")


def ensure_topics(settings: Settings) -> None:
    """This function will create missing topics and check the others against the catalogue.

    Raises:
        Fatal: topic_mismatch, when a topic exists with another shape; registry_mismatch, when the
            log was begun with another schema registry.
        Retryable: broker_away.
    """
    if settings.broker_is_mock:
        return
    admin = AdminClient(client_config(settings))
    try:
        present = admin.list_topics(timeout=ADMIN_TIMEOUT_S).topics
        if any(topic.schemas and topic.name in present for topic in TOPICS):
            _require_registry(settings, present)
        wanted = (*TOPICS, SCHEMA_EXTERNAL) if settings.is_registry_external else TOPICS
        missing = [topic for topic in wanted if topic.name not in present]
        futures = (
            admin.create_topics(
                [
                    NewTopic(
                        topic.name,
                        num_partitions=topic.partitions or settings.partitions,
                        config=_config_of(topic),
                    )
                    for topic in missing
                ]
            )
            if missing
            else {}
        )
        for name, future in futures.items():
            try:
                future.result(timeout=ADMIN_TIMEOUT_S)
            except KafkaException as error:
                if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
                    raise
                logger().info("topic.created_elsewhere", topic=name)
        _await_visible(admin, {topic.name for topic in missing})
    except KafkaException as error:
        raise broker_away(error) from error
    check_topics(settings)


def _await_visible(admin: AdminClient, names: set[str]) -> None:
    """Wait until the brokers tell of new topics: the controller answers before they know."""
    give_up_ms = clock.monotonic_ms() + ADMIN_TIMEOUT_S * 1000
    while not names <= set(admin.list_topics(timeout=ADMIN_TIMEOUT_S).topics):
        if clock.monotonic_ms() > give_up_ms:
            return
        clock.sleep_ms(50)


def _config_of(topic: Topic) -> dict[str, str]:
    """Return a topic's broker settings, with which it is created and later compared.

    The broker measures a record after compression and with its frame, so it is allowed a little
    more than a reader takes.
    """
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(topic.retention_ms),
        "max.message.bytes": str(topic.message_bytes_max + FRAME_BYTES_MAX),
        "message.timestamp.type": "LogAppendTime",
    }


def check_topics(settings: Settings, topics: tuple[Topic, ...] = TOPICS) -> None:
    """This function will compare the broker's topics with the topic catalogue.

    Args:
        settings: Where the broker is, and how many partitions each topic has.
        topics: Those to compare; a process needs not all of them.

    Raises:
        Fatal: topic_missing, topic_mismatch or registry_mismatch, with what differs.
        Retryable: broker_away.
    """
    if settings.broker_is_mock:
        return
    admin = AdminClient(client_config(settings))
    try:
        present = admin.list_topics(timeout=ADMIN_TIMEOUT_S).topics
        for topic in topics:
            if topic.name not in present:
                raise Fatal(
                    Code.TOPIC_MISSING,
                    f"topic {topic.name} does not exist",
                    next_step="Run `tidegauge topics create`",
                )
            _require(
                topic.name,
                "partitions",
                str(topic.partitions or settings.partitions),
                str(len(present[topic.name].partitions)),
            )
        _require_registry(settings, present)
        resources = [ConfigResource(ConfigResource.Type.TOPIC, topic.name) for topic in topics]
        for resource, future in admin.describe_configs(resources).items():
            entries = future.result(timeout=ADMIN_TIMEOUT_S)
            for what, wanted in _config_of(topic_of(resource.name)).items():
                _require(resource.name, what, wanted, entries[what].value)
    except KafkaException as error:
        raise broker_away(error) from error


def _require_registry(settings: Settings, present: Container[str]) -> None:
    """Refuse a log whose frames hold the ids of another registry: they would be misread.

    The topic schema.external is made with the others, or never.
    """
    if settings.is_registry_external == (SCHEMA_EXTERNAL.name in present):
        return
    raise Fatal(
        Code.REGISTRY_MISMATCH,
        "the log was begun with the built-in schema registry, TIDEGAUGE_SCHEMA_REGISTRY is set"
        if settings.is_registry_external
        else "the log was begun with an external schema registry, TIDEGAUGE_SCHEMA_REGISTRY is not"
        " set",
        next_step="A log keeps its registry for life, for its ids stand in every record: correct "
        "TIDEGAUGE_SCHEMA_REGISTRY or TIDEGAUGE_KAFKA, or begin a new log",
    )


def _require(topic: str, what: str, wanted: str, found: str) -> None:
    if wanted != found:
        raise Fatal(
            Code.TOPIC_MISMATCH,
            f"topic {topic} has {what} {found}, the topic catalogue says {wanted}",
            next_step="A topic's shape is fixed for its life: point TIDEGAUGE_KAFKA or "
            "TIDEGAUGE_PARTITIONS at the right ones, or move to new topics. "
            "max.message.bytes alone may be raised: kafka-configs --alter --add-config",
            topic=topic,
        )
