"""What was recorded and is not settled: the one lock between recording threads and the flusher."""

import threading
import time
from collections.abc import Callable

from tidegauge import errors, report
from tidegauge.wire.batch import EventRow

Refusal = Callable[[], errors.TidegaugeError]


class Buffer:
    """Rows on their way to the flush thread, and the totals of all events.

    Every event is counted until it is settled, acknowledged or failed, so the bound holds for
    rows here, in batches, and in librdkafka together.
    """

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
        self._callback_errors = 0

    # --- for recording threads ---

    def put(self, row: EventRow) -> None:
        """This function will take one row; it may wait for room, and only then blocks.

        Args:
            row: A checked event.

        Raises:
            BufferFull: No room came free in time.
            MeterClosed: The meter was closed.
            MeterStopped: The meter cannot go on.
        """
        with self._lock:
            if self._recorded >= self._recorded_max:
                self._await_room()
            rows = self._rows
            rows.append(row)
            self._recorded += 1
            count = len(rows)
            if count == 1:
                self._first_s = time.monotonic()
                self._work.notify()
            elif count == self._wake_at:
                self._work.notify()

    def _await_room(self) -> None:
        has_room = self._settlement.wait_for(
            lambda: self._refusal is not None or self._recorded < self._recorded_max,
            timeout=self._block_s,
        )
        if self._refusal is not None:
            self._refused += 1
            raise self._refusal()
        if not has_room:
            self._refused += 1
            raise errors.BufferFull("buffer_full", f"{self._events_max} events pending")

    def refuse(self) -> None:
        """This function will count an event that was refused before it got here."""
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
                self._settlement.wait_for(lambda: self._pending() == 0, timeout=timeout_s)
            finally:
                self._flushes -= 1
            return self._pending() + self._failed - failed_before

    def counters(self) -> report.Counters:
        """This function will return all totals as of one moment."""
        with self._lock:
            return report.Counters(
                recorded=self._recorded,
                acknowledged=self._acknowledged,
                failed=self._failed,
                refused=self._refused,
                pending=self._pending(),
                batches=self._batches,
                bytes=self._bytes,
                callback_errors=self._callback_errors,
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

    def cut_off_after_fork(self, refusal: Refusal) -> None:
        """This function will make a child's copy refuse everything, without the parent's lock.

        The lock may have been held at the fork by a thread that the child does not have.

        Args:
            refusal: Makes the error to raise, a new one each time.
        """
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._settlement = threading.Condition(self._lock)
        self._refusal = refusal
        self._recorded_max = 0

    # --- for the flush thread ---

    def take(self) -> tuple[list[EventRow], float]:
        """This function will hand over all rows.

        Returns:
            The rows in order, and the monotonic time of the first, when there are any.
        """
        with self._lock:
            rows, self._rows = self._rows, []
            return rows, self._first_s

    def is_flush_wanted(self) -> bool:
        """This function will tell whether somebody waits in `flush`."""
        return self._flushes > 0

    def await_rows(self, timeout_s: float | None) -> None:
        """This function will wait for enough rows for a batch, a flush, an end, or the time.

        Args:
            timeout_s: How long to wait, in seconds; None waits for the first row.
        """
        wanted = 1 if timeout_s is None else self._wake_at
        with self._lock:
            self._work.wait_for(
                lambda: (
                    len(self._rows) >= wanted or self._flushes > 0 or self._refusal is not None
                ),
                timeout=timeout_s,
            )

    def count_batch(self, *, encoded_bytes: int) -> None:
        """This function will count a batch that was handed to the transport.

        Args:
            encoded_bytes: Its size in bytes.
        """
        with self._lock:
            self._batches += 1
            self._bytes += encoded_bytes

    def count_callback_error(self) -> None:
        """This function will count an exception of the host's callback."""
        with self._lock:
            self._callback_errors += 1

    def settle(self, *, acknowledged: int = 0, failed: int = 0) -> None:
        """This function will count outcomes and give their room to new events.

        Args:
            acknowledged: Events that the broker has.
            failed: Events whose batch was not acknowledged.
        """
        with self._lock:
            self._acknowledged += acknowledged
            self._failed += failed
            if self._refusal is None:
                self._recorded_max += acknowledged + failed
            self._settlement.notify_all()

    def _pending(self) -> int:
        return self._recorded - self._acknowledged - self._failed
