"""Commands for finance: bill, correct, reconcile, and everything about one invoice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli import invoice_actions, invoice_documents
from cli.counting import counted
from cli.invoice_text import content_table, explanation, minor, trace_table
from cli.operate import load_settings
from cli.reading import reading
from cli.tenant_time import moment_of
from domain.codes import Code
from domain.errors import Fatal, Rejected
from domain.money import minor_text
from domain.period import time_text
from projections.invoicing.builder import BUILDER, Scope, preview
from projections.invoicing.builder import bill as bill_due
from projections.invoicing.corrector import correct as correct_late
from projections.invoicing.dry_run import dry_run
from projections.invoicing.replay import find_invoice
from projections.invoicing.replay import replay as replay_invoice
from projections.invoicing.replay_all import replay_all
from projections.invoicing.run_file import differences, entry_of, noted, path_of, read_run
from projections.invoicing.trace import trace as trace_line
from projections.queries import catalogues, customers, invoices, parked
from projections.queries.clocks import find_clock
from projections.queries.connection import tenant_connection
from projections.queries.invoices import InvoiceFilter
from runtime import clock, postgres
from runtime.commands import CommandSender

if TYPE_CHECKING:
    from collections.abc import Iterable

    from projections.invoicing.builder import Billed
    from projections.invoicing.corrector import Corrected
    from projections.invoicing.replay import Source
    from projections.invoicing.run_file import Difference, RunEntry
    from projections.invoicing.trace import Traced
    from projections.queries.invoices import Invoice
    from runtime.settings import Settings

invoice_app = typer.Typer(help="Invoices.", no_args_is_help=True)
Tenant = Annotated[str, typer.Option(help="Tenant; default is TIDEGAUGE_TENANT.")]
AsOf = Annotated[
    str,
    typer.Option(help="What counts as now, RFC 3339; the tenant's time when not given."),
]
SHOWN_MAX = 20
"""Lines of a run that are shown in full; the rest is counted."""


def bill(
    as_of: AsOf = "",
    period: Annotated[
        str, typer.Option(help="Only periods that start in this month, for example 2026-11.")
    ] = "",
    customer: Annotated[str, typer.Option(help="Only this customer.")] = "",
    is_dry: Annotated[
        bool,
        typer.Option("--dry-run", help="Send nothing; say what differs from the last run."),
    ] = False,
    is_ahead: Annotated[
        bool,
        typer.Option("--ahead", help="Take an --as-of that is still to come, of a live tenant."),
    ] = False,
    is_corrected: Annotated[
        bool, typer.Option("--correct/--no-correct", help="Correct for late usage afterwards.")
    ] = True,
    tenant: Tenant = "",
) -> None:
    """Finalise an invoice for every period that is due at --as-of, its grace over."""
    settings = load_settings("bill")
    owner = tenant or settings.tenant
    now = moment_of(settings, as_of, tenant=owner)
    scope = Scope(owner, now, month=period, customer=customer)
    _require_known(settings, scope)
    if is_dry:
        _dry_run(settings, scope)
        return
    _look_ahead(settings, scope, is_meant=is_ahead)
    sender = CommandSender(settings, actor=BUILDER)
    refused = count = others = 0
    looked_at: set[str] = set()
    with _progress() as progress:
        task = progress.add_task("invoices", total=None)
        note = path_of(settings.state_dir, tenant=scope.tenant)
        for item in noted(bill_due(settings, sender, scope), note):
            refused += item.is_refused
            count += not item.code
            others += item.code == Code.INVOICE_EXISTS
            progress.advance(task)
            if (not item.code and count <= SHOWN_MAX) or item.is_refused:
                terms, built = item.terms, item.built
                total = "" if built is None else f" {minor(built, built.total_minor)}"
                whom = f"{terms.customer} {terms.currency}{total}"
                typer.echo(f"{item.invoice} {whom} {item.code or 'finalised'}")
            if item.is_refused:
                looked_at.add(item.subscription)
                typer.secho(f"  {item.reason}", fg=typer.colors.RED)
            elif not item.code:
                _say_left(item)
    by_others = f", {others} made by another run" if others else ""
    typer.echo(f"{counted(count, 'invoice')} finalised{by_others}, {refused} refused or parked")
    _say_parked(settings, scope, looked_at)
    if is_corrected and not period:
        refused += _correct(settings, sender, scope)
    raise typer.Exit(1 if refused else 0)


def _require_known(settings: Settings, scope: Scope) -> None:
    """Refuse (Rejected customer_unknown) a tenant or customer that nobody has heard of.

    A run over nobody would end well, and a misspelt name would be an invoice that nobody sends.
    """
    engine = postgres.new_engine(settings, role="app")
    try:
        with tenant_connection(engine, tenant=scope.tenant) as connection:
            if not (
                customers.list_customers(connection, limit=1, after=None).rows
                or catalogues.catalogue_in_force(connection)
            ):
                raise Rejected(
                    Code.CUSTOMER_UNKNOWN,
                    f"tenant {scope.tenant!r} has neither customers nor a catalogue",
                    next_step="Name the tenant with --tenant or TIDEGAUGE_TENANT",
                )
            if scope.customer and not customers.find_customer(connection, customer=scope.customer):
                raise Rejected(
                    Code.CUSTOMER_UNKNOWN,
                    f"tenant {scope.tenant!r} has no customer {scope.customer!r}",
                )
    finally:
        engine.dispose()  # the run has connections of its own


def _say_parked(settings: Settings, scope: Scope, looked_at: set[str]) -> None:
    """Say how many invoices of earlier runs still wait: this one passed them by."""
    with reading(settings, tenant=scope.tenant) as connection:
        waiting = parked.list_parked(connection)
    left = [row for row in waiting if row.subscription not in looked_at]
    if left:
        earlier = counted(len(left), "invoice")
        typer.echo(f"{earlier} parked before; `tidegauge invoice parked` says why")


def _say_left(billed: Billed) -> None:
    if billed.items_left:
        left = f"{billed.items_left} more wait for the next invoice"
        on_it = counted(len(billed.terms.items), "item")
        typer.echo(f"{billed.terms.customer}: {on_it} on it, {left}")


def _look_ahead(settings: Settings, scope: Scope, *, is_meant: bool) -> None:
    """Refuse (Rejected invalid_request) to bill before its time unmeant; say what it means."""
    if scope.as_of <= clock.now():
        return
    with reading(settings, tenant=scope.tenant) as connection:
        if find_clock(connection) is not None:
            return
    if not is_meant:
        raise Rejected(
            Code.INVALID_REQUEST,
            f"--as-of {time_text(scope.as_of)} is still to come",
            next_step="Bill when it is over, or give --ahead: usage to come is then corrected for",
        )
    typer.echo("--ahead: usage that is still to come of a billed period will be corrections")


def _progress() -> Progress:
    """Return a progress bar with its rate; on anything but a terminal it shows nothing."""
    console = Console(stderr=True)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,}"),
        TextColumn("{task.speed:.0f}/s" if console.is_terminal else ""),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )


def _dry_run(settings: Settings, scope: Scope) -> None:
    before = read_run(path_of(settings.state_dir, tenant=scope.tenant))
    after: list[RunEntry] = []
    refused: list[Billed] = []
    for item in dry_run(settings, scope):
        if item.built is None or item.code:
            refused.append(item)
        else:
            after.append(entry_of(item.built))
            _say_left(item)
    for currency, total in _totals(after):
        text = minor_text(amount_minor=total, currency=currency)
        typer.echo(f"would bill {currency} {text}")
    lines = sum(entry.lines for entry in after)
    typer.echo(f"{counted(len(after), 'invoice')}, {counted(lines, 'line')}; nothing was sent")
    for item in refused:
        typer.secho(f"{item.terms.customer} {item.code}: {item.reason}", fg=typer.colors.RED)
    changed = differences(before, after)
    if before:
        typer.echo(f"{len(changed)} differ from the last run of {counted(len(before), 'invoice')}")
        if changed:
            Console().print(_difference_table(changed))


def _totals(entries: Iterable[RunEntry]) -> list[tuple[str, int]]:
    totals: dict[str, int] = {}
    for entry in entries:
        totals[entry.currency] = totals.get(entry.currency, 0) + entry.total_minor
    return sorted(totals.items())


def _difference_table(changed: tuple[Difference, ...]) -> Table:
    table = Table()
    for name in ("subscription", "customer"):
        table.add_column(name)
    for name in ("last run", "now"):
        table.add_column(name, justify="right")
    for each in changed[:SHOWN_MAX]:
        amounts = (
            "none"
            if amount is None
            else f"{each.currency} {minor_text(amount_minor=amount, currency=each.currency)}"
            for amount in (each.before_minor, each.after_minor)
        )
        table.add_row(each.subscription, each.customer, *amounts)
    if len(changed) > SHOWN_MAX:
        table.add_row("…", f"{len(changed) - SHOWN_MAX} more", "", "")
    return table


def correct(
    as_of: AsOf = "",
    customer: Annotated[str, typer.Option(help="Only this customer.")] = "",
    tenant: Tenant = "",
) -> None:
    """Make final invoices again whose usage came, or was amended, after them."""
    settings = load_settings("correct")
    owner = tenant or settings.tenant
    scope = Scope(owner, moment_of(settings, as_of, tenant=owner), customer=customer)
    _require_known(settings, scope)
    refused = _correct(settings, CommandSender(settings, actor=BUILDER), scope)
    raise typer.Exit(1 if refused else 0)


def _correct(settings: Settings, sender: CommandSender, scope: Scope) -> int:
    """Correct what is late, show it, and return how many the books refused."""
    refused = changed = 0
    for each in correct_late(
        settings, sender, tenant=scope.tenant, as_of=scope.as_of, customer=scope.customer
    ):
        refused += bool(each.code)
        changed += bool(each.changes) and not each.code
        _show_correction(each)
    typer.echo(f"{counted(changed, 'invoice')} corrected for usage that came later")
    return refused


def _show_correction(corrected: Corrected) -> None:
    content = corrected.content
    if corrected.code:
        typer.secho(f"{corrected.number} {corrected.code}: {corrected.reason}", fg="red")
    for change in corrected.changes:
        before, after = (
            _scaled(amount, content.scale) for amount in (change.before, change.after)
        )
        typer.echo(
            f"{corrected.number} {change.label}: {content.terms.currency} {before} -> {after} "
            f"({corrected.correction})"
        )


def _scaled(amount: int, places: int) -> str:
    sign, digits = ("-" if amount < 0 else ""), f"{abs(amount):0{places + 1}d}"
    return f"{sign}{digits[:-places]}.{digits[-places:]}" if places else f"{sign}{digits}"


@invoice_app.command("list")
def invoice_list(
    customer: Annotated[str, typer.Option(help="Only this customer.")] = "",
    status: Annotated[str, typer.Option(help="Only final, paid, overdue or void.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at most.")] = 50,
    tenant: Tenant = "",
) -> None:
    """List invoices, the newest first."""
    settings = load_settings("invoice")
    engine = postgres.new_engine(settings, role="app")
    with tenant_connection(engine, tenant=tenant or settings.tenant) as connection:
        wanted = InvoiceFilter(customer=customer or None, status=status or None)
        page = invoices.list_invoices(connection, limit=limit, after=None, wanted=wanted)
    # One run issues many at one time; the numbers say which came first.
    rows = sorted(page.rows, key=lambda row: (row.issued_at, row.number), reverse=True)
    Console().print(_list_table(rows))
    if page.has_more:
        typer.echo("there are more; give --limit")


def _list_table(rows: Iterable[Invoice]) -> Table:
    # A number or an amount that is cut is none: on a narrow terminal the customer gives way.
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("number", "customer", "due", "status"):
        table.add_column(name, no_wrap=name != "customer", overflow="fold")
    for name in ("total", "open"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        amounts = row.amounts
        table.add_row(
            *(row.number, row.customer, f"{row.due_at:%Y-%m-%d}", row.status),
            *(f"{row.total.currency} {row.total.text()}", amounts.open.text()),
        )
    return table


@invoice_app.command("show")
def invoice_show(number: str, tenant: Tenant = "") -> None:
    """Show an invoice or a correction, read from the log, and what has become of it."""
    settings = load_settings("invoice")
    found = find_invoice(settings, tenant=tenant or settings.tenant, name=number)
    console = Console()
    console.print(content_table(found.content, title=found.number))
    console.print(f"issued {time_text(found.issued_at)}, content sha256 {found.sha256}")
    if found.number and not found.correction:
        console.print(_status_text(settings, tenant=tenant or settings.tenant, number=number))


def _status_text(settings: Settings, *, tenant: str, number: str) -> str:
    """Return what has become of an invoice; a reader that comes later knows it a little later."""
    engine = postgres.new_engine(settings, role="app")
    try:
        with tenant_connection(engine, tenant=tenant) as connection:
            found = invoices.find_invoice(connection, invoice=number)
    finally:
        engine.dispose()
    if found is None:
        return "the database does not know it yet"
    head, amounts = found.invoice, found.invoice.amounts
    return (
        f"{head.status}, due {head.due_at:%Y-%m-%d}: paid {amounts.paid.text()}, credited "
        f"{amounts.credited.text()}, open {amounts.open.currency} {amounts.open.text()}"
    )


@invoice_app.command("preview")
def invoice_preview(subscription: str, tenant: Tenant = "") -> None:
    """Show the next invoice of a subscription as it would be now; nothing is sent."""
    settings = load_settings("invoice")
    content = preview(settings, tenant=tenant or settings.tenant, subscription=subscription)
    console = Console()
    console.print(content_table(content, title="PROVISIONAL"))
    console.print("usage until now; the invoice may still change until it is final")


@invoice_app.command("explain")
def invoice_explain(number: str, tenant: Tenant = "") -> None:
    """Say in words why an invoice is what it is: terms, usage, steps, discounts, credit, tax."""
    settings = load_settings("invoice")
    found = find_invoice(settings, tenant=tenant or settings.tenant, name=number)
    for line in explanation(found):
        typer.echo(line)


@invoice_app.command("replay")
def invoice_replay(
    number: Annotated[str, typer.Argument(help="Number or id, or id of a correction.")] = "",
    is_all: Annotated[bool, typer.Option("--all", help="All invoices, in one pass.")] = False,
    count: Annotated[int, typer.Option(min=0, help="With --all: how many; 0 for all.")] = 0,
    source: Annotated[
        Literal["auto", "events", "facts"],
        typer.Option(help="What to fold; auto takes facts where raw events are gone."),
    ] = "auto",
    tenant: Tenant = "",
) -> None:
    """Make an invoice again from the log, with no database, and compare the bytes."""
    settings = load_settings("invoice")
    if is_all and number:
        raise typer.BadParameter("give the number of an invoice, or --all")
    if is_all:
        _replay_all(settings, tenant=tenant or settings.tenant, count_max=count, source=source)
        return
    if not number:
        raise typer.BadParameter("give the number of an invoice, or --all")
    result = replay_invoice(settings, tenant=tenant or settings.tenant, name=number, source=source)
    typer.echo(result.content.text)
    typer.echo(f"content sha256  {result.original.sha256}")
    typer.echo(f"replayed sha256 {result.content.sha256}")
    if not result.is_equal:
        for difference in result.differences:
            typer.secho(difference, fg="red")
        raise Fatal(
            Code.REPLAY_DIFFERS,
            f"invoice {result.original.number} cannot be made again from this log",
            next_step="Compare the two contents; do not send it before you know why",
        )
    typer.echo("equal to the last byte")


def _replay_all(settings: Settings, *, tenant: str, count_max: int, source: Source) -> None:
    equal, different = 0, []
    with _progress() as progress:
        task = progress.add_task("replayed", total=None)
        for result in replay_all(settings, tenant=tenant, count_max=count_max, source=source):
            progress.advance(task)
            equal += result.is_equal
            if not result.is_equal:
                different.append(result.original.number)
                typer.secho(f"{result.original.number} DIFFERS", fg="red")
                for difference in result.differences:
                    typer.secho(f"  {difference}", fg="red")
    typer.echo(f"{counted(equal, 'invoice')} equal to the last byte, {len(different)} not")
    if different:
        raise Fatal(
            Code.REPLAY_DIFFERS,
            f"{counted(len(different), 'invoice')} cannot be made again from this log",
            next_step="`tidegauge invoice replay` of one of them shows both contents",
        )


def print_trace(console: Console, traced: Traced) -> None:
    """This function will print what a line rests on."""
    line = traced.line
    ranges = ", ".join(f"{first}…{last}" for first, last in traced.ranges) or "none"
    console.print(
        f"line {line.line_id!r}: {line.quantity} {line.unit} from "
        f"{counted(len(traced.windows), 'window')}, {counted(traced.events, 'raw event')}; "
        f"usage.events/{traced.partition} offsets {ranges}"
    )
    console.print(trace_table(traced))
    for each in traced.usage:
        where = "".join(f", {name} {value}" for name, value in each.where)
        verdict = "equal" if each.quantity == each.counted else f"DIFFERENT from {each.quantity}"
        console.print(
            f"{each.meter}{where}: its raw events add up to {each.counted} {each.unit}: {verdict}"
        )
    if traced.differences:
        windows = counted(traced.differences, "window")
        console.print(f"{windows} DIFFERENT from what their events give")


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
    app.command()(correct)
    invoice_actions.add_to(invoice_app)
    invoice_documents.add_to(invoice_app)
    app.add_typer(invoice_app, name="invoice")
    app.add_typer(invoice_actions.item_app, name="item")
