"""The flush thread: closes batches, encodes them, hands them over, and settles their outcomes."""

import functools
import logging
import threading
import time
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tidegauge import buffer, errors, intake, limits, report, transport
from tidegauge.wire import batch, partition
from tidegauge.wire.batch import EventRow

_log: Final = logging.getLogger("tidegauge")

_NOT_SENT: Final = -1
"""Partition and sequence of events that never became a batch."""


@dataclass(frozen=True, slots=True)
class FlushSettings:
    """What the flush thread needs to know; see `Meter` for the meaning of each.

    Attributes:
        tenant: Tenant of every event.
        source: Where foreign ids are unique.
        producer_id: Random id of the meter, 16 bytes.
        backfill: Whether the right to report old events is asked for.
        schema_id: Id in the frames.
        linger_s: How long an event waits for company, in seconds.
        batch_events_max: Events of one batch, at most.
        batch_bytes_max: Bytes of one encoded batch, at most.
        on_delivery: Called with every outcome, or None.
        clock: The time for `sent_at_ms`, for diagnosis only.
    """

    tenant: str
    source: str
    producer_id: bytes
    backfill: bool
    schema_id: int
    linger_s: float
    batch_events_max: int
    batch_bytes_max: int
    on_delivery: Callable[[report.Delivery], None] | None
    clock: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class _Flight:
    """A batch that was handed over and has no outcome yet.

    Its ids are there only if somebody wants them, its rows only if it may be sent again.
    """

    segment: int
    partition: int
    events: int
    ids: tuple[str, ...]
    rows: Sequence[EventRow]
    tries: int


@dataclass(frozen=True, slots=True)
class _Retry:
    """A batch that failed and is still in the spool; it goes out again when it is due."""

    due_s: float
    segment: int
    partition: int
    rows: Sequence[EventRow]
    tries: int


