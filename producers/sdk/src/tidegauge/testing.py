"""A meter for your own tests: no broker, no network, and questions about what was recorded."""

import io
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Unpack
from uuid import UUID

import fastavro

from tidegauge import meter, transport
from tidegauge.arguments import MeterOptions
from tidegauge.wire import batch

_SCHEMA: Final = fastavro.parse_schema(json.loads(batch.SCHEMA_TEXT))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UUID_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """One event as it would have reached the gateway or the broker.

    Attributes:
        id: As `record` returned it.
        customer: Who used it.
        type: The event type.
        quantity: How much, exact.
        occurred_at: When, in UTC, to the millisecond.
        dimensions: What may be grouped by.
        properties: What people may want to see.
        traceparents: Those of its whole batch.
    """

    id: str
    customer: str
    type: str
    quantity: Decimal
    occurred_at: datetime
    dimensions: Mapping[str, str]
    properties: Mapping[str, str]
    traceparents: tuple[str, ...]


def events_of(value: bytes, traceparents: tuple[str, ...] = ()) -> list[RecordedEvent]:
    """This function will read a framed batch.

    Args:
        value: Frame and Avro body, as a transport sends it.
        traceparents: Those that travelled with it.

    Returns:
        Its events, in order.

    Raises:
        ValueError: It is no such batch, or something stands behind it.
    """
    if len(value) < len(batch.FRAME) or value[0]:
        raise ValueError("the frame is not that of a UsageBatch")
    body = io.BytesIO(value[len(batch.FRAME) :])
    datum: Any = fastavro.schemaless_reader(body, _SCHEMA, None)
    if body.read(1):
        raise ValueError("something stands behind the batch")
    foreign = {item["index"]: item["id"] for item in datum["foreign_ids"]}
    properties: dict[int, dict[str, str]] = {}
    for item in datum["properties"]:
        properties.setdefault(item["index"], {})[item["name"]] = item["value"]
    sets = [{}, *datum["dimension_sets"]]
    keys, strings = datum["keys"], datum["strings"]
    return [
        RecordedEvent(
            id=foreign.get(at) or str(UUID(bytes=keys[at * _UUID_BYTES : (at + 1) * _UUID_BYTES])),
            customer=strings[datum["customer"][at]],
            type=strings[datum["type"][at]],
            quantity=Decimal(quantity).scaleb(-datum["scale"]),
            occurred_at=_EPOCH + timedelta(milliseconds=datum["occurred_at_ms"][at]),
            dimensions=sets[datum["dimension_set"][at]],
            properties=properties.get(at, {}),
            traceparents=traceparents,
        )
        for at, quantity in enumerate(datum["quantity"])
    ]


class MemoryTransport:
    """Keeps what it is given, and acknowledges it; or fails as a test says.

    Attributes:
        partitions: Partitions of the topic that it stands for; None for one that is missing.
        error: A code that every batch fails with from now on, or None.
        is_final: Whether that error lies in the batch itself.
        answers: Whether outcomes are told; while not, everything stays pending.
        parcels: Everything that was acknowledged.
    """

    def __init__(self, *, partitions: int | None = 4) -> None:
        """This function will start empty.

        Args:
            partitions: Partitions of the topic that it stands for; None for one that is missing.
        """
        self.partitions = partitions
        self.error: str | None = None
        self.is_final = False
        self.answers = True
        self.parcels: list[transport.Parcel] = []
        self._waiting: list[tuple[transport.Parcel, Callable[[transport.Outcome], None]]] = []
        self._offsets: dict[int, int] = {}

    def partition_count(self, timeout_s: float) -> int:
        """This function will return `partitions`; see `Transport`."""
        del timeout_s
        if self.partitions is None:
            raise transport.TopicUnavailable("topic_missing")
        return self.partitions

    def send(self, parcel: transport.Parcel, done: Callable[[transport.Outcome], None]) -> bool:
        """This function will keep a parcel for the next `poll`; see `Transport`."""
        self._waiting.append((parcel, done))
        return True

    def poll(self, timeout_s: float) -> None:
        """This function will settle what waits; see `Transport`."""
        if not self.answers or not self._waiting:
            time.sleep(min(timeout_s, 0.005))
            return
        waiting, self._waiting = self._waiting, []
        for parcel, done in waiting:
            if self.error is not None:
                done(transport.Outcome(None, self.error, is_final=self.is_final))
                continue
            self.parcels.append(parcel)
            offset = self._offsets.get(parcel.partition, 0)
            self._offsets[parcel.partition] = offset + 1
            done(transport.Outcome(offset, None))

    def abandon(self, timeout_s: float) -> None:
        """This function will give up what waits; see `Transport`."""
        del timeout_s
        waiting, self._waiting = self._waiting, []
        for _, done in waiting:
            done(transport.Outcome(None, "closed_outcome_unknown"))

    def close(self) -> None:
        """This function will do nothing: what was kept stays."""

    def leak(self) -> None:
        """This function will do nothing: there is nothing to leak."""


