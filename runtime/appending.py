"""Appending records and waiting for the broker: what senders of commands and node events share."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from confluent_kafka import KafkaException

from runtime import clock
from runtime.kafka import broker_away, new_producer, offset_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from confluent_kafka import KafkaError, Message

    from runtime.settings import Settings

ACKNOWLEDGE_TIMEOUT_MS = 35_000
"""Longest wait for the broker, a little more than the producer's own delivery timeout."""
ACKNOWLEDGE_POLL_S = 0.05


class Append(NamedTuple):
    """One record to append.

    Args:
        partition: Where it goes.
        key: Record key: the tenant.
        value: Framed bytes.
    """

    partition: int
    key: bytes
    value: bytes


class Appender:
    """Appends records and blocks until the broker has them; threads may share one.

    Args:
        settings: Where the broker is.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer = new_producer(settings)

    def append(self, topic: str, records: Sequence[Append]) -> list[int]:
        """Append records in their order and return the offset of each.

        Raises:
            Retryable: broker_away, when some of them may not have arrived.
        """
        offsets: dict[int, int] = {}
        errors: list[KafkaError] = []

        def on_delivery(number: int, error: KafkaError | None, message: Message) -> None:
            if error is not None:
                errors.append(error)
            else:
                offsets[number] = offset_of(message)

        try:
            for number, record in enumerate(records):
                self._producer.produce(
                    topic,
                    record.value,
                    record.key,
                    partition=record.partition,
                    on_delivery=partial(on_delivery, number),
                )
        except (KafkaException, BufferError) as error:
            raise broker_away(error) from error
        # Only the own deliveries count: other threads may be sending through the same producer.
        deadline = clock.monotonic_ms() + ACKNOWLEDGE_TIMEOUT_MS
        while len(offsets) + len(errors) < len(records) and clock.monotonic_ms() < deadline:
            self._producer.poll(ACKNOWLEDGE_POLL_S)
        if any(error.fatal() for error in errors):
            # A fatal error ends an idempotent producer for good; the repeat gets a new one.
            self._producer = new_producer(self._settings)
        if errors or len(offsets) < len(records):
            raise broker_away(errors[0] if errors else "records stay unacknowledged")
        return [offsets[number] for number in range(len(records))]
