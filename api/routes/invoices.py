"""GET /invoices and GET /invoices/{invoice}."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Query

from api.cursors import CursorPart, from_cursor, moment, text, to_cursor
from api.dependencies import BackendDep, CallerDep
from api.parameters import InvoiceParameters, read_id, refuse_query
from api.representations import (
    InvoiceDocumentRepresentation,
    InvoiceRepresentation,
    ListRepresentation,
    to_representation_invoice,
    to_representation_invoice_document,
)
from api.routes.common import FIND_RESPONSES, READ_RESPONSES, new_router
from domain.period import time_text
from projections.queries import invoices
from projections.queries.connection import tenant_connection
from projections.queries.invoices import InvoiceKey
from runtime.web.problems import not_found

router = new_router("invoices")
_KIND = "invoices"


@router.get("/invoices", responses=READ_RESPONSES, summary="Invoices, the newest first")
def list_invoices(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[InvoiceParameters, Query()]
) -> ListRepresentation[InvoiceRepresentation]:
    """All invoices of the tenant, of one customer or of one subscription, without their lines."""
    after = from_cursor(parameters.cursor, kind=_KIND, make=_to_key) if parameters.cursor else None
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        page = invoices.list_invoices(
            connection,
            limit=parameters.limit,
            after=after,
            customer=parameters.customer,
            subscription=parameters.subscription,
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
    summary="One invoice",
    dependencies=[Depends(refuse_query)],
)
def get_invoice(
    backend: BackendDep, caller: CallerDep, invoice: str
) -> InvoiceDocumentRepresentation:
    """One invoice with its lines, its content and the hash of the content."""
    invoice = read_id(invoice)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        document = invoices.find_invoice(connection, invoice=invoice)
    if document is None:
        raise not_found()
    return to_representation_invoice_document(document)


def _to_key(parts: Sequence[CursorPart]) -> InvoiceKey:
    issued_at, invoice = parts
    return InvoiceKey(issued_at=moment(issued_at), invoice=text(invoice))
