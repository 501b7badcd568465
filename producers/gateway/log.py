"""The way to the log: records out, offsets back, and an honest answer when the broker is silent.

Threads: the event loop hands records over; one thread polls for outcomes and wakes the loop once
for all that came together; one thread watches whether the broker is there and its topics have the
right shape.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from domain.codes import Code
from domain.errors import Fatal, Retryable
from runtime import clock, kafka
from runtime.logs import logger
from runtime.metrics import GATEWAY_UNACKNOWLEDGED
from runtime.settings import Settings
from schemas.topics import NODE_EVENTS, USAGE_EVENTS

ACKNOWLEDGE_TIMEOUT_MS = 5_000
"""How long a request waits for the broker, ms; then its sender is told that nobody
knows. Also the age at which an unacknowledged record makes the gateway refuse before it sends."""
DELIVERY_TIMEOUT_MS = 10_000
"""How long librdkafka tries, ms: it outlives its request, so that a short outage heals by itself,
and it ends, so that memory does."""
QUEUE_KIBIBYTES_MAX = 64 * 1024
"""Records that librdkafka may hold, KiB: twice the bytes of requests at work, because records of
requests that were answered "unknown" are still on their way."""
LINGER_MS = 2
"""How long a record waits for others to the same broker, ms: a fraction of its round trip."""
POLL_S = 0.1
"""Longest sleep of the polling thread, seconds; an outcome wakes it at once."""
WATCH_MS = 2_000
"""Time between two questions whether the broker is there, ms."""
SHAPE_MS = 30_000
"""Time between two looks at the topics' shape, ms; it never changes lawfully."""
REACH_TIMEOUT_S = 2
"""How long the broker may take to say that it is there, seconds."""
RETRY_AFTER_MS = 2_000
"""What a sender is told to wait while the broker is away, ms."""
TOPICS = (USAGE_EVENTS, NODE_EVENTS)
OK = "ok"
TRACEPARENT = "traceparent"
"""Name of the record header; the SDK's Kafka transport writes the same."""


class Record(NamedTuple):
    """One record on its way.

    Args:
        topic: Topic name.
        partition: Where it goes.
        key: Record key: the tenant.
        value: Framed bytes.
        traceparents: Of the W3C; each becomes a header, as the SDK writes them to Kafka.
    """

    topic: str
    partition: int
    key: bytes
    value: bytes
    traceparents: tuple[str, ...] = ()


class Log(Protocol):
    """Appends records. Appending may be repeated: readers deduplicate by the events' keys."""

    @property
    def partitions(self) -> int:
        """Return how many partitions each topic has."""

    def state(self) -> str:
        """Say "ok", or in words why nothing can be appended; never blocks."""

    async def append(self, records: Sequence[Record]) -> list[int]:
        """Append records and return the offset of each, when all in-sync replicas have all.

        Raises:
            Retryable: broker_away or not_ready, when nothing was sent; delivery_unknown, when any
                record may or may not have arrived.
        """

    def close(self) -> None:
        """Wait a little for what is on its way, then let go."""


class _Waiting:
    """The outcomes that one request waits for; written by the polling thread."""

    __slots__ = ("error", "future", "missing", "offsets", "since_ms")

    def __init__(self, future: asyncio.Future[list[int]], count: int) -> None:
        self.future = future
        self.missing = count
        self.offsets = [-1] * count
        self.error: KafkaError | None = None
        self.since_ms = clock.monotonic_ms()


