"""Commands that run one process of the pipeline until SIGTERM.

Each imports its room when it is called: a fold that restarts after a crash should not wait for the
web framework of the API, nor the API for Faust.
"""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from cli.operate import load_settings
from runtime.shutdown import Shutdown

stream_app = typer.Typer(help="Stream processors.", no_args_is_help=True)


@stream_app.command("usage")
def stream_usage() -> None:
    """Fold usage.events into usage.facts."""
    from streams.app import run_worker

    raise typer.Exit(run_worker(load_settings("stream-usage"), "usage"))


@stream_app.command("books")
def stream_books() -> None:
    """Fold account.commands into account.facts."""
    from streams.app import run_worker

    raise typer.Exit(run_worker(load_settings("stream-books"), "books"))


@stream_app.command("emergence")
def stream_emergence() -> None:
    """Fold node.events into emergence.facts."""
    from streams.app import run_worker

    raise typer.Exit(run_worker(load_settings("stream-emergence"), "emergence"))


def project(
    only: Annotated[
        Literal["usage", "account", "emergence", "all"], typer.Option(help="Which facts.")
    ] = "all",
) -> None:
    """Put facts into PostgreSQL."""
    from prometheus_client import start_http_server

    from projections import projector
    from projections.effects import scheduler

    topics = projector.TOPIC_NAMES if only == "all" else (only,)
    settings = load_settings("project")
    if settings.projector_port:
        start_http_server(settings.projector_port, addr="127.0.0.1")
    shutdown = Shutdown().install()
    if "account" in topics:
        scheduler.start_scheduler(settings, shutdown)  # beside the tables that it looks into
    projector.run_projector(settings, shutdown, topics=topics)


def billing() -> None:
    """Bill what falls due, mark what is overdue, correct what came late, add up days."""
    from projections.invoicing import worker

    worker.run_billing(load_settings("billing"), Shutdown().install())


def api() -> None:
    """Serve the read API and the command endpoints."""
    from api import server

    server.serve(load_settings("api"), Shutdown().install())


def add_to(app: typer.Typer) -> None:
    """This function will add these commands to the `tidegauge` command."""
    app.add_typer(stream_app, name="stream")
    app.command()(project)
    app.command()(billing)
    app.command()(api)
