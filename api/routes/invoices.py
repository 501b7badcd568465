"""Invoices: list, find, preview, bill items now, void."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from api.backend import Backend
from api.bodies import read_object
from api.commands import Command
from api.cursors import CursorPart, from_cursor, moment, text, to_cursor
from api.dependencies import AdminDep, BackendDep, CallerDep, IdempotencyKeyDep
from api.parameters import InvoiceParameters, read_id, refuse_query
from api.representations import ListRepresentation
from api.representations_invoices import (
    InvoiceDocumentRepresentation,
    InvoiceRepresentation,
    PreviewRepresentation,
    to_representation_invoice,
    to_representation_invoice_document,
    to_representation_preview,
)
from api.routes.allowances import moment_of
from api.routes.common import (
    BASE_PATH,
    COMMAND_RESPONSES,
    FIND_RESPONSES,
    READ_RESPONSES,
    act,
    new_router,
    object_body,
    text_field,
)
from domain.books.records import Command as Wish
from domain.canonical import from_json
from domain.codes import Code
from domain.derived_ids import derived_id
from domain.errors import Rejected
from domain.fields import Fields
from domain.period import time_text
from projections.queries import corrections, drafts, invoices
from projections.queries.connection import tenant_connection
from projections.queries.invoices import InvoiceFilter, InvoiceKey
from runtime.web.authentication import Caller
from runtime.web.problems import ProblemError, not_found, refusal
from runtime.web.scopes import Scope

router = new_router("invoices")
_KIND = "invoices"


@router.get("/invoices", responses=READ_RESPONSES, summary="Invoices, the newest first")
def list_invoices(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[InvoiceParameters, Query()]
) -> ListRepresentation[InvoiceRepresentation]:
    """All invoices of the tenant, or of a customer, a subscription, a status; without lines."""
    after = from_cursor(parameters.cursor, kind=_KIND, make=to_key)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        page = invoices.list_invoices(
            connection,
            limit=parameters.limit,
            after=after,
            wanted=InvoiceFilter(
                customer=parameters.customer,
                subscription=parameters.subscription,
                status=parameters.status,
            ),
        )
    last = page.rows[-1] if page.has_more else None
    return ListRepresentation(
        data=[to_representation_invoice(invoice) for invoice in page.rows],
        has_more=page.has_more,
        next_cursor=to_cursor(_KIND, time_text(last.issued_at), last.invoice) if last else None,
    )


@router.get(
    "/invoices/{invoice}",
    responses=FIND_RESPONSES,
    summary="One invoice, by id or number",
    dependencies=[Depends(refuse_query)],
)
def get_invoice(
    backend: BackendDep, caller: CallerDep, invoice: str
) -> InvoiceDocumentRepresentation:
    """One invoice with its lines, taxes, corrections, its content and the hash of the content."""
    return find(backend, caller, read_id(invoice))


@router.get(
    "/subscriptions/{subscription}/preview",
    responses=FIND_RESPONSES,
    summary="The next invoice as it would be now",
    dependencies=[Depends(refuse_query)],
)
def get_preview(
    backend: BackendDep, caller: CallerDep, subscription: str
) -> PreviewRepresentation:
    """Provisional: made the way the invoice will be, from usage until now; nothing is kept."""
    try:
        content = drafts.preview(
            backend.settings, tenant=caller.tenant, subscription=read_id(subscription)
        )
    except Rejected as error:
        if error.code is Code.SUBSCRIPTION_UNKNOWN:
            raise not_found() from error
        raise
    items = [item.item for item in content.terms.items]
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        corrected = corrections.corrected_by(connection, items=items)
    return to_representation_preview(content, corrected=corrected)


@router.post(
    "/invoices",
    status_code=201,
    responses=COMMAND_RESPONSES,
    summary="Bill a customer's waiting items now",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {
            "customer": text_field("Whose items; those for one subscription alone keep waiting"),
            "as_of": text_field("Issue date, RFC 3339; now when absent"),
        },
        required=("customer",),
        example={"customer": "customer-1"},
    ),
)
async def create_invoice(
    request: Request,
    response: Response,
    backend: BackendDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKeyDep,
) -> InvoiceDocumentRepresentation:
    """An invoice of items alone; periods are billed when they are over.

    It is built from what waits at this moment. Its id follows from the key, and a repeat answers
    with the invoice that the first request made, whatever waits by then.
    """
    fields = await read_object(request)
    fields.only(("customer", "as_of"))
    customer = fields.text("customer")
    as_of = fields.time("as_of") if "as_of" in fields.values else None
    made = await ask_for_invoice(backend, caller, idempotency_key, customer=customer, as_of=as_of)
    invoice = _invoice_of(caller, idempotency_key)
    response.headers["Location"] = f"{BASE_PATH}/invoices/{invoice}"
    return made


def _invoice_of(caller: Caller, idempotency_key: str) -> str:
    return derived_id("inv", caller.tenant, "POST /invoices", idempotency_key)


async def ask_for_invoice(
    backend: Backend,
    caller: Caller,
    idempotency_key: str,
    *,
    customer: str,
    as_of: datetime | None = None,
) -> InvoiceDocumentRepresentation:
    """This function will bill a customer's waiting items, or find what the key made before.

    Args:
        backend: Where commands go.
        caller: Who asks.
        idempotency_key: Of this wish.
        customer: Whose items.
        as_of: Issue date; None for the tenant's now.
    """
    invoice = _invoice_of(caller, idempotency_key)
    made = await run_in_threadpool(_made, backend, caller, invoice, customer)
    if made is None:
        try:
            await _bill_items(backend, caller, invoice=invoice, customer=customer, as_of=as_of)
        except (ProblemError, Rejected):
            # The same request, sent twice at once: the other one may have been first.
            made = await run_in_threadpool(_made, backend, caller, invoice, customer)
            if made is None:
                raise
        else:
            made = await run_in_threadpool(find, backend, caller, invoice)
    return made


async def _bill_items(
    backend: Backend, caller: Caller, *, invoice: str, customer: str, as_of: datetime | None
) -> None:
    def draft() -> Wish:
        with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
            now = _whole_second(moment_of(connection, None)) if as_of is None else as_of
        return drafts.items_draft(
            backend.settings,
            tenant=caller.tenant,
            customer=customer,
            as_of=now.replace(microsecond=0),
            invoice=invoice,
        )

    wish = await run_in_threadpool(draft)
    await backend.commands.execute(
        Command(
            tenant=caller.tenant,
            command_id=wish.command_id,
            kind=wish.kind,
            body=Fields.of(from_json(wish.body), place="body", code=Code.INTERNAL).values,
            actor=f"api:{caller.key_id}",
        )
    )


def _whole_second(now: datetime) -> datetime:
    """Return the second that is not over yet: what was added within it is billed with it."""
    return now + timedelta(microseconds=-now.microsecond % 1_000_000)


def _made(
    backend: Backend, caller: Caller, invoice: str, customer: str
) -> InvoiceDocumentRepresentation | None:
    """Return what an earlier request of the same key made; None before it (409 for another)."""
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        document = invoices.find_invoice(connection, invoice=invoice)
    if document is None:
        return None
    if document.invoice.customer != customer:
        raise ProblemError(
            refusal(Code.IDEMPOTENCY_CONFLICT, "the key was used for another customer's invoice")
        )
    return to_representation_invoice_document(document)


@router.post(
    "/invoices/{invoice}/void",
    responses=COMMAND_RESPONSES,
    summary="Void an invoice (billing:admin)",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {"reason": text_field("Why, for the record")},
        required=("reason",),
        example={"reason": "wrong address"},
    ),
)
async def void_invoice(
    request: Request,
    backend: BackendDep,
    caller: AdminDep,
    idempotency_key: IdempotencyKeyDep,
    invoice: str,
) -> InvoiceDocumentRepresentation:
    """Its items and credit come back, and its period can be billed again; numbers stay taken."""
    fields = await read_object(request)
    fields.only(("reason",))
    return await ask_for_void(
        backend, caller, idempotency_key, invoice=read_id(invoice), reason=fields.text("reason")
    )


async def ask_for_void(
    backend: Backend, caller: Caller, idempotency_key: str, *, invoice: str, reason: str
) -> InvoiceDocumentRepresentation:
    """This function will void an invoice, by id or number; the caller must be an admin."""
    caller.require(Scope.BILLING_ADMIN)
    found = await run_in_threadpool(find, backend, caller, invoice)
    await act(
        backend,
        caller,
        operation="POST /invoices/void",
        idempotency_key=idempotency_key,
        kind="VoidInvoice",
        body={"invoice": found.invoice, "reason": reason},
    )
    return await run_in_threadpool(find, backend, caller, found.invoice)


def find(backend: Backend, caller: Caller, invoice: str) -> InvoiceDocumentRepresentation:
    """This function will read an invoice by id or number (404 when there is none)."""
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        document = invoices.find_invoice(connection, invoice=invoice)
    if document is None:
        raise not_found()
    return to_representation_invoice_document(document)


def to_key(parts: Sequence[CursorPart]) -> InvoiceKey:
    """This function will read the parts of a cursor of invoices."""
    issued_at, invoice = parts
    return InvoiceKey(issued_at=moment(issued_at), invoice=text(invoice))
