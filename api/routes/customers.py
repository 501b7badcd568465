"""/customers: who pays, on which terms, and at which prices of their own."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Query, Request
from fastapi.concurrency import run_in_threadpool

from api.backend import Backend
from api.bodies import read_object
from api.cursors import from_cursor, only_text, to_cursor
from api.dependencies import BackendDep, CallerDep, IdempotencyKeyDep
from api.parameters import PageParameters, read_id, refuse_query
from api.representations import ListRepresentation
from api.representations_subscriptions import CustomerRepresentation, to_representation_customer
from api.routes.common import (
    COMMAND_RESPONSES,
    FIND_RESPONSES,
    READ_RESPONSES,
    act,
    new_router,
    object_body,
    text_field,
)
from domain.billing_terms import DUE_DAYS_MAX, GRACE_HOURS_MAX, TaxTreatment
from domain.canonical import to_canonical_json
from domain.fields import Fields
from projections.queries import customers
from projections.queries.connection import tenant_connection
from runtime.web.authentication import Caller
from runtime.web.problems import invalid, not_found

router = new_router("customers")
_KIND = "customers"
_CREATE = "POST /customers"
_CHANGE = "POST /customers/{customer}/terms"
_OVERRIDE = "POST /customers/{customer}/overrides"


def _days(description: str, *, maximum: int) -> dict[str, Any]:
    return {
        "type": ["integer", "null"],
        "minimum": 0,
        "maximum": maximum,
        "description": f"{description}; null for the catalogue's",
    }


TERMS: dict[str, dict[str, Any]] = {
    "seller": {
        "type": ["string", "null"],
        "description": "Key of the legal entity that bills; null for the catalogue's first",
    },
    "tax": {
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": {
            "treatment": {"type": "string", "enum": list(TaxTreatment)},
            "region": {"type": "string", "description": "As the catalogue's taxes name it"},
        },
        "description": "What decides which taxes the customer pays",
    },
    "due_days": _days("Days from the issue date to the due date", maximum=DUE_DAYS_MAX),
    "grace_hours": _days("Hours that an invoice waits for late usage", maximum=GRACE_HOURS_MAX),
}


@router.get("/customers", responses=READ_RESPONSES, summary="Customers by id")
def list_customers(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[PageParameters, Query()]
) -> ListRepresentation[CustomerRepresentation]:
    """All customers of the tenant, in the order of their ids."""
    after = from_cursor(parameters.cursor, kind=_KIND, make=only_text)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        page = customers.list_customers(connection, limit=parameters.limit, after=after)
    return ListRepresentation(
        data=[to_representation_customer(customer) for customer in page.rows],
        has_more=page.has_more,
        next_cursor=to_cursor(_KIND, page.rows[-1].customer) if page.has_more else None,
    )


@router.get(
    "/customers/{customer}",
    responses=FIND_RESPONSES,
    summary="One customer",
    dependencies=[Depends(refuse_query)],
)
def get_customer(backend: BackendDep, caller: CallerDep, customer: str) -> CustomerRepresentation:
    """One customer with the terms that differ from the catalogue's."""
    return find(backend, caller, read_id(customer))


@router.post(
    "/customers",
    status_code=201,
    responses=COMMAND_RESPONSES,
    summary="Create a customer",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {
            "customer": text_field(
                "Your id of the customer, as your events name it; no personal data"
            ),
            "currency": text_field(
                "ISO 4217 code of its invoices; without it the catalogue's default_currency"
            ),
            **TERMS,
        },
        required=("customer",),
        example={"customer": "customer-1", "currency": "USD"},
    ),
)
async def create_customer(
    request: Request, backend: BackendDep, caller: CallerDep, idempotency_key: IdempotencyKeyDep
) -> CustomerRepresentation:
    """Sends CreateCustomer and answers when its effect is visible."""
    fields = await read_object(request)
    fields.only(("customer", "currency", *TERMS))
    return await ask_for_customer(
        backend, caller, idempotency_key, customer=fields.text("customer"), wished=fields
    )


