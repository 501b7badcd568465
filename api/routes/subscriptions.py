"""/subscriptions: creating and reading them, and their history; changes are elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from api.backend import Backend
from api.bodies import read_object
from api.cursors import CursorPart, from_cursor, integer, only_text, to_cursor
from api.dependencies import BackendDep, CallerDep, IdempotencyKeyDep
from api.parameters import PageParameters, SubscriptionParameters, read_id, refuse_query
from api.representations import ListRepresentation
from api.representations_subscriptions import (
    SubscriptionChangeRepresentation,
    SubscriptionRepresentation,
    to_representation_change,
    to_representation_subscription,
)
from api.routes.common import (
    BASE_PATH,
    COMMAND_RESPONSES,
    FIND_RESPONSES,
    READ_RESPONSES,
    act,
    count_field,
    new_router,
    object_body,
    text_field,
)
from domain.billing_terms import Cycle
from domain.books.subscriptions import TRIAL_DAYS_MAX
from domain.derived_ids import derived_id
from domain.period import time_text
from projections.queries import clocks, subscriptions
from projections.queries.connection import tenant_connection
from runtime.web.authentication import Caller
from runtime.web.problems import not_found

router = new_router("subscriptions")
_KIND, _CHANGES = "subscriptions", "subscription-changes"
_CREATE = "POST /subscriptions"
_BODY: dict[str, dict[str, Any]] = {
    "customer": text_field("Who pays; must exist"),
    "plan": text_field("Code of a plan of the catalogue in force, in the customer's currency"),
    "start": text_field("First day of service: RFC 3339, 00:00:00 UTC of a day"),
    "end": text_field("First day that it no longer serves, as start and after it"),
    "seats": {**count_field("Seats; 1 when absent", minimum=0), "maximum": 1_000_000},
    "add_ons": {
        "type": "array",
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": ["code"],
            "properties": {
                "code": text_field("Code of an add-on of the catalogue in force"),
                "quantity": count_field("How many; 1 when absent"),
            },
        },
        "description": "Add-ons, each once",
    },
    "trial_days": {
        "type": "integer",
        "minimum": 0,
        "maximum": TRIAL_DAYS_MAX,
        "description": "Days before the first billed period; the plan's when absent",
    },
    "cycle": {
        "type": "string",
        "enum": list(Cycle),
        "description": "From where periods are counted; the catalogue's when absent",
    },
    "discounts": {
        "type": "array",
        "items": {"type": "string"},
        "description": "Codes of discounts of the catalogue in force, after the plan's own",
    },
    "dimensions": {
        "type": "object",
        "additionalProperties": {"type": "string"},
        "description": "Dimension values that usage must have to belong to it; all when absent",
    },
}


@router.get("/subscriptions", responses=READ_RESPONSES, summary="Subscriptions by id")
def list_subscriptions(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[SubscriptionParameters, Query()]
) -> ListRepresentation[SubscriptionRepresentation]:
    """All subscriptions of the tenant or of one customer, in the order of their ids."""
    after = from_cursor(parameters.cursor, kind=_KIND, make=only_text)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        page = subscriptions.list_subscriptions(
            connection, limit=parameters.limit, after=after, customer=parameters.customer
        )
        now = clocks.tenant_now(connection)
    return ListRepresentation(
        data=[to_representation_subscription(each, now=now) for each in page.rows],
        has_more=page.has_more,
        next_cursor=to_cursor(_KIND, page.rows[-1].subscription) if page.has_more else None,
    )


@router.get(
    "/subscriptions/{subscription}",
    responses=FIND_RESPONSES,
    summary="One subscription",
    dependencies=[Depends(refuse_query)],
)
def get_subscription(
    backend: BackendDep, caller: CallerDep, subscription: str
) -> SubscriptionRepresentation:
    """One subscription with its open period and what is planned."""
    return find(backend, caller, read_id(subscription))


@router.get(
    "/subscriptions/{subscription}/changes",
    responses=FIND_RESPONSES,
    summary="What happened to a subscription",
)
def list_changes(
    backend: BackendDep,
    caller: CallerDep,
    subscription: str,
    parameters: Annotated[PageParameters, Query()],
) -> ListRepresentation[SubscriptionChangeRepresentation]:
    """Every change, renewals too, in the order in which they were decided."""
    name = read_id(subscription)
    after = from_cursor(parameters.cursor, kind=_CHANGES, make=_two_numbers)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        if subscriptions.find_subscription(connection, subscription=name) is None:
            raise not_found()
        page = subscriptions.list_changes(
            connection, subscription=name, limit=parameters.limit, after=after
        )
    cursor = None
    if page.has_more:
        last = page.rows[-1]
        cursor = to_cursor(_CHANGES, last.source_offset, last.fact_index)
    return ListRepresentation(
        data=[to_representation_change(change) for change in page.rows],
        has_more=page.has_more,
        next_cursor=cursor,
    )


@router.post(
    "/subscriptions",
    status_code=201,
    responses=COMMAND_RESPONSES,
    summary="Create a subscription",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        _BODY,
        required=("customer", "plan", "start"),
        example={"customer": "customer-1", "plan": "starter", "start": "2026-01-01T00:00:00Z"},
    ),
)
async def create_subscription(
    request: Request,
    response: Response,
    backend: BackendDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKeyDep,
) -> SubscriptionRepresentation:
    """Sends CreateSubscription and answers when its effect is visible."""
    fields = await read_object(request)
    fields.only(_BODY)
    for name in ("customer", "plan"):
        fields.text(name)
    # The same moment written otherwise is the same wish.
    days = {
        name: time_text(fields.time(name))
        for name in ("start", "end")
        if name == "start" or fields.values.get(name) is not None
    }
    subscription = derived_id("sub", caller.tenant, _CREATE, idempotency_key)
    await act(
        backend,
        caller,
        operation=_CREATE,
        idempotency_key=idempotency_key,
        kind="CreateSubscription",
        body={**fields.values, **days, "subscription": subscription},
    )
    created = await run_in_threadpool(find, backend, caller, subscription)
    response.headers["Location"] = f"{BASE_PATH}/subscriptions/{subscription}"
    return created


def _two_numbers(parts: Sequence[CursorPart]) -> tuple[int, int]:
    offset, index = parts
    return integer(offset), integer(index)


def find(backend: Backend, caller: Caller, subscription: str) -> SubscriptionRepresentation:
    """This function will show one subscription of the caller's tenant.

    Raises:
        ProblemError: not_found.
    """
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = subscriptions.find_subscription(connection, subscription=subscription)
        now = clocks.tenant_now(connection)
    if found is None:
        raise not_found()
    return to_representation_subscription(found, now=now)
