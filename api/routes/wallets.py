"""/customers/{customer}/…: a customer's wallet, what moved in it, and what fills it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.concurrency import run_in_threadpool

from api.backend import Backend
from api.bodies import read_object
from api.cursors import CursorPart, from_cursor, integer, moment_and_text, to_cursor
from api.dependencies import AdminDep, BackendDep, CallerDep, IdempotencyKeyDep
from api.parameters import PageParameters, TransactionParameters, read_id, refuse_query
from api.representations import ListRepresentation
from api.representations_books import (
    PostingRepresentation,
    TransactionRepresentation,
    WalletRepresentation,
    to_representation_posting,
    to_representation_transaction,
    to_representation_wallet,
)
from api.routes.common import (
    COMMAND_RESPONSES,
    COUNT_MAX,
    FIND_RESPONSES,
    act,
    count_field,
    new_router,
    object_body,
    optional_text,
    present,
    text_field,
)
from domain.derived_ids import derived_id
from domain.period import time_text
from projections.queries import wallets
from projections.queries.connection import tenant_connection
from projections.queries.wallets import PostingKey, TransactionKey
from runtime.web.authentication import Caller
from runtime.web.problems import not_found

router = new_router("wallets")
_POSTINGS, _TRANSACTIONS = "postings", "transactions"
PRIORITY_MAX = 1_000
_REASON = {"reason": text_field("Why, for people; it stands on the receipt")}
_CREDITS = {"credits": count_field("How many")}


@router.get(
    "/customers/{customer}/wallet",
    responses=FIND_RESPONSES,
    summary="A customer's wallet",
    dependencies=[Depends(refuse_query)],
)
def get_wallet(backend: BackendDep, caller: CallerDep, customer: str) -> WalletRepresentation:
    """Balance, holds and the grants that it is made of."""
    return _find(backend, caller, read_id(customer))


@router.get(
    "/customers/{customer}/postings",
    responses=FIND_RESPONSES,
    summary="What moved in a wallet, the newest first",
)
def list_postings(
    backend: BackendDep,
    caller: CallerDep,
    customer: str,
    parameters: Annotated[PageParameters, Query()],
) -> ListRepresentation[PostingRepresentation]:
    """Double entry: the legs of each posting add up to 0."""
    after = from_cursor(parameters.cursor, kind=_POSTINGS, make=_to_posting_key)
    customer = read_id(customer)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        if wallets.find_wallet(connection, customer=customer) is None:
            raise not_found()
        page = wallets.list_postings(
            connection, customer=customer, limit=parameters.limit, after=after
        )
    last = page.rows[-1].key if page.has_more else None
    return ListRepresentation(
        data=[to_representation_posting(posting) for posting in page.rows],
        has_more=page.has_more,
        next_cursor=to_cursor(_POSTINGS, last.booked_offset, last.booked_index) if last else None,
    )


@router.get(
    "/customers/{customer}/transactions",
    responses=FIND_RESPONSES,
    summary="A customer's transactions, the newest first",
)
def list_transactions(
    backend: BackendDep,
    caller: CallerDep,
    customer: str,
    parameters: Annotated[TransactionParameters, Query()],
) -> ListRepresentation[TransactionRepresentation]:
    """Charges, top-ups, refunds and adjustments, also those that failed."""
    after = from_cursor(parameters.cursor, kind=_TRANSACTIONS, make=_to_transaction_key)
    customer = read_id(customer)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        if wallets.find_wallet(connection, customer=customer) is None:
            raise not_found()
        page = wallets.list_transactions(
            connection,
            limit=parameters.limit,
            after=after,
            customer=customer,
            kind=parameters.kind.value if parameters.kind else None,
            status=parameters.status.value if parameters.status else None,
        )
    last = page.rows[-1] if page.has_more else None
    return ListRepresentation(
        data=[to_representation_transaction(transaction) for transaction in page.rows],
        has_more=page.has_more,
        next_cursor=to_cursor(_TRANSACTIONS, time_text(last.recorded_at), last.transaction)
        if last
        else None,
    )


@router.post(
    "/customers/{customer}/top-ups",
    status_code=201,
    responses=COMMAND_RESPONSES,
    summary="Book a purchase of credits",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {
            **_CREDITS,
            "amount_minor": count_field("What was paid, in minor units: the listed price"),
            "currency": text_field("ISO 4217 code; the wallet's"),
            "payment_reference": text_field(
                "What the payment is called elsewhere; no card number"
            ),
        },
        required=("credits", "amount_minor", "currency"),
        example={"credits": 250, "amount_minor": 240_000, "currency": "PHP"},
    ),
)
async def create_top_up(
    request: Request,
    backend: BackendDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKeyDep,
    customer: str,
) -> WalletRepresentation:
    """A package at its price, any other quantity at the list price each (S0-R10)."""
    fields = await read_object(request)
    fields.only(("credits", "amount_minor", "currency", "payment_reference"))
    operation = "POST /customers/top-ups"
    body = present(
        top_up=derived_id("top", caller.tenant, operation, idempotency_key),
        customer=read_id(customer),
        credits=fields.integer("credits", minimum=1, maximum=COUNT_MAX),
        amount_minor=fields.integer("amount_minor", minimum=0, maximum=10**15),
        currency=fields.text("currency"),
        payment_reference=optional_text(fields, "payment_reference"),
    )
    await act(
        backend,
        caller,
        operation=operation,
        idempotency_key=idempotency_key,
        kind="TopUp",
        body=body,
    )
    return await run_in_threadpool(_find, backend, caller, customer)


@router.post(
    "/customers/{customer}/grants",
    status_code=201,
    responses=COMMAND_RESPONSES,
    summary="Give credits (billing:admin)",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {
            **_CREDITS,
            **_REASON,
            "priority": count_field("Smaller burns first; 100 when not given", minimum=0),
            "expires_at": text_field("RFC 3339 time from which they are gone; never, if absent"),
        },
        required=("credits", "reason"),
        example={"credits": 20, "reason": "welcome back"},
    ),
)
async def create_grant(
    request: Request,
    backend: BackendDep,
    caller: AdminDep,
    idempotency_key: IdempotencyKeyDep,
    customer: str,
) -> WalletRepresentation:
    """Credits out of nothing, so an admin's (S0-62, S0-81)."""
    fields = await read_object(request)
    fields.only(("credits", "reason", "priority", "expires_at"))
    operation = "POST /customers/grants"
    body = present(
        grant=derived_id("grt", caller.tenant, operation, idempotency_key),
        customer=read_id(customer),
        credits=fields.integer("credits", minimum=1, maximum=COUNT_MAX),
        reason=fields.text("reason"),
        priority=fields.integer("priority", minimum=0, maximum=PRIORITY_MAX)
        if "priority" in fields.values
        else None,
        expires_at=time_text(fields.time("expires_at")) if "expires_at" in fields.values else None,
    )
    await act(
        backend,
        caller,
        operation=operation,
        idempotency_key=idempotency_key,
        kind="GrantCredits",
        body=body,
    )
    return await run_in_threadpool(_find, backend, caller, customer)


