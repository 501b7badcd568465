"""A buffer whose events are on disk, and as many of them in memory as are allowed there."""

import dataclasses
import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from tidegauge import buffer, errors, limits, report
from tidegauge.overriding import override
from tidegauge.spool import frames
from tidegauge.spool.options import Spool
from tidegauge.spool.segments import Folder, Segment
from tidegauge.wire.batch import EventRow

_log: Final = logging.getLogger("tidegauge.spool")


class SpoolBuffer(buffer.Buffer):
    """Puts every event on disk first, then where the flush thread finds it soonest.

    While there is room, an event is kept in memory as well and the disk is never read. When
    `events_max` of them are unsettled, new ones stay on disk only ("overflowing") and are read
    back in order as room comes free; when reading has caught up with writing, memory takes over
    again. A meter that finds events of an earlier one starts overflowing, so recovery is nothing
    special.
    """

    keeps_events = True

    def __init__(
        self,
        options: Spool,
        *,
        tenant: str,
        source: str,
        events_max: int,
        wake_at: int,
        block_s: float,
        on_drop: Callable[[report.Drop], None] | None,
    ) -> None:
        """This function will open the spool.

        Args:
            options: The spool's own.
            tenant: Tenant of every event.
            source: Where foreign ids are unique.
            events_max: Unsettled events in memory, at most.
            wake_at: Rows that wake the flush thread before its time, in events.
            block_s: How long `put` may wait for room with the policy "block", in seconds.
            on_drop: Called when events are let go of, or None.

        Raises:
            InvalidOption: The folder is in use, another tenant's, or unusable.
        """
        super().__init__(events_max=events_max, wake_at=wake_at, block_s=block_s)
        self._folder = Folder(options, tenant=tenant, source=source)
        self._options = options
        self._on_drop = on_drop
        self._chunks: list[buffer.Chunk] = []
        self._rows_segment = 0
        self._in_memory = 0
        self._is_overflowing = self._folder.recovered > 0
        self._dropped = 0
        self._unspooled = 0
        self._errors = 0
        self._sync_failed = False
        self._tidied_s = time.monotonic()
        self._read_of: dict[int, int] = {}
        """Events read of the segment being read, by its number."""
        self._ended = threading.Event()
        if self._folder.torn:
            self._tell(report.Drop("spool_damaged", self._folder.torn, "found at start"))
        if options.fsync == "interval":
            name = "tidegauge-spool-sync"
            threading.Thread(target=self._keep_syncing, name=name, daemon=True).start()

    # --- for recording threads ---

    @override
    def put(self, row: EventRow, payload: bytes, *, may_wait: bool = True) -> bool:
        """This function will write one event to disk; see `Buffer.put`.

        1. Make the frame, outside the lock.
        2. Find room, by the policy.
        3. Write. From here on, the event survives the process.
        4. Keep it in memory too, or begin or go on to overflow.
        5. With `fsync="always"`, wait for the disk, outside the lock.

        Raises:
            SpoolFull: No room, and the policy is to raise, or to wait and the time is over.
            SpoolFailed: The disk refused.
            MeterClosed: The meter was closed.
            MeterStopped: The meter cannot go on.
        """
        # Step 1.
        frame = frames.event(row, payload)
        folder = self._folder
        drops: list[report.Drop] = []
        try:
            with self._lock:
                if self._refusal is not None:
                    raise self._refusal()
                # Step 2.
                is_full = folder.bytes + len(frame) > self._options.bytes_max
                if is_full and not self._find_room(len(frame), drops, may_wait=may_wait):
                    return False
                # Step 3.
                segment, at = self._write(frame)
                mark = folder.written
                # Step 4.
                self._recorded += 1
                if not self._is_overflowing:
                    self._keep(row, segment, at)
        finally:
            for drop in drops:
                self._tell(drop)
        # Step 5.
        if self._options.fsync == "always":
            self._sync(mark)
        return True

    def _write(self, frame: bytes) -> tuple[int, int]:
        if self._sync_failed:
            self._sync_failed = False
            raise errors.SpoolFailed("spool_write_failed", "a sync failed")
        try:
            return self._folder.append(frame)
        except OSError as error:
            self._errors += 1
            raise errors.SpoolFailed("spool_write_failed", str(error.strerror)) from error

    def _keep(self, row: EventRow, segment: int, at: int) -> None:
        if self._in_memory >= self._events_max:
            self._is_overflowing = True
            self._folder.read_from(segment, at)
            return
        rows = self._rows
        if segment != self._rows_segment:
            if rows:
                self._chunks.append((self._rows_segment, rows))
                self._rows = rows = []
            self._rows_segment = segment
        rows.append(row)
        self._in_memory += 1
        count = len(rows)
        if count == 1:
            if not self._chunks:
                self._first_s = time.monotonic()
            self._work.notify()
        elif count == self._wake_at:
            self._work.notify()

    def _sync(self, mark: int) -> None:
        try:
            self._folder.sync_to(mark)
        except OSError as error:
            with self._lock:
                self._errors += 1
            raise errors.SpoolFailed("spool_sync_failed", str(error.strerror)) from error

    def _find_room(self, size: int, drops: list[report.Drop], *, may_wait: bool) -> bool:
        """This function will do what the policy says; it holds the lock, waiting gives it up."""
        policy = self._options.when_full
        if policy == "drop_oldest" and self._let_go_of_oldest(size, drops):
            return True
        if policy in {"drop_oldest", "drop_newest"}:
            self._dropped += 1
            self._recorded += 1
            drops.append(report.Drop("spool_full_newest", 1))
            return False
        if policy == "block" and may_wait:
            self._settlement.wait_for(
                lambda: self._refusal is not None or self._has_room(size), timeout=self._block_s
            )
            if self._refusal is not None:
                raise self._refusal()
        if not self._has_room(size):
            raise errors.SpoolFull("spool_full", f"{self._folder.bytes} bytes")
        return True

    def _has_room(self, size: int) -> bool:
        return self._folder.bytes + size <= self._options.bytes_max

    def _let_go_of_oldest(self, size: int, drops: list[report.Drop]) -> bool:
        while not self._has_room(size):
            if self._is_overflowing:
                victim = self._folder.oldest(unread=True)
                if victim is not None:
                    self._dropped += victim.events
                    drops.append(report.Drop("spool_full_oldest", victim.events))
                    self._folder.delete(victim)
                    self._settlement.notify_all()
                    continue
            victim = self._folder.oldest(unread=False if self._is_overflowing else None)
            if victim is None:
                return False
            # All of it is in memory, or was, and is sent from there.
            self._unspooled += victim.events - victim.settled
            self._folder.delete(victim)
        return True

    def _tell(self, drop: report.Drop) -> None:
        _log.error(
            "tidegauge.spool.dropped reason=%s events=%d file=%s",
            drop.reason,
            drop.events,
            drop.file,
        )
        if self._on_drop is None:
            return
        try:
            self._on_drop(drop)
        except Exception:  # noqa: BLE001 - the host's code, whose faults must not stop recording
            self.count_callback_error()
            _log.exception("tidegauge.on_drop_failed reason=%s", drop.reason)

    # --- for the flush thread ---

    @override
    def take(self) -> tuple[list[buffer.Chunk], float]:
        """This function will hand over what is in memory, and read back when that is due."""
        with self._lock:
            chunks, self._chunks = self._chunks, []
            if self._rows:
                chunks.append((self._rows_segment, self._rows))
                self._rows = []
            first_s = self._first_s
            if chunks or not self._has_room_in_memory():
                return chunks, first_s
            part = self._folder.next_part()
            if part is None:
                self._is_overflowing = False
                return chunks, first_s
        read = self._read(*part)
        return [read] if read[1] else [], time.monotonic()

    def _has_room_in_memory(self) -> bool:
        return self._is_overflowing and self._in_memory * 2 <= self._events_max

    def _read(self, segment: Segment, at: int, size: int) -> buffer.Chunk:
        """This function will read a part back; what cannot be read is counted and stepped over."""
        drop = None
        try:
            rows, damaged, end = self._folder.read(segment, at, size)
        except OSError as error:
            _log.exception("tidegauge.spool.read_failed file=%s at=%d", segment.path, at)
            rows, damaged, end = [], 0, segment.size
            with self._lock:
                self._errors += 1
                # Of what is left, nobody can tell the number but by what was counted before.
                damaged = segment.events - self._read_of.get(segment.number, 0)
            del error
        with self._lock:
            self._in_memory += len(rows)
            self._folder.did_read(segment, end)
            seen = self._read_of.get(segment.number, 0) + len(rows)
            self._read_of = {segment.number: seen}
            if damaged:
                drop = self._count_damage(segment, damaged)
            if self._folder.is_read():
                self._is_overflowing = False
        if drop is not None:
            self._tell(drop)
        return segment.number, rows

    def _count_damage(self, segment: Segment, damaged: int) -> report.Drop:
        segment.is_damaged = True
        segment.events -= damaged
        self._dropped += damaged
        self._folder.torn += damaged
        self._folder.settle(segment.number, 0)
        self._settlement.notify_all()
        return report.Drop("spool_damaged", damaged, str(segment.path))

    @override
    def _has_rows(self, wanted: int) -> bool:
        return len(self._rows) >= wanted or bool(self._chunks) or self._has_room_in_memory()

    @override
    def tidy(self) -> float | None:
        """This function will empty the active segment when everything was settled."""
        with self._lock:
            if self._pending() > 0 or self._is_overflowing or self._rows:
                return limits.TIDY_S
            if self._folder.active.events == 0:
                return None
            left_s = self._tidied_s + limits.TIDY_S - time.monotonic()
            if left_s > 0:
                return left_s
            self._tidied_s = time.monotonic()
            try:
                self._folder.empty()
            except OSError:
                self._errors += 1
                _log.exception("tidegauge.spool.tidy_failed")
            return None

    @override
    def _forget(self, segment: int, events: int) -> None:
        self._in_memory -= events
        self._folder.settle(segment, events)

    def _keep_syncing(self) -> None:
        while not self._ended.wait(self._options.fsync_interval_ms / 1_000):
            try:
                self._folder.sync_to(self._folder.written)
            except OSError:
                _log.exception("tidegauge.spool.sync_failed path=%s", self._options.path)
                with self._lock:
                    self._errors += 1
                    self._sync_failed = True

    # --- totals and the end ---

    @override
    def _pending(self) -> int:
        known = self._recorded + self._folder.recovered
        return known - self._acknowledged - self._failed - self._dropped

    @override
    def _is_vain(self) -> bool:
        return self._refusal is not None and isinstance(self._refusal(), errors.MeterStopped)

    @override
    def _counters(self) -> report.Counters:
        return dataclasses.replace(
            super()._counters(),
            recovered=self._folder.recovered,
            dropped=self._dropped,
            torn=self._folder.torn,
            unspooled=self._unspooled,
            spool_errors=self._errors,
            spool_bytes=self._folder.bytes,
        )

    @override
    def close(self) -> None:
        """This function will leave what is pending on disk, and let go of the folder."""
        self._ended.set()
        with self._lock:
            self._folder.close(is_done=self._pending() == 0)

    @override
    def let_go_after_fork(self) -> None:
        """This function will close the child's copies of the parent's files."""
        self._folder.let_go()
