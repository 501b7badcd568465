"""Single events of a customer: the API's door to what lists them from the log."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from projections.listed_events import (
    DAYS_MAX,
    Asked,
    ListedEvent,
    Place,
    find_stretches,
    read_page,
)
from projections.queries.amendments import amended_events
from projections.queries.connection import tenant_connection

if TYPE_CHECKING:
    import sqlalchemy

    from runtime.settings import Settings

__all__ = ("DAYS_MAX", "Asked", "ListedEvent", "Place", "event_uuid", "list_events")


def list_events(
    settings: Settings,
    engine: sqlalchemy.Engine,
    asked: Asked,
    *,
    limit: int,
    after: Place | None,
) -> tuple[tuple[tuple[ListedEvent, bool], ...], Place | None]:
    """This function will return a page of events, in the order in which they were received.

    No connection is held while the log is read.

    Args:
        settings: Where the broker and the archive are.
        engine: Connections of the role app.
        asked: Which events.
        limit: Events of the page, from 1.
        after: Where the page before ended; None for the first.

    Returns:
        Each event, and whether it was voided or replaced since; and where the next page begins,
        None at the end.

    Raises:
        Rejected: invalid_request, for a period of more than DAYS_MAX days.
        Fatal: log_truncated or archive_gap, when nobody has the events any more.
        Retryable: broker_away or database_away.
    """
    with tenant_connection(engine, tenant=asked.tenant) as connection:
        stretches = find_stretches(connection, asked, after=after)
    page = read_page(settings, asked, stretches=stretches, limit=limit, after=after)
    names = [event_uuid(event) for event in page.events]
    with tenant_connection(engine, tenant=asked.tenant) as connection:
        amended = amended_events(connection, customer=asked.customer, events=names)
    return (
        tuple((event, name in amended) for event, name in zip(page.events, names, strict=True)),
        page.behind,
    )


def event_uuid(event: ListedEvent) -> uuid.UUID:
    """This function will return the id of an event, or the hash of its id in UUID form."""
    return uuid.UUID(bytes=event.row["key"])