async def ask_for_customer(
    backend: Backend, caller: Caller, idempotency_key: str, *, customer: str, wished: Fields
) -> CustomerRepresentation:
    """This function will create a customer, whatever the address at which it was asked for.

    Args:
        backend: Where commands go.
        caller: Who asks.
        idempotency_key: Of this wish.
        customer: Its id.
        wished: Its currency, if it is said, and its terms.
    """
    if "currency" in wished.values:
        wished.text("currency")
    given = {name: wished.values[name] for name in ("currency", *TERMS) if name in wished.values}
    await act(
        backend,
        caller,
        operation=_CREATE,
        idempotency_key=idempotency_key,
        kind="CreateCustomer",
        body={**given, "customer": customer},
    )
    return await run_in_threadpool(find, backend, caller, customer)


@router.post(
    "/customers/{customer}/terms",
    responses=COMMAND_RESPONSES,
    summary="Change the terms of a customer",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(TERMS, example={"due_days": 14, "grace_hours": None}),
)
async def change_terms(
    request: Request,
    backend: BackendDep,
    caller: CallerDep,
    customer: str,
    idempotency_key: IdempotencyKeyDep,
) -> CustomerRepresentation:
    """Sends ChangeCustomer; what is not named stays as it is, the currency for good."""
    fields = await read_object(request)
    fields.only(TERMS)
    return await ask_for_terms(
        backend, caller, idempotency_key, customer=read_id(customer), wished=fields
    )


async def ask_for_terms(
    backend: Backend, caller: Caller, idempotency_key: str, *, customer: str, wished: Fields
) -> CustomerRepresentation:
    """This function will change the terms of a customer; what is not named stays as it is."""
    await act(
        backend,
        caller,
        operation=_CHANGE,
        idempotency_key=idempotency_key,
        kind="ChangeCustomer",
        body={**wished.values, "customer": customer},
    )
    return await run_in_threadpool(find, backend, caller, customer)


@router.post(
    "/customers/{customer}/overrides",
    responses=COMMAND_RESPONSES,
    summary="Give a customer a price of their own, or take it back",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {
            "plan": text_field("Plan of the catalogue in force; or add_on, one of the two"),
            "add_on": text_field("Add-on of the catalogue in force"),
            "price": text_field("Key of the price that it replaces"),
            "document": {
                "type": ["object", "null"],
                "description": "The price as a catalogue has it; null for the catalogue's again",
            },
        },
        required=("price", "document"),
        example={
            "plan": "starter",
            "price": "base",
            "document": {"key": "base", "form": "flat", "amount": "79.00"},
        },
    ),
)
async def set_override(
    request: Request,
    backend: BackendDep,
    caller: CallerDep,
    customer: str,
    idempotency_key: IdempotencyKeyDep,
) -> CustomerRepresentation:
    """Sends SetPriceOverride; it counts from the open period of each subscription on."""
    fields = await read_object(request)
    fields.only(("plan", "add_on", "price", "document"))
    if "document" not in fields.values:
        raise fields.refuse("document", "must be a price, or null for the catalogue's")
    document = fields.values["document"]
    offers = [each for each in ("plan", "add_on") if each in fields.values]
    if len(offers) != 1:
        raise invalid("body", "Name exactly one of plan and add_on")
    name = read_id(customer)
    await act(
        backend,
        caller,
        operation=_OVERRIDE,
        idempotency_key=idempotency_key,
        kind="SetPriceOverride",
        body={
            "customer": name,
            offers[0]: fields.text(offers[0]),
            "price": fields.text("price"),
            "document": None if document is None else to_canonical_json(document),
        },
    )
    return await run_in_threadpool(find, backend, caller, name)


def find(backend: Backend, caller: Caller, customer: str) -> CustomerRepresentation:
    """This function will show one customer of the caller's tenant (404 when there is none)."""
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = customers.find_customer(connection, customer=customer)
    if found is None:
        raise not_found()
    return to_representation_customer(found)
