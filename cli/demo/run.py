"""The demonstration, stage by stage.

1. services · 2. workers · 3. books · 4. send · 5. count · 6. bill · 7. prove; then the end screen.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from cli import catalogue_file, checkout, pipeline
from cli.demo import report, stages, surroundings, tables
from cli.demo.answers import BASE_PATH, Api
from cli.demo.screen import Screen
from cli.demo.stages import Proof, Results, Run
from cli.demo.surroundings import Given, Surroundings
from cli.demo.trace import CUSTOMERS, ROWS_MAX, Trace, read_trace
from cli.pipeline import Pipeline
from cli.processes import POLL_MS, LogStream, Supervisor, clearing_away
from domain.catalogue import parse_catalogue
from runtime import clock, logs
from runtime.commands import CommandSender
from runtime.settings import Settings

EMBEDDED_ROWS_MAX = 40_000
"""Rows that the embedded broker takes for sure: it keeps 5 MiB per partition, and an event takes
61 bytes there (measured), so all rows fit even when one partition gets every customer."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller asked for.

    Args:
        trace: CSV file.
        given: Real services.
        json: Where to write the figures; None for nowhere.
        keeps: Whether it goes on until Ctrl-C.
    """

    trace: Path
    given: Given
    json: Path | None
    keeps: bool


def demonstrate(options: Options) -> None:
    """This function will run the demonstration.

    Raises:
        CommandFailure: When something fails, or a figure is not what the trace says.
        TidegaugeError: When a part of the pipeline says so.
    """
    is_ours = options.trace == checkout.TRACE
    trace = read_trace(
        checkout.require(options.trace) if is_ours else options.trace,
        today=clock.now().date(),
        rows_max=ROWS_MAX if options.given.kafka else EMBEDDED_ROWS_MAX,
    )
    content = catalogue_file.read_catalogue_file(checkout.require(checkout.CATALOGUE))
    screen = Screen()
    _introduce(screen, trace)
    with clearing_away() as stack:
        folder = stack.enter_context(surroundings.run_folder())
        log = stack.enter_context(surroundings.run_log(folder))
        supervisor = Supervisor(LogStream(log))
        _redirect_logs(log)
        with screen.stage("services", "broker and database") as stage:
            found = surroundings.start(
                options.given, folder=folder, supervisor=supervisor, stack=stack
            )
            stage.done = "broker and database answer"
        stack.enter_context(supervisor.ending())
        screen.fact("broker", found.broker_text)
        screen.fact("database", found.database_text)
        run = Run(
            screen=screen,
            trace=trace,
            catalogue=parse_catalogue(content),
            settings=found.settings,
            supervisor=supervisor,
            sender=CommandSender(found.settings, actor="demo"),
        )
        _run(run, options, folder=folder, found=found)


def _introduce(screen: Screen, trace: Trace) -> None:
    first = min(request.occurred_at for request in trace.requests)
    screen.title("Tidegauge · a real trace in, invoices out")
    screen.fact(
        "trace",
        f"{len(trace.requests):,} requests of {trace.path.name}; times moved by "
        f"{trace.shift_days:+,} whole days, so that the last day is yesterday, "
        f"{trace.day:%-d %B %Y} (first request: {first:%H:%M} UTC); spread over {len(CUSTOMERS)} "
        "made-up customers by a stable hash",
    )


def _redirect_logs(log: TextIO) -> None:
    """Send what this process logs to the log of the run: the screen is for people."""
    quiet = Settings().model_copy(update={"log_format": "console", "log_level": "info"})
    with contextlib.redirect_stderr(log):
        logs.configure(quiet, process="demo")


def _run(run: Run, options: Options, *, folder: Path, found: Surroundings) -> None:
    line_up = Pipeline(run.settings, pipeline.workers(has_emergence=False), folder)
    stages.start_workers(run, line_up)
    api = Api(line_up.api_url, stages.set_books_up(run))
    before = stages.counts_before(run, api)
    results = Results(stages.send(run, is_embedded=found.broker is not None))
    stages.count(run, results, api, before)
    stages.close_period(run)
    proof = stages.prove(run, results, api)
    seconds = run.screen.seconds
    results.seconds = {**seconds, "total": round(sum(seconds.values()), 3)}
    if options.json is not None:
        report.write(options.json, results)
    _show(run.screen, results, proof)
    _say_good_bye(run, api, keeps=options.keeps)


def _show(screen: Screen, results: Results, proof: Proof) -> None:
    for renderable in (
        tables.overview(
            results.sends.total, results.counts, proof.busiest, is_narrow=screen.is_narrow
        ),
        tables.invoice(proof.shown),
        tables.hashes(proof.shown, is_narrow=screen.is_narrow),
        tables.traced_line(proof.traced, is_narrow=screen.is_narrow),
    ):
        screen.show(tables.indented(renderable))


def _say_good_bye(run: Run, api: Api, *, keeps: bool) -> None:
    screen = run.screen
    screen.show(f"[bold]API[/bold]  reference: {api.url}/docs")
    screen.line(f"     API={api.url}{BASE_PATH}")
    screen.line(f"     KEY={api.key}")
    for path in ("invoices", "intake"):
        screen.line(f'     curl -H "Authorization: Bearer $KEY" $API/{path}')
    took = f"{sum(screen.seconds.values()):.0f} s in all."
    if not keeps:
        screen.show(
            f"{took} Everything ends now; [bold]./dev demo --keep[/bold] leaves it running, so "
            "that these lines answer."
        )
        return
    screen.show(f"{took} It runs until Ctrl-C; the tenant is {run.trace.tenant}.")
    while True:
        run.supervisor.tend()
        clock.sleep_ms(POLL_MS)
