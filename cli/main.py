"""The `tidegauge` command; each group of commands has its own file."""

from __future__ import annotations

import sys

import typer

from cli import (
    archive,
    assets,
    billing,
    books,
    catalogues,
    clock,
    customers,
    dead,
    demonstrate,
    emergence,
    events,
    gain_share,
    gateway,
    importing,
    operate,
    personal,
    reconciling,
    schemas,
    subscriptions,
    updown,
    usage_days,
    wallets,
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
customers.add_to(app)
subscriptions.add_to(app)
clock.add_to(app)
personal.add_to(app)
wallets.add_to(app)
catalogues.add_to(app)
emergence.add_to(app)
billing.add_to(app)
reconciling.add_to(app)
gain_share.add_to(app)
usage_days.add_to(app)
assets.add_to(app)
demonstrate.add_to(app)
updown.add_to(app)
importing.add_to(app)
dead.add_to(app)
events.add_to(app)
archive.add_to(app)
schemas.add_to(app)


INTERRUPTED = 130
"""Exit status of a process that Ctrl-C ended, as shells have it."""


def main() -> None:
    """This function will run the command line; a known error prints one line and its next step."""
    try:
        app()
    except Exception as error:
        if is_interrupt(error):
            sys.exit(INTERRUPTED)
        if not isinstance(error, TidegaugeError):
            raise
        typer.secho(str(error), fg=typer.colors.RED, err=True)
        sys.exit(1)


def is_interrupt(error: BaseException | None) -> bool:
    """This function will say whether an error came of Ctrl-C.

    A library that tidies up after it may fail in turn: the database client does, on a connection
    in the middle of a statement.
    """
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


if __name__ == "__main__":
    main()
