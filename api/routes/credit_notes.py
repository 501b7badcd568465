"""Credit notes: what is taken back of a final invoice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.concurrency import run_in_threadpool

from api.backend import Backend
from api.bodies import read_object
from api.cursors import CursorPart, from_cursor, moment_and_text, to_cursor
from api.dependencies import AdminDep, BackendDep, CallerDep, IdempotencyKeyDep
from api.parameters import OfInvoiceParameters, read_id, refuse_query
from api.representations import ListRepresentation
from api.representations_credit import CreditNoteRepresentation, to_representation_credit_note
from api.routes.common import (
    COMMAND_RESPONSES,
    COUNT_MAX,
    FIND_RESPONSES,
    READ_RESPONSES,
    act,
    calling,
    count_field,
    new_router,
    object_body,
    text_field,
)
from api.routes.invoices import find as find_invoice
from domain.books.credit_notes import CreditTo
from domain.canonical import Json
from domain.derived_ids import derived_id
from domain.invoice import LINES_MAX
from domain.period import time_text
from domain.rated import LINE_ID_LENGTH_MAX
from projections.queries import credit_notes
from projections.queries.connection import tenant_connection
from projections.queries.credit_notes import CreditNoteKey
from runtime.web.authentication import Caller
from runtime.web.problems import not_found

router = new_router("credit notes")
_KIND = "credit_notes"
_LINES = {
    "type": "array",
    "minItems": 1,
    "maxItems": LINES_MAX,
    "description": "Lines of the invoice, each once",
    "items": {
        "type": "object",
        "required": ["line_id", "amount_minor"],
        "additionalProperties": False,
        "properties": {
            "line_id": text_field("line_id of the invoice's line", length_max=LINE_ID_LENGTH_MAX),
            "amount_minor": count_field("Whole minor units, as the line has them"),
        },
    },
}


@router.get("/credit-notes", responses=READ_RESPONSES, summary="Credit notes, the newest first")
def list_credit_notes(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[OfInvoiceParameters, Query()]
) -> ListRepresentation[CreditNoteRepresentation]:
    """All credit notes of the tenant, of a customer or of an invoice."""
    after = from_cursor(parameters.cursor, kind=_KIND, make=_to_key)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        page = credit_notes.list_credit_notes(
            connection,
            limit=parameters.limit,
            after=after,
            customer=parameters.customer,
            invoice=parameters.invoice,
        )
    last = page.rows[-1] if page.has_more else None
    return ListRepresentation(
        data=[to_representation_credit_note(note) for note in page.rows],
        has_more=page.has_more,
        next_cursor=to_cursor(_KIND, time_text(last.issued_at), last.credit_note)
        if last
        else None,
    )


@router.get(
    "/credit-notes/{credit_note}",
    responses=FIND_RESPONSES,
    summary="One credit note, by id or number",
    dependencies=[Depends(refuse_query)],
)
def get_credit_note(
    backend: BackendDep, caller: CallerDep, credit_note: str
) -> CreditNoteRepresentation:
    """One credit note with its lines."""
    return _find(backend, caller, read_id(credit_note))


@router.post(
    "/invoices/{invoice}/credit-notes",
    status_code=201,
    responses=COMMAND_RESPONSES,
    summary="Write a credit note (billing:admin)",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {
            "lines": _LINES,
            "reason": text_field("Why, as the credit note shows it"),
            "to": {
                "type": "string",
                "enum": [each.value for each in CreditTo],
                "description": "Where what was paid goes; account_credit when absent",
            },
        },
        required=("lines", "reason"),
        example={
            "lines": [{"line_id": "0/credit_overage", "amount_minor": 10_000}],
            "reason": "outage of 3 March",
        },
    ),
)
async def create_credit_note(
    request: Request,
    backend: BackendDep,
    caller: AdminDep,
    idempotency_key: IdempotencyKeyDep,
    invoice: str,
) -> CreditNoteRepresentation:
    """It lowers what is open first; its tax follows that of the lines."""
    fields = await read_object(request)
    fields.only(("lines", "reason", "to"))
    found = await run_in_threadpool(find_invoice, backend, caller, read_id(invoice))
    operation = "POST /invoices/credit-notes"
    note = derived_id("crn", caller.tenant, operation, idempotency_key)
    lines: list[Json] = []
    for each in fields.objects("lines", count_max=LINES_MAX):
        each.only(("line_id", "amount_minor"))
        amount = each.integer("amount_minor", minimum=1, maximum=COUNT_MAX)
        line = each.text("line_id", length_max=LINE_ID_LENGTH_MAX)
        lines.append({"line": line, "amount_minor": amount})
    with calling({"line": "line_id"}):
        await act(
            backend,
            caller,
            operation=operation,
            idempotency_key=idempotency_key,
            kind="IssueCreditNote",
            body={
                "credit_note": note,
                "invoice": found.invoice,
                "lines": lines,
                "reason": fields.text("reason"),
                "to": fields.choice("to", CreditTo, default=CreditTo.ACCOUNT_CREDIT),
            },
        )
    return await run_in_threadpool(_find, backend, caller, note)


def _find(backend: Backend, caller: Caller, credit_note: str) -> CreditNoteRepresentation:
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = credit_notes.find_credit_note(connection, credit_note=credit_note)
    if found is None:
        raise not_found()
    return to_representation_credit_note(found)


def _to_key(parts: Sequence[CursorPart]) -> CreditNoteKey:
    return CreditNoteKey(*moment_and_text(parts))
