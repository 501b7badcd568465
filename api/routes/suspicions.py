"""/suspicions: what looked like misuse, for an admin to see and close (S0-60)."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.concurrency import run_in_threadpool

from api.backend import Backend
from api.bodies import read_object
from api.cursors import from_cursor, moment_and_text, to_cursor
from api.dependencies import AdminDep, BackendDep, IdempotencyKeyDep
from api.parameters import SuspicionParameters, SuspicionStatus, read_id, refuse_query
from api.representations import ListRepresentation
from api.representations_books import SuspicionRepresentation, to_representation_suspicion
from api.routes.common import (
    COMMAND_RESPONSES,
    READ_RESPONSES,
    act,
    new_router,
    object_body,
    text_field,
)
from domain.period import time_text
from projections.queries import suspicions
from projections.queries.connection import tenant_connection
from runtime.web.authentication import Caller
from runtime.web.problems import not_found

router = new_router("suspicions")
_KIND = "suspicions"


@router.get(
    "/suspicions", responses=READ_RESPONSES, summary="Suspicions, newest first (billing:admin)"
)
def list_suspicions(
    backend: BackendDep, caller: AdminDep, parameters: Annotated[SuspicionParameters, Query()]
) -> ListRepresentation[SuspicionRepresentation]:
    """Raised by the catalogue's rules; not for customers, who might learn to avoid them."""
    after = from_cursor(parameters.cursor, kind=_KIND, make=moment_and_text)
    status = parameters.status
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        page = suspicions.list_suspicions(
            connection,
            limit=parameters.limit,
            after=after,
            is_open=None if status is None else status is SuspicionStatus.OPEN,
            customer=parameters.customer,
        )
    last = page.rows[-1] if page.has_more else None
    return ListRepresentation(
        data=[to_representation_suspicion(suspicion) for suspicion in page.rows],
        has_more=page.has_more,
        next_cursor=to_cursor(_KIND, time_text(last.raised_at), last.suspicion) if last else None,
    )


@router.post(
    "/suspicions/{suspicion}/close",
    responses=COMMAND_RESPONSES,
    summary="Close a suspicion (billing:admin)",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {"note": text_field("What was found")},
        required=("note",),
        example={"note": "asked the customer: a typing error"},
    ),
)
async def close_suspicion(
    request: Request,
    backend: BackendDep,
    caller: AdminDep,
    idempotency_key: IdempotencyKeyDep,
    suspicion: str,
) -> SuspicionRepresentation:
    """Who closed it and why stays on record."""
    fields = await read_object(request)
    fields.only(("note",))
    suspicion = read_id(suspicion)
    await act(
        backend,
        caller,
        operation="POST /suspicions/close",
        idempotency_key=idempotency_key,
        kind="CloseSuspicion",
        body={"suspicion": suspicion, "note": fields.text("note")},
    )
    return await run_in_threadpool(_find, backend, caller, suspicion)


def _find(backend: Backend, caller: Caller, suspicion: str) -> SuspicionRepresentation:
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = suspicions.find_suspicion(connection, suspicion=suspicion)
    if found is None:
        raise not_found()
    return to_representation_suspicion(found)
