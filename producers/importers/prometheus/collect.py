"""The Prometheus importer: look, write down what will be sent, send it, write down that it was."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import cast

from domain.canonical import Json, decimal_text
from domain.codes import Code
from domain.errors import Rejected, Retryable
from producers.importers.events import Event, check_age, labels, needed
from producers.importers.mapping import ImportMapping
from producers.importers.outlet import Outlet
from producers.importers.progress import Lock, StateFile
from producers.importers.prometheus.increases import Increase, Last, Ledger, NewSeries
from producers.importers.prometheus.sources import Source
from producers.importers.rejects import RejectFiles
from producers.importers.rows import START, BadRow, Row
from producers.importers.tally import Tally
from runtime import clock
from runtime.logs import logger

TRIES_MAX = 5
"""Failed looks in a row after which an import that has an end gives up."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class CollectJob:
    """What is asked for.

    Args:
        mapping: Which label is what.
        tenant: Owner of the events.
        broker: Names the cluster.
        state_dir: Where the last values and the rejects are kept.
        interval_ms: Between two looks, ms.
        looks_max: Looks; 0 to go on until the end is asked for.
        ends: Whether to end when there is no more to be seen.
        is_backfill: Whether events may be older than the horizon.
        new_series: What a first value says.
    """

    mapping: ImportMapping
    tenant: str
    broker: str
    state_dir: Path
    interval_ms: int
    looks_max: int = 0
    ends: bool = False
    is_backfill: bool = False
    new_series: NewSeries = NewSeries.BASELINE


@dataclass(frozen=True, slots=True)
class Collected:
    """What came of it, of all runs together.

    Args:
        tally: Counts; a row is an increase.
        looks: Looks of this run that gave an answer.
        failures: Looks of this run that gave none.
        noticed: resets, new_series, skipped by reason, of this run.
        series: Series that are followed.
        first: First rejects of this run.
        rows_path: File of rejects.
        report_path: File that says why.
    """

    tally: Tally
    looks: int
    failures: int
    noticed: Counter[str]
    series: int
    first: tuple[tuple[int, str, str], ...]
    rows_path: Path
    report_path: Path


class LookFailed(Exception):
    """A look gave nothing; the next one may.

    Args:
        cause: Why.
    """

    def __init__(self, cause: Retryable | Rejected) -> None:
        self.cause = cause
        super().__init__(str(cause))


