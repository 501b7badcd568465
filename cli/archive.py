"""Commands for the archive of usage.events: `tidegauge archive run`, `check`, `sql`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.operate import load_settings
from domain.codes import Code
from domain.errors import Fatal, Retryable
from runtime.logs import logger
from runtime.shutdown import Shutdown

if TYPE_CHECKING:
    from runtime.settings import Settings

archive_app = typer.Typer(
    help="The Parquet archive of usage.events: docs/archive.md.", no_args_is_help=True
)
RETRY_MS_MAX = 30_000
"""Longest wait before the broker is asked again, ms."""


def _settings() -> Settings:
    settings = load_settings("archive")
    if not settings.has_archive:
        raise Fatal(
            Code.SETTING_INVALID,
            "TIDEGAUGE_ARCHIVE_DIR is not set",
            next_step="Name the folder of the archive; it is made when it is not there",
        )
    return settings


@archive_app.command("run")
def archive_run(
    until_end: Annotated[
        bool, typer.Option("--until-end", help="End when all is archived that is there now.")
    ] = False,
) -> None:
    """Write usage.events into Parquet files until SIGTERM; one process takes all partitions."""
    from projections.archive.archiver import Archiver

    settings = _settings()
    shutdown = Shutdown().install()
    positions: dict[int, int] = {}
    wait_ms = 1_000
    while not positions:
        try:
            positions = Archiver(settings, shutdown).run(until_end=until_end)
        except Retryable as error:
            if until_end:
                raise
            logger().warning("archive.waits", error=str(error), wait_ms=wait_ms)
            if shutdown.wait_ms(wait_ms):
                return
            wait_ms = min(2 * wait_ms, RETRY_MS_MAX)
    for partition, position in sorted(positions.items()):
        typer.echo(f"partition {partition} is archived up to offset {position}")


@archive_app.command("check")
def archive_check(
    with_log: Annotated[
        bool, typer.Option("--with-log", help="Compare with all that the log still has.")
    ] = False,
) -> None:
    """Read every file, compare its hash and offsets, and name what is wrong; status 1 if any."""
    from projections.archive.check import check_archive

    table = Table("partition", "offsets", "files", "MiB", "log begins", "verdict")
    wrong = 0
    problems = []
    for checked in check_archive(_settings(), with_log=with_log):
        wrong += bool(checked.problems)
        problems += [f"partition {checked.partition}: {text}" for text in checked.problems]
        table.add_row(
            str(checked.partition),
            f"{checked.begins} to {checked.ends}",
            str(checked.files),
            f"{checked.bytes / 1_048_576:.1f}",
            str(checked.log_begins),
            "wrong" if checked.problems else "whole",
        )
    Console().print(table)
    for problem in problems:
        typer.secho(problem, fg=typer.colors.RED)
    raise typer.Exit(1 if wrong else 0)


@archive_app.command("sql")
def archive_sql(
    query: Annotated[str, typer.Argument(help="SQL over events and records.")],
) -> None:
    """Ask the archive with DuckDB: views `events` (decoded) and `records` (as they came)."""
    from projections.archive.views import ask

    names, rows = ask(_settings(), query)
    table = Table(*(escape(name) for name in names))
    for row in rows:
        table.add_row(*(escape(_shown(value)) for value in row))
    Console().print(table)


def _shown(value: object) -> str:
    if value is None:
        return ""
    return value.hex() if isinstance(value, bytes) else str(value)


def add_to(app: typer.Typer) -> None:
    """This function will add these commands to the `tidegauge` command."""
    app.add_typer(archive_app, name="archive")
