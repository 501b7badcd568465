"""The stages of the demonstration; each shows itself, does one thing and says what it found."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from cli import books, catalogues
from cli.demo import checks, embedded_broker, figures, sending, setting_up
from cli.demo.answers import Api, BusyWindow
from cli.demo.figures import Counts
from cli.demo.screen import Screen
from cli.demo.sends import Sends, plan_sends
from cli.demo.trace import CUSTOMERS, Trace
from cli.failures import CommandFailure
from cli.pipeline import Pipeline
from cli.processes import Supervisor
from domain.billing_terms import GRACE_HOURS_DEFAULT
from domain.catalogue import Catalogue
from domain.period import time_text
from projections import migrate
from projections.invoicing.builder import Scope, bill
from projections.invoicing.outcomes import await_projected
from projections.invoicing.replay import Replayed, replay
from projections.invoicing.trace import Traced
from projections.invoicing.trace import trace as trace_line
from runtime import clock, ids
from runtime.commands import CommandSender

if TYPE_CHECKING:
    from runtime.settings import Settings

COUNT_TIMEOUT_MS = 120_000
"""How long the last event may take from the broker to the database, ms."""
TRACED_METER = "context_tokens"
GRACE = timedelta(hours=GRACE_HOURS_DEFAULT)
"""A period is billed so long after its end; the demo's catalogue leaves that as it is."""
SAMPLES = 3
"""Raw events of the traced line that are shown."""


@dataclass(slots=True)
class Results:
    """What a run found out.

    Args:
        sends: What was sent.
        counts: What became of it.
        windows: Hourly windows in the database.
        totals: Exact quantity per meter.
        invoices: Every invoice with its replay, by number.
        seconds: Duration per stage.
    """

    sends: Sends
    counts: Counts = field(default_factory=Counts)
    windows: int = 0
    totals: dict[str, str] = field(default_factory=dict)
    invoices: list[Replayed] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proof:
    """What the end screen shows of the checks.

    Args:
        shown: The largest invoice and its replay.
        traced: One line of it.
        busiest: The busiest windows.
    """

    shown: Replayed
    traced: Traced
    busiest: list[BusyWindow]


@dataclass(frozen=True, slots=True)
class Run:
    """A run whose services answer.

    Args:
        screen: Where it shows itself.
        trace: What it sends.
        catalogue: What things cost.
        settings: Where everything is.
        supervisor: Runs the processes.
        sender: Appends commands.
    """

    screen: Screen
    trace: Trace
    catalogue: Catalogue
    settings: Settings
    supervisor: Supervisor
    sender: CommandSender


def start_workers(run: Run, line_up: Pipeline) -> None:
    """This function will migrate the database and start the four processes."""
    with run.screen.stage("workers", "tables, folds, projector, API") as stage:
        stage.expect(1 + 3)
        line_up.start(run.supervisor)
        migrate.migrate(run.settings)
        stage.advance()
        line_up.await_ready(run.supervisor, on_ready=lambda _: stage.advance())
        stage.done = "usage fold, books fold, projector, API: a process each"


def set_books_up(run: Run) -> str:
    """This function will publish the catalogue, create the customers and return an API key."""
    with run.screen.stage("books", "catalogue, customers, subscriptions") as stage:
        stage.expect(len(CUSTOMERS) + 2)
        common = (run.settings, run.sender)
        tenant = run.trace.tenant
        catalogues.publish_catalogue(*common, tenant=tenant, content=run.catalogue.content)
        stage.advance()
        setting_up.create_customers(
            *common, trace=run.trace, catalogue=run.catalogue, on_created=stage.advance
        )
        key = books.create_api_key(*common, tenant=tenant, label="demo")
        stage.done = (
            f"catalogue of {len(run.catalogue.meters)} meters, {len(CUSTOMERS)} customers with "
            "monthly subscriptions, an API key"
        )
    return key


def counts_before(run: Run, api: Api) -> Counts:
    """This function will return what a log that was used before has had counted already."""
    await_projected(run.settings, tenant=run.trace.tenant)
    return api.counts()


