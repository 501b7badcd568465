"""Appending commands to the log: the only way anything outside a fold changes the books."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from domain.books.records import Command
from domain.canonical import Json, to_canonical_json
from domain.codes import Code
from domain.errors import Rejected
from domain.routing import partition_of
from runtime import clock
from runtime.kafka import broker_away, new_producer, offset_of
from schemas.command_wire import to_wire_command
from schemas.topics import ACCOUNT_COMMANDS, USAGE_EVENTS
from schemas.usage_wire import to_wire_catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from confluent_kafka import KafkaError, Message

    from runtime.settings import Settings


ACKNOWLEDGE_TIMEOUT_MS = 35_000
"""Longest wait for the broker, a little more than the producer's own delivery timeout."""
ACKNOWLEDGE_POLL_S = 0.05


class CommandSender:
    """Sends commands and waits until the broker has them.

    Sending blocks until the acknowledgement. It is idempotent by command_id: the books answer a
    repeated command with its first outcome. Success means the command is durable, not that it was
    accepted; the outcome is read from the projections.
    """

    def __init__(self, settings: Settings, *, actor: str) -> None:
        self._settings = settings
        self._actor = actor
        self._producer = new_producer(settings)

    def send(
        self,
        *,
        tenant: str,
        command_id: str,
        kind: str,
        body: Mapping[str, Json],
        actor: str = "",
    ) -> int:
        """Append one command and return its offset.

        Args:
            tenant: Tenant whose books are meant.
            command_id: Idempotency id within the tenant.
            kind: Command name.
            body: Its fields.
            actor: Who asks; empty for the sender's own actor.

        Raises:
            Rejected: oversized, before anything is sent.
            Retryable: broker_away, when the outcome is unknown; send again with the same id.
        """
        value = to_wire_command(
            command=Command(
                tenant=tenant, command_id=command_id, kind=kind, body=to_canonical_json(body)
            ),
            actor=actor or self._actor,
            issued_at_ms=clock.now_ms(),
        )
        if len(value) > ACCOUNT_COMMANDS.message_bytes_max:
            raise Rejected(
                Code.OVERSIZED,
                f"{kind} has {len(value)} bytes, at most {ACCOUNT_COMMANDS.message_bytes_max} "
                "are taken",
            )
        partition = partition_of(tenant, partitions=self._settings.partitions)
        return self._append(ACCOUNT_COMMANDS.name, tenant, [(partition, value)])[0]

    def publish_catalogue(self, *, tenant: str, version: int, content: str) -> tuple[int, ...]:
        """Append a catalogue version in band to every partition of usage.events.

        Returns:
            The offset on each partition. Safe to repeat: readers ignore a version they have.
        """
        value = to_wire_catalogue(tenant=tenant, version=version, content=content)
        everywhere = [(partition, value) for partition in range(self._settings.partitions)]
        return tuple(self._append(USAGE_EVENTS.name, tenant, everywhere))

    def _append(self, topic: str, key: str, values: list[tuple[int, bytes]]) -> list[int]:
        offsets: dict[int, int] = {}
        errors: list[KafkaError] = []

        def on_delivery(partition: int, error: KafkaError | None, message: Message) -> None:
            if error is not None:
                errors.append(error)
            else:
                offsets[partition] = offset_of(message)

        try:
            for partition, value in values:
                self._producer.produce(
                    topic,
                    value,
                    key.encode(),
                    partition=partition,
                    on_delivery=partial(on_delivery, partition),
                )
        except (KafkaException, BufferError) as error:
            raise broker_away(error) from error
        # Only the own deliveries count: other threads may be sending through the same producer.
        deadline = clock.monotonic_ms() + ACKNOWLEDGE_TIMEOUT_MS
        while len(offsets) + len(errors) < len(values) and clock.monotonic_ms() < deadline:
            self._producer.poll(ACKNOWLEDGE_POLL_S)
        if any(error.fatal() for error in errors):
            # A fatal error ends an idempotent producer for good; the repeat gets a new one.
            self._producer = new_producer(self._settings)
        if errors or len(offsets) < len(values):
            raise broker_away(errors[0] if errors else "records stay unacknowledged")
        return [offsets[partition] for partition, _ in values]
