"""One import of one file: read, send, wait for the acknowledgement, save how far it is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from domain.canonical import Json
from domain.codes import Code
from domain.errors import Fatal, Rejected
from domain.period import parse_time, time_text
from producers.importers.content import Content, read_content
from producers.importers.csv_rows import CsvReader
from producers.importers.events import HORIZON, EventMaker
from producers.importers.json_rows import JsonReader
from producers.importers.mapping import FileFormat, ImportMapping
from producers.importers.outlet import Outlet, stopped
from producers.importers.parquet_rows import ParquetReader
from producers.importers.progress import Lock, StateFile
from producers.importers.rejects import SHOWN_MAX, RejectFiles
from producers.importers.repeats import Repeats
from producers.importers.rows import START, BadRow, Place, Row, RowReader
from producers.importers.tally import Tally
from runtime import clock

STEP_ROWS_MAX = 20_000
"""Rows between two saved places, about 20 MB of events: what a kill makes us send again."""
STEP_MS_MAX = 1_000
"""Time between two saved places, ms, where the rate is low."""


@dataclass(frozen=True, slots=True)
class ImportJob:
    """What is asked for.

    Args:
        path: The file.
        mapping: Its mapping.
        tenant: Owner of the events.
        broker: Names the cluster: what was sent to one was not sent to another.
        state_dir: Where progress and rejects are kept.
        is_backfill: Whether events may be older than the horizon.
        is_again: Send a finished import once more.
        events_per_s: At most so many; 0 for no limit.
    """

    path: Path
    mapping: ImportMapping
    tenant: str
    broker: str
    state_dir: Path
    is_backfill: bool = False
    is_again: bool = False
    events_per_s: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What came of an import, of all its runs together.

    Args:
        tally: Counts.
        resumed_at: Rows that earlier runs had done.
        was_finished: Whether it had been finished before, so that nothing was to do.
        first: First rejects of this run: line, code, part of the event.
        rows_path, report_path: Files of rejects.
        repeats: Lines of ids that stood in the file before; of a dry run only.
    """

    tally: Tally
    resumed_at: int
    was_finished: bool
    first: tuple[tuple[int, str, str], ...]
    rows_path: Path
    report_path: Path
    repeats: Repeats | None = None


@dataclass(slots=True)
class Watch:
    """How the world outside takes part.

    Args:
        should_stop: Says that somebody asked for the end.
        on_progress: Told place, size and counts, after every step.
        now: The clock.
    """

    should_stop: Callable[[], bool]
    on_progress: Callable[[int, int, Tally], None]
    now: Callable[[], datetime] = clock.now


def open_reader(content: Content, mapping: ImportMapping) -> RowReader:
    """This function will choose the reader of a file's format."""
    match content.format:
        case FileFormat.CSV:
            return CsvReader(content, mapping)
        case FileFormat.JSONL:
            return JsonReader(content)
        case FileFormat.PARQUET:
            return ParquetReader(content, mapping)