def send(run: Run, *, is_embedded: bool) -> Sends:
    """This function will send everything and return what it was."""
    with run.screen.stage("send", "through the SDK") as stage:
        sends = plan_sends(run.trace, now=clock.now(), new_id=lambda: str(ids.uuid7()))
        stage.expect(sends.total)
        sending.send_all(run.settings, sends, tenant=run.trace.tenant, on_progress=stage.advance)
        if is_embedded:
            _require_whole_log(run.settings)
        broken = len(sends.refused) + len(sends.raw)
        stage.done = (
            f"{len(run.trace.requests):,} requests; on purpose {sends.duplicates:,} duplicates, "
            f"{len(sends.conflicts)} conflicts and {broken} broken events"
        )
    return sends


def _require_whole_log(settings: Settings) -> None:
    for partition, (low, _) in figures.topic_ends(settings).items():
        if low:
            raise CommandFailure(
                f"the embedded broker has dropped records of partition {partition}: it keeps "
                f"{embedded_broker.PARTITION_BYTES_MAX // 1024 // 1024} MiB of each",
                next_step="send fewer rows, or give a real one with --kafka HOST:PORT",
            )


def count(run: Run, results: Results, api: Api, before: Counts) -> None:
    """This function will wait until everything is counted, and note what became of it."""
    with run.screen.stage("count", "folds and projector") as stage:
        stage.expect(results.sends.total)
        ends = {number: high for number, (_, high) in figures.topic_ends(run.settings).items()}
        with _progress(run, ends) as progress:

            def is_done() -> bool:
                stage.reach(progress.received() - before.received)
                return progress.is_done()

            run.supervisor.wait(is_done, what="the last event", timeout_ms=COUNT_TIMEOUT_MS)
        results.counts = api.counts().since(before)
        results.windows = figures.count_windows(run.settings, tenant=run.trace.tenant)
        stage.done = (
            f"{results.windows:,} hourly windows by customer, meter and size of the context"
        )
        if not results.counts.accepted:
            stage.done += "; this log had every event already"


@contextlib.contextmanager
def _progress(run: Run, ends: dict[int, int]) -> Iterator[figures.Progress]:
    progress = figures.Progress(run.settings, tenant=run.trace.tenant, ends=ends)
    try:
        yield progress
    finally:
        progress.close()


def close_period(run: Run) -> None:
    """This function will bill the period of all customers."""
    period = run.trace.period
    with run.screen.stage("bill", f"{period.start:%B %Y}") as stage:
        stage.expect(len(CUSTOMERS))
        as_of = period.end + GRACE
        scope = Scope(tenant=run.trace.tenant, as_of=as_of)
        for billed in bill(run.settings, run.sender, scope):
            if billed.code:
                raise CommandFailure(
                    f"the books refused an invoice: {billed.code}, {billed.reason}",
                    next_step="this is a defect of Tidegauge: please report it with the log",
                )
            stage.advance()
        is_ahead = as_of > clock.now()
        stage.done = f"explicit as_of {time_text(as_of)}" + (
            ", still to come: billing reads no clock" if is_ahead else ""
        )


def prove(run: Run, results: Results, api: Api) -> Proof:
    """This function will check every figure against the trace and the log.

    Raises:
        CommandFailure: When anything is not what it must be.
    """
    period, tenant = run.trace.period, run.trace.tenant
    with run.screen.stage("prove", "checking, replaying, tracing") as stage:
        stored = api.invoices()
        stage.expect(len(stored) + 2)
        expected, usage = checks.usage_of(run.trace), api.usage(period)
        results.totals = checks.totals_of(usage)
        stage.advance()
        for number in sorted(stored):
            results.invoices.append(replay(run.settings, tenant=tenant, name=number))
            stage.advance()
        shown = max(results.invoices, key=lambda item: item.original.content.total_minor)
        line = next(
            place
            for place, line in enumerate(shown.original.content.lines, start=1)
            if line.meter == TRACED_METER
        )
        traced = trace_line(
            run.settings,
            tenant=tenant,
            name=shown.original.number,
            line_number=line,
            samples_max=SAMPLES,
        )
        checks.require_none(
            [
                *checks.check_counts(results.sends, run.trace, results.counts),
                *checks.check_usage(expected, usage),
                *checks.check_invoices(expected, results.invoices, stored),
                *checks.check_trace(traced),
            ]
        )
        stage.done = (
            f"{len(expected)} sums equal the file's; {len(stored)} invoices made again from raw "
            "events: same bytes"
        )
        return Proof(shown, traced, api.busiest(period))
