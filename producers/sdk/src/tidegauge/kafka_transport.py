"""Kafka as the way out: an idempotent librdkafka producer."""

import ctypes
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import confluent_kafka

from tidegauge import errors, limits
from tidegauge.transport import Outcome, Parcel, TopicUnavailable

_log: Final = logging.getLogger("tidegauge.kafka")

RESERVED_SETTINGS: Final = frozenset(
    {
        "acks",
        "bootstrap.servers",
        "delivery.timeout.ms",
        "enable.idempotence",
        "error_cb",
        "logger",
        "message.max.bytes",
        "message.timeout.ms",
        "on_delivery",
        "request.required.acks",
        "transactional.id",
    }
)
"""Settings that carry the SDK's guarantees, or that an option of `Meter` sets."""

_MESSAGE_HEADROOM_BYTES: Final = 64 * 1_024
_MESSAGES_MIN: Final = 1_000
_PURGED: Final = frozenset(
    {confluent_kafka.KafkaError._PURGE_QUEUE, confluent_kafka.KafkaError._PURGE_INFLIGHT}  # noqa: SLF001 - the library's public codes
)
_FINAL: Final = frozenset(
    {
        confluent_kafka.KafkaError.MSG_SIZE_TOO_LARGE,
        confluent_kafka.KafkaError.INVALID_RECORD,
        confluent_kafka.KafkaError.INVALID_MSG_SIZE,
    }
)
"""Errors that lie in the batch itself: sending it again would end the same way."""


class KafkaTransport:
    """An idempotent librdkafka producer that writes one topic with explicit partitions."""

    def __init__(
        self,
        *,
        bootstrap: str,
        topic: str,
        batch_bytes_max: int,
        buffer_events_max: int,
        delivery_timeout_ms: int,
        settings: Mapping[str, Any],
    ) -> None:
        """This function will make the producer; it connects in the background.

        Args:
            bootstrap: `host:port` of some brokers, separated by commas.
            topic: The topic to write.
            batch_bytes_max: Largest value, in bytes.
            buffer_events_max: Events not settled, at most, so also the most values queued.
            delivery_timeout_ms: From `send` to an outcome, in ms.
            settings: More librdkafka settings, for example for security.

        Raises:
            InvalidOption: A setting is reserved, or librdkafka refuses it.
        """
        reserved = sorted(RESERVED_SETTINGS.intersection(settings))
        if reserved:
            raise errors.InvalidOption("option_reserved", ", ".join(reserved))
        self._topic = topic
        defaults: dict[str, Any] = {
            "client.id": "tidegauge-sdk",
            "compression.type": "lz4",
            "linger.ms": 5,
            "max.in.flight.requests.per.connection": 5,
            "queue.buffering.max.kbytes": limits.QUEUE_KIBIBYTES_MAX,
        }
        fixed: dict[str, Any] = {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "acks": "all",
            "delivery.timeout.ms": delivery_timeout_ms,
            "message.max.bytes": batch_bytes_max + _MESSAGE_HEADROOM_BYTES,
            "queue.buffering.max.messages": max(buffer_events_max, _MESSAGES_MIN),
            "error_cb": _log_error,
            "logger": _log,
        }
        try:
            self._producer = confluent_kafka.Producer({**defaults, **settings, **fixed})
        except (confluent_kafka.KafkaException, TypeError, ValueError) as error:
            raise errors.InvalidOption("option_refused", str(error)) from error

    def partition_count(self, timeout_s: float) -> int:
        """This function will ask the brokers; see `Transport`."""
        try:
            metadata = self._producer.list_topics(self._topic, timeout=timeout_s)
        except confluent_kafka.KafkaException as error:
            raise TopicUnavailable(_code(error.args[0])) from error
        topic = metadata.topics.get(self._topic)
        if topic is None or topic.error is not None or not topic.partitions:
            code = "topic_missing" if topic is None or topic.error is None else _code(topic.error)
            raise TopicUnavailable(code)
        return len(topic.partitions)

    def send(self, parcel: Parcel, done: Callable[[Outcome], None]) -> bool:
        """This function will queue one record; see `Transport`."""

        def report(
            error: confluent_kafka.KafkaError | None, message: confluent_kafka.Message
        ) -> None:
            if error is not None:
                done(Outcome(None, _code(error), is_final=error.code() in _FINAL))
                return
            offset = message.offset()
            done(Outcome(offset if offset is not None and offset >= 0 else None, None))

        try:
            self._producer.produce(
                self._topic,
                value=parcel.value,
                key=parcel.key,
                partition=parcel.partition,
                headers=[("traceparent", trace.encode()) for trace in parcel.traceparents],
                on_delivery=report,
            )
        except BufferError:
            return False
        except confluent_kafka.KafkaException as error:
            cause = error.args[0]
            if cause.fatal():
                raise errors.MeterStopped("producer_fatal", cause.str()) from error
            done(Outcome(None, _code(cause), is_final=cause.code() in _FINAL))
        return True

    def poll(self, timeout_s: float) -> None:
        """This function will serve delivery reports; see `Transport`."""
        self._producer.poll(timeout_s)

    def abandon(self, timeout_s: float) -> None:
        """This function will purge the queues; see `Transport`."""
        self._producer.purge()
        deadline_s = time.monotonic() + timeout_s
        while len(self._producer) > 0 and time.monotonic() < deadline_s:
            self._producer.poll(limits.TURN_S)

    def close(self) -> None:
        """This function will destroy the producer, its threads and connections."""
        del self._producer

    def leak(self) -> None:
        """This function will make the producer immortal; see `Transport`.

        librdkafka's threads do not exist in a forked child, and destroying a producer there
        crashes the child at its exit (seen with confluent-kafka 2.16: signal 11).
        """
        if hasattr(self, "_producer"):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._producer))


def _code(error: confluent_kafka.KafkaError) -> str:
    if error.code() in _PURGED:
        return "closed_outcome_unknown"
    return f"kafka_{error.name().strip('_').lower()}"


def _log_error(error: confluent_kafka.KafkaError) -> None:
    level = logging.ERROR if error.fatal() else logging.INFO
    _log.log(level, "tidegauge.kafka.error code=%s reason=%s", _code(error), error.str())
