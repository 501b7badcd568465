"""`tidegauge demo`: the whole loop on one screen, checked against the trace."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli import checkout
from cli.failures import CommandFailure, Ended
from cli.processes import ended_by_signals
from domain.errors import TidegaugeError

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def demo(
    *,
    trace: Annotated[
        Path, typer.Option(metavar="FILE", help="CSV with the columns of the Azure traces.")
    ] = checkout.TRACE,
    keep: Annotated[bool, typer.Option("--keep", help="Go on until Ctrl-C.")] = False,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all figures as JSON.")
    ] = None,
    kafka: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="A real broker, not the embedded one.")
    ] = "",
    database: Annotated[
        str, typer.Option(metavar="URL", help="A real database, not the embedded one.")
    ] = "",
) -> None:
    """Send a real trace through the whole pipeline and end with invoices that replay."""
    from cli.demo.run import Options, demonstrate
    from cli.demo.surroundings import LAST_LOG, Given

    options = Options(trace=trace, given=Given(kafka, database), json=json, keeps=keep)
    try:
        with ended_by_signals():
            demonstrate(options)
    except Ended:
        print("\nended; everything that was started has been stopped")
        sys.exit(INTERRUPTED)
    except (CommandFailure, TidegaugeError) as error:
        text = error.text() if isinstance(error, CommandFailure) else f"error: {error}"
        typer.secho(f"\n{text}", fg=typer.colors.RED, err=True)
        if LAST_LOG.exists():
            typer.secho(f"log:   {LAST_LOG}", err=True)
        sys.exit(1)


def add_to(app: typer.Typer) -> None:
    """This function will add this command to the `tidegauge` command."""
    app.command()(demo)