class Import:
    """One import; `run` works on it until the end of the file.

    Steps, and why a kill between any two of them doubles nothing and loses nothing:
    1. rows become events with stable ids and are recorded;
    2. all of them are acknowledged;
    3. refused rows are on the disk;
    4. the place behind the last row is saved, with the lengths of the files of rejects.
    A kill before 4 does 1 to 3 once more: the log has the ids, the files are cut back.

    Args:
        job: What is asked for.
        make_outlet: Opens the way out, when it is known that there is something to send.
        watch: The world outside.

    Raises:
        Rejected: The file or the mapping cannot be used.
    """

    def __init__(self, job: ImportJob, make_outlet: Callable[[], Outlet], watch: Watch) -> None:
        self._job = job
        self._make_outlet = make_outlet
        self._watch = watch
        self._content = read_content(job.path, job.mapping.format)
        self._reader = open_reader(self._content, job.mapping)
        self._maker = EventMaker(
            job.mapping,
            content_sha256=self._content.sha256,
            is_backfill=job.is_backfill,
            now=watch.now,
        )
        self.name = _state_name(job, self._content)
        folder = job.state_dir
        self._state = StateFile(folder / f"{self.name}.json")
        ending = "csv" if self._content.format is FileFormat.CSV else "jsonl"
        self.rejects = RejectFiles(
            folder / f"{self.name}.rejects.{ending}",
            folder / f"{self.name}.rejects.report.jsonl",
            header=self._reader.header,
        )
        self.tally = Tally()
        self._place = START
        self._started_at = watch.now()
        self._resumed_at = 0

    def run(self) -> Report:
        """This function will import what is left of the file.

        Raises:
            Retryable: import_stopped, when it has to be started again; import_busy.
            Fatal: import_too_old, import_mapping_changed, import_state_invalid.
        """
        with Lock(self._state.path.with_suffix(".lock")):
            if self._resume():
                return self._report(was_finished=True)
            outlet = self._make_outlet()
            try:
                self._work(outlet)
            finally:
                outlet.close()
                self.rejects.close()
        return self._report(was_finished=False)

    def _resume(self) -> bool:
        """Take up what was saved; True when there is nothing left to do."""
        saved = self._state.read()
        lengths = {"rows_bytes": 0, "report_bytes": 0, "line": 0}
        if saved is not None:
            self._check_saved(saved)
            is_finished = saved.get("finished_at") is not None
            if not (is_finished and self._job.is_again):
                try:
                    self._place = Place(_number(saved["at"]), _number(saved["line"]))
                    self.tally = Tally.of_json(_object(saved["tally"]))
                    lengths = {
                        name: _number(number) for name, number in _object(saved["rejects"]).items()
                    }
                except (KeyError, TypeError, ValueError, ArithmeticError) as error:
                    raise self._state.invalid(f"{type(error).__name__}: {error}") from error
                self._resumed_at = self.tally.read
                if is_finished:
                    return True
        try:
            self.rejects.begin(**lengths)
        except (OSError, TypeError) as error:
            raise self._state.invalid(str(error)) from error
        return False

    def _check_saved(self, saved: dict[str, Json]) -> None:
        if saved.get("mapping_sha256") != self._job.mapping.sha256:
            raise Rejected(
                Code.IMPORT_MAPPING_CHANGED,
                f"import {self._job.mapping.name} of this file began with another mapping",
                next_step="Rows that were sent would meet themselves as conflicts: take the old "
                "mapping, or give the new one another name",
            )
        try:
            self._started_at = parse_time(str(saved.get("started_at")))
        except Rejected as error:
            raise self._state.invalid(str(error)) from error
        is_finished = saved.get("finished_at") is not None
        if is_finished and not self._job.is_again:
            return
        if self._watch.now() - self._started_at > HORIZON:
            raise Fatal(
                Code.IMPORT_TOO_OLD,
                f"the import began at {time_text(self._started_at)}, more than 35 days ago",
                next_step="The log no longer knows its ids and would count them again. "
                "docs/import.md, 'After 35 days', says what to do",
            )

    def _work(self, outlet: Outlet) -> None:
        self._save(is_finished=False)
        step, since_ms, pace = 0, clock.monotonic_ms(), Pace(self._job.events_per_s)
        for row in self._reader.rows(self._place):
            self._take(row, outlet)
            step += 1
            pace.wait(self._watch.should_stop)
            is_asked = self._watch.should_stop()
            if is_asked or step >= STEP_ROWS_MAX or clock.monotonic_ms() - since_ms >= STEP_MS_MAX:
                self._settle(row.after, outlet)
                step, since_ms = 0, clock.monotonic_ms()
            if is_asked:
                raise stopped("it was asked to end")
        self._settle(self._place if not step else Place(self._reader.size, 0), outlet)
        self._save(is_finished=True)

    def _take(self, row: Row, outlet: Outlet) -> None:
        """Step 1."""
        try:
            event = self._maker.make(row)
            outlet.record(event)
        except BadRow as bad:
            self.rejects.add(row, bad)
            self.tally.add_rejected(bad.code)
        else:
            self.tally.add_sent(event.type, event.quantity)

    def _settle(self, place: Place, outlet: Outlet) -> None:
        """Steps 2 to 4."""
        outlet.settle(self._watch.should_stop)
        self._content.require_unchanged()
        self._place = place
        self._save(is_finished=False)
        self._watch.on_progress(place.at, self._reader.size, self.tally)

    def _save(self, *, is_finished: bool) -> None:
        self._state.write(
            {
                "import": self._job.mapping.name,
                "file": self._job.path.name,
                "content_sha256": self._content.sha256,
                "mapping_sha256": self._job.mapping.sha256,
                "started_at": time_text(self._started_at),
                "finished_at": time_text(self._watch.now()) if is_finished else None,
                "at": self._place.at,
                "line": self._place.line,
                "tally": self.tally.to_json(),
                "rejects": dict(self.rejects.settle()),
            }
        )

    def _report(self, *, was_finished: bool) -> Report:
        return Report(
            tally=self.tally,
            resumed_at=self._resumed_at,
            was_finished=was_finished,
            first=tuple(self.rejects.first),
            rows_path=self.rejects.rows_path,
            report_path=self.rejects.report_path,
        )


