"""GET and POST /customers."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.concurrency import run_in_threadpool

from api.backend import Backend
from api.bodies import read_object
from api.commands import Command
from api.cursors import from_cursor, only_text, to_cursor
from api.dependencies import BackendDep, CallerDep, IdempotencyKeyDep
from api.parameters import PageParameters, refuse_query
from api.representations import (
    CustomerRepresentation,
    ListRepresentation,
    to_representation_customer,
)
from api.routes.common import COMMAND_RESPONSES, READ_RESPONSES, body_schema, new_router
from domain.derived_ids import derived_id
from projections.queries import customers
from projections.queries.connection import tenant_connection
from runtime.web.authentication import Caller
from runtime.web.problems import not_found

router = new_router("customers")
_KIND = "customers"
_OPERATION = "POST /customers"


@router.get("/customers", responses=READ_RESPONSES, summary="Customers by id")
def list_customers(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[PageParameters, Query()]
) -> ListRepresentation[CustomerRepresentation]:
    """All customers of the tenant, in the order of their ids."""
    after = (
        from_cursor(parameters.cursor, kind=_KIND, make=only_text) if parameters.cursor else None
    )
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        page = customers.list_customers(connection, limit=parameters.limit, after=after)
    return ListRepresentation(
        data=[to_representation_customer(customer) for customer in page.rows],
        has_more=page.has_more,
        next_cursor=to_cursor(_KIND, page.rows[-1].customer) if page.has_more else None,
    )


@router.post(
    "/customers",
    status_code=201,
    responses=COMMAND_RESPONSES,
    summary="Create a customer",
    dependencies=[Depends(refuse_query)],
    openapi_extra=body_schema(
        {
            "customer": "Your id of the customer, as your events name it; no personal data",
            "currency": "ISO 4217 code of its invoices",
        },
        example={"customer": "customer-1", "currency": "USD"},
    ),
)
async def create_customer(
    request: Request, backend: BackendDep, caller: CallerDep, idempotency_key: IdempotencyKeyDep
) -> CustomerRepresentation:
    """Sends CreateCustomer and answers when its effect is visible."""
    fields = await read_object(request)
    fields.only(("customer", "currency"))
    customer = fields.text("customer")
    await backend.commands.execute(
        Command(
            tenant=caller.tenant,
            command_id=derived_id("cmd", caller.tenant, _OPERATION, idempotency_key),
            kind="CreateCustomer",
            body={"customer": customer, "currency": fields.text("currency")},
            actor=f"api:{caller.key_id}",
        )
    )
    return await run_in_threadpool(_find, backend, caller, customer)


def _find(backend: Backend, caller: Caller, customer: str) -> CustomerRepresentation:
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = customers.find_customer(connection, customer=customer)
    if found is None:
        raise not_found()
    return to_representation_customer(found)
