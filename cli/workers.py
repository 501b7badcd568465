"""Commands that run one process of the pipeline until SIGTERM."""

from __future__ import annotations

from typing import Annotated, Literal

import typer
from prometheus_client import start_http_server

from api import server
from cli.operate import load_settings
from projections import projector
from runtime import failpoints
from runtime.settings import Settings
from runtime.shutdown import Shutdown
from streams.app import run_worker

stream_app = typer.Typer(help="Stream processors.", no_args_is_help=True)


def _start(process: str) -> Settings:
    settings = load_settings(process)
    failpoints.arm(settings.failpoint)
    return settings


@stream_app.command("usage")
def stream_usage() -> None:
    """Fold usage.events into usage.facts."""
    raise typer.Exit(run_worker(_start("stream-usage"), "usage"))


@stream_app.command("books")
def stream_books() -> None:
    """Fold account.commands into account.facts."""
    raise typer.Exit(run_worker(_start("stream-books"), "books"))


def project(
    only: Annotated[
        Literal["usage", "account", "both"], typer.Option(help="Which facts.")
    ] = "both",
) -> None:
    """Put facts into PostgreSQL."""
    topics = projector.TOPIC_NAMES if only == "both" else (only,)
    settings = _start("project")
    if settings.projector_port:
        start_http_server(settings.projector_port, addr="127.0.0.1")
    projector.run_projector(settings, Shutdown().install(), topics=topics)


def api() -> None:
    """Serve the read API and the command endpoints."""
    server.serve(_start("api"), Shutdown().install())


def add_to(app: typer.Typer) -> None:
    """This function will add these commands to the `tidegauge` command."""
    app.add_typer(stream_app, name="stream")
    app.command()(project)
    app.command()(api)
