"""`tidegauge gateway`: HTTP in, for systems that cannot speak Kafka."""

from __future__ import annotations

import typer

from cli.operate import load_settings
from runtime.shutdown import Shutdown


def gateway() -> None:
    """Take usage and node events over HTTP."""
    from producers.gateway import server

    server.serve(load_settings("gateway"), Shutdown().install())


def add_to(app: typer.Typer) -> None:
    """This function will add this command to the `tidegauge` command."""
    app.command()(gateway)