class KafkaLog:
    """The log on a real broker; made inside the event loop that uses it.

    Args:
        settings: Where the broker is, and how many partitions its topics have.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._producer = self._new_producer()
        self._is_broken = False
        self._waiting: dict[int, _Waiting] = {}
        self._done: deque[_Waiting] = deque()
        self._is_woken = False
        self._state = "the broker has not answered yet"
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(target=target, name=target.__name__.strip("_"), daemon=True)
            for target in (self._poll, self._watch)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def partitions(self) -> int:
        """Return how many partitions each topic has; the shape is checked before state is ok."""
        return self._settings.partitions

    def state(self) -> str:
        """Say "ok", or in words why nothing can be appended; never blocks."""
        return "the broker does not acknowledge" if self._is_stalled() else self._state

    async def append(self, records: Sequence[Record]) -> list[int]:
        """Append records; see Log."""
        self._refuse_when_away()
        waiting = _Waiting(self._loop.create_future(), len(records))
        self._waiting[id(waiting)] = waiting
        GATEWAY_UNACKNOWLEDGED.set(len(self._waiting))
        for number, record in enumerate(records):
            self._send(waiting, number, record)
        try:
            async with asyncio.timeout(ACKNOWLEDGE_TIMEOUT_MS / 1000):
                # Shielded: the outcome is wanted also when its request has gone, to end the stall.
                return await asyncio.shield(waiting.future)
        except TimeoutError as error:
            logger().warning("gateway.acknowledgement_late", records=len(records))
            raise unknown_delivery() from error

    def _refuse_when_away(self) -> None:
        if self._is_stalled():
            raise away("the log does not acknowledge records")
        if self._state != OK:
            raise Retryable(
                Code.NOT_READY,
                "The log is not ready; nothing was taken",
                retry_after_ms=RETRY_AFTER_MS,
            )

    def _is_stalled(self) -> bool:
        """Say whether the oldest record on its way is older than a request may wait."""
        oldest = next(iter(self._waiting.values()), None)
        return (
            oldest is not None and clock.monotonic_ms() - oldest.since_ms > ACKNOWLEDGE_TIMEOUT_MS
        )

    def _send(self, waiting: _Waiting, number: int, record: Record) -> None:
        try:
            self._producer.produce(
                record.topic,
                record.value,
                record.key,
                partition=record.partition,
                headers=[(TRACEPARENT, trace.encode()) for trace in record.traceparents],
                on_delivery=partial(self._on_delivery, waiting, number),
            )
        except BufferError as error:
            self._unsent(waiting, number, away("the queue is full"), error)
        except KafkaException as error:
            self._is_broken = self._is_broken or error.args[0].fatal()
            self._unsent(waiting, number, away(str(error)), error)

    def _unsent(
        self, waiting: _Waiting, number: int, nothing_sent: Retryable, cause: Exception
    ) -> None:
        """Raise: nothing was sent when it was the first record, else the outcome is unknown."""
        del self._waiting[id(waiting)]
        waiting.future.cancel()
        raise (nothing_sent if number == 0 else unknown_delivery()) from cause

    def _on_delivery(
        self, waiting: _Waiting, number: int, error: KafkaError | None, message: Message
    ) -> None:
        """Note an outcome (in the polling thread)."""
        if error is None:
            waiting.offsets[number] = kafka.offset_of(message)
        else:
            waiting.error = error
            self._is_broken = self._is_broken or error.fatal()
        waiting.missing -= 1
        if waiting.missing:
            return
        self._done.append(waiting)
        if not self._is_woken:
            self._is_woken = True
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        """Give their outcomes to the requests that wait (in the event loop)."""
        # First, so that an outcome that comes meanwhile wakes the loop again.
        self._is_woken = False
        while self._done:
            waiting = self._done.popleft()
            self._waiting.pop(id(waiting), None)
            if waiting.future.done():
                continue
            if waiting.error is None:
                waiting.future.set_result(waiting.offsets)
            else:
                logger().warning("gateway.delivery_failed", reason=str(waiting.error))
                waiting.future.set_exception(unknown_delivery())
                waiting.future.exception()  # asked for: its request may have gone
        GATEWAY_UNACKNOWLEDGED.set(len(self._waiting))

    def _poll(self) -> None:
        while not self._ending.is_set():
            self._producer.poll(POLL_S)
            if self._is_broken:
                self._replace_producer()

    def _replace_producer(self) -> None:
        """Make a new producer: a fatal error ends an idempotent one for good."""
        broken, self._producer = self._producer, self._new_producer()
        self._is_broken = False
        logger().error("gateway.producer_replaced")
        broken.purge()
        broken.flush(1)  # serves the outcomes of what was purged

    def _watch(self) -> None:
        checked_ms = 0
        while not self._ending.is_set():
            try:
                self._producer.list_topics(timeout=REACH_TIMEOUT_S)
                if self._state != OK or clock.monotonic_ms() - checked_ms > SHAPE_MS:
                    kafka.check_topics(self._settings, TOPICS)
                    checked_ms = clock.monotonic_ms()
                state = OK
            except KafkaException:
                state = "the broker does not answer"
            except Retryable as error:
                state = error.reason
            except Fatal as error:
                state = f"{error.reason}. {error.next_step}"
            if state != self._state:
                logger().warning("gateway.log", state=state)
                self._state = state
            self._ending.wait(WATCH_MS / 1000 if state == OK else 0.25)

    def _new_producer(self) -> Producer:
        return kafka.new_producer(
            self._settings,
            **{
                "linger.ms": LINGER_MS,
                "delivery.timeout.ms": DELIVERY_TIMEOUT_MS,
                "queue.buffering.max.kbytes": QUEUE_KIBIBYTES_MAX,
            },
        )

    def close(self) -> None:
        """Wait a little for what is on its way, then let go."""
        self._ending.set()
        for thread in self._threads:
            thread.join(REACH_TIMEOUT_S)
        self._producer.flush(1)


def away(reason: str) -> Retryable:
    """This function will say that the broker is away and nothing was sent."""
    return Retryable(Code.BROKER_AWAY, reason, retry_after_ms=RETRY_AFTER_MS)


def unknown_delivery() -> Retryable:
    """This function will say that records may or may not have arrived."""
    return Retryable(
        Code.DELIVERY_UNKNOWN,
        "The log did not acknowledge in time: the events may or may not have arrived. Send the "
        "same events again; an id counts once",
        retry_after_ms=RETRY_AFTER_MS,
    )