class Flusher:
    """Owns the rows once they are taken; everything but `close_by` runs in the flush thread."""

    def __init__(
        self,
        settings: FlushSettings,
        events: buffer.Buffer,
        way_out: transport.Transport,
        traces: MutableMapping[bytes, str],
    ) -> None:
        """This function will prepare the thread's state.

        Args:
            settings: What `Meter` was told.
            events: Where rows come from and outcomes are counted.
            way_out: Where batches go.
            traces: Traceparents by the key of the event; used up as events leave.
        """
        self.transport = way_out
        self._settings = settings
        self._buffer = events
        self._key = settings.tenant.encode()
        self._closing = threading.Event()
        self._close_by_s = 0.0
        self._stop_code: str | None = None
        self._traces = traces
        self._held: list[buffer.Chunk] = []
        self._oldest_s: float | None = None
        self._lots: list[list[EventRow]] = []
        self._segment = 0
        """Where all rows in the lots lie: a segment can be deleted when its batches are settled,
        so no batch has rows of two."""
        self._retries: list[_Retry] = []
        self._partitions: dict[str, int] = {}
        self._checked_at_s: float | None = None
        self._has_warned = False
        self._sequence = 0
        self._flights: dict[int, _Flight] = {}

    def close_by(self, deadline_s: float) -> None:
        """This function will tell the thread, from another one, to finish.

        Args:
            deadline_s: Monotonic time at which it gives up what is left.
        """
        self._close_by_s = deadline_s
        self._closing.set()

    def run(self) -> None:
        """This function will be the flush thread, until closed."""
        try:
            while not self._is_over():
                self._turn()
            self._wind_up()
        except BaseException:  # noqa: BLE001 - whatever ends the thread, callers must learn of it
            _log.exception("tidegauge.flush_thread_died")
            self._stop(errors.MeterStopped("flush_thread_died"))
            self._fail_what_is_left("flush_thread_died", "flush_thread_died")
        finally:
            self.transport.close()

    # --- one turn ---

    def _is_over(self) -> bool:
        if not self._closing.is_set():
            return False
        if self._stop_code is not None and self._buffer.keeps_events and not self._flights:
            return True  # what is left stays in the spool; nothing more will become of it here
        is_late = time.monotonic() >= self._close_by_s
        return is_late or self._buffer.counters().pending == 0

    def _turn(self) -> None:
        """This function will do one round of the thread's work.

        1. Take what was recorded.
        2. Learn or check the partition count; without it, rows are held.
        3. Spread the rows over lots by partition; full lots go out.
        4. When the oldest row has waited long enough, all lots go out.
        5. Batches that failed and are due go out again.
        6. Serve delivery reports, or wait for rows.
        """
        # Step 1.
        chunks, first_s = self._buffer.take()
        if chunks:
            self._held.extend(chunks)
            if self._oldest_s is None:
                self._oldest_s = first_s
        # Step 2.
        if self._stop_code is not None:
            self._fail_unsent(self._stop_code)
        elif self._held and self._has_partitions():
            # Step 3.
            self._spread()
        # Step 4.
        if self._lots and self._is_due():
            self._send_lots()
        # Step 5.
        if self._retries:
            self._send_again()
        # Step 6.
        self._wait()

    def _is_due(self) -> bool:
        if self._oldest_s is None:
            return False
        is_old = time.monotonic() >= self._oldest_s + self._settings.linger_s
        return is_old or self._closing.is_set() or self._buffer.is_flush_wanted()

    def _wait(self) -> None:
        if self._flights:
            self.transport.poll(limits.TURN_S)
        elif self._held:
            self.transport.poll(limits.TOPIC_RETRY_S)
        elif self._oldest_s is not None:
            due_s = self._oldest_s + self._settings.linger_s
            self._buffer.await_rows(max(0.0, due_s - time.monotonic()))
        elif self._stop_code is not None:
            self._closing.wait()
        elif self._retries:
            # While flush is called or the meter closes, await_rows would not wait at all.
            due_s = min(retry.due_s for retry in self._retries)
            self.transport.poll(max(0.0, min(due_s - time.monotonic(), limits.TURN_S)))
        else:
            self._buffer.await_rows(self._buffer.tidy(), is_idle=True)

    # --- partitions ---

    def _has_partitions(self) -> bool:
        now_s = time.monotonic()
        is_fresh = (
            self._checked_at_s is not None
            and now_s < self._checked_at_s + limits.PARTITION_CHECK_S
        )
        if self._lots and is_fresh:
            return True
        timeout_s = limits.TOPIC_LOOKUP_S
        if self._closing.is_set():
            timeout_s = max(0.0, min(timeout_s, self._close_by_s - now_s))
        try:
            count = self.transport.partition_count(timeout_s)
        except transport.TopicUnavailable as error:
            return self._is_bearable(error)
        self._checked_at_s = time.monotonic()
        if not self._lots:
            self._lots = [[] for _ in range(count)]
        elif count != len(self._lots):
            detail = f"from {len(self._lots)} to {count}"
            self._stop(errors.MeterStopped("partition_count_changed", detail))
            self._fail_unsent("partition_count_changed")
            return False
        return True

    def _is_bearable(self, error: transport.TopicUnavailable) -> bool:
        if self._lots:
            # The count is known, and batches of a broker that is away time out by themselves.
            self._checked_at_s = time.monotonic()
            return True
        if not self._has_warned:
            self._has_warned = True
            _log.warning(
                "tidegauge.topic_unavailable reason=%s next=%s",
                error,
                "events wait in the buffer; create the topic or see whether Kafka is up",
            )
        return False

    def _spread(self) -> None:
        chunks, self._held = self._held, []
        for segment, rows in chunks:
            if segment != self._segment:
                self._send_lots()
                self._segment = segment
            self._spread_rows(rows)
            if self._oldest_s is None:
                # Sending the lots of the segment before forgot since when these rows wait.
                self._oldest_s = time.monotonic()

    def _spread_rows(self, rows: Sequence[EventRow]) -> None:
        lots = self._lots
        events_max = self._settings.batch_events_max
        for row in rows:
            customer = row[batch.ROW_CUSTOMER]
            try:
                place = self._partitions[customer]
            except KeyError:
                place = self._partition_of(customer)
            lot = lots[place]
            lot.append(row)
            if len(lot) >= events_max:
                lots[place] = []
                self._send(place, lot)

    def _partition_of(self, customer: str) -> int:
        if len(self._partitions) >= limits.CACHE_ENTRIES_MAX:
            self._partitions.clear()
        place = partition.partition_of(
            tenant=self._settings.tenant, customer=customer, partition_count=len(self._lots)
        )
        self._partitions[customer] = place
        return place

    # --- batches ---

    def _send_lots(self) -> None:
        self._oldest_s = None
        for place, lot in enumerate(self._lots):
            if lot:
                self._lots[place] = []
                self._send(place, lot)

    def _send_again(self) -> None:
        now_s = time.monotonic()
        retries, self._retries = self._retries, []
        for retry in retries:
            if retry.due_s > now_s or self._stop_code is not None:
                self._retries.append(retry)
            else:
                self._buffer.count_resent()
                self._send_run(retry.partition, retry.rows, retry.segment, retry.tries)

    def _send(self, place: int, rows: Sequence[EventRow]) -> None:
        for run in batch.cut_by_scale(rows):
            self._send_run(place, run, self._segment, 0)

    def _send_run(self, place: int, rows: Sequence[EventRow], segment: int, tries: int) -> None:
        header = batch.BatchHeader(
            tenant=self._settings.tenant,
            source=self._settings.source,
            producer_id=self._settings.producer_id,
            sequence=self._sequence,
            sent_at_ms=intake.milliseconds(self._settings.clock()),
            backfill=self._settings.backfill,
            schema_id=self._settings.schema_id,
        )
        value = batch.encode(header, rows)
        if len(value) > self._settings.batch_bytes_max and len(rows) > 1:
            middle = len(rows) // 2
            self._send_run(place, rows[:middle], segment, tries)
            self._send_run(place, rows[middle:], segment, tries)
            return
        self._sequence += 1
        parcel = transport.Parcel(
            partition=place,
            key=self._key,
            value=value,
            events=len(rows),
            producer_id=self._settings.producer_id,
            sequence=header.sequence,
            traceparents=self._traces_of(rows) if self._traces else (),
        )
        kept = rows if self._buffer.keeps_events else ()
        self._flights[header.sequence] = _Flight(
            segment, place, len(rows), self._ids(rows), kept, tries
        )
        self._hand_over(parcel)

    def _traces_of(self, rows: Sequence[EventRow]) -> tuple[str, ...]:
        found = (self._traces.pop(row[batch.ROW_KEY], None) for row in rows)
        distinct = dict.fromkeys(trace for trace in found if trace is not None)
        return tuple(distinct)[: limits.TRACES_PER_BATCH_MAX]

    def _hand_over(self, parcel: transport.Parcel) -> None:
        done = functools.partial(self._settle, parcel.sequence)
        code = self._stop_code
        while code is None:
            try:
                if self.transport.send(parcel, done):
                    self._buffer.count_batch(encoded_bytes=len(parcel.value))
                    return
            except errors.MeterStopped as error:
                self._stop(error)
                code = error.code
                break
            if self._closing.is_set() and time.monotonic() >= self._close_by_s:
                code = "closed_before_sent"
                break
            self.transport.poll(limits.TURN_S)
        self._settle(parcel.sequence, transport.Outcome(None, code))

    # --- outcomes ---

    def _settle(self, sequence: int, outcome: transport.Outcome) -> None:
        flight = self._flights.pop(sequence, None)
        if flight is None:
            return
        if outcome.error is not None and flight.rows and not outcome.is_final:
            self._keep(flight, sequence, outcome.error)
            return
        self._tell(
            report.Delivery(flight.ids, flight.partition, outcome.offset, outcome.error, sequence)
        )
        if outcome.error is None:
            self._buffer.settle(segment=flight.segment, acknowledged=flight.events)
            return
        _log.error(
            "tidegauge.batch_failed code=%s events=%d partition=%d sequence=%d",
            outcome.error,
            flight.events,
            flight.partition,
            sequence,
        )
        self._buffer.settle(segment=flight.segment, failed=flight.events)

    def _keep(self, flight: _Flight, sequence: int, code: str) -> None:
        """This function will plan the next try of a batch that is still in the spool."""
        pause_s = min(limits.RETRY_FIRST_S * 2**flight.tries, limits.RETRY_LAST_S)
        if self._closing.is_set():
            pause_s = limits.RETRY_CLOSING_S
        _log.warning(
            "tidegauge.batch_kept code=%s events=%d partition=%d sequence=%d next_try_s=%.2f",
            code,
            flight.events,
            flight.partition,
            sequence,
            pause_s,
        )
        tries = min(flight.tries + 1, limits.RETRY_TRIES_COUNTED_MAX)
        due_s = time.monotonic() + pause_s
        self._retries.append(_Retry(due_s, flight.segment, flight.partition, flight.rows, tries))

    def _tell(self, delivery: report.Delivery) -> None:
        if self._settings.on_delivery is None:
            return
        try:
            self._settings.on_delivery(delivery)
        except Exception:  # noqa: BLE001 - the host's code, whose faults must not end the thread
            self._buffer.count_callback_error()
            _log.exception("tidegauge.on_delivery_failed sequence=%d", delivery.sequence)

    def _ids(self, rows: Sequence[EventRow]) -> tuple[str, ...]:
        if self._settings.on_delivery is None:
            return ()
        return tuple(row[batch.ROW_ID] for row in rows)

    # --- the end ---

    def _stop(self, error: errors.MeterStopped) -> None:
        _log.error("tidegauge.meter_stopped code=%s detail=%s", error.code, error.detail)
        self._stop_code = error.code
        self._buffer.refuse_from_now(
            functools.partial(errors.MeterStopped, error.code, error.detail)
        )

    def _wind_up(self) -> None:
        if self._flights:
            self.transport.abandon(limits.ABANDON_S)
        self._fail_what_is_left("closed_before_sent", "closed_outcome_unknown")

    def _fail_what_is_left(self, code_unsent: str, code_in_flight: str) -> None:
        chunks, _ = self._buffer.take()
        self._held.extend(chunks)
        self._fail_unsent(code_unsent)
        for sequence in tuple(self._flights):
            self._settle(sequence, transport.Outcome(None, code_in_flight))

    def _fail_unsent(self, code: str) -> None:
        chunks = [*self._held, *((self._segment, lot) for lot in self._lots if lot)]
        self._held = []
        self._lots = [[] for _ in self._lots]
        self._oldest_s = None
        rows = [row for _, rows in chunks for row in rows]
        if not rows:
            return
        if self._buffer.keeps_events:
            _log.warning("tidegauge.events_left_in_spool code=%s events=%d", code, len(rows))
            return
        _log.error("tidegauge.events_not_sent code=%s events=%d", code, len(rows))
        self._tell(report.Delivery(self._ids(rows), _NOT_SENT, None, code, _NOT_SENT))
        for segment, lot in chunks:
            self._buffer.settle(segment=segment, failed=len(lot))