class MemoryMeter(meter.Meter):
    """A `Meter` that delivers to a list, for the tests of whoever uses one.

    Everything but the broker is the real thing: what `record` refuses in production, it refuses
    here, and what the list holds went through the wire format.

    Attributes:
        transport: Where the events go; lets a test make deliveries fail.
    """

    def __init__(self, *, tenant: str = "test", **settings: Unpack[MeterOptions]) -> None:
        """This function will make the meter.

        Args:
            tenant: Tenant that owns every event.
            settings: The options of `Meter`.

        Raises:
            InvalidOption: An option cannot be used; its message names it.
        """
        self.transport = MemoryTransport()
        self._taken: list[RecordedEvent] = []
        self._taken_parcels = 0
        self._taking = threading.Lock()
        super().__init__("memory", tenant=tenant, way_out=lambda: self.transport, **settings)

    def events(
        self,
        *,
        customer: str | None = None,
        type: str | None = None,  # noqa: A002 - as in record
    ) -> list[RecordedEvent]:
        """This function will send what was recorded and return it all.

        Args:
            customer: Only events of this one; None for all.
            type: Only events of this type; None for all.

        Returns:
            The events; those of one customer are in the order of recording.
        """
        self.flush()
        with self._taking:
            parcels = self.transport.parcels[self._taken_parcels :]
            self._taken_parcels += len(parcels)
            for parcel in parcels:
                self._taken.extend(events_of(parcel.value, parcel.traceparents))
            return [
                event
                for event in self._taken
                if customer in (None, event.customer) and type in (None, event.type)
            ]

    def total(self, customer: str, type: str) -> Decimal:  # noqa: A002 - as in record
        """This function will add up quantities; an id that came twice counts once.

        Args:
            customer: Whose.
            type: Of which event type.

        Returns:
            The sum, 0 when there is nothing.
        """
        found = {event.id: event.quantity for event in self.events(customer=customer, type=type)}
        return sum(found.values(), Decimal(0))

    def assert_recorded(
        self,
        *,
        customer: str,
        type: str,  # noqa: A002 - as in record
        quantity: int | Decimal | str | None = None,
        dimensions: Mapping[str, str] | None = None,
        times: int = 1,
    ) -> None:
        """This function will fail a test unless there are such events.

        Args:
            customer: Whose.
            type: Of which event type.
            quantity: How much each; None for any.
            dimensions: Dimensions that each has, among others; None for any.
            times: How many such events there are.

        Raises:
            AssertionError: There are more or fewer; the message lists what was recorded.
        """
        wanted = None if quantity is None else Decimal(quantity)
        found = [
            event
            for event in self.events(customer=customer, type=type)
            if wanted in (None, event.quantity)
            and (dimensions or {}).items() <= event.dimensions.items()
        ]
        if len(found) != times:
            listed = "".join(f"\n  {event}" for event in self.events()) or " nothing"
            raise AssertionError(
                f"{len(found)} events instead of {times} of {customer} and {type} with quantity"
                f" {quantity} and dimensions {dimensions}; recorded was:{listed}"
            )

    def clear(self) -> None:
        """This function will forget what was recorded so far."""
        self.events()
        with self._taking:
            self._taken.clear()
