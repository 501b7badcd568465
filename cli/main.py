"""The `tidegauge` command; each group of commands has its own file."""

from __future__ import annotations

import sys

import typer

from cli import (
    billing,
    books,
    catalogues,
    dead,
    demonstrate,
    emergence,
    gateway,
    importing,
    operate,
    schemas,
    updown,
    workers,
)
from domain.errors import TidegaugeError

app = typer.Typer(
    help="Tidegauge: usage events in, invoices out that replay to the same bytes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
operate.add_to(app)
workers.add_to(app)
gateway.add_to(app)
books.add_to(app)
catalogues.add_to(app)
emergence.add_to(app)
billing.add_to(app)
demonstrate.add_to(app)
updown.add_to(app)
importing.add_to(app)
dead.add_to(app)
schemas.add_to(app)


def main() -> None:
    """This function will run the command line; a known error prints one line and its next step."""
    try:
        app()
    except TidegaugeError as error:
        typer.secho(str(error), fg=typer.colors.RED, err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
