"""Appending to node.events: blocking for policies, awaited for servers; acknowledged in both ways.

Appending may be repeated: the newest report of a node counts, and a settlement twice is one.
"""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from confluent_kafka import KafkaException, Producer

from domain.codes import Code
from domain.errors import Rejected, Retryable
from domain.routing import partition_of
from runtime.appending import Append, Appender
from runtime.kafka import broker_away, new_producer, offset_of
from runtime.logs import logger
from schemas.node_wire import to_wire_emergence_settled
from schemas.topics import NODE_EVENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from confluent_kafka import KafkaError, Message

    from domain.emergence.records import DetectionSettled
    from runtime.settings import Settings

UNACKNOWLEDGED_MAX = 2_000
"""Reports of requests that wait for the broker at once: twice the 1,000 concurrent checks that the
requirements name. At the largest body they would be 500 MB, at an ordinary one 2 MB."""
ACKNOWLEDGE_TIMEOUT_S = 5
"""How long a request waits for the broker, seconds; then its caller is told that nobody knows."""
DELIVERY_TIMEOUT_MS = 10_000
"""How long librdkafka tries, ms: it outlives its request; a short outage heals by itself."""
POLL_S = 0.1
"""Longest sleep of the polling thread, seconds; an outcome wakes it at once."""
RETRY_AFTER_MS = 1_000


class NodeEvent(NamedTuple):
    """One record of node.events, ready to append.

    Args:
        tenant: Tenant, which is the record's key.
        project: Project whose partition it goes to; empty for nodes that name none.
        value: Framed bytes.
    """

    tenant: str
    project: str
    value: bytes


def settlement_event(settled: DetectionSettled) -> NodeEvent:
    """This function will make the event that tells a project what became of a detection."""
    return NodeEvent(settled.tenant, settled.project, to_wire_emergence_settled(settled))


def partition_of_project(tenant: str, project: str, *, partitions: int) -> int:
    """This function will return the partition of a project's records."""
    return partition_of(tenant, project, partitions=partitions)


class NodeEventSender:
    """Appends node events and blocks until the broker has them.

    Args:
        settings: Where the broker is, and how many partitions its topics have.
    """

    def __init__(self, settings: Settings) -> None:
        self._partitions = settings.partitions
        self._log = Appender(settings)

    def send_all(self, events: Sequence[NodeEvent]) -> list[int]:
        """Append events in their order and return the offset of each.

        Raises:
            Rejected: oversized, before anything is sent.
            Retryable: broker_away, when some of them may not have arrived; send all again.
        """
        records = [to_append(event, partitions=self._partitions) for event in events]
        return self._log.append(NODE_EVENTS.name, records)


def to_append(event: NodeEvent, *, partitions: int) -> Append:
    """This function will say where an event goes (Rejected oversized, for one too large)."""
    if len(event.value) > NODE_EVENTS.message_bytes_max:
        raise Rejected(
            Code.OVERSIZED,
            f"the node event has {len(event.value)} bytes, at most "
            f"{NODE_EVENTS.message_bytes_max} are taken",
        )
    partition = partition_of_project(event.tenant, event.project, partitions=partitions)
    return Append(partition, event.tenant.encode(), event.value)


class NodeEventLog:
    """Appends node events for an event loop: no thread waits for the broker but one.

    Args:
        settings: Where the broker is, and how many partitions its topics have.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer = self._new_producer()
        self._is_broken = False
        self._unacknowledged = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="node events", daemon=True)
        self._thread.start()

    async def append(self, event: NodeEvent) -> int:
        """Append one event and return its offset, when all in-sync replicas have it.

        Raises:
            Rejected: oversized.
            Retryable: overloaded or broker_away, when nothing was sent; delivery_unknown, when it
                may or may not have arrived.
        """
        record = to_append(event, partitions=self._settings.partitions)
        if self._unacknowledged >= UNACKNOWLEDGED_MAX:
            raise Retryable(
                Code.OVERLOADED, "too many reports wait for the log", retry_after_ms=RETRY_AFTER_MS
            )
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[int] = loop.create_future()
        self._unacknowledged += 1
        outcome.add_done_callback(self._forget)
        try:
            self._producer.produce(
                NODE_EVENTS.name,
                record.value,
                record.key,
                partition=record.partition,
                on_delivery=partial(self._on_delivery, loop, outcome),
            )
        except (KafkaException, BufferError) as error:
            self._is_broken = isinstance(error, KafkaException) and error.args[0].fatal()
            outcome.cancel()
            raise broker_away(error) from error
        try:
            async with asyncio.timeout(ACKNOWLEDGE_TIMEOUT_S):
                return await asyncio.shield(outcome)
        except TimeoutError as error:
            raise _unknown("no acknowledgement in time") from error

    def _forget(self, outcome: asyncio.Future[int]) -> None:
        self._unacknowledged -= 1
        if not outcome.cancelled():
            outcome.exception()  # asked for: its request may have gone

    def _on_delivery(
        self,
        loop: asyncio.AbstractEventLoop,
        outcome: asyncio.Future[int],
        error: KafkaError | None,
        message: Message,
    ) -> None:
        """Pass an outcome to its request (in the polling thread)."""
        if error is not None:
            self._is_broken = self._is_broken or error.fatal()
        try:
            loop.call_soon_threadsafe(_settle, outcome, error, offset_of(message))
        except RuntimeError:  # the loop has ended, and its requests with it
            logger().info("node_events.loop_ended")

    def _poll(self) -> None:
        while not self._ending.is_set():
            self._producer.poll(POLL_S)
            if self._is_broken:
                # A fatal error ends an idempotent producer for good.
                broken, self._producer = self._producer, self._new_producer()
                self._is_broken = False
                logger().error("node_events.producer_replaced")
                broken.purge()
                broken.flush(1)  # serves the outcomes of what was purged

    def _new_producer(self) -> Producer:
        return new_producer(self._settings, **{"delivery.timeout.ms": DELIVERY_TIMEOUT_MS})

    def close(self) -> None:
        """Wait a little for what is on its way, then let go."""
        self._ending.set()
        self._thread.join(1)
        self._producer.flush(1)


def _settle(outcome: asyncio.Future[int], error: KafkaError | None, offset: int) -> None:
    if outcome.done():
        return
    if error is None:
        outcome.set_result(offset)
    else:
        outcome.set_exception(_unknown(str(error)))


def _unknown(reason: str) -> Retryable:
    return Retryable(
        Code.DELIVERY_UNKNOWN,
        f"The log did not acknowledge ({reason}): the report may or may not have arrived. Send it "
        "again; it counts once",
        retry_after_ms=RETRY_AFTER_MS,
    )
