"""A producer that knows nothing of us but the .avsc: Confluent's serializer, and plain Kafka."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from runtime.kafka import new_producer
from schemas.topics import USAGE_EVENTS
from tests.support.fold_world import TENANT, FoldWorld
from tests.support.kafka_hash import partition_of
from tests.support.registries import HttpDoor
from tests.support.usage_truth import Event

CONTEXT = SerializationContext(USAGE_EVENTS.name, MessageField.VALUE)


def event_fields(event: Event, **more: object) -> dict[str, object]:
    """The fields of a UsageEvent."""
    return {
        "tenant": TENANT,
        "source": "foreign",
        "key": event.key.to_bytes(16, "big"),
        "fingerprint": event.fingerprint.to_bytes(8, "big"),
        "id": f"{event.key:032x}",
        "customer": event.customer,
        "type": event.type,
        "occurred_at_ms": event.occurred_ms,
        "quantity": event.quantity,
        "scale": event.scale,
        "dimensions": dict(event.dimensions),
        "properties": dict(event.properties),
        "backfill": False,
        **more,
    }


class ForeignProducer:
    """Sends UsageEvents through Confluent's serializer, and tells the world's truth of them.

    Args:
        world: Whose log and truth.
        door: The registry.
        schema: Text of its schema.
        conf: Configuration of the serializer.
    """

    def __init__(
        self,
        world: FoldWorld,
        door: HttpDoor,
        schema: str,
        conf: Mapping[str, Any] | None = None,
    ) -> None:
        self._world = world
        self._producer = new_producer(world.settings)
        self.serialize: Callable[..., bytes | None] = AvroSerializer(
            door.client, schema, conf=dict(conf or {})
        )

    def send(self, events: int, **more: object) -> list[bytes]:
        """Send new events one by one, each with more fields; return their values."""
        world, values = self._world, []
        for _ in range(events):
            event = world.new_event()
            value = self.serialize(event_fields(event, **more), CONTEXT) or b""
            partition = partition_of(TENANT, event.customer, partitions=world.settings.partitions)
            self._producer.produce(USAGE_EVENTS.name, value, TENANT.encode(), partition=partition)
            world.count([event], partition=partition)
            values.append(value)
        assert self._producer.flush(30) == 0
        return values

    def send_raw(self, value: bytes, *, partition: int, code: str) -> None:
        """Send a record that the fold must refuse."""
        self._producer.produce(USAGE_EVENTS.name, value, TENANT.encode(), partition=partition)
        assert self._producer.flush(30) == 0
        self._world.refuse(partition, code)
