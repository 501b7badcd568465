"""Commands for single events: `tidegauge event show`, `void`, `replace`, `amendments`."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Annotated

import typer

from cli.operate import load_settings
from cli.times import given_time
from domain.codes import Code
from domain.errors import Rejected
from domain.period import from_ms, time_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.usage.amendments import EventAmended
    from projections.counted_events import CountedEvent
    from projections.queries.amendments import AmendmentRow
    from runtime.settings import Settings

event_app = typer.Typer(help="Single events: docs/amendments.md.", no_args_is_help=True)
Id = Annotated[str, typer.Argument(help="Id of the event, as it was sent.")]
Customer = Annotated[str, typer.Option(help="Customer whose event it is.")]
Source = Annotated[str, typer.Option(help="Source of the event, where its id is no UUID.")]
Tenant = Annotated[str, typer.Option(help="Tenant; default is TIDEGAUGE_TENANT.")]
Reason = Annotated[str, typer.Option(help="Why, for whoever looks at it later.")]
Actor = Annotated[str, typer.Option(help="Id of who amends; not a person's name.")]
Pairs = Annotated[list[str] | None, typer.Option(help="NAME=VALUE; an empty value removes.")]


def key_of(event_id: str, *, source: str) -> bytes:
    """This function will return the key of an event's id."""
    from tidegauge.wire.identity import event_key

    return event_key(source=source, event_id=event_id)


@event_app.command("show")
def event_show(event_id: Id, customer: Customer, source: Source = "", tenant: Tenant = "") -> None:
    """Show a counted event as it lies on the log, and its amendment if there is one."""
    settings = load_settings("event")
    tenant = tenant or settings.tenant
    key = key_of(event_id, source=source)
    _print_event(_found(settings, tenant, customer, event_id, key))
    amendment = _amendment(settings, tenant=tenant, customer=customer, key=key)
    if amendment is not None:
        _print_amendments([amendment])


@event_app.command("amendments")
def event_amendments(customer: Customer, tenant: Tenant = "") -> None:
    """List a customer's amendments, the newest first."""
    from projections.queries.amendments import list_amendments
    from projections.queries.connection import tenant_connection
    from runtime import postgres

    settings = load_settings("event")
    engine = postgres.new_engine(settings, role="app")
    with tenant_connection(engine, tenant=tenant or settings.tenant) as connection:
        rows = list_amendments(connection, customer=customer)
    engine.dispose()
    _print_amendments(rows)


@event_app.command("void")
def event_void(
    event_id: Id,
    customer: Customer,
    reason: Reason,
    actor: Actor = "cli",
    source: Source = "",
    tenant: Tenant = "",
) -> None:
    """Take a counted event away; the original stays on the log. Twice does no harm."""
    settings = load_settings("event")
    tenant = tenant or settings.tenant
    found = _found(settings, tenant, customer, event_id, key_of(event_id, source=source))
    amended = found.amended(event_id=event_id, replacement=None, reason=reason, actor=actor)
    _amend(settings, found, amended)


@event_app.command("replace")
def event_replace(  # noqa: PLR0913, PLR0917 -- a parameter is an option of the command
    event_id: Id,
    customer: Customer,
    reason: Reason,
    quantity: Annotated[str, typer.Option(help="Another quantity, decimal text.")] = "",
    event_type: Annotated[str, typer.Option("--type", help="Another event type.")] = "",
    occurred_at: Annotated[str, typer.Option(help="Another time, RFC 3339.")] = "",
    dimension: Pairs = None,
    event_property: Annotated[
        list[str] | None, typer.Option("--property", help="NAME=VALUE; an empty value removes.")
    ] = None,
    actor: Actor = "cli",
    source: Source = "",
    tenant: Tenant = "",
) -> None:
    """Count another event in place of one; what is not given stays as it was."""
    from producers.amendments.replacing import Changes, replaced

    settings = load_settings("event")
    tenant = tenant or settings.tenant
    found = _found(settings, tenant, customer, event_id, key_of(event_id, source=source))
    changes = Changes(
        type=event_type,
        quantity=quantity,
        occurred_at=given_time(occurred_at, "--occurred-at") if occurred_at else None,
        dimensions=_pairs(dimension),
        properties=_pairs(event_property),
    )
    made = replaced(found.payload, changes, customer=customer)
    amended = found.amended(event_id=event_id, replacement=made, reason=reason, actor=actor)
    _amend(settings, found, amended)


def _pairs(texts: Sequence[str] | None) -> dict[str, str]:
    pairs = {}
    for text in texts or ():
        name, separator, value = text.partition("=")
        if not (name and separator):
            raise Rejected(Code.INVALID_REQUEST, f"{text[:60]!r} is not NAME=VALUE")
        pairs[name] = value
    return pairs


def _found(
    settings: Settings, tenant: str, customer: str, event_id: str, key: bytes
) -> CountedEvent:
    from projections.counted_events import find_counted

    found = find_counted(settings, tenant=tenant, customer=customer, key=key)
    if found is None:
        raise Rejected(
            Code.AMENDMENT_UNKNOWN,
            f"customer {customer!r} of tenant {tenant!r} has no counted event {event_id!r}",
            next_step="Ids that are no UUIDs need the --source under which they were sent; an "
            "event that was refused is in `tidegauge dead list`",
        )
    return found


def _amend(settings: Settings, found: CountedEvent, amended: EventAmended) -> None:
    """Amend the event, and print it with what became of it."""
    from cli.amending import amend

    row, is_new = amend(settings, found, amended)
    _print_event(found)
    if not is_new:
        typer.echo("the event was amended before; nothing has changed")
    _print_amendments([row])


def _amendment(
    settings: Settings, *, tenant: str, customer: str, key: bytes
) -> AmendmentRow | None:
    from projections.queries.amendments import find_amendment
    from projections.queries.connection import tenant_connection
    from runtime import postgres

    engine = postgres.new_engine(settings, role="app")
    try:
        with tenant_connection(engine, tenant=tenant) as connection:
            return find_amendment(connection, customer=customer, event=uuid.UUID(bytes=key))
    finally:
        engine.dispose()


def _print_event(found: CountedEvent) -> None:
    typer.echo(
        f"partition {found.partition}, offset {found.offset}, "
        f"received {time_text(from_ms(found.received_at_ms))}"
    )
    typer.echo(f"occurred {time_text(from_ms(found.payload.occurred_at_ms))}")
    typer.echo(found.payload.document)


def _print_amendments(rows: Sequence[AmendmentRow]) -> None:
    """Print amendments as lines: they are copied into tickets and letters."""
    for row in rows:
        typer.echo(
            f"{row.kind} of {row.event_id} at {time_text(row.amended_at)} by {row.actor}: "
            f"{row.reason}\n"
            f"  record       partition {row.partition}, offset {row.source_offset}\n"
            f"  original     {row.event} at offset {row.original_offset}: {row.original}"
        )
        if row.replacement:
            typer.echo(f"  replacement  {row.replacement_event}: {row.replacement}")


def add_to(app: typer.Typer) -> None:
    """This function will add these commands to the `tidegauge` command."""
    app.add_typer(event_app, name="event")
