"""What was recorded and is not settled: the one lock between recording threads and the flusher."""

import threading
import time
from collections.abc import Callable
from typing import TypeAlias

from tidegauge import errors, report
from tidegauge.wire.batch import EventRow

Refusal: TypeAlias = Callable[[], errors.TidegaugeError]

Chunk: TypeAlias = tuple[int, list[EventRow]]
"""Rows in order, and the segment of the spool that they all lie in; 0 without a spool."""


class Buffer:
    """Rows on their way to the flush thread, and the totals of all events.

    Every event is counted until it is settled, acknowledged or failed, so the bound holds for
    rows here, in batches, and in the transport together.
    """

    keeps_events = False
    """Whether an event that was not acknowledged is still there for the next try."""

    def __init__(self, *, events_max: int, wake_at: int, block_s: float) -> None:
        """This function will start empty.

        Args:
            events_max: Events recorded and not settled, at most.
            wake_at: Rows that wake the flush thread before its time, in events.
            block_s: How long `put` may wait for room, in seconds.
        """
        self._events_max = events_max
        self._wake_at = wake_at
        self._block_s = block_s
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._settlement = threading.Condition(self._lock)
        self._rows: list[EventRow] = []
        self._first_s = 0.0
        self._refusal: Refusal | None = None
        self._flushes = 0
        self._recorded = 0
        # One comparison in `put` stands for both: full, or refusing (then 0).
        self._recorded_max = events_max
        self._acknowledged = 0
        self._failed = 0
        self._refused = 0
        self._batches = 0
        self._bytes = 0
        self._resent = 0
        self._callback_errors = 0

    # --- for recording threads ---

    def put(self, row: EventRow, payload: bytes, *, may_wait: bool = True) -> bool:
        """This function will take one row; it may wait for room, and only then blocks.

        Args:
            row: A checked event.
            payload: Its canonical payload; only a spool needs it.
            may_wait: Whether it may wait for room at all.

        Returns:
            True; False when a policy let go of the event.

        Raises:
            BufferFull: No room came free in time.
            MeterClosed: The meter was closed.
            MeterStopped: The meter cannot go on.
        """
        del payload
        with self._lock:
            if self._recorded >= self._recorded_max:
                self._await_room(self._block_s if may_wait else 0.0)
            rows = self._rows
            rows.append(row)
            self._recorded += 1
            count = len(rows)
            if count == 1:
                self._first_s = time.monotonic()
                self._work.notify()
            elif count == self._wake_at:
                self._work.notify()
        return True

    def _await_room(self, block_s: float) -> None:
        has_room = self._settlement.wait_for(
            lambda: self._refusal is not None or self._recorded < self._recorded_max,
            timeout=block_s,
        )
        if self._refusal is not None:
            raise self._refusal()
        if not has_room:
            raise errors.BufferFull("buffer_full", f"{self._events_max} events pending")

    def refuse(self) -> None:
        """This function will count an event that was not taken."""
        with self._lock:
            self._refused += 1

    def flush(self, timeout_s: float) -> int:
        """This function will have everything sent at once and wait until nothing is pending.

        Args:
            timeout_s: How long to wait, in seconds.

        Returns:
            Events pending at the end, and events that failed meanwhile.
        """
        with self._lock:
            failed_before = self._failed
            self._flushes += 1
            self._work.notify()
            try:
                self._settlement.wait_for(
                    lambda: self._pending() == 0 or self._is_vain(), timeout=timeout_s
                )
            finally:
                self._flushes -= 1
            return self._pending() + self._failed - failed_before

    def _is_vain(self) -> bool:
        """This function will tell whether waiting for outcomes has become pointless."""
        return False

    def counters(self) -> report.Counters:
        """This function will return all totals as of one moment."""
        with self._lock:
            return self._counters()

    def _counters(self) -> report.Counters:
        return report.Counters(
            recorded=self._recorded,
            acknowledged=self._acknowledged,
            failed=self._failed,
            refused=self._refused,
            pending=self._pending(),
            batches=self._batches,
            bytes=self._bytes,
            callback_errors=self._callback_errors,
            resent=self._resent,
        )

    def refuse_from_now(self, refusal: Refusal) -> None:
        """This function will end the taking of rows; the first reason stays.

        Args:
            refusal: Makes the error to raise, a new one each time.
        """
        with self._lock:
            self._refusal = self._refusal or refusal
            self._recorded_max = 0
            self._work.notify()
            self._settlement.notify_all()

    def refusal(self) -> Refusal | None:
        """This function will return why no rows are taken, or None while they are."""
        return self._refusal

    def close(self) -> None:
        """This function will let go of what the buffer holds open; nothing is put after it."""

    def let_go_after_fork(self) -> None:
        """This function will close, in a forked child, what belongs to the parent."""

    # --- for the flush thread ---

    def take(self) -> tuple[list[Chunk], float]:
        """This function will hand over all rows.

        Returns:
            The rows in order, and the monotonic time of the first, when there are any.
        """
        with self._lock:
            rows, self._rows = self._rows, []
            return [(0, rows)] if rows else [], self._first_s

    def is_flush_wanted(self) -> bool:
        """This function will tell whether somebody waits in `flush`."""
        return self._flushes > 0

    def await_rows(self, timeout_s: float | None, *, is_idle: bool = False) -> None:
        """This function will wait for enough rows for a batch, a flush, an end, or the time.

        Args:
            timeout_s: How long to wait, in seconds; None for ever.
            is_idle: Whether the first row is enough.
        """
        wanted = 1 if is_idle else self._wake_at
        with self._lock:
            self._work.wait_for(
                lambda: self._has_rows(wanted) or self._flushes > 0 or self._refusal is not None,
                timeout=timeout_s,
            )

    def _has_rows(self, wanted: int) -> bool:
        return len(self._rows) >= wanted

    def tidy(self) -> float | None:
        """This function will put things in order while nothing is to be done.

        Returns:
            Seconds until it wants to be called again, or None.
        """
        return None

    def count_batch(self, *, encoded_bytes: int) -> None:
        """This function will count a batch that was handed to the transport.

        Args:
            encoded_bytes: Its size in bytes.
        """
        with self._lock:
            self._batches += 1
            self._bytes += encoded_bytes

    def count_resent(self) -> None:
        """This function will count a batch that failed and is sent again."""
        with self._lock:
            self._resent += 1

    def count_callback_error(self) -> None:
        """This function will count an exception of the host's callback."""
        with self._lock:
            self._callback_errors += 1

    def settle(self, *, segment: int, acknowledged: int = 0, failed: int = 0) -> None:
        """This function will count outcomes and give their room to new events.

        Args:
            segment: Where the events lie, as `take` said.
            acknowledged: Events that the broker has.
            failed: Events whose batch was not acknowledged.
        """
        with self._lock:
            self._acknowledged += acknowledged
            self._failed += failed
            self._forget(segment, acknowledged + failed)
            self._settlement.notify_all()

    def _forget(self, segment: int, events: int) -> None:
        del segment
        if self._refusal is None:
            self._recorded_max += events

    def _pending(self) -> int:
        return self._recorded - self._acknowledged - self._failed
