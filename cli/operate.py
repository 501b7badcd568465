"""Commands for operators: settings, topics, migrations, rebuild."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from pydantic import SecretStr

from runtime import failpoints, kafka, logs
from runtime.schema_registry import take_ids
from runtime.settings import Settings, env_example, read_settings

config_app = typer.Typer(help="Settings.", no_args_is_help=True)
topics_app = typer.Typer(help="Kafka topics.", no_args_is_help=True)


def load_settings(process: str) -> Settings:
    """This function will read the settings, start the logs of one process, and agree on ids.

    Raises:
        Fatal: setting_invalid, or registry_mismatch with an external schema registry.
        Retryable: registry_away, when that does not answer.
    """
    settings = read_settings()
    logs.configure(settings, process=process)
    failpoints.arm(settings.failpoint)
    take_ids(settings)
    return settings


@config_app.command("show")
def config_show() -> None:
    """Print every setting as it is in force; secrets are hidden."""
    settings = read_settings()
    values = {
        name: "********" if isinstance(value, SecretStr) else str(value)
        for name, value in ((name, getattr(settings, name)) for name in Settings.model_fields)
    }
    typer.echo(json.dumps(values, indent=2))


@config_app.command("example")
def config_example() -> None:
    """Print .env.example."""
    typer.echo(env_example(), nl=False)


@topics_app.command("create")
def topics_create() -> None:
    """Create missing topics and check the others."""
    kafka.ensure_topics(load_settings("topics"))
    typer.echo("topics are as the topic catalogue says")


@topics_app.command("check")
def topics_check() -> None:
    """Compare the broker's topics with the topic catalogue."""
    kafka.check_topics(load_settings("topics"))
    typer.echo("topics are as the topic catalogue says")


def migrate() -> None:
    """Bring the database schema up to date."""
    from projections import migrate as migrations

    migrations.migrate(load_settings("migrate"))
    typer.echo("the schema is up to date")


def rebuild(
    yes: Annotated[
        bool, typer.Option("--yes", help="Drop the projections without asking.")
    ] = False,
) -> None:
    """Drop the projections and refill them from the log."""
    from projections import rebuild as rebuilding

    settings = load_settings("rebuild")
    if not yes:
        typer.confirm(f"Drop schema {settings.database_schema} and refill it?", abort=True)
    counts = rebuilding.rebuild(settings)
    hashes = rebuilding.dump_hash(settings)
    typer.echo(json.dumps({"rebuilt": counts, "dump_sha256": hashes}, indent=2, default=str))


def dump_hash() -> None:
    """Print the ordered hash of every projected table."""
    from projections import rebuild as rebuilding

    typer.echo(json.dumps(rebuilding.dump_hash(load_settings("dump-hash")), indent=2))


def add_to(app: typer.Typer) -> None:
    """This function will add these commands to the `tidegauge` command."""
    app.add_typer(config_app, name="config")
    app.add_typer(topics_app, name="topics")
    app.command()(migrate)
    app.command()(rebuild)
    app.command("dump-hash")(dump_hash)