class Collector:
    """Follows counters.

    Steps of a look, and why a kill between any two of them doubles nothing and loses nothing:
    1. the samples are fetched, and what rose is computed;
    2. the new last values, and the increases still to be sent, are saved together;
    3. the increases are sent, with ids made of series and times, and acknowledged;
    4. that is saved.
    A kill before 2 forgets the look: the next one reckons from the old last values. A kill before
    4 sends exactly what 2 saved once more, under the same ids.

    Args:
        job: What is asked for.
        source: Where samples come from.
        make_outlet: Opens the way out.
        should_stop: Says that somebody asked for the end.
        now: The clock.
    """

    def __init__(
        self,
        job: CollectJob,
        source: Source,
        make_outlet: Callable[[], Outlet],
        *,
        should_stop: Callable[[], bool],
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        self._job = job
        self._source = source
        self._make_outlet = make_outlet
        self._should_stop = should_stop
        self._now = now
        about = f"{job.tenant}\x1f{job.broker}\x1f{source.about}"
        digest = hashlib.blake2b(about.encode(), digest_size=8).hexdigest()
        name = f"{job.mapping.name}-prometheus-{digest}"
        self._state = StateFile(job.state_dir / f"{name}.json")
        self._rejects = RejectFiles(
            job.state_dir / f"{name}.rejects.jsonl",
            job.state_dir / f"{name}.rejects.report.jsonl",
            header=b"",
        )
        self._ledger = Ledger(new_series=job.new_series)
        self._tally = Tally()
        self._looks = 0
        self._failures = 0

    def run(self) -> Collected:
        """This function will look until the end.

        Raises:
            Retryable: import_stopped, scrape_failed, import_busy: start it again.
            Rejected: The source, the query or the mapping cannot be used.
            Fatal: import_state_invalid.
        """
        with Lock(self._state.path.with_suffix(".lock")):
            pending = self._resume()
            outlet = self._make_outlet()
            try:
                self._send(pending, outlet)
                self._follow(outlet)
            finally:
                outlet.close()
                self._rejects.close()
        return Collected(
            tally=self._tally,
            looks=self._looks,
            failures=self._failures,
            noticed=self._ledger.noticed,
            series=len(self._ledger.last),
            first=tuple(self._rejects.first),
            rows_path=self._rejects.rows_path,
            report_path=self._rejects.report_path,
        )

    def _follow(self, outlet: Outlet) -> None:
        failed = 0
        while not self._should_stop():
            begun_ms = clock.monotonic_ms()
            try:
                has_more = self._look(outlet)
                failed = 0
            except LookFailed as failure:
                has_more = False
                failed += 1
                if self._job.ends and failed >= TRIES_MAX:
                    raise failure.cause from failure
            else:
                if self._is_done(has_more=has_more):
                    return
            if not has_more:
                self._wait(begun_ms)

    def _is_done(self, *, has_more: bool) -> bool:
        return (self._job.ends and not has_more) or self._looks == self._job.looks_max != 0

    def _look(self, outlet: Outlet) -> bool:
        """Step 1, and the rest with what it gave; False when there is no more for now."""
        try:
            look = self._source.look(self._ledger.looked_at_ms)
        except (Retryable, Rejected) as error:
            if isinstance(error, Rejected) and error.code != Code.SCRAPE_MALFORMED:
                raise
            self._failures += 1
            logger().warning("import.look_failed", error=str(error)[:300])
            raise LookFailed(error) from error
        if look is None:
            return False
        self._looks += 1
        self._send(self._ledger.take(look.samples, looked_at_ms=look.at_ms), outlet)
        return not look.is_last

    def _wait(self, begun_ms: int) -> None:
        due_ms = begun_ms + self._job.interval_ms
        while (left_ms := due_ms - clock.monotonic_ms()) > 0 and not self._should_stop():
            clock.sleep_ms(min(left_ms, 200))

    def _send(self, increases: list[Increase], outlet: Outlet) -> None:
        """Steps 2 to 4."""
        self._save(increases)
        if not increases:
            return
        for number, increase in enumerate(increases, start=self._tally.read + 1):
            try:
                event = event_of(increase, self._job.mapping)
                check_age(event.occurred_at, now=self._now(), is_backfill=self._job.is_backfill)
                outlet.record(event)
            except BadRow as bad:
                self._rejects.add(_row_of(number, increase), bad)
                self._tally.add_rejected(bad.code)
            else:
                self._tally.add_sent(event.type, event.quantity)
        outlet.settle(self._should_stop)
        self._save([])

    def _save(self, pending: list[Increase]) -> None:
        self._state.write(
            {
                "import": self._job.mapping.name,
                "mapping_sha256": self._job.mapping.sha256,
                "looked_at_ms": self._ledger.looked_at_ms,
                "tally": self._tally.to_json(),
                "rejects": dict(self._rejects.settle()),
                "pending": [
                    [series, from_ms, to_ms, decimal_text(amount)]
                    for series, from_ms, to_ms, amount in pending
                ],
                "series": {
                    series: [at_ms, decimal_text(value)]
                    for series, (at_ms, value) in self._ledger.last.items()
                },
            }
        )

    def _resume(self) -> list[Increase]:
        """Take up what was saved; the increases that may not have been sent."""
        saved = self._state.read()
        lengths = {"rows_bytes": 0, "report_bytes": 0, "line": 0}
        pending: list[Increase] = []
        if saved is not None:
            try:
                pending = [
                    Increase(str(series), int(from_ms), int(to_ms), Decimal(amount))
                    for series, from_ms, to_ms, amount in _list(saved["pending"])
                ]
                self._ledger.looked_at_ms = int(str(saved["looked_at_ms"]))
                self._ledger.last = {
                    series: Last(int(at_ms), Decimal(value))
                    for series, (at_ms, value) in _pairs(saved["series"])
                }
                self._tally = Tally.of_json(_object(saved["tally"]))
                lengths = {
                    name: int(str(number)) for name, number in _object(saved["rejects"]).items()
                }
            except (KeyError, IndexError, TypeError, ValueError, ArithmeticError) as error:
                raise self._state.invalid(f"{type(error).__name__}: {error}") from error
            if pending and saved.get("mapping_sha256") != self._job.mapping.sha256:
                raise Rejected(
                    Code.IMPORT_MAPPING_CHANGED,
                    "increases that another mapping described may have been sent already",
                    next_step="Start it once with the old mapping, --looks 1",
                )
        try:
            self._rejects.begin(**lengths)
        except (OSError, TypeError) as error:
            raise self._state.invalid(str(error)) from error
        return pending


def event_of(increase: Increase, mapping: ImportMapping) -> Event:
    """This function will make the event of an increase, the same at every try.

    It occurred at the later sample: the hour in which the counter was seen to have risen.

    Raises:
        BadRow: A label that the mapping needs is missing.
    """
    values = json.loads(increase.series)
    return Event(
        customer=needed(values, mapping.customer, "customer"),
        type=needed(values, mapping.type, "type"),
        quantity=decimal_text(increase.amount),
        occurred_at=_EPOCH + timedelta(milliseconds=increase.to_ms),
        dimensions=labels(values, mapping.dimensions, "dimensions"),
        properties=labels(values, mapping.properties, "properties"),
        id=id_of(increase),
    )


def id_of(increase: Increase) -> str:
    """This function will name an increase by its series and the times of its two samples."""
    series = hashlib.blake2b(increase.series.encode(), digest_size=16).hexdigest()
    return f"{series}:{increase.from_ms}:{increase.to_ms}"


def _row_of(number: int, increase: Increase) -> Row:
    """Write an increase as a JSON line that `import file` can read."""
    values = {
        **json.loads(increase.series),
        "__increase__": decimal_text(increase.amount),
        "__time_ms__": str(increase.to_ms),
        "__id__": id_of(increase),
    }
    return Row(number, json.dumps(values).encode(), values, None, START)


def _object(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise TypeError("no object")
    return dict(value)


def _list(value: Json) -> list[tuple[str, int, int, str]]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return cast(
        "list[tuple[str, int, int, str]]", value
    )  # what does not fit raises where it is used


def _pairs(value: Json) -> list[tuple[str, tuple[int, str]]]:
    return cast("list[tuple[str, tuple[int, str]]]", list(_object(value).items()))
