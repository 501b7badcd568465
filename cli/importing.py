"""Commands that bring in history and counters: `tidegauge import`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from typer.core import TyperGroup
from typing_extensions import override

from cli.files import read_text
from cli.operate import load_settings
from cli.times import given_time
from domain.canonical import decimal_text
from domain.codes import Code
from domain.errors import Rejected, Retryable, TidegaugeError
from domain.period import to_ms
from runtime.shutdown import Shutdown

if TYPE_CHECKING:
    import click

    from producers.importers.prometheus.collect import Collected, CollectJob
    from producers.importers.prometheus.sources import Source
    from producers.importers.repeats import Repeats
    from producers.importers.run import Report
    from producers.importers.tally import Tally
    from runtime.settings import Settings

FINISHED, REJECTS, REFUSED, STOPPED = 0, 1, 2, 3
"""Exit codes: all rows sent; some refused; nothing can be done; start it again."""
LIMIT = 10_000_000
"""Events per second that can be asked for; more than any machine sends."""


class NewSeriesOption(StrEnum):
    """What the first value of a series says that begins after the first look."""

    BASELINE = "baseline"
    ZERO = "zero"


class FileFirst(TyperGroup):
    """Takes `import FILE` for `import file FILE`, so that the usual case is short."""

    # The base class is typer's own copy of click, whose names differ between versions.
    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Put the command `file` in front of what begins with no command."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["file", *args]
        return super().parse_args(ctx, args)  # type: ignore[arg-type]


import_app = typer.Typer(
    help="Bring in usage from files and from Prometheus: `import FILE --mapping MAP.yaml`.",
    no_args_is_help=True,
    cls=FileFirst,
)
Mapping = Annotated[
    Path, typer.Option("--mapping", help="What is what: docs/import.md.", show_default=False)
]
Tenant = Annotated[str, typer.Option(help="Tenant; default is TIDEGAUGE_TENANT.")]
StateDir = Annotated[
    Path | None,
    typer.Option(help="Where progress and rejects are kept; default TIDEGAUGE_STATE_DIR/imports."),
]
EventsPerSecond = Annotated[
    int, typer.Option("--events-per-s", min=0, max=LIMIT, help="At most so many; 0: no limit.")
]


@contextmanager
def exit_codes() -> Iterator[None]:
    """This function will end a command with one line and its documented exit code."""
    try:
        yield
    except TidegaugeError as error:
        code = STOPPED if isinstance(error, Retryable) else REFUSED
        typer.secho(str(error), fg=typer.colors.RED, err=True)
        raise typer.Exit(code) from error


@import_app.command("file")
def import_file(
    file: Annotated[Path, typer.Argument(help="CSV, JSON lines (either may be .gz) or Parquet.")],
    mapping: Mapping,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check every row, send and write nothing.")
    ] = False,
    backfill: Annotated[
        bool, typer.Option("--backfill", help="Take events older than 35 days.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Send a finished import once more.")
    ] = False,
    events_per_s: EventsPerSecond = 0,
    state_dir: StateDir = None,
    tenant: Tenant = "",
) -> None:
    """Import a file; a started one goes on where it was."""
    from producers.importers.mapping import read_mapping
    from producers.importers.outlet import DryOutlet, MeterOutlet
    from producers.importers.run import Import, ImportJob, Watch, try_out
    from runtime.kafka import check_topics

    with exit_codes():
        settings = load_settings("import")
        checked = read_mapping(mapping)
        job = ImportJob(
            path=file,
            mapping=checked,
            tenant=tenant or settings.tenant,
            broker=settings.kafka,
            state_dir=state_dir or settings.state_dir / "imports",
            is_backfill=backfill,
            is_again=again,
            events_per_s=events_per_s,
        )
        with progress_bar(file.name) as on_progress:
            watch = Watch(lambda: shutdown.is_requested, on_progress)
            shutdown = Shutdown().install()
            if dry_run:
                report = try_out(job, DryOutlet(checked.source), watch)
            else:
                work = Import(
                    job,
                    lambda: MeterOutlet(
                        settings, tenant=job.tenant, source=checked.source, is_backfill=backfill
                    ),
                    watch,
                )
                check_topics(settings)
                report = work.run()
    print_report(Console(), report, is_dry=dry_run)
    raise typer.Exit(REJECTS if report.tally.rejected else FINISHED)


@import_app.command("prometheus")
def import_prometheus(  # noqa: PLR0913, PLR0917 -- typer's: one for each option, given by name
    mapping: Mapping,
    scrape: Annotated[str, typer.Option(help="A /metrics page to scrape.")] = "",
    metric: Annotated[
        list[str] | None, typer.Option(help="Counter on that page; may be repeated.")
    ] = None,
    url: Annotated[str, typer.Option(help="A Prometheus server to ask.")] = "",
    query: Annotated[str, typer.Option(help="PromQL selector of counters.")] = "",
    from_: Annotated[
        str, typer.Option("--from", help="With --query: where to begin, RFC 3339; default now.")
    ] = "",
    to: Annotated[
        str, typer.Option(help="With --query: where to end; default: never, follow.")
    ] = "",
    interval_s: Annotated[
        int, typer.Option(min=1, max=3_600, help="Between two looks, and the grid of --query.")
    ] = 15,
    looks: Annotated[int, typer.Option(min=0, help="End after so many; 0: follow.")] = 0,
    new_series: Annotated[
        NewSeriesOption, typer.Option(help="What a first value says; docs/import.md.")
    ] = NewSeriesOption.BASELINE,
    bearer_file: Annotated[
        Path | None, typer.Option(help="File with a token for the header Authorization.")
    ] = None,
    backfill: Annotated[
        bool, typer.Option("--backfill", help="Take events older than 35 days.")
    ] = False,
    state_dir: StateDir = None,
    tenant: Tenant = "",
) -> None:
    """Turn what Prometheus counters rise by into usage."""
    from producers.importers.mapping import Subject, read_mapping
    from producers.importers.prometheus.collect import CollectJob
    from producers.importers.prometheus.increases import NewSeries

    with exit_codes():
        settings = load_settings("import")
        checked = read_mapping(mapping, Subject.COUNTER)
        source = source_of(
            scrape=scrape,
            metrics=metric or [],
            url=url,
            query=query,
            from_=from_,
            to=to,
            interval_s=interval_s,
            bearer_file=bearer_file,
        )
        job = CollectJob(
            mapping=checked,
            tenant=tenant or settings.tenant,
            broker=settings.kafka,
            state_dir=state_dir or settings.state_dir / "imports",
            interval_ms=interval_s * 1_000,
            looks_max=looks,
            ends=bool(to),
            is_backfill=backfill,
            new_series=NewSeries(new_series.value),
        )
        collected = collect(settings, job, source)
    print_collected(Console(), collected)
    raise typer.Exit(REJECTS if collected.tally.rejected else FINISHED)


def collect(settings: Settings, job: CollectJob, source: Source) -> Collected:
    """This function will follow counters until the end, or until somebody asks for it."""
    from producers.importers.outlet import MeterOutlet
    from producers.importers.prometheus.collect import Collector
    from runtime.kafka import check_topics

    check_topics(settings)
    shutdown = Shutdown().install()
    return Collector(
        job,
        source,
        lambda: MeterOutlet(
            settings,
            tenant=job.tenant,
            source=job.mapping.source,
            is_backfill=job.is_backfill,
        ),
        should_stop=lambda: shutdown.is_requested,
    ).run()


def source_of(
    *,
    scrape: str,
    metrics: list[str],
    url: str,
    query: str,
    from_: str,
    to: str,
    interval_s: int,
    bearer_file: Path | None,
) -> Source:
    """This function will choose the source that the options name.

    Raises:
        Rejected: invalid_request, when they name none or both.
    """
    from producers.importers.prometheus.sources import PageSource, QuerySource
    from runtime import clock

    is_page = bool(scrape and metrics) and not (url or query or from_ or to)
    is_query = bool(url and query) and not (scrape or metrics)
    if is_page == is_query:
        raise Rejected(
            Code.INVALID_REQUEST,
            "a source is either a page or a query",
            next_step="Give --scrape URL and --metric NAME, or --url URL and --query SELECTOR",
        )
    bearer = "" if bearer_file is None else read_text(bearer_file, encoding="ASCII").strip()
    if is_page:
        return PageSource(scrape, frozenset(metrics), bearer)
    from_ms = to_ms(given_time(from_, "--from")) if from_ else clock.now_ms()
    until_ms = to_ms(given_time(to, "--to")) if to else None
    return QuerySource(url, query, interval_s * 1_000, from_ms, until_ms, bearer)


def print_collected(console: Console, collected: Collected) -> None:
    """This function will print what came of following counters."""
    tally = collected.tally
    console.print(
        f"{collected.looks:,} looks and {collected.failures:,} failed ones "
        f"at {collected.series:,} series; "
        f"{tally.read:,} increases = sent {tally.sent:,} + rejected {tally.rejected.total():,}"
    )
    for name, count in sorted(collected.noticed.items()):
        console.print(f"{name}: {count:,}", markup=False)
    _print_totals(console, tally)
    for line, code, field in collected.first:
        console.print(f"increase {line}: {code}{f' ({field})' if field else ''}", markup=False)
    if tally.rejected:
        print_paths(console, collected.rows_path, collected.report_path)


@contextmanager
def progress_bar(name: str) -> Iterator[Callable[[int, int, Tally], None]]:
    """This function will show how far an import is, on a terminal only."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]} rows, {task.fields[rejects]} rejects"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(escape(name), total=None, rows=0, rejects=0)

        def show(done: int, total: int, tally: Tally) -> None:
            progress.update(
                task,
                completed=done,
                total=total,
                rows=f"{tally.read:,}",
                rejects=f"{tally.rejected.total():,}",
            )

        yield show


