"""GET and POST /subscriptions, GET /subscriptions/{subscription}."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from api.backend import Backend
from api.bodies import read_object
from api.commands import Command
from api.cursors import from_cursor, only_text, to_cursor
from api.dependencies import BackendDep, CallerDep, IdempotencyKeyDep
from api.parameters import SubscriptionParameters, read_id, refuse_query
from api.representations import (
    ListRepresentation,
    SubscriptionRepresentation,
    to_representation_subscription,
)
from api.routes.common import (
    BASE_PATH,
    COMMAND_RESPONSES,
    FIND_RESPONSES,
    READ_RESPONSES,
    body_schema,
    new_router,
)
from domain.derived_ids import derived_id
from domain.period import time_text
from projections.queries import subscriptions
from projections.queries.connection import tenant_connection
from runtime.web.authentication import Caller
from runtime.web.problems import not_found

router = new_router("subscriptions")
_KIND = "subscriptions"
_OPERATION = "POST /subscriptions"


@router.get("/subscriptions", responses=READ_RESPONSES, summary="Subscriptions by id")
def list_subscriptions(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[SubscriptionParameters, Query()]
) -> ListRepresentation[SubscriptionRepresentation]:
    """All subscriptions of the tenant or of one customer, in the order of their ids."""
    after = (
        from_cursor(parameters.cursor, kind=_KIND, make=only_text) if parameters.cursor else None
    )
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        page = subscriptions.list_subscriptions(
            connection, limit=parameters.limit, after=after, customer=parameters.customer
        )
    return ListRepresentation(
        data=[to_representation_subscription(subscription) for subscription in page.rows],
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
    """One subscription with its current period."""
    return _find(backend, caller, read_id(subscription))


@router.post(
    "/subscriptions",
    status_code=201,
    responses=COMMAND_RESPONSES,
    summary="Create a subscription",
    dependencies=[Depends(refuse_query)],
    openapi_extra=body_schema(
        {
            "customer": "Who pays; must exist",
            "plan": "Code of a plan of the catalogue in force, in the customer's currency",
            "start": "Start of the first monthly period: RFC 3339, 00:00:00 UTC of a day",
        },
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
    fields.only(("customer", "plan", "start"))
    identity = (caller.tenant, _OPERATION, idempotency_key)
    subscription = derived_id("sub", *identity)
    await backend.commands.execute(
        Command(
            tenant=caller.tenant,
            command_id=derived_id("cmd", *identity),
            kind="CreateSubscription",
            body={
                "subscription": subscription,
                "customer": fields.text("customer"),
                "plan": fields.text("plan"),
                "start": time_text(fields.time("start")),
            },
            actor=f"api:{caller.key_id}",
        )
    )
    created = await run_in_threadpool(_find, backend, caller, subscription)
    response.headers["Location"] = f"{BASE_PATH}/subscriptions/{subscription}"
    return created


def _find(backend: Backend, caller: Caller, subscription: str) -> SubscriptionRepresentation:
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = subscriptions.find_subscription(connection, subscription=subscription)
    if found is None:
        raise not_found()
    return to_representation_subscription(found)
