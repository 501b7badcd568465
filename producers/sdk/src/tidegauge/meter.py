"""The `Meter`: record what was used, and know that it arrived."""

import atexit
import functools
import os
import ssl
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, Final, Self, Unpack

from tidegauge import (
    engine,
    errors,
    http_transport,
    kafka_transport,
    limits,
    options,
    rare_log,
    report,
    transport,
)
from tidegauge.arguments import EventArguments, MeterOptions
from tidegauge.spool.options import Spool
from tidegauge.wire import batch
from tidegauge.wire.batch import ROW_ID, ROW_KEY, EventRow

_MS: Final = 1_000
_open_meters: Final[set["Meter"]] = set()


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Meter:
    """Reports usage events of one tenant to Kafka; safe to share between threads.

    `record` puts an event into memory, with `spool` onto the disk first, and returns; one daemon
    thread makes batches and hands them to an idempotent producer. An event is safe when it is
    acknowledged, that is when all in-sync replicas have it. Without a spool, a crash of the
    process before that loses it, and an event of a failed batch may or may not have arrived:
    record it again with the same id, it is counted once. With a spool, it is sent until it is
    acknowledged, by this process or the next.

    Making a meter does not wait for Kafka. In a forked child (gunicorn, celery), the first
    `record` makes the meter anew with the same options: own connection, own thread, own ids. What
    the parent recorded stays the parent's.

    Args:
        bootstrap: `host:port` of some brokers, separated by commas.
        tenant: Tenant that owns every event, 1 to 200 characters.
        source: Where ids that are not UUIDs are unique, for example the service's name; up to
            200 characters, may be empty.
        topic: The topic to write; it must exist, its partition count must never change.
        linger_ms: How long an event waits for company, 0 to 50 ms.
        batch_events_max: Events of one batch, 1 to 500.
        batch_bytes_max: Bytes of one encoded batch, 32 KiB to 256 KiB.
        buffer_events_max: Unsettled events in memory, 1 to 10,000,000.
        block_ms: How long `record` may wait for room in a full buffer or, with the policy
            "block", a full spool; 0 ms to one day.
        delivery_timeout_ms: From hand-over of a batch to its outcome, 1 s to one day.
        on_delivery: Called with the outcome of every batch, in the flush thread: be quick, and
            do not wait there for this meter. What it raises is logged and counted.
        on_drop: Called when a spool lets go of events, in whatever thread found out.
        backfill: Asks for the right to report events older than the horizon.
        schema_id: Id of UsageBatch in the log's schema registry; another than 1 only where the
            log uses an external one.
        spool: A folder of its own, or a `Spool` with options; None keeps events in memory only.
        safe: `record` and `flush` never raise: they log (each code once a minute), count, and
            return `""`, and what is pending. Making a meter still raises.
        traceparent: Says the current W3C traceparent, or None, for events that come without one.
        kafka_config: More librdkafka settings, for example for security.
        clock: Says the time of events that come without one; it must be aware.
        way_out: Makes another transport than Kafka; then bootstrap, topic, delivery_timeout_ms
            and kafka_config are not used.

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
        on_drop: Callable[[report.Drop], None] | None = None,
        backfill: bool = False,
        schema_id: int = batch.SCHEMA_ID,
        spool: Spool | str | os.PathLike[str] | None = None,
        safe: bool = False,
        traceparent: Callable[[], str | None] | None = None,
        kafka_config: Mapping[str, Any] | None = None,
        clock: Callable[[], datetime] = _utc_now,
        way_out: Callable[[], transport.Transport] | None = None,
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
            schema_id=schema_id,
        )
        self.plan = engine.Plan(
            tenant=tenant,
            source=source,
            backfill=backfill,
            schema_id=schema_id,
            linger_s=linger_ms / _MS,
            batch_events_max=batch_events_max,
            batch_bytes_max=batch_bytes_max,
            buffer_events_max=buffer_events_max,
            block_s=block_ms / _MS,
            on_delivery=on_delivery,
            on_drop=on_drop,
            clock=clock,
            spool=spool if spool is None or isinstance(spool, Spool) else Spool(spool),
            traceparent=traceparent,
            connect=way_out
            or functools.partial(
                kafka_transport.KafkaTransport,
                bootstrap=bootstrap,
                topic=topic,
                batch_bytes_max=batch_bytes_max,
                buffer_events_max=buffer_events_max,
                delivery_timeout_ms=delivery_timeout_ms,
                settings=kafka_config or {},
            ),
        )
        self._is_safe = safe
        self._refusals = rare_log.RareLog()
        self._close_result: int | None = None
        self._open()

    @classmethod
    def over_http(
        cls,
        url: str,
        *,
        api_key: str,
        tenant: str,
        gzip: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        **settings: Unpack[MeterOptions],
    ) -> Self:
        """This function will make a meter that posts its batches to a gateway.

        The bytes are the same as on Kafka, and so are the promises: an event is acknowledged when
        the gateway answered 202, which it does when all in-sync replicas have it. One connection
        is kept open; a batch that meets a gateway that is away, busy (503) or too busy for us
        (429) is sent again with the same bytes until `delivery_timeout_ms` is over.

        Args:
            url: Of the gateway, for example `https://usage.example.com`; a path goes in front.
            api_key: Speaks for the tenant.
            tenant: The tenant of that key; batches of another one are refused.
            gzip: Whether batches are compressed: about a third of the bytes for 3 µs per event.
            ssl_context: How to check the gateway's certificate; None as the system does.
            settings: The other options of `Meter`.

        Returns:
            The meter.

        Raises:
            InvalidOption: An option cannot be used; its message names it.
        """
        timeout_ms = settings.get("delivery_timeout_ms", limits.DELIVERY_TIMEOUT_MS)
        options.check_numbers(delivery_timeout_ms=timeout_ms)
        address = http_transport.address_of(url)
        options.check_texts(api_key=api_key)

        def connect() -> transport.Transport:
            return http_transport.HttpTransport(
                address=address,
                api_key=api_key,
                delivery_timeout_s=timeout_ms / _MS,
                gzip=gzip,
                ssl_context=ssl_context,
            )

        return cls(url, tenant=tenant, way_out=connect, **settings)

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
        traceparent: str | None = None,
    ) -> str:
        """This function will record one event; it blocks at most `block_ms`, for want of room.

        Returning means the event is in memory, or with a spool on disk, not that it arrived: see
        `flush` and `on_delivery` for that. Recording an event again with the same id, customer
        and payload is safe; the same id with another payload is a conflict that the fold reports.

        Args:
            customer: Who used it, 1 to 200 characters.
            type: The event type of the catalogue, 1 to 200 characters.
            quantity: How much, exact: from 0 to below 10^14 with at most 9 decimal places.
            occurred_at: When, as an aware datetime; None for now.
            dimensions: What may be grouped by: at most 32, values up to 256 characters.
            properties: What people may want to see: at most 32, values up to 1,024 characters.
            id: Names the event for ever, 1 to 200 characters; None for a new UUIDv7.
            traceparent: Of the W3C, to travel with the batch; None asks the meter's provider.

        Returns:
            The id; `""` when the event was not recorded, in safe mode or by a spool's policy.

        Raises:
            InvalidEvent: Something is wrong with the event; nothing was recorded.
            BufferFull: No room within `block_ms`; nothing was recorded.
            SpoolFailed: The disk refused; the code says whether the event was recorded.
            MeterClosed: The meter was closed.
            MeterStopped: The meter cannot go on; restart the process as the message says.
        """
        try:
            row, payload = self._row_and_payload(
                customer, type, quantity, occurred_at, dimensions, properties, id
            )
            if traceparent is None and self._is_untraced:
                return row[0] if self._put(row, payload) else ""
            return self._put_traced(row, payload, traceparent)
        except Exception as error:  # noqa: BLE001 - in safe mode nothing goes through
            if self._is_forked:
                return self._record_in_child(
                    error,
                    customer=customer,
                    type=type,
                    quantity=quantity,
                    occurred_at=occurred_at,
                    dimensions=dimensions,
                    properties=properties,
                    id=id,
                    traceparent=traceparent,
                )
            return self.refuse(error)

    def record_without_waiting(self, **event: Unpack[EventArguments]) -> str:
        """This function will record one event or raise at once, also in safe mode.

        It is for whoever waits in another way than by blocking a thread, as `AsyncMeter` does.
        What it raises is not counted; `refuse` does that.

        Args:
            event: All arguments of `record`.

        Returns:
            As `record`.

        Raises:
            TidegaugeError: As `record`; BufferFull when there is no room now.
        """
        if self._is_forked:
            self._open_in_child()
        row, payload = self._row_and_payload(
            event["customer"],
            event["type"],
            event["quantity"],
            event["occurred_at"],
            event["dimensions"],
            event["properties"],
            event["id"],
        )
        return self._put_traced(row, payload, event["traceparent"], may_wait=False)

    def refuse(self, error: Exception) -> str:
        """This function will count an event that was not recorded, and raise or log the reason.

        Args:
            error: The reason.

        Returns:
            `""`, in safe mode.

        Raises:
            Exception: The error itself, unless in safe mode.
        """
        self._engine.buffer.refuse()
        if not self._is_safe:
            raise error
        self._refusals.error(error)
        return ""

    def flush(self, timeout: float = limits.CLOSE_S) -> int:
        """This function will send everything now and wait for the outcomes.

        Args:
            timeout: How long to wait, in seconds.

        Returns:
            Events that are not acknowledged: still pending, or failed during this call. 0 means
            that everything recorded before the call was acknowledged, or failed before it.

        Raises:
            MeterStopped: The meter cannot go on.
        """
        if self._is_forked:
            return 0
        if threading.current_thread() is self._engine.thread:
            return self.counters.pending
        left = self._engine.buffer.flush(timeout)
        refusal = self._engine.buffer.refusal()
        error = refusal() if refusal is not None else None
        if isinstance(error, errors.MeterStopped) and not self._is_safe:
            raise error
        return left

    @property
    def counters(self) -> report.Counters:
        """Totals since the meter was made in this process, all as of one moment."""
        if self._is_forked:
            return report.Counters(0, 0, 0, 0, 0, 0, 0, 0)
        return self._engine.buffer.counters()

    def close(self, timeout: float = limits.CLOSE_S) -> int:
        """This function will flush, give up what is left when the time is over, and end.

        What is given up is failed, told to `on_delivery` and counted; with a spool it stays on
        disk for the next meter and is still pending. Calling it again does nothing. At
        interpreter exit, meters that are open are closed.

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
        if threading.current_thread() is self._engine.thread:
            raise errors.TidegaugeError("close_in_callback")
        with self._close_lock:
            if self._close_result is None:
                # First no more rows, then the end: the thread ends when nothing is pending.
                self._engine.buffer.refuse_from_now(lambda: errors.MeterClosed("meter_closed"))
                self._close_result = self._engine.end(timeout)
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

    # --- what record leans on ---

    def _open(self) -> None:
        self._engine = engine.Engine(self.plan)
        # Looked up once here instead of with every event.
        self._row_and_payload = self._engine.intake.row_and_payload
        self._put = self._engine.buffer.put
        self._is_untraced = self.plan.traceparent is None
        self._is_forked = False
        self._close_lock = threading.RLock()
        self._close_result = None
        _open_meters.add(self)

    def _put_traced(
        self, row: EventRow, payload: bytes, traceparent: str | None, *, may_wait: bool = True
    ) -> str:
        key = row[ROW_KEY]
        self._engine.traces.note(key, traceparent)
        is_put = False
        try:
            is_put = self._put(row, payload, may_wait=may_wait)
        finally:
            if not is_put:
                self._engine.traces.forget(key)
        return row[ROW_ID] if is_put else ""

    # --- forks ---

    def _cut_off(self) -> None:
        """This function will make a forked child's copy inert, and touch nothing else."""
        # Locks may have been held at the fork by threads that the child does not have; of the
        # parent's engine, only what needs none is used from here on.
        self._is_forked = True
        self._fork_lock = threading.Lock()
        self._put = _refuse_in_child
        self._engine.let_go_after_fork()

    def _open_in_child(self) -> None:
        with self._fork_lock:
            if self._is_forked:
                self._open()
                _close_at_worker_exit(self)

    def _record_in_child(self, error: Exception, **event: Unpack[EventArguments]) -> str:
        """This function will make the meter anew and record what the parent's could not."""
        try:
            self._open_in_child()
        except errors.TidegaugeError as cannot_open:
            if not self._is_safe:
                raise cannot_open from error
            self._refusals.error(cannot_open)
            return ""
        return self.record(**event)


def _refuse_in_child(row: object, payload: bytes, *, may_wait: bool = True) -> bool:
    del row, payload, may_wait
    raise errors.MeterClosed("meter_closed")


def _close_at_worker_exit(meter: Meter) -> None:
    """This function will close the meter when a worker of `multiprocessing` ends.

    Such a worker leaves with os._exit, so that atexit never runs in it.
    """
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, meter.close, exitpriority=0)


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
