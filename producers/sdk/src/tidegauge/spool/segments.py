"""The folder of a spool: its lock, its segments, appending, reading back, deleting."""

import fcntl
import logging
import os
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tidegauge import errors, limits
from tidegauge.spool import frames
from tidegauge.spool.options import SLOT, Spool
from tidegauge.wire.batch import EventRow

_log: Final = logging.getLogger("tidegauge.spool")

_SUFFIX: Final = ".spool"
_NAME: Final = re.compile(r"([0-9a-f]{16})\.spool").fullmatch
_LOCK: Final = "lock"


@dataclass(slots=True)
class Segment:
    """One file.

    Attributes:
        number: Its place in the order, from 1.
        path: Where it is.
        start: Where the first event begins, in bytes.
        size: Where the last complete frame ends, in bytes.
        events: Events in it that are to be settled or dropped.
        settled: Those of them that have an outcome.
        is_damaged: Some of it could not be read; the file is kept aside when it is done.
    """

    number: int
    path: Path
    start: int
    size: int
    events: int = 0
    settled: int = 0
    is_damaged: bool = False


class Folder:
    """The files of one spool; the caller serialises everything but `sync_to`.

    Order of locks: the caller's, then `_sync_lock`. A sync takes only the second, so recording
    threads go on writing while the disk works, and one sync serves all that wrote before it.
    """

    def __init__(self, options: Spool, *, tenant: str, source: str) -> None:
        """This function will lock the folder, look at what is in it, and begin a segment.

        1. Make the folder and take its lock, for `{slot}` the first that is free.
        2. Count what earlier meters left; the torn tail of each is left out and counted.
        3. For `{slot}`, take over what lies in the folders of others that nobody has.
        4. Begin a segment of our own, so that nothing is appended to a file that may be torn.

        Args:
            options: Where and how.
            tenant: Tenant of every event.
            source: Where foreign ids are unique.

        Raises:
            InvalidOption: Somebody has the folder, it is another tenant's, or cannot be used.
        """
        self.bytes = 0
        self.torn = 0
        self.written = 0
        """Bytes ever appended; a mark for `sync_to`."""
        self._options = options
        self._header = frames.header(tenant=tenant, source=source)
        self._segments: dict[int, Segment] = {}
        self._sync_lock = threading.Lock()
        self._synced = 0
        self._file = -1
        self._reading = -1
        self._read_from = (0, 0)
        self._must_roll = False
        try:
            # Step 1.
            self._path, self._lock_file = _locked(options.path)
            try:
                # Step 2.
                for path in _files(self._path):
                    self._adopt(path)
                # Step 3.
                if SLOT in os.fspath(options.path):
                    self._take_over()
                # Step 4.
                self.recovered = sum(one.events for one in self._segments.values())
                self._next_number = max(self._segments, default=0) + 1
                self.active = self._begin()
            except BaseException:
                _unlock(self._lock_file)
                raise
        except OSError as error:
            detail = f"{options.path}: {error.strerror}"
            raise errors.InvalidOption("spool_unusable", detail) from error
        self.read_from_start()

    # --- what is there at start ---

    def _adopt(self, path: Path) -> None:
        data = path.read_bytes()
        found = frames.scan(data)
        if not found.frames:
            # Its maker died before the first frame was whole: no event was ever in it.
            self.torn += 1 if data else 0
            path.unlink()
            return
        if not data.startswith(self._header):
            raise errors.InvalidOption("spool_foreign", str(path))
        number = int(path.stem, 16)
        segment = Segment(number, path, len(self._header), found.end, found.frames - 1)
        if found.is_torn:
            self.torn += 1
            segment.is_damaged = found.is_damaged
            _log.warning(
                "tidegauge.spool.torn file=%s at=%d bytes=%d",
                path,
                found.end,
                len(data) - found.end,
            )
        if segment.events == 0:
            path.unlink()
            return
        self._segments[number] = segment
        self.bytes += segment.size

    def _take_over(self) -> None:
        """This function will move in what free slots hold; whoever has a slot is left alone."""
        number = max(self._segments, default=0)
        for slot in range(limits.SPOOL_SLOTS_MAX):
            other = Path(os.fspath(self._options.path).replace(SLOT, str(slot)))
            if other == self._path or not other.is_dir():
                continue
            try:
                lock_file = _lock(other)
            except BlockingIOError:
                continue
            try:
                for path in _files(other):
                    if not path.read_bytes().startswith(self._header):
                        _log.warning("tidegauge.spool.left_alone file=%s", path)
                        continue
                    number += 1
                    moved = self._path / f"{number:016x}{_SUFFIX}"
                    path.rename(moved)
                    self._adopt(moved)
            finally:
                _unlock(lock_file)

    # --- appending ---

    def append(self, frame: bytes) -> tuple[int, int]:
        """This function will write one frame behind the last.

        Args:
            frame: The event.

        Returns:
            The number of its segment, and where it begins there.

        Raises:
            OSError: The disk refused; the frame is not there.
        """
        active = self.active
        if active.size + len(frame) > self._options.segment_bytes or self._must_roll:
            active = self._roll()
        at = active.size
        done = 0
        try:
            done = os.write(self._file, frame)
            while done < len(frame):
                # A disk that is nearly full takes a part; the next write says why.
                done += os.write(self._file, frame[done:])
        except OSError:
            if done:
                self._cut_back(at)
            raise
        active.size = at + done
        active.events += 1
        self.bytes += done
        self.written += done
        return active.number, at

    def _cut_back(self, size: int) -> None:
        try:
            os.ftruncate(self._file, size)
        except OSError:
            # What stands there now is a torn tail; nothing may come behind it.
            self._must_roll = True

    def _roll(self) -> Segment:
        before, file = self.active, self._file
        self.active = self._begin(end=file)
        if before.events == before.settled:
            self._delete(before)
        return self.active

    def _begin(self, *, end: int = -1) -> Segment:
        """This function will make the next segment, and end the one before.

        Args:
            end: File descriptor of the segment before, or -1.
        """
        number = self._next_number
        path = self._path / f"{number:016x}{_SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        file = os.open(path, flags, 0o600)
        try:
            if os.write(file, self._header) != len(self._header):
                raise OSError(28, "No space left on device")  # noqa: TRY301 - the same clean-up
            if self._options.fsync != "never":
                os.fdatasync(file)
                _sync_folder(self._path)
            with self._sync_lock:
                if end >= 0:
                    if self._options.fsync != "never":
                        os.fdatasync(end)
                        self._synced = self.written
                    os.close(end)
                self._file = file
        except OSError:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        self._next_number = number + 1
        self._must_roll = False
        segment = Segment(number, path, len(self._header), len(self._header))
        self._segments[number] = segment
        self.bytes += segment.size
        return segment

    def sync_to(self, mark: int) -> None:
        """This function will see that everything written up to a mark is on the disk.

        Safe to call without the caller's lock, by many threads: one sync serves them all.

        Args:
            mark: What `written` was behind the event.

        Raises:
            OSError: The disk did not confirm it.
        """
        with self._sync_lock:
            if self._synced >= mark or self._file < 0:
                return
            written = self.written
            os.fdatasync(self._file)
            self._synced = written

    # --- reading back ---

    def read_from_start(self) -> None:
        """This function will let reading begin with the oldest event."""
        first = min(self._segments)
        self.read_from(first, self._segments[first].start)

    def read_from(self, number: int, at: int) -> None:
        """This function will let reading go on at an event.

        Args:
            number: The segment.
            at: Where the event begins.
        """
        self._close_reading()
        self._read_from = (number, at)

    def is_read(self) -> bool:
        """This function will tell whether everything appended so far was read."""
        number, at = self._read_from
        return number == self.active.number and at >= self.active.size

    def next_part(self) -> tuple[Segment, int, int] | None:
        """This function will say what to read next, stepping over what is gone or at its end.

        Returns:
            The segment, where to begin and how much is there, in bytes; None when all was read.
        """
        while True:
            number, at = self._read_from
            segment = self._segments.get(number)
            if segment is not None and at < segment.size:
                return segment, at, min(segment.size - at, limits.READ_BYTES)
            later = [other for other in self._segments if other > number]
            if not later:
                return None
            following = self._segments[min(later)]
            self.read_from(following.number, following.start)

    def read(self, segment: Segment, at: int, size: int) -> tuple[list[EventRow], int, int]:
        """This function will read events; only the flush thread calls it, without the lock.

        Args:
            segment: The segment, as `next_part` said; it may have been deleted since.
            at: Where to begin.
            size: How much, in bytes.

        Returns:
            The events, frames that were damaged, and where to go on.

        Raises:
            OSError: The disk refused.
        """
        if self._reading < 0:
            self._reading = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
        data = os.pread(self._reading, size, at)
        rows: list[EventRow] = []
        damaged, end = 0, 0
        for end, body in frames.bodies(data):  # noqa: B007 - where the last frame ended
            if body is None:
                damaged += 1
            else:
                rows.append(frames.row_of(body))
        if end == 0:
            raise OSError(5, "the file is shorter than it was")
        return rows, damaged, at + end

    def did_read(self, segment: Segment, at: int) -> None:
        """This function will note how far was read, unless somebody set another place.

        Args:
            segment: What was read.
            at: Where to go on.
        """
        if self._read_from[0] == segment.number:
            self._read_from = (segment.number, at)

    # --- letting go ---

    def settle(self, number: int, events: int) -> bool:
        """This function will note outcomes, and delete the segment when it was the last.

        Args:
            number: The segment, which may be gone.
            events: How many of its events have an outcome now.

        Returns:
            Whether there is more room now.
        """
        segment = self._segments.get(number)
        if segment is None:
            return False
        segment.settled += events
        if segment.settled < segment.events or segment is self.active:
            return False
        self._delete(segment)
        return True

    def oldest(self, *, unread: bool | None) -> Segment | None:
        """This function will find the oldest ended segment.

        Args:
            unread: True for one behind the one being read, of which nothing was read yet; False
                for one before it; None for any.
        """
        reading = self._read_from[0]
        numbers = [
            number
            for number in self._segments
            if number != self.active.number
            and (unread is None or (number > reading if unread else number < reading))
        ]
        return self._segments[min(numbers)] if numbers else None

    def delete(self, segment: Segment) -> None:
        """This function will delete a segment, whatever is in it."""
        self._delete(segment)

    def empty(self) -> None:
        """This function will cut the active segment back to its beginning; all was settled."""
        active = self.active
        if active.size == active.start:
            return
        os.ftruncate(self._file, active.start)
        self.bytes -= active.size - active.start
        active.size = active.start
        active.events = active.settled = 0
        if self._read_from[0] == active.number:
            self._read_from = (active.number, active.start)

    def _delete(self, segment: Segment) -> None:
        if segment.is_damaged:
            segment.path.rename(segment.path.with_suffix(".damaged"))
        else:
            segment.path.unlink(missing_ok=True)
        del self._segments[segment.number]
        self.bytes -= segment.size

    def close(self, *, is_done: bool) -> None:
        """This function will sync, let go of all files, and at last of the lock.

        Args:
            is_done: Every event was settled; then nothing of it has to stay.
        """
        if is_done:
            for segment in tuple(self._segments.values()):
                self._delete(segment)
        elif self._options.fsync != "never":
            try:
                self.sync_to(self.written)
            except OSError:
                _log.exception("tidegauge.spool.sync_failed path=%s", self._path)
        if self._lock_file >= 0:
            _unlock(self._lock_file)
            self._lock_file = -1
        self.let_go()

    def let_go(self) -> None:
        """This function will close the files; in a forked child, the parent's stay locked."""
        self._close_reading()
        for file in (self._file, self._lock_file):
            if file >= 0:
                os.close(file)
        self._file = self._lock_file = -1

    def _close_reading(self) -> None:
        if self._reading >= 0:
            os.close(self._reading)
            self._reading = -1


def _locked(path: str | os.PathLike[str]) -> tuple[Path, int]:
    name = os.fspath(path)
    slots = limits.SPOOL_SLOTS_MAX if SLOT in name else 1
    for slot in range(slots):
        folder = Path(name.replace(SLOT, str(slot)))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            return folder, _lock(folder)
        except BlockingIOError:
            continue
    raise errors.InvalidOption("spool_in_use", name)


def _lock(folder: Path) -> int:
    file = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(file)
        raise
    return file


def _unlock(file: int) -> None:
    # Closing alone would leave the lock with a child that was forked a moment ago and has not let
    # go of its copy yet.
    fcntl.flock(file, fcntl.LOCK_UN)
    os.close(file)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if _NAME(path.name))


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
