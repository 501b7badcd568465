"""Commands for asset snapshots: the nightly job (S1-80), and what it left.

Each imports what it needs when it is called, as the commands of cli/workers.py do.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.books import Tenant
from cli.files import opened
from cli.operate import load_settings
from cli.times import given_time
from domain.canonical import decimal_text
from domain.codes import Code
from domain.derived_ids import derived_id
from domain.errors import Rejected, Retryable
from domain.period import parse_time, time_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from producers.gateway.candidates import Candidate
    from runtime.settings import Settings

assets_app = typer.Typer(help="Asset snapshots.", no_args_is_help=True)
LINE_BYTES_MAX = 256 * 1024
"""Bytes of one line: SITES_MAX sites with long names."""
FLUSH_S = 60
"""How long the log may take to acknowledge all of a file, seconds."""


@assets_app.command("snapshot")
def snapshot(
    file: Annotated[Path, typer.Argument(help="JSON Lines, - for standard input.")],
    captured_at: Annotated[
        str, typer.Option(help="RFC 3339; for lines that do not say it themselves.")
    ] = "",
    tenant: Tenant = "",
) -> None:
    """Record a snapshot of each customer in a file; a job that runs twice counts once.

    A line is an object: customer, asset_count or site_breakdown or both, captured_at. Nothing is
    sent unless every line can be read.
    """
    from producers.gateway.asset_snapshots import SNAPSHOT_TYPE

    settings = load_settings("assets")
    tenant = tenant or settings.tenant
    default = given_time(captured_at, "--captured-at") if captured_at else None
    events = [
        event
        for number, line in _lines(file)
        for event in _events(line, number=number, tenant=tenant, default=default)
    ]
    _record(settings, tenant=tenant, events=events)
    count = sum(event.type_ == SNAPSHOT_TYPE for event in events)
    typer.echo(f"{count} snapshots, {len(events)} events")


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that hold something, with their numbers."""
    with opened(file) as source:
        lines = iter(lambda: source.readline(LINE_BYTES_MAX + 1), b"")
        for number, line in enumerate(lines, start=1):
            if len(line) > LINE_BYTES_MAX:
                raise _refused(number, f"has more than {LINE_BYTES_MAX} bytes")
            if line.strip():
                yield number, line


def _events(
    line: bytes, *, number: int, tenant: str, default: datetime | None
) -> tuple[Candidate, ...]:
    from producers.gateway import asset_snapshots
    from producers.gateway.candidates import RefusedEvent
    from runtime.web import exact_json
    from runtime.web.problems import ProblemError

    try:
        body = exact_json.read(line)
    except ProblemError as error:
        raise _refused(number, error.problem.detail) from error
    if not isinstance(body, dict):
        raise _refused(number, "is no object")
    moment = default
    if moment is None:
        if "captured_at" not in body:
            raise _refused(number, "does not say captured_at; name it, or give --captured-at")
        moment = parse_time(str(body["captured_at"]))
    # The id follows from customer and moment, so that the job can simply run again.
    name = next((body[key] for key in asset_snapshots.CUSTOMER if key in body), "")
    captured = str(body.get("captured_at", time_text(moment)))
    body.setdefault("id", derived_id("ast", tenant, str(name), captured))
    try:
        return asset_snapshots.to_candidates(body, tenant=tenant, idempotency_key="", now=moment)
    except RefusedEvent as error:
        raise _refused(number, f"{error.param} {error.detail}") from error


def _refused(number: int, why: str) -> Rejected:
    return Rejected(Code.BAD_VALUE, f"line {number} {why}")


def _record(settings: Settings, *, tenant: str, events: list[Candidate]) -> None:
    from tidegauge import Meter
    from tidegauge.errors import InvalidEvent

    with Meter(settings.kafka, tenant=tenant) as meter:
        for event in events:
            try:
                meter.record(
                    customer=str(event.customer),
                    type=str(event.type_),
                    quantity=int(str(event.quantity)),
                    occurred_at=event.occurred_at,
                    dimensions=event.dimensions,  # type: ignore[arg-type]  # texts, or None
                    id=event.id,
                )
            except InvalidEvent as error:
                raise Rejected(
                    Code.BAD_VALUE, f"a snapshot of {event.customer!r}: {error}"
                ) from error
        left = meter.flush(timeout=FLUSH_S)
    if left:
        raise Retryable(
            Code.BROKER_AWAY,
            f"{left} events were not acknowledged within {FLUSH_S} s",
            retry_after_ms=1_000,
            next_step="Run the same command again: what arrived counts once",
        )


@assets_app.command("list")
def list_snapshots(
    customer: Annotated[str, typer.Option(help="Only this customer.")] = "",
    tenant: Tenant = "",
) -> None:
    """List the newest snapshots."""
    from projections.queries import assets, catalogues
    from projections.queries.connection import tenant_connection
    from projections.queries.paging import PAGE_ROWS_MAX
    from runtime import postgres

    settings = load_settings("assets")
    engine = postgres.new_engine(settings, role="app")
    try:
        with tenant_connection(engine, tenant=tenant or settings.tenant) as connection:
            newest = catalogues.catalogue_in_force(connection)
            if newest is None:
                return
            page = assets.list_snapshots(
                connection,
                meters=assets.meters_of(newest),
                limit=PAGE_ROWS_MAX,
                after=None,
                customer=customer or None,
            )
    finally:
        engine.dispose()
    for each in page.rows:
        sites = ", ".join(f"{site} {decimal_text(count)}" for site, count in each.sites)
        count = decimal_text(each.asset_count)
        typer.echo(f"{time_text(each.captured_at)}  {each.customer}  {count} assets  {sites}")


def add_to(app: typer.Typer) -> None:
    """This function will add these commands to the `tidegauge` command."""
    app.add_typer(assets_app, name="assets")
