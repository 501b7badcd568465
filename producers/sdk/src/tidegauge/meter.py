"""The `Meter`: record what was used, and know that it arrived."""

import atexit
import os
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, Final, Self

from tidegauge import buffer, errors, flusher, intake, limits, options, report, transport

_MS: Final = 1_000
_open_meters: Final[set["Meter"]] = set()


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Meter:
    """Reports usage events of one tenant to Kafka; safe to share between threads.

    `record` puts an event into memory and returns; one daemon thread makes batches and hands
    them to an idempotent producer. An event is safe when it is acknowledged, that is when all
    in-sync replicas have it; a crash of the process before that loses it. An event of a failed
    batch may or may not have arrived: record it again with the same id, it is counted once.

    Making a meter does not wait for Kafka. It belongs to the process that made it: after a
    fork, the child makes its own.

    Args:
        bootstrap: `host:port` of some brokers, separated by commas.
        tenant: Tenant that owns every event, 1 to 200 characters.
        source: Where ids that are not UUIDs are unique, for example the service's name; up to
            200 characters, may be empty.
        topic: The topic to write; it must exist, its partition count must never change.
        linger_ms: How long an event waits for company, 0 to 50 ms.
        batch_events_max: Events of one batch, 1 to 500.
        batch_bytes_max: Bytes of one encoded batch, 32 KiB to 256 KiB.
        buffer_events_max: Events recorded and not settled, 1 to 10,000,000.
        block_ms: How long `record` may wait for room in a full buffer, 0 ms to one day.
        delivery_timeout_ms: From hand-over of a batch to its outcome, 1 s to one day.
        on_delivery: Called with the outcome of every batch, in the flush thread: be quick, and
            do not wait there for this meter. What it raises is logged and counted.
        backfill: Asks for the right to report events older than the horizon.
        kafka_config: More librdkafka settings, for example for security.
        clock: Says the time of events that come without one; it must be aware.
        way_out: Another transport than Kafka, for tests; then bootstrap is not used.

    Raises:
        InvalidOption: An option cannot be used; its message names it.
    """

    def __init__(  # noqa: PLR0913 - all but the first two are options with defaults
        self,
        bootstrap: str,
        *,
        tenant: str,
        source: str = "",
        topic: str = "usage.events",
        linger_ms: int = limits.LINGER_MS_MAX,
        batch_events_max: int = limits.BATCH_EVENTS_MAX,
        batch_bytes_max: int = limits.BATCH_BYTES_MAX,
        buffer_events_max: int = limits.BUFFER_EVENTS_MAX,
        block_ms: int = 0,
        delivery_timeout_ms: int = limits.DELIVERY_TIMEOUT_MS,
        on_delivery: Callable[[report.Delivery], None] | None = None,
        backfill: bool = False,
        kafka_config: Mapping[str, Any] | None = None,
        clock: Callable[[], datetime] = _utc_now,
        way_out: transport.Transport | None = None,
    ) -> None:
        options.check_texts(tenant=tenant, source=source, topic=topic)
        options.check_clock(clock)
        options.check_numbers(
            linger_ms=linger_ms,
            batch_events_max=batch_events_max,
            batch_bytes_max=batch_bytes_max,
            buffer_events_max=buffer_events_max,
            block_ms=block_ms,
            delivery_timeout_ms=delivery_timeout_ms,
        )
        settings = flusher.FlushSettings(
            tenant=tenant,
            source=source,
            producer_id=os.urandom(16),
            backfill=backfill,
            linger_s=linger_ms / _MS,
            batch_events_max=batch_events_max,
            batch_bytes_max=batch_bytes_max,
            on_delivery=on_delivery,
            clock=clock,
        )
        if way_out is None:
            way_out = transport.KafkaTransport(
                bootstrap=bootstrap,
                topic=topic,
                batch_bytes_max=batch_bytes_max,
                buffer_events_max=buffer_events_max,
                delivery_timeout_ms=delivery_timeout_ms,
                settings=kafka_config or {},
            )
        self._intake = intake.Intake(source=source, clock=clock)
        wake_at = min(batch_events_max, buffer_events_max)
        self._buffer = buffer.Buffer(
            events_max=buffer_events_max, wake_at=wake_at, block_s=block_ms / _MS
        )
        self._flusher = flusher.Flusher(settings, self._buffer, way_out)
        self._is_forked = False
        self._close_lock = threading.RLock()
        self._close_result: int | None = None
        self._thread = threading.Thread(
            target=self._flusher.run, name="tidegauge-flush", daemon=True
        )
        self._thread.start()
        _open_meters.add(self)

    def record(
        self,
        *,
        customer: str,
        type: str,  # noqa: A002 - the public name of the field, as on the wire
        quantity: int | Decimal | str,
        occurred_at: datetime | None = None,
        dimensions: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        id: str | None = None,  # noqa: A002 - the public name of the field, as on the wire
    ) -> str:
        """This function will record one event; it blocks only while the buffer is full.

        Returning means the event is in memory, not that it is stored: see `flush` and
        `on_delivery` for that. Recording an event again with the same id, customer and payload
        is safe; the same id with another payload is a conflict that the fold reports.

        Args:
            customer: Who used it, 1 to 200 characters.
            type: The event type of the catalogue, 1 to 200 characters.
            quantity: How much, exact: from 0 to below 10^14 with at most 9 decimal places.
            occurred_at: When, as an aware datetime; None for now.
            dimensions: What may be grouped by: at most 32, values up to 256 characters.
            properties: What people may want to see: at most 32, values up to 1,024 characters.
            id: Names the event for ever, 1 to 200 characters; None for a new UUIDv7.

        Returns:
            The id.

        Raises:
            InvalidEvent: Something is wrong with the event; nothing was recorded.
            BufferFull: No room within `block_ms`; nothing was recorded.
            MeterClosed: The meter was closed, or this process is a fork.
            MeterStopped: The meter cannot go on; restart the process as the message says.
        """
        try:
            row = self._intake.row(
                customer, type, quantity, occurred_at, dimensions, properties, id
            )
        except errors.InvalidEvent:
            self._buffer.refuse()
            raise
        self._buffer.put(row)
        return row[0]

    def flush(self, timeout: float = limits.CLOSE_S) -> int:
        """This function will send everything now and wait for the outcomes.

        Args:
            timeout: How long to wait, in seconds.

        Returns:
            Events that are not acknowledged: still pending, or failed during this call. 0 means
            that everything recorded before the call was acknowledged, or failed before it.

        Raises:
            MeterClosed: This process is a fork.
            MeterStopped: The meter cannot go on.
        """
        if self._is_forked:
            raise errors.MeterClosed("meter_forked")
        if threading.current_thread() is self._thread:
            return self._buffer.counters().pending
        left = self._buffer.flush(timeout)
        refusal = self._buffer.refusal()
        error = None if refusal is None else refusal()
        if isinstance(error, errors.MeterStopped):
            raise error
        return left

    @property
    def counters(self) -> report.Counters:
        """This function will return the totals as of now."""
        return self._buffer.counters()

    def close(self, timeout: float = limits.CLOSE_S) -> int:
        """This function will flush, give up what is left when the time is over, and end.

        What is given up is failed, told to `on_delivery` and counted. Calling it again does
        nothing. At interpreter exit, meters that are open are closed.

        Args:
            timeout: How long to wait for outcomes, in seconds; ending takes up to 2 s more.

        Returns:
            Events that were recorded and neither acknowledged nor failed before this call, and
            that were not acknowledged in it; the same number when called again.

        Raises:
            TidegaugeError: It was called by `on_delivery`.
        """
        if self._is_forked:
            return 0
        if threading.current_thread() is self._thread:
            raise errors.TidegaugeError("close_in_callback")
        with self._close_lock:
            if self._close_result is None:
                failed_before = self.counters.failed
                # First no more rows, then the end: the thread ends when nothing is pending.
                self._buffer.refuse_from_now(lambda: errors.MeterClosed("meter_closed"))
                self._flusher.close_by(time.monotonic() + timeout)
                self._thread.join(timeout + limits.TOPIC_LOOKUP_S + limits.ABANDON_S)
                after = self.counters
                self._close_result = after.failed - failed_before + after.pending
                _open_meters.discard(self)
            return self._close_result

    def __enter__(self) -> Self:
        """This function will return the meter."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """This function will close the meter, also when the block raised."""
        self.close()

    def _cut_off(self) -> None:
        """This function will make a forked child's copy refuse, and touch nothing else."""
        self._is_forked = True
        self._buffer.cut_off_after_fork(lambda: errors.MeterClosed("meter_forked"))
        self._flusher.transport.leak()


def _close_all() -> None:
    for meter in tuple(_open_meters):
        meter.close()


def _cut_off_all() -> None:
    for meter in tuple(_open_meters):
        meter._cut_off()  # noqa: SLF001 - the one caller outside the class, in its own module
    _open_meters.clear()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_cut_off_all)
