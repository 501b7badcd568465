"""GET /usage/events: a customer's counted events, page by page (S4-20)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Query

from api.backend import Backend
from api.cursors import CursorPart, from_cursor, integer, to_cursor
from api.dependencies import BackendDep, CallerDep
from api.parameters import UsageEventParameters, read_period
from api.representations import ListRepresentation, UsageEventRepresentation
from api.routes.common import FIND_RESPONSES, new_router
from domain.catalogue import Catalogue
from domain.codes import Code
from domain.errors import Fatal
from domain.period import from_ms, time_text
from domain.quantity import SCALE, nanos_text
from projections.queries import catalogues
from projections.queries.connection import tenant_connection
from projections.queries.usage_events import Asked, ListedEvent, Place, event_uuid, list_events
from runtime.web.openapi import problem_response
from runtime.web.problems import Problem, ProblemError

router = new_router("usage")
_KIND = "usage-events"
_GONE = frozenset({Code.LOG_TRUNCATED, Code.ARCHIVE_GAP})


@router.get(
    "/usage/events",
    responses={**FIND_RESPONSES, 410: problem_response("The events are older than the log")},
    summary="Events of a customer, as they were received (S4-20)",
)
def get_events(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[UsageEventParameters, Query()]
) -> ListRepresentation[UsageEventRepresentation]:
    """Read from the log: what was counted, once each, in the order in which it came.

    A page looks at so much of the log and no more: it may hold fewer events than were asked for,
    even none, and has_more alone says whether it is the last. What the log no longer holds is read
    from its archive where this process has it, and else refused (log_truncated).
    """
    asked = Asked(
        tenant=caller.tenant,
        customer=parameters.customer,
        period=read_period(parameters.start, parameters.end),
        types=_types(backend, caller.tenant, parameters.type),
    )
    after = from_cursor(parameters.cursor, kind=_KIND, make=_to_place)
    data, behind = page_of_events(backend, asked, limit=parameters.limit, after=after)
    return ListRepresentation(
        data=data,
        has_more=behind is not None,
        next_cursor=to_cursor(_KIND, behind.offset, behind.index, behind.facts_offset)
        if behind
        else None,
    )


def page_of_events(
    backend: Backend, asked: Asked, *, limit: int, after: Place | None
) -> tuple[list[UsageEventRepresentation], Place | None]:
    """This function will show a page of events, and say where the next one begins.

    Raises:
        ProblemError: log_truncated or archive_gap (410), for events that nobody has any more.
    """
    try:
        rows, behind = list_events(
            backend.settings, backend.engine, asked, limit=limit, after=after
        )
    except Fatal as error:
        if error.code not in _GONE:
            raise
        detail = (
            "The log holds these events no longer; its archive may: `tidegauge archive`, and "
            "TIDEGAUGE_ARCHIVE_DIR for this process (docs/archive.md). Windows are kept for good"
        )
        raise ProblemError(Problem(410, error.code, detail, param="from")) from error
    return [_representation(event, is_amended=amended) for event, amended in rows], behind


def _types(backend: Backend, tenant: str, name: str | None) -> frozenset[str]:
    if name is None:
        return frozenset()
    with tenant_connection(backend.engine, tenant=tenant) as connection:
        return names_of(catalogues.catalogue_in_force(connection), name)


def names_of(newest: Catalogue | None, name: str) -> frozenset[str]:
    """This function will return all names of an event type, whichever of them is given."""
    types = newest.event_types if newest is not None else ()
    return next(
        (
            frozenset({each.name, *each.aliases})
            for each in types
            if name == each.name or name in each.aliases
        ),
        frozenset({name}),
    )


def _representation(event: ListedEvent, *, is_amended: bool) -> UsageEventRepresentation:
    row = event.row
    nanos = row["quantity"] * 10 ** (SCALE - row["scale"])
    return UsageEventRepresentation(
        id=str(event_uuid(event)),
        customer=row["customer"],
        type=row["type"],
        quantity=nanos_text(nanos),
        occurred_at=time_text(from_ms(row["occurred_at_ms"])),
        received_at=time_text(from_ms(event.received_at_ms)),
        dimensions=dict(row["dimensions"]),
        properties=dict(row["properties"]),
        is_amended=is_amended,
    )


def _to_place(parts: Sequence[CursorPart]) -> Place:
    offset, index, facts_offset = parts
    return Place(integer(offset), integer(index), integer(facts_offset))
