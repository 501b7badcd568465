"""Commands for finance: bill, show, replay, trace."""

from __future__ import annotations

from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from cli.operate import load_settings
from domain.canonical import decimal_text
from domain.codes import Code
from domain.errors import Fatal
from domain.money import minor_text
from domain.period import from_ms, parse_time, time_text
from projections.invoicing.builder import bill as bill_periods
from projections.invoicing.replay import Finalized, find_invoice
from projections.invoicing.replay import replay as replay_invoice
from projections.invoicing.trace import Traced
from projections.invoicing.trace import trace as trace_line
from runtime.commands import CommandSender

invoice_app = typer.Typer(help="Invoices.", no_args_is_help=True)
Tenant = Annotated[str, typer.Option(help="Tenant; default is TIDEGAUGE_TENANT.")]


def bill(
    as_of: Annotated[str, typer.Option(help="The moment that counts as now, RFC 3339.")],
    period: Annotated[
        str, typer.Option(help="Only periods that start in this month, for example 2026-11.")
    ] = "",
    customer: Annotated[str, typer.Option(help="Only this customer.")] = "",
    tenant: Tenant = "",
) -> None:
    """Finalise an invoice for every period that is over at --as-of."""
    settings = load_settings("bill")
    sender = CommandSender(settings, actor="builder")
    refused = 0
    for item in bill_periods(
        settings,
        sender,
        tenant=tenant or settings.tenant,
        as_of=parse_time(as_of),
        month=period,
        customer=customer,
    ):
        content = item.content
        total = minor_text(amount_minor=content.total_minor, currency=content.currency)
        verdict = item.code or "finalised"
        refused += bool(item.code)
        typer.echo(f"{item.invoice} {content.customer} {content.currency} {total} {verdict}")
        if item.code:
            typer.secho(f"  {item.reason}", fg=typer.colors.RED)
    raise typer.Exit(1 if refused else 0)


def invoice_table(found: Finalized) -> Table:
    """This function will lay an invoice out for reading."""
    content = found.content
    currency = content.currency
    table = Table(
        title=f"{found.number} · {content.customer} · plan {content.plan}\n"
        f"{time_text(content.period.start)} to {time_text(content.period.end)}",
        title_justify="left",
    )
    table.add_column("#", justify="right")
    table.add_column("charge")
    table.add_column("quantity", justify="right")
    table.add_column("how")
    table.add_column(currency, justify="right")
    for number, line in enumerate(content.lines, start=1):
        steps = "\n".join(
            f"{step.label}: {decimal_text(step.quantity)} × {decimal_text(step.rate)}"  # noqa: RUF001 -- a times sign
            + (f" per {decimal_text(step.per)}" if step.per != 1 else "")
            for step in line.steps
        )
        amount = minor_text(amount_minor=line.amount_minor, currency=currency)
        quantity = f"{line.quantity} {line.unit}" if line.meter else ""
        table.add_row(str(number), line.price, quantity, steps, amount)
    table.add_section()
    total = minor_text(amount_minor=content.total_minor, currency=currency)
    table.add_row("", "total", "", "", total)
    return table


@invoice_app.command("show")
def invoice_show(number: str, tenant: Tenant = "") -> None:
    """Show an invoice, read from the log."""
    settings = load_settings("invoice")
    found = find_invoice(settings, tenant=tenant or settings.tenant, name=number)
    console = Console()
    console.print(invoice_table(found))
    console.print(f"content sha256 {found.sha256}")


@invoice_app.command("replay")
def invoice_replay(
    number: str,
    source: Annotated[
        Literal["auto", "events", "facts"],
        typer.Option(help="What to fold; auto takes facts where raw events are gone."),
    ] = "auto",
    tenant: Tenant = "",
) -> None:
    """Make an invoice again from the log, with no database, and compare the bytes."""
    settings = load_settings("invoice")
    result = replay_invoice(settings, tenant=tenant or settings.tenant, name=number, source=source)
    typer.echo(result.content.text)
    typer.echo(f"content sha256  {result.original.sha256}")
    typer.echo(f"replayed sha256 {result.content.sha256}")
    if not result.is_equal:
        raise Fatal(
            Code.REPLAY_DIFFERS,
            f"invoice {result.original.number} cannot be made again from this log",
            next_step="Compare the two contents; do not send it before you know why",
        )
    typer.echo("equal to the last byte")


def print_trace(console: Console, traced: Traced) -> None:
    """This function will print what a line rests on."""
    line = traced.line
    ranges = ", ".join(f"{first}…{last}" for first, last in traced.ranges) or "none"
    console.print(
        f"line {line.price!r}: {line.quantity} {line.unit} from {len(traced.windows)} windows; "
        f"usage.events/{traced.partition} offsets {ranges}"
    )
    table = Table()
    for name in ("offset", "event", "id", "type", "occurred", "quantity"):
        table.add_column(name)
    for event in traced.samples:
        table.add_row(
            str(event.offset),
            str(event.index),
            event.event_id,
            event.event_type,
            time_text(from_ms(event.occurred_at_ms)),
            event.quantity,
        )
    console.print(table)
    verdict = "equal" if traced.is_equal else f"DIFFERENT in {traced.differences} windows"
    console.print(f"{traced.events} raw events add up to {traced.quantity} {line.unit}: {verdict}")


@invoice_app.command("trace")
def invoice_trace(
    number: str,
    line: Annotated[int, typer.Argument(help="Line number, from 1.")],
    samples: Annotated[int, typer.Option(help="Raw events to show.")] = 5,
    tenant: Tenant = "",
) -> None:
    """Trace a line to its raw events and add them up again."""
    settings = load_settings("invoice")
    traced = trace_line(
        settings,
        tenant=tenant or settings.tenant,
        name=number,
        line_number=line,
        samples_max=samples,
    )
    print_trace(Console(), traced)
    raise typer.Exit(0 if traced.is_equal else 1)


def add_to(app: typer.Typer) -> None:
    """This function will add these commands to the `tidegauge` command."""
    app.command()(bill)
    app.add_typer(invoice_app, name="invoice")
