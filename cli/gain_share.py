"""Commands for gain-share: baselines, measurements, runs and what the customer decides of them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.books import Tenant, send_typed
from cli.operate import load_settings
from domain.canonical import decimal_text, from_json
from domain.codes import Code
from domain.errors import Rejected
from domain.fields import Fields
from domain.gain_share_terms import KPIS_MAX
from projections.queries import gain_shares
from projections.queries.connection import tenant_connection
from projections.queries.gain_shares import GainShareRun
from projections.queries.paging import PAGE_ROWS_MAX
from runtime import postgres
from runtime.ids import new_id

if TYPE_CHECKING:
    from domain.canonical import Json

gain_share_app = typer.Typer(
    help="Gain-share: savings by better KPIs, and the share asked for them.", no_args_is_help=True
)

Day = Annotated[str, typer.Option(help="A day, for example 2024-12-31.")]


@gain_share_app.command("baseline")
def baseline(
    customer: str,
    metric: str,
    value: str,
    *,
    cost_per_unit: Annotated[str, typer.Option(help="Major units of the customer's currency.")],
    effective_from: Day,
    multiplier: Annotated[str, typer.Option(help="How many times it counts.")] = "1",
    tenant: Tenant = "",
) -> None:
    """Record a KPI's value before, and what a unit of improvement is worth."""
    name = new_id("bas")
    _send(
        "RecordBaseline",
        {
            "baseline": name,
            "customer": customer,
            "metric": metric,
            "baseline_value": value,
            "cost_per_unit": cost_per_unit,
            "multiplier": multiplier,
            "effective_from": effective_from,
        },
        tenant=tenant,
    )
    typer.echo(name)


@gain_share_app.command("measure")
def measure(
    customer: str,
    metric: str,
    value: str,
    *,
    on: Day,
    tenant: Tenant = "",
) -> None:
    """Record what a KPI was on a day; another value of the day replaces it in later runs."""
    body: dict[str, Json] = {
        "customer": customer,
        "metric": metric,
        "value": value,
        "measured_on": on,
    }
    _send("RecordMeasurement", body, tenant=tenant)
    typer.echo(f"{metric} of {customer} on {on} is {value}")


@gain_share_app.command("run")
def run(
    customer: str,
    *,
    start: Annotated[str, typer.Option("--from", help="First day.")],
    end: Annotated[str, typer.Option("--to", help="Last day; it belongs to the period.")],
    share: Annotated[str, typer.Option(help="Percent.")],
    tenant: Tenant = "",
) -> None:
    """Calculate savings and the share of them; it then waits for the customer's approval."""
    name = new_id("gsr")
    body: dict[str, Json] = {
        "run": name,
        "customer": customer,
        "period_start": start,
        "period_end": end,
        "share_pct": share,
    }
    _send("RunGainShare", body, tenant=tenant)
    _show(name, tenant=tenant)


@gain_share_app.command("approve")
def approve(run_id: Annotated[str, typer.Argument(metavar="RUN")], tenant: Tenant = "") -> None:
    """Approve a run: its fee goes onto the customer's next invoice, once."""
    _send("ApproveGainShare", {"run": run_id}, tenant=tenant)
    typer.echo(f"{run_id} is approved")


@gain_share_app.command("reject")
def reject(
    run_id: Annotated[str, typer.Argument(metavar="RUN")],
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    tenant: Tenant = "",
) -> None:
    """Reject a run: nothing is billed."""
    body: dict[str, Json] = {"run": run_id, **({"reason": reason} if reason else {})}
    _send("RejectGainShare", body, tenant=tenant)
    typer.echo(f"{run_id} is rejected")


@gain_share_app.command("show")
def show(run_id: Annotated[str, typer.Argument(metavar="RUN")], tenant: Tenant = "") -> None:
    """Show a run with its savings, KPI by KPI."""
    _show(run_id, tenant=tenant)


@gain_share_app.command("list")
def list_runs(
    customer: Annotated[str, typer.Option(help="Only those of this customer.")] = "",
    tenant: Tenant = "",
) -> None:
    """List the newest runs."""
    settings = load_settings("gain-share")
    engine = postgres.new_engine(settings, role="app")
    try:
        with tenant_connection(engine, tenant=tenant or settings.tenant) as connection:
            page = gain_shares.list_runs(
                connection, limit=PAGE_ROWS_MAX, after=None, customer=customer or None
            )
    finally:
        engine.dispose()
    for each in page.rows:
        typer.echo(_line(each))
    if page.has_more:
        typer.echo(f"… and more than {PAGE_ROWS_MAX}; name a customer")


def _line(found: GainShareRun) -> str:
    fee = found.fee
    return (
        f"{found.run}  {found.customer}  {found.start} to {found.end}  "
        f"{decimal_text(found.share_pct)} % of {found.savings.text()} = {fee.text()} "
        f"{fee.currency}  {found.status}"
    )


def _show(run_id: str, *, tenant: str) -> None:
    settings = load_settings("gain-share")
    engine = postgres.new_engine(settings, role="app")
    try:
        with tenant_connection(engine, tenant=tenant or settings.tenant) as connection:
            found = gain_shares.find_run(connection, run=run_id)
    finally:
        engine.dispose()
    if found is None:
        raise Rejected(Code.GAIN_SHARE_UNKNOWN, f"there is no gain-share run {run_id!r}")
    typer.echo(_line(found))
    Console().print(_table(found))


def _table(found: GainShareRun) -> Table:
    table = Table()
    for column in ("KPI", "baseline", "actual", "improvement", "savings", "remark"):
        table.add_column(column, justify="left" if column in {"KPI", "remark"} else "right")
    report = Fields.of(from_json(found.report), place="report", code=Code.STATE_CORRUPT)
    for result in report.objects("breakdown", count_max=KPIS_MAX):
        values = result.values
        table.add_row(
            str(values["name"]),
            *(str(values[name] or "-") for name in ("baseline", "actual", "improvement")),
            str(values["savings_exact"]),
            str(values["remark"]),
        )
    return table


_send = functools.partial(send_typed, process="gain-share")


def add_to(app: typer.Typer) -> None:
    """This function will add these commands to the `tidegauge` command."""
    app.add_typer(gain_share_app, name="gain-share")
