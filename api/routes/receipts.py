"""/receipts: what was paid and charged, as data and as a page to print (S0-51)."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from api import receipt_pdf
from api.backend import Backend
from api.cursors import from_cursor, moment_and_text, to_cursor
from api.dependencies import BackendDep, CallerDep
from api.parameters import CustomerParameters, read_id, refuse_query
from api.representations import ListRepresentation
from api.representations_books import ReceiptRepresentation, to_representation_receipt
from api.routes.common import FIND_RESPONSES, READ_RESPONSES, new_router
from domain.period import time_text
from projections.queries import receipts
from projections.queries.connection import tenant_connection
from projections.queries.receipts import Receipt
from runtime.web.authentication import Caller
from runtime.web.problems import not_found

router = new_router("receipts")
_KIND = "receipts"
PDF = "application/pdf"


@router.get("/receipts", responses=READ_RESPONSES, summary="Receipts, the newest first")
def list_receipts(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[CustomerParameters, Query()]
) -> ListRepresentation[ReceiptRepresentation]:
    """All receipts of the tenant, or of one customer."""
    after = from_cursor(parameters.cursor, kind=_KIND, make=moment_and_text)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        page = receipts.list_receipts(
            connection, limit=parameters.limit, after=after, customer=parameters.customer
        )
    last = page.rows[-1] if page.has_more else None
    return ListRepresentation(
        data=[to_representation_receipt(receipt) for receipt in page.rows],
        has_more=page.has_more,
        next_cursor=to_cursor(_KIND, time_text(last.issued_at), last.receipt) if last else None,
    )


@router.get(
    "/receipts/{receipt}",
    responses=FIND_RESPONSES,
    summary="One receipt",
    dependencies=[Depends(refuse_query)],
)
def get_receipt(backend: BackendDep, caller: CallerDep, receipt: str) -> ReceiptRepresentation:
    """One receipt with its content and the hash of the content."""
    return to_representation_receipt(_find(backend, caller, read_id(receipt)))


@router.get(
    "/receipts/{receipt}/pdf",
    response_class=Response,
    responses={
        **FIND_RESPONSES,
        200: {
            "description": "The receipt as a page to print",
            "content": {PDF: {"schema": {"type": "string", "format": "binary"}}},
        },
    },
    summary="One receipt as PDF",
    dependencies=[Depends(refuse_query)],
)
async def get_receipt_pdf(
    request: Request, backend: BackendDep, caller: CallerDep, receipt: str
) -> Response:
    """The same receipt gives the same bytes, whenever it is asked for."""
    found = await run_in_threadpool(_find, backend, caller, read_id(receipt))
    etag = f'"{receipt_pdf.etag(found)}"'
    headers = {
        "ETag": etag,
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'inline; filename="{found.receipt}.pdf"',
    }
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    page = await run_in_threadpool(receipt_pdf.render, found)
    return Response(page, media_type=PDF, headers=headers)


def _find(backend: Backend, caller: Caller, receipt: str) -> Receipt:
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = receipts.find_receipt(connection, receipt=receipt)
    if found is None:
        raise not_found()
    return found
