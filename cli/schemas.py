"""Commands for schemas: `tidegauge schema list`, `show`, `check` and `register`."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.files import read_text
from cli.operate import load_settings
from domain.codes import Code
from domain.errors import Rejected

if TYPE_CHECKING:
    from runtime.schema_log import SchemaLog
    from runtime.settings import Settings
    from schemas.subjects import Version

schema_app = typer.Typer(
    help="Schemas of the log, and the registry of those that others add.", no_args_is_help=True
)
File = Annotated[
    Path, typer.Argument(help="Avro schema as JSON (.avsc).", exists=True, dir_okay=False)
]


@schema_app.command("list")
def list_schemas(
    prefix: Annotated[str, typer.Argument(help="Beginning of the subjects to show.")] = "",
) -> None:
    """List subjects with their versions and the ids in the frames."""
    from rich.console import Console
    from rich.table import Column, Table

    from schemas import wire_ids
    from schemas.subjects import Registry

    settings = load_settings("schema")
    registry = Registry()
    if not settings.is_registry_external:
        with closing(_log(settings)) as log:
            registry = log.ask(lambda found: found)
    numbers = wire_ids.in_force()
    table = Table(Column("subject", overflow="fold"), "version", "id", "by")
    for subject in registry.subjects():
        for version in registry.versions(subject) if subject.startswith(prefix) else ():
            table.add_row(
                subject,
                str(version.number),
                str(numbers.get(version.schema_id, version.schema_id)),
                "Tidegauge" if version.own is not None else "others",
            )
    Console().print(table)
    if settings.is_registry_external:
        typer.echo("ids are those of TIDEGAUGE_SCHEMA_REGISTRY, which knows the rest")


@schema_app.command("show")
def show_schema(
    name: Annotated[str, typer.Argument(help="Subject, or an id.")],
    version: Annotated[int, typer.Option(min=0, help="Version; 0 for the latest.")] = 0,
) -> None:
    """Print a schema, and say where it stands."""
    settings = _builtin_settings()
    with closing(_log(settings)) as log:
        found = log.ask(
            lambda registry: (
                registry.with_id(int(name))
                if name.isascii() and name.isdigit()
                else registry.versions(name)
            )
        )
    if not name.isdigit():
        found = found[version - 1 : version] if version else found[-1:]
    if not found:
        raise Rejected(
            Code.SUBJECT_UNKNOWN,
            f"there is no {name[:249]!r}" + (f" with a version {version}" if version else ""),
            next_step="See `tidegauge schema list`",
        )
    for each in found:
        typer.echo(f"{_place(each)}", err=True)
    typer.echo(json.dumps(json.loads(found[0].text), indent=1, ensure_ascii=False))


@schema_app.command("check")
def check_schema(
    file: File,
    subject: Annotated[
        str, typer.Option(help="Compare with this subject; without, only the schema is checked.")
    ] = "",
) -> None:
    """Say whether a schema is taken, and what it would break; status 1 when it is not."""
    from schemas import avro_parser, avro_types
    from schemas.subjects import found_conflicts, require_subject

    text = read_text(file)
    type_ = avro_parser.parse(text)
    if not subject:
        typer.echo(f"{avro_types.name_of(type_) or 'the schema'} is taken")
        return
    require_subject(subject)
    with closing(_log(_builtin_settings())) as log:
        known = log.ask(lambda registry: registry.find(subject, text))
        versions = log.ask(lambda registry: registry.versions(subject))
    if known is not None:
        typer.echo(f"is there already: {_place(known)}")
        return
    found = found_conflicts(subject, type_, versions)
    for conflict in found:
        typer.secho(conflict, fg=typer.colors.RED)
    if found:
        raise typer.Exit(1)
    typer.echo(f"fits as version {len(versions) + 1} of {subject}")


@schema_app.command("register")
def register_schema(
    subject: Annotated[str, typer.Argument(help="For example usage.events-value.")], file: File
) -> None:
    """Register a schema, for good; repeating changes nothing."""
    with closing(_log(_builtin_settings())) as log:
        typer.echo(_place(log.register(subject, read_text(file))))


def _builtin_settings() -> Settings:
    settings = load_settings("schema")
    if settings.is_registry_external:
        raise Rejected(
            Code.REGISTRY_MISMATCH,
            "the registry is an external one",
            next_step="Use its own tools; TIDEGAUGE_SCHEMA_REGISTRY says where it is",
        )
    return settings


def _log(settings: Settings) -> SchemaLog:
    from runtime.schema_log import SchemaLog

    return SchemaLog(settings)


def _place(version: Version) -> str:
    return f"{version.subject}, version {version.number}, id {version.schema_id}"


def add_to(app: typer.Typer) -> None:
    """This function will add these commands to the `tidegauge` command."""
    app.add_typer(schema_app, name="schema")