def try_out(job: ImportJob, outlet: Outlet, watch: Watch) -> Report:
    """This function will do everything but send, and write nothing down.

    Args:
        job: What is asked for.
        outlet: One that leads nowhere.
        watch: The world outside.

    Raises:
        Rejected: The file or the mapping cannot be used.
        Retryable: import_stopped.
    """
    content = read_content(job.path, job.mapping.format)
    reader = open_reader(content, job.mapping)
    maker = EventMaker(
        job.mapping,
        content_sha256=content.sha256,
        is_backfill=job.is_backfill,
        now=watch.now,
    )
    first: list[tuple[int, str, str]] = []
    tally, repeats = Tally(), Repeats()
    for row in reader.rows(START):
        try:
            event = maker.make(row)
            outlet.record(event)
        except BadRow as bad:
            tally.add_rejected(bad.code)
            if len(first) < SHOWN_MAX:
                first.append((row.line, bad.code, bad.field))
        else:
            tally.add_sent(event.type, event.quantity)
            if job.mapping.id:
                repeats.look_at(row.line, event)
        if tally.read % STEP_ROWS_MAX == 0:
            outlet.settle(watch.should_stop)
            watch.on_progress(row.after.at, reader.size, tally)
            if watch.should_stop():
                raise stopped("it was asked to end")
    outlet.settle(watch.should_stop)
    watch.on_progress(reader.size, reader.size, tally)
    return Report(tally, 0, False, tuple(first), Path(), Path(), repeats)  # noqa: FBT003 -- was_finished


class Pace:
    """Keeps to a rate, by waiting.

    Args:
        events_per_s: At most so many; 0 for no limit.
    """

    def __init__(self, events_per_s: int) -> None:
        self._rate = events_per_s
        self._taken = 0
        self._since_ms = clock.monotonic_ms()

    def wait(self, should_stop: Callable[[], bool]) -> None:
        """Wait until the next event is due, or the end is asked for."""
        if not self._rate:
            return
        self._taken += 1
        due_ms = self._since_ms + self._taken * 1_000 // self._rate
        while (left_ms := due_ms - clock.monotonic_ms()) > 0 and not should_stop():
            clock.sleep_ms(min(left_ms, 100))


def _state_name(job: ImportJob, content: Content) -> str:
    """Name the files of an import: another tenant, cluster or content is another import."""
    about = f"{job.tenant}\x1f{job.broker}\x1f{content.sha256}"
    digest = hashlib.blake2b(about.encode(), digest_size=8).hexdigest()
    return f"{job.mapping.name}-{digest}"


def _number(value: Json) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError("no number")
    return value


def _object(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise TypeError("no object")
    return dict(value)
