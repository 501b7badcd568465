"""The command that compares what was accepted, counted, rated and invoiced."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from cli.books import Tenant
from cli.counting import counted
from cli.files import require_writable
from cli.operate import load_settings
from cli.tenant_time import now_of
from domain.codes import Code
from domain.errors import Fatal
from projections.invoicing.reconcile import reconcile as reconcile_days
from runtime.metrics import RECONCILE_MISMATCHES, write_metric

if TYPE_CHECKING:
    from projections.invoicing.reconcile import Reconciled


def reconcile(
    day: Annotated[str, typer.Option(help="One UTC day, for example 2026-11-30.")] = "",
    first: Annotated[str, typer.Option("--from", help="First UTC day.")] = "",
    last: Annotated[str, typer.Option("--to", help="Last UTC day, inclusive.")] = "",
    metric_file: Annotated[
        Path | None,
        typer.Option(help="Write the metric there too, for Prometheus' textfile collector."),
    ] = None,
    tenant: Tenant = "",
) -> None:
    """Compare accepted, counted, rated and invoiced usage; without days, the tenant's last 35.

    Ends with status 1 when they differ by one unit anywhere.
    """
    if day and (first or last):
        raise typer.BadParameter("give --day, or --from and --to")
    settings = load_settings("reconcile")
    owner = tenant or settings.tenant
    if metric_file is not None:
        require_writable(metric_file)
    today = now_of(settings, tenant=owner).date()
    start = _day(day or first, default=today - timedelta(days=34))
    end = _day(day or last, default=max(today, start))
    result = reconcile_days(settings, tenant=owner, first=start, last=end)
    if metric_file is not None:
        write_metric(RECONCILE_MISMATCHES, metric_file)
    _show_days(result, title=f"{start} to {end}")
    if result.differences:
        for difference in result.differences:
            typer.secho(difference, fg="red")
        raise Fatal(
            Code.RECONCILE_DIFFERS,
            counted(result.count, "difference"),
            next_step="Usage that came after an invoice is taken up by `tidegauge correct`; for "
            "anything else see the runbook of a billing day",
        )
    is_empty = not result.days and not result.invoices
    typer.echo("nothing to compare" if is_empty else "accepted = counted = rated = invoiced")


def _show_days(result: Reconciled, *, title: str) -> None:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("day", no_wrap=True)
    table.add_column("meter", overflow="fold")
    for name in ("accepted", "counted", "invoiced", "on no invoice"):
        table.add_column(name, justify="right")
    table.add_column("")
    for each in result.days:
        verdict = "equal" if each.is_equal else "DIFFERENT"
        counts = (each.accepted, each.counted, each.invoiced)
        unbilled = "\n".join(f"{reason}: {count.text}" for reason, count in each.unbilled)
        texts = (*(count.text for count in counts), unbilled, verdict)
        table.add_row(each.day.isoformat(), each.meter, *texts)
    Console().print(table)
    typer.echo(f"{counted(result.invoices, 'invoice')} made again from what is counted")


def _day(text: str, *, default: date) -> date:
    if not text:
        return default
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no day such as 2026-11-30") from error


def add_to(app: typer.Typer) -> None:
    """This function will add this command to the `tidegauge` command."""
    app.command()(reconcile)