@router.post(
    "/customers/{customer}/adjustments",
    status_code=201,
    responses=COMMAND_RESPONSES,
    summary="Take credits away (billing:admin)",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {**_CREDITS, **_REASON},
        required=("credits", "reason"),
        example={"credits": 5, "reason": "granted twice"},
    ),
)
async def create_adjustment(
    request: Request,
    backend: BackendDep,
    caller: AdminDep,
    idempotency_key: IdempotencyKeyDep,
    customer: str,
) -> WalletRepresentation:
    """Never below 0, and never what a charge holds."""
    fields = await read_object(request)
    fields.only(("credits", "reason"))
    operation = "POST /customers/adjustments"
    body = present(
        adjustment=derived_id("adj", caller.tenant, operation, idempotency_key),
        customer=read_id(customer),
        credits=fields.integer("credits", minimum=1, maximum=COUNT_MAX),
        reason=fields.text("reason"),
    )
    await act(
        backend,
        caller,
        operation=operation,
        idempotency_key=idempotency_key,
        kind="TakeCredits",
        body=body,
    )
    return await run_in_threadpool(_find, backend, caller, customer)


@router.put(
    "/customers/{customer}/auto-approval",
    responses=COMMAND_RESPONSES,
    summary="Let small charges approve themselves",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {"limit_credits": count_field("Charges up to this; 0 turns it off", minimum=0)},
        required=("limit_credits",),
        example={"limit_credits": 50},
    ),
)
async def set_auto_approval(
    request: Request,
    backend: BackendDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKeyDep,
    customer: str,
) -> WalletRepresentation:
    """The customer's standing approval; it holds for charges requested from now on."""
    fields = await read_object(request)
    fields.only(("limit_credits",))
    await act(
        backend,
        caller,
        operation="PUT /customers/auto-approval",
        idempotency_key=idempotency_key,
        kind="SetAutoApproval",
        body={
            "customer": read_id(customer),
            "limit_credits": fields.integer("limit_credits", minimum=0, maximum=COUNT_MAX),
        },
    )
    return await run_in_threadpool(_find, backend, caller, customer)


def _find(backend: Backend, caller: Caller, customer: str) -> WalletRepresentation:
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = wallets.find_wallet(connection, customer=customer)
    if found is None:
        raise not_found()
    return to_representation_wallet(found)


def _to_posting_key(parts: Sequence[CursorPart]) -> PostingKey:
    booked_offset, booked_index = parts
    return PostingKey(integer(booked_offset), integer(booked_index))


def _to_transaction_key(parts: Sequence[CursorPart]) -> TransactionKey:
    return TransactionKey(*moment_and_text(parts))
