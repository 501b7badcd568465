"""Commands for counted usage: `tidegauge usage roll-up`."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from cli.operate import load_settings
from domain.codes import Code
from domain.errors import Rejected

usage_app = typer.Typer(help="Counted usage: docs/billing.md.", no_args_is_help=True)


@usage_app.command("roll-up")
def usage_roll_up(
    first: Annotated[
        str, typer.Option("--from", help="First UTC day; 35 days up to the last one if not given.")
    ] = "",
    through: Annotated[
        str, typer.Option(help="Last UTC day, for example 2026-11-30; the last that is over.")
    ] = "",
    tenant: Annotated[str, typer.Option(help="Tenant; all that have subscriptions.")] = "",
) -> None:
    """Add up days that are over, which bills read faster; `tidegauge billing` does so too."""
    from projections.usage_days import roll_up

    settings = load_settings("usage")
    days = series = 0
    for rolled in roll_up(settings, first=_day(first), through=_day(through), tenant=tenant):
        days += 1
        series += rolled.series
    typer.echo(f"{days} days added up, {series} series in them")


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Rejected(Code.INVALID_REQUEST, f"{text!r} is no day such as 2026-11-30") from None


def add_to(app: typer.Typer) -> None:
    """This function will add these commands to the `tidegauge` command."""
    app.add_typer(usage_app, name="usage")
