"""Test clocks: a tenant whose time is moved by hand, to play a year in seconds."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.books import Tenant, send
from cli.operate import load_settings
from cli.times import given_time
from domain.codes import Code
from domain.derived_ids import derived_id
from domain.errors import Rejected
from domain.period import time_text
from projections.effects.playing import advance_clock
from projections.queries.clocks import find_clock
from projections.queries.connection import tenant_connection
from runtime import postgres
from runtime.commands import CommandSender

clock_app = typer.Typer(
    help="Test clocks: play a test tenant's time; its books take the clock for now.",
    no_args_is_help=True,
)
Moment = Annotated[str, typer.Argument(help="RFC 3339, for example 2026-01-01T00:00:00Z.")]


@clock_app.command("start")
def clock_start(as_of: Moment, tenant: Tenant = "") -> None:
    """Make a tenant without subscriptions a test tenant whose time begins here.

    The billing worker leaves it alone from then on; there is no way back.
    """
    settings = load_settings("clock")
    tenant = tenant or settings.tenant
    moment = time_text(given_time(as_of, "AS_OF"))
    send(
        settings,
        CommandSender(settings, actor="cli"),
        tenant=tenant,
        command_id=derived_id("cmd", tenant, "StartClock", moment),
        kind="StartClock",
        body={"as_of": moment},
    )
    typer.echo(f"{tenant} is a test tenant; its time is {moment}")


@clock_app.command("advance")
def clock_advance(to: Moment, tenant: Tenant = "") -> None:
    """Move the clock, and do on the way what falls due: invoices, ends, overdue marks."""
    settings = load_settings("clock")
    sender = CommandSender(settings, actor="clock")
    for played in advance_clock(
        settings, sender, tenant=tenant or settings.tenant, to=given_time(to, "TO")
    ):
        typer.echo(
            f"{time_text(played.at)}  {played.kind}  {played.what}{' ' * bool(played.what)}"
            f"{played.note}"
        )


@clock_app.command("show")
def clock_show(tenant: Tenant = "") -> None:
    """Show where the clock stands."""
    settings = load_settings("clock")
    tenant = tenant or settings.tenant
    engine = postgres.new_engine(settings, role="app")
    try:
        with tenant_connection(engine, tenant=tenant) as connection:
            found = find_clock(connection)
    finally:
        engine.dispose()
    if found is None:
        raise Rejected(Code.CLOCK_MISSING, f"tenant {tenant!r} has no test clock")
    typer.echo(f"{time_text(found.now_at)}, started at {time_text(found.started_at)}")


def add_to(app: typer.Typer) -> None:
    """This function will add these commands to the `tidegauge` command."""
    app.add_typer(clock_app, name="clock")