def print_report(console: Console, report: Report, *, is_dry: bool) -> None:
    """This function will print what came of an import."""
    tally = report.tally
    verb = "would send" if is_dry else "sent"
    if report.was_finished:
        console.print("this content was imported before; nothing was sent. Its report:")
    elif report.resumed_at:
        console.print(f"went on behind row {report.resumed_at:,}")
    console.print(
        f"read {tally.read:,} rows = {verb} {tally.sent:,} + rejected {tally.rejected.total():,}"
    )
    _print_totals(console, tally)
    for line, code, field in report.first:
        console.print(f"line {line}: {code}{f' ({field})' if field else ''}", markup=False)
    if Code.TOO_LATE in tally.rejected:
        console.print("too_late: --backfill takes events older than 35 days")
    if report.repeats is not None:
        _print_repeats(console, report.repeats)
    if tally.rejected and not is_dry:
        print_paths(console, report.rows_path, report.report_path)


def _print_totals(console: Console, tally: Tally) -> None:
    if tally.events:
        table = Table("type", "events", "quantity")
        for name, count in tally.events.most_common():
            table.add_row(escape(name), f"{count:,}", decimal_text(tally.quantity[name]))
        console.print(table)
    if tally.rejected:
        table = Table("rejected because", "rows")
        for code, count in tally.rejected.most_common():
            table.add_row(escape(code), f"{count:,}")
        console.print(table)


def _print_repeats(console: Console, repeats: Repeats) -> None:
    if not (repeats.same or repeats.different):
        return
    console.print(
        f"ids that stand in the file before: {repeats.same:,} with the same event, which counts "
        f"once; {repeats.different:,} with another event, which will be a conflict and not count"
        + ("" if repeats.is_complete else " (at least: not all ids were compared)")
    )
    for line, is_same in repeats.first:
        console.print(f"line {line}: id again, {'the same' if is_same else 'another'} event")


def print_paths(console: Console, rows: Path, report: Path) -> None:
    """This function will say where refused rows are."""
    console.print(f"rejects to correct and import: {rows}", markup=False, soft_wrap=True)
    console.print(f"why each was refused:          {report}", markup=False, soft_wrap=True)


def add_to(app: typer.Typer) -> None:
    """This function will add these commands to the `tidegauge` command."""
    app.add_typer(import_app, name="import")
