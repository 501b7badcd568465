"""Commands for catalogues: check, diff, publish, show, schema."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.books import Tenant, send
from cli.catalogue_file import check_file, read_catalogue_file
from cli.operate import load_settings
from cli.reading import reading
from domain.catalogue import Catalogue, parse_catalogue
from domain.catalogue_diff import CatalogueDiff, How, diff_catalogues, new_event_names
from domain.catalogue_schema import schema_text
from domain.codes import Code
from domain.derived_ids import derived_id
from domain.errors import Rejected
from projections.queries import catalogues
from runtime import clock
from runtime.commands import CommandSender
from schemas.topics import USAGE_DEAD, USAGE_EVENTS

if TYPE_CHECKING:
    from runtime.settings import Settings

catalogue_app = typer.Typer(help="Meters and plans: docs/catalogue.md.", no_args_is_help=True)

ENVELOPE_BYTES = 4_096
"""What a record adds around a catalogue: tenant, version and frame, at their longest."""
STYLES = {How.ADDED: "green", How.CHANGED: "yellow", How.REMOVED: "red"}


def publish_catalogue(
    settings: Settings, sender: CommandSender, *, tenant: str, content: str
) -> int:
    """This function will publish a catalogue to the books and to every partition of the folds.

    The order is what makes it safe to be killed at any point: 1. the books decide, so what they
    refuse never reaches a fold; 2. each partition gets one record that holds the whole document,
    and its fold uses the version from that record on. Killed between two partitions, the others
    go on with the version they have, and publishing the same document again completes it: the
    books answer a repeated command as before, folds pass over a version they have.

    Returns:
        The version.

    Raises:
        Rejected: When the books refuse it.
        Retryable: broker_away, database_away or command_timeout; publishing again is safe.
    """
    catalogue = parse_catalogue(content)
    # 1. The books.
    send(
        settings,
        sender,
        tenant=tenant,
        command_id=derived_id("cmd", "publish", tenant, catalogue.sha256),
        kind="PublishCatalogue",
        body={"content": catalogue.content},
    )
    # 2. Every partition.
    sender.publish_catalogue(tenant=tenant, version=catalogue.version, content=catalogue.content)
    return catalogue.version


@catalogue_app.command("check")
def catalogue_check(files: list[Path]) -> None:
    """Check catalogue files (YAML or JSON) and list all that is wrong; status 1 if anything is."""
    wrong = 0
    for path in files:
        checked = check_file(path)
        if checked.catalogue is None:
            wrong += 1
            typer.echo("\n".join(checked.lines()))
            continue
        catalogue = checked.catalogue
        too_long = _too_long(catalogue)
        wrong += bool(too_long)
        typer.echo(
            f"{path}: {too_long}"
            if too_long
            else f"{path}: version {catalogue.version}, {len(catalogue.meters)} meters, "
            f"{len(catalogue.plans)} plans, {len(catalogue.event_names)} event names, "
            f"sha256 {catalogue.sha256}"
        )
    raise typer.Exit(1 if wrong else 0)


@catalogue_app.command("diff")
def catalogue_diff(
    file: Path,
    against: Annotated[
        str, typer.Option(help="published (the version in force), a version, or a file.")
    ] = "published",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    tenant: Tenant = "",
) -> None:
    """Say what a catalogue would change, and what the books will refuse; status 1 if they do."""
    after = parse_catalogue(read_catalogue_file(file))
    before = _against(against, tenant=tenant)
    found = diff_catalogues(before=before, after=after)
    if as_json:
        typer.echo(json.dumps(_diff_json(before, after, found), indent=2, ensure_ascii=False))
    else:
        _print_diff(before, after, found)
    raise typer.Exit(1 if found.refusals else 0)


@catalogue_app.command("publish")
def catalogue_publish(file: Path, tenant: Tenant = "") -> None:
    """Publish a catalogue file (YAML or JSON); doing it twice is safe."""
    catalogue = parse_catalogue(read_catalogue_file(file))
    too_long = _too_long(catalogue)
    if too_long:
        raise Rejected(Code.OVERSIZED, too_long)
    settings = load_settings("catalogue")
    tenant = tenant or settings.tenant
    before = _published(settings, tenant=tenant)
    for refusal in diff_catalogues(before=before, after=catalogue).refusals:
        next_step = f"`tidegauge catalogue diff {file}` shows every change"
        raise Rejected(refusal.code, refusal.reason, next_step=next_step)
    sender = CommandSender(settings, actor="cli")
    publish_catalogue(settings, sender, tenant=tenant, content=catalogue.content)
    typer.echo(f"catalogue version {catalogue.version} is in force")
    if new_event_names(before=before, after=catalogue):
        _print_refused_types(settings, tenant=tenant)


@catalogue_app.command("show")
def catalogue_show(
    version: Annotated[
        int | None, typer.Option(min=1, help="A version; default is the one in force.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the canonical JSON, as it was hashed.")
    ] = False,
    tenant: Tenant = "",
) -> None:
    """Show a published catalogue, as a file that can be edited and published again."""
    from cli.catalogue_text import to_yaml

    settings = load_settings("catalogue")
    tenant = tenant or settings.tenant
    found = _find(settings, tenant=tenant, version=version)
    if found is None:
        which = "no catalogue" if version is None else f"no catalogue version {version}"
        raise Rejected(
            Code.NOT_FOUND,
            f"tenant {tenant!r} has published {which}",
            next_step="Publish one with `tidegauge catalogue publish FILE`",
        )
    typer.echo(found.content if as_json else to_yaml(found), nl=as_json)


@catalogue_app.command("schema")
def catalogue_schema() -> None:
    """Print the JSON Schema of catalogue files, for editors."""
    typer.echo(schema_text(), nl=False)


def _too_long(catalogue: Catalogue) -> str:
    """Say that a catalogue does not fit into a record of usage.events; empty when it does."""
    size = len(catalogue.content.encode()) + ENVELOPE_BYTES
    if size <= USAGE_EVENTS.message_bytes_max:
        return ""
    return (
        f"the document takes {size} bytes in a record, at most "
        f"{USAGE_EVENTS.message_bytes_max} are taken"
    )


def _find(
    settings: Settings, *, tenant: str, version: int | None
) -> catalogues.PublishedCatalogue | None:
    with reading(settings, tenant=tenant) as connection:
        return catalogues.find_catalogue(connection, version=version)


def _published(settings: Settings, *, tenant: str, version: int | None = None) -> Catalogue | None:
    found = _find(settings, tenant=tenant, version=version)
    return None if found is None else parse_catalogue(found.content)


def _against(against: str, *, tenant: str) -> Catalogue | None:
    """Return what is compared with: the version in force, a version, or a file."""
    if against != "published" and not against.isdecimal():
        return parse_catalogue(read_catalogue_file(Path(against)))
    settings = load_settings("catalogue")
    tenant = tenant or settings.tenant
    version = None if against == "published" else int(against)
    found = _published(settings, tenant=tenant, version=version)
    if found is None and version is not None:
        raise Rejected(
            Code.NOT_FOUND,
            f"tenant {tenant!r} has published no catalogue version {version}",
            next_step="Give the path of a file as ./NAME, or leave --against out",
        )
    return found


def _diff_json(
    before: Catalogue | None, after: Catalogue, found: CatalogueDiff
) -> dict[str, object]:
    return {
        "from_version": before.version if before is not None else None,
        "from_sha256": before.sha256 if before is not None else None,
        "to_version": after.version,
        "to_sha256": after.sha256,
        "changes": [
            {"how": each.how, "what": each.what, "name": each.name, "detail": each.detail}
            for each in found.changes
        ],
        "refused": [{"code": each.code, "reason": each.reason} for each in found.refusals],
    }


def _print_diff(before: Catalogue | None, after: Catalogue, found: CatalogueDiff) -> None:
    console = Console(highlight=False)
    origin = f"version {before.version}" if before is not None else "nothing"
    table = Table(title=f"from {origin} to version {after.version}", title_justify="left")
    for heading in ("change", "what", "name", "detail"):
        table.add_column(heading, overflow="fold")
    for each in found.changes:
        how = f"[{STYLES[each.how]}]{each.how}[/]"
        table.add_row(how, each.what, escape(each.name), escape(each.detail))
    if found.changes:
        console.print(table)
    elif before is not None and before.sha256 == after.sha256:
        console.print("the same document")
    else:
        console.print("nothing changes what is counted or charged")
    for refusal in found.refusals:
        console.print(f"[red]refused[/] {refusal.code}: {escape(refusal.reason)}", soft_wrap=True)
    verdict = (
        "will be refused" if found.refusals else "can be published, unless what is in use needs it"
    )
    console.print(f"version {after.version} {verdict}")


def _print_refused_types(settings: Settings, *, tenant: str) -> None:
    """Say how much usage was refused for its type, and how it is sent again."""
    since = clock.now() - timedelta(milliseconds=USAGE_DEAD.retention_ms)
    with reading(settings, tenant=tenant) as connection:
        records, events = catalogues.count_refused_types(connection, since=since)
    if records:
        typer.echo(
            f"{events} events in {records} records were refused for an unknown type in the last "
            f"{USAGE_DEAD.retention_ms // 86_400_000} days; what is known now is counted by:\n"
            f"  tidegauge dead replay --code {Code.UNKNOWN_TYPE} --tenant {tenant}\n"
            "What was counted before stays counted once, also when it is sent again."
        )


def add_to(app: typer.Typer) -> None:
    """This function will add these commands to the `tidegauge` command."""
    app.add_typer(catalogue_app, name="catalogue")
