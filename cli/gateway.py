"""`tidegauge gateway`: HTTP in, for systems that cannot speak Kafka."""

from __future__ import annotations

import typer

from cli.operate import load_settings
from runtime.shutdown import Shutdown


def gateway() -> None:
    """Take usage and node events over HTTP."""
    from cli.balances import new_balances
    from producers.gateway import server

    settings = load_settings("gateway")
    server.serve(settings, Shutdown().install(), make_balances=new_balances)


def add_to(app: typer.Typer) -> None:
    """This function will add this command to the `tidegauge` command."""
    app.command()(gateway)
