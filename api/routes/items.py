"""Items: amounts for a customer's next invoice; and a customer's account credit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from api.backend import Backend
from api.bodies import read_object
from api.cursors import CursorPart, from_cursor, moment_and_text, to_cursor
from api.dependencies import AdminDep, BackendDep, CallerDep, IdempotencyKeyDep
from api.parameters import ItemParameters, read_id, refuse_query
from api.representations import ListRepresentation
from api.representations_credit import AccountCreditRepresentation, to_representation_credit
from api.representations_invoices import ItemRepresentation, to_representation_item
from api.routes.common import (
    BASE_PATH,
    COMMAND_RESPONSES,
    COUNT_MAX,
    FIND_RESPONSES,
    READ_RESPONSES,
    act,
    count_field,
    new_router,
    object_body,
    optional_text,
    present,
    text_field,
)
from domain.derived_ids import derived_id
from domain.fields import Fields
from domain.period import time_text
from projections.queries import items, ledger
from projections.queries.connection import tenant_connection
from projections.queries.items import ItemKey
from runtime.web.authentication import Caller
from runtime.web.problems import not_found

router = new_router("items")
_KIND = "items"
_REASON = {"reason": text_field("Why, for the record")}


@router.get("/items", responses=READ_RESPONSES, summary="Items, the newest first")
def list_items(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[ItemParameters, Query()]
) -> ListRepresentation[ItemRepresentation]:
    """Amounts that wait for an invoice, and those that are on one."""
    after = from_cursor(parameters.cursor, kind=_KIND, make=_to_key)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        page = items.list_items(
            connection,
            limit=parameters.limit,
            after=after,
            customer=parameters.customer,
            status=parameters.status,
        )
    last = page.rows[-1] if page.has_more else None
    return ListRepresentation(
        data=[to_representation_item(item) for item in page.rows],
        has_more=page.has_more,
        next_cursor=to_cursor(_KIND, time_text(last.added_at), last.item) if last else None,
    )


@router.post(
    "/items",
    status_code=201,
    responses=COMMAND_RESPONSES,
    summary="Add an amount to a customer's next invoice",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {
            "customer": text_field("Who pays"),
            "label": text_field("What it is, as the invoice shows it"),
            "amount_minor": count_field("Whole minor units, before tax", minimum=0),
            "currency": text_field("The customer's currency"),
            "subscription": text_field("On this one's invoice only; on any when absent"),
            "tax": text_field("Tax category; standard when absent"),
        },
        required=("customer", "label", "amount_minor", "currency"),
        example={
            "customer": "customer-1",
            "label": "Setup",
            "amount_minor": 50_000,
            "currency": "USD",
        },
    ),
)
async def create_item(
    request: Request,
    response: Response,
    backend: BackendDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKeyDep,
) -> ItemRepresentation:
    """It goes on the next invoice; POST /invoices bills it at once."""
    fields = await read_object(request)
    fields.only(("customer", "label", "amount_minor", "currency", "subscription", "tax"))
    item = await ask_for_item(backend, caller, idempotency_key, wished=fields)
    response.headers["Location"] = f"{BASE_PATH}/items/{item}"
    return await run_in_threadpool(_find, backend, caller, item)


async def ask_for_item(
    backend: Backend, caller: Caller, idempotency_key: str, *, wished: Fields
) -> str:
    """This function will add an amount to a customer's next invoice, and return the item's id.

    Args:
        backend: Where commands go.
        caller: Who asks.
        idempotency_key: Of this wish.
        wished: customer, label, amount_minor, currency, and perhaps subscription and tax.
    """
    operation = "POST /items"
    item = derived_id("itm", caller.tenant, operation, idempotency_key)
    body = present(
        item=item,
        customer=wished.text("customer"),
        label=wished.text("label"),
        amount_minor=wished.integer("amount_minor", minimum=0, maximum=COUNT_MAX),
        currency=wished.text("currency"),
        subscription=optional_text(wished, "subscription"),
        tax=optional_text(wished, "tax"),
    )
    await act(
        backend,
        caller,
        operation=operation,
        idempotency_key=idempotency_key,
        kind="AddItem",
        body=body,
    )
    return item


@router.get(
    "/items/{item}",
    responses=FIND_RESPONSES,
    summary="One item",
    dependencies=[Depends(refuse_query)],
)
def get_item(backend: BackendDep, caller: CallerDep, item: str) -> ItemRepresentation:
    """One item, and the invoice it is on."""
    return _find(backend, caller, read_id(item))


@router.post(
    "/items/{item}/remove",
    responses=COMMAND_RESPONSES,
    summary="Take back an item that is on no invoice yet",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(_REASON, required=("reason",), example={"reason": "twice"}),
)
async def remove_item(
    request: Request,
    backend: BackendDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKeyDep,
    item: str,
) -> ItemRepresentation:
    """Corrections stay: they are what usage came to."""
    fields = await read_object(request)
    fields.only(("reason",))
    item = read_id(item)
    await ask_to_remove(backend, caller, idempotency_key, item=item, reason=fields.text("reason"))
    return await run_in_threadpool(_find, backend, caller, item)


async def ask_to_remove(
    backend: Backend, caller: Caller, idempotency_key: str, *, item: str, reason: str
) -> None:
    """This function will take back an item that is on no invoice yet."""
    await act(
        backend,
        caller,
        operation="POST /items/remove",
        idempotency_key=idempotency_key,
        kind="RemoveItem",
        body={"item": item, "reason": reason},
    )


@router.get(
    "/customers/{customer}/account-credit",
    responses=FIND_RESPONSES,
    summary="A customer's account credit",
    dependencies=[Depends(refuse_query)],
)
def get_account_credit(
    backend: BackendDep, caller: CallerDep, customer: str
) -> AccountCreditRepresentation:
    """What the next invoice may draw on, and the newest entries."""
    return _credit(backend, caller, read_id(customer))


@router.post(
    "/customers/{customer}/account-credit",
    status_code=201,
    responses=COMMAND_RESPONSES,
    summary="Grant account credit (billing:admin)",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {
            "amount_minor": count_field("Whole minor units"),
            "currency": text_field("The customer's currency"),
            **_REASON,
        },
        required=("amount_minor", "currency", "reason"),
        example={"amount_minor": 1_000, "currency": "USD", "reason": "outage of 3 March"},
    ),
)
async def grant_account_credit(
    request: Request,
    backend: BackendDep,
    caller: AdminDep,
    idempotency_key: IdempotencyKeyDep,
    customer: str,
) -> AccountCreditRepresentation:
    """It comes off the customer's next invoices, before or after tax as the catalogue says."""
    fields = await read_object(request)
    fields.only(("amount_minor", "currency", "reason"))
    operation = "POST /customers/account-credit"
    customer = read_id(customer)
    await act(
        backend,
        caller,
        operation=operation,
        idempotency_key=idempotency_key,
        kind="GrantAccountCredit",
        body={
            "credit": derived_id("crd", caller.tenant, operation, idempotency_key),
            "customer": customer,
            "amount_minor": fields.integer("amount_minor", minimum=1, maximum=COUNT_MAX),
            "currency": fields.text("currency"),
            "reason": fields.text("reason"),
        },
    )
    return await run_in_threadpool(_credit, backend, caller, customer)


def _credit(backend: Backend, caller: Caller, customer: str) -> AccountCreditRepresentation:
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = ledger.find_account_credit(connection, customer=customer)
    if found is None:
        raise not_found()
    return to_representation_credit(customer, found)


def _find(backend: Backend, caller: Caller, item: str) -> ItemRepresentation:
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = items.find_item(connection, item=item)
    if found is None:
        raise not_found()
    return to_representation_item(found)


def _to_key(parts: Sequence[CursorPart]) -> ItemKey:
    return ItemKey(*moment_and_text(parts))
