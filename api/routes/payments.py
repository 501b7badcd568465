"""Payments of invoices, and refunds of payments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from fastapi.concurrency import run_in_threadpool

from api.backend import Backend
from api.bodies import read_object
from api.cursors import CursorPart, from_cursor, moment_and_text, to_cursor
from api.dependencies import AdminDep, BackendDep, CallerDep, IdempotencyKeyDep
from api.parameters import OfInvoiceParameters, read_id, refuse_query
from api.representations import ListRepresentation
from api.representations_invoices import PaymentRepresentation, to_representation_payment
from api.routes.common import (
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
from api.routes.invoices import find as find_invoice
from domain.derived_ids import derived_id
from domain.fields import Fields
from domain.period import time_text
from projections.queries import payments
from projections.queries.connection import tenant_connection
from projections.queries.payments import PaymentKey
from runtime.web.authentication import Caller
from runtime.web.problems import not_found
from runtime.web.scopes import Scope, allows

router = new_router("payments")
_KIND = "payments"
PAYMENT: dict[str, dict[str, Any]] = {
    "amount_minor": count_field("Whole minor units"),
    "method": text_field("How it came, for example wire"),
    "reference": text_field("What it is called elsewhere"),
    "paid_at": text_field("When the money came, RFC 3339; now when absent"),
}


@router.get("/payments", responses=READ_RESPONSES, summary="Payments, the newest first")
def list_payments(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[OfInvoiceParameters, Query()]
) -> ListRepresentation[PaymentRepresentation]:
    """All payments of the tenant, of a customer or of an invoice."""
    after = from_cursor(parameters.cursor, kind=_KIND, make=_to_key)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        page = payments.list_payments(
            connection,
            limit=parameters.limit,
            after=after,
            customer=parameters.customer,
            invoice=parameters.invoice,
        )
    last = page.rows[-1] if page.has_more else None
    return ListRepresentation(
        data=[to_representation_payment(payment) for payment in page.rows],
        has_more=page.has_more,
        next_cursor=to_cursor(_KIND, time_text(last.recorded_at), last.payment) if last else None,
    )


@router.get(
    "/payments/{payment}",
    responses=FIND_RESPONSES,
    summary="One payment",
    dependencies=[Depends(refuse_query)],
)
def get_payment(backend: BackendDep, caller: CallerDep, payment: str) -> PaymentRepresentation:
    """One payment, and what of it went back."""
    return _find(backend, caller, read_id(payment))


@router.post(
    "/invoices/{invoice}/payments",
    status_code=201,
    responses=COMMAND_RESPONSES,
    summary="Record a payment of an invoice",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        PAYMENT,
        required=("amount_minor", "method"),
        example={"amount_minor": 1_060_000, "method": "wire", "reference": "BANK-4711"},
    ),
)
async def create_payment(
    request: Request,
    backend: BackendDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKeyDep,
    invoice: str,
) -> PaymentRepresentation:
    """What is less than is open leaves the rest open; more becomes account credit (billing:admin).

    The books compare, not this process: of two payments at once the second is the one too much.
    """
    fields = await read_object(request)
    fields.only(PAYMENT)
    return await ask_for_payment(
        backend, caller, idempotency_key, invoice=read_id(invoice), wished=fields
    )


async def ask_for_payment(
    backend: Backend,
    caller: Caller,
    idempotency_key: str,
    *,
    invoice: str,
    wished: Fields,
    is_exact: bool = False,
) -> PaymentRepresentation:
    """This function will record a payment, whatever the address at which it was asked for.

    Args:
        backend: Where commands go.
        caller: Who asks.
        idempotency_key: Of this wish.
        invoice: Id or number of the invoice.
        wished: The fields of PAYMENT.
        is_exact: Whether more than is open is refused whoever asks.
    """
    found = await run_in_threadpool(find_invoice, backend, caller, invoice)
    operation = "POST /invoices/payments"
    payment = derived_id("pay", caller.tenant, operation, idempotency_key)
    body = present(
        payment=payment,
        invoice=found.invoice,
        amount_minor=wished.integer("amount_minor", minimum=1, maximum=COUNT_MAX),
        currency=found.total.currency,
        method=wished.text("method"),
        reference=optional_text(wished, "reference"),
        paid_at=time_text(wished.time("paid_at")) if "paid_at" in wished.values else None,
        is_credit_allowed=(
            None if allows(caller.scopes, Scope.BILLING_ADMIN) and not is_exact else False
        ),
    )
    await act(
        backend,
        caller,
        operation=operation,
        idempotency_key=idempotency_key,
        kind="RecordPayment",
        body=body,
    )
    return await run_in_threadpool(_find, backend, caller, payment)


@router.post(
    "/payments/{payment}/refunds",
    status_code=201,
    responses=COMMAND_RESPONSES,
    summary="Record that money went back (billing:admin)",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {
            "amount_minor": count_field("Whole minor units"),
            "reason": text_field("Why, for the record"),
        },
        required=("amount_minor", "reason"),
        example={"amount_minor": 1_000, "reason": "paid twice"},
    ),
)
async def create_refund(
    request: Request,
    backend: BackendDep,
    caller: AdminDep,
    idempotency_key: IdempotencyKeyDep,
    payment: str,
) -> PaymentRepresentation:
    """Never more than came in."""
    fields = await read_object(request)
    fields.only(("amount_minor", "reason"))
    operation = "POST /payments/refunds"
    payment = read_id(payment)
    await act(
        backend,
        caller,
        operation=operation,
        idempotency_key=idempotency_key,
        kind="RecordRefund",
        body={
            "refund": derived_id("rfd", caller.tenant, operation, idempotency_key),
            "payment": payment,
            "amount_minor": fields.integer("amount_minor", minimum=1, maximum=COUNT_MAX),
            "reason": fields.text("reason"),
        },
    )
    return await run_in_threadpool(_find, backend, caller, payment)


def _find(backend: Backend, caller: Caller, payment: str) -> PaymentRepresentation:
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = payments.find_payment(connection, payment=payment)
    if found is None:
        raise not_found()
    return to_representation_payment(found)


def _to_key(parts: Sequence[CursorPart]) -> PaymentKey:
    return PaymentKey(*moment_and_text(parts))
