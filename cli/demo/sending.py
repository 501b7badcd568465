"""Sending: the SDK for everything that is an event, a plain producer for what is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from cli.failures import CommandFailure
from runtime.kafka import new_producer
from schemas import wire_ids
from schemas.registry import USAGE_BATCH
from schemas.topics import USAGE_EVENTS
from tidegauge import Delivery, Meter

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

    from cli.demo.sends import Sends
    from runtime.settings import Settings

FLUSH_TIMEOUT_S = 60
ROOM_WAIT_MS = 60_000
"""How long a full buffer may hold up the demo, ms: by then the broker is away."""
SOURCE = "demo"


def send_all(
    settings: Settings, sends: Sends, *, tenant: str, on_progress: Callable[[int], None]
) -> None:
    """This function will send everything and wait until the broker has it.

    Args:
        settings: Where the broker is.
        sends: What to send.
        tenant: Whose events they are.
        on_progress: Told how many events were acknowledged since it was last told.

    Raises:
        CommandFailure: When anything was not acknowledged.
    """
    errors: list[str] = []

    def on_delivery(delivery: Delivery) -> None:
        if delivery.error is not None:
            errors.append(delivery.error)
        on_progress(len(delivery.ids))

    with Meter(
        settings.kafka,
        tenant=tenant,
        source=SOURCE,
        block_ms=ROOM_WAIT_MS,
        on_delivery=on_delivery,
        schema_id=wire_ids.number_of(USAGE_BATCH),
        kafka_config=json.loads(settings.kafka_config.get_secret_value()),
    ) as meter:
        for send in sends.through_the_sdk:
            meter.record(
                customer=send.customer,
                type=send.type,
                quantity=send.quantity,
                occurred_at=send.occurred_at,
                dimensions={"context": send.context},
                properties={"generated_tokens": str(send.generated_tokens)},
                id=send.id,
            )
        left = meter.flush(FLUSH_TIMEOUT_S)
    if left or errors:
        why = ", ".join(sorted(set(errors))) or "no answer"
        raise CommandFailure(
            f"{left} events were not acknowledged ({why})",
            next_step="see whether the broker is up, then run the demo again: ids are stable",
        )
    _send_raw(settings, sends, tenant=tenant, on_progress=on_progress)


def _send_raw(
    settings: Settings, sends: Sends, *, tenant: str, on_progress: Callable[[int], None]
) -> None:
    """Send bytes that no schema of ours made, as a foreign or broken client would.

    Nobody can read whose they are; the record's key says it.
    """
    producer = new_producer(settings)
    errors: list[KafkaError] = []

    def on_delivery(error: KafkaError | None, message: Message) -> None:  # noqa: ARG001
        if error is not None:
            errors.append(error)

    for _, value in sends.raw:
        producer.produce(
            USAGE_EVENTS.name, value, tenant.encode(), partition=0, on_delivery=on_delivery
        )
    if producer.flush(FLUSH_TIMEOUT_S) or errors:
        raise CommandFailure(
            f"raw records were not acknowledged: {errors}",
            next_step="see whether the broker is up",
        )
    on_progress(len(sends.raw))
