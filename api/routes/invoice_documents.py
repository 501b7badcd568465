"""Invoices and credit notes as documents: PDF, CSV, JSON and EN 16931, and a month as CSV."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import Field

from api import invoice_export, invoice_hybrid, invoice_pdf
from api.backend import Backend
from api.dependencies import BackendDep, CallerDep
from api.einvoice import cii
from api.invoice_document import CreditNoteDocument, InvoiceDocument
from api.invoice_documents import Documents
from api.invoice_words import language
from api.parameters import Parameters, Text, read_id, refuse_query
from api.routes.common import FIND_RESPONSES, READ_RESPONSES, Responses, new_router
from domain.errors import Rejected
from domain.months import month_of
from runtime.web.authentication import Caller
from runtime.web.openapi import problem_response
from runtime.web.problems import invalid, not_found
from runtime.web.scopes import Scope, allows

router = new_router("documents")
PDF, CSV, JSON, XML = "application/pdf", "text/csv", "application/json", "application/xml"
MEDIA = {"csv": CSV, "json": JSON, "xml": XML}

_Document = InvoiceDocument | CreditNoteDocument
_Find = Callable[[Documents, str], _Document | None]
_Write = Callable[[_Document], str]


class Einvoice(StrEnum):
    """Whether a PDF has the electronic invoice inside."""

    AUTO = "auto"
    NEVER = "never"
    REQUIRED = "required"


class PdfParameters(Parameters):
    """Parameters of a PDF."""

    locale: Text | None = Field(
        None, description="How figures, dates and fixed words are written, for example de-CH"
    )
    einvoice: Einvoice = Field(
        Einvoice.AUTO,
        description="auto: Factur-X (PDF/A-3 with EN 16931 inside) where the document has all "
        "that the norm asks for, else an ordinary PDF; required: refused where it has not",
    )


class ExportParameters(Parameters):
    """Parameters of the export of a month."""

    month: Text = Field(description="Month of issue in UTC, for example 2026-11")
    customer: Text | None = Field(None, description="Only those of this customer")


def _responses(media_type: str, description: str) -> Responses:
    schema: dict[str, Any] = {"type": "string"}
    if media_type == PDF:
        schema["format"] = "binary"
    if media_type == JSON:
        schema = {"type": "object"}
    return {
        **FIND_RESPONSES,
        422: problem_response("The electronic invoice lacks something; detail says what"),
        200: {"description": description, "content": {media_type: {"schema": schema}}},
    }


def _find(backend: Backend, caller: Caller, find: _Find, name: str) -> _Document:
    documents = Documents(
        backend.engine,
        backend.vault,
        tenant=caller.tenant,
        is_personal=allows(caller.scopes, Scope.BILLING_PERSONAL),
    )
    found = find(documents, read_id(name))
    if found is None:
        raise not_found()
    return found


def _pdf(document: _Document, parameters: PdfParameters, locale: str) -> tuple[str, bytes]:
    """Return what names the bytes, and the bytes."""
    try:
        words = language(parameters.locale or locale)
    except Rejected as error:
        raise invalid("locale", error.reason) from error
    page = invoice_pdf.to_page(document, words)
    xml = ""
    if parameters.einvoice is not Einvoice.NEVER:
        is_required = parameters.einvoice is Einvoice.REQUIRED
        xml = cii.to_cii_or_nothing(document, is_required=is_required)
    if xml:
        made = invoice_hybrid.render(page, xml, at=document.issued_at)
    else:
        made = invoice_pdf.render(page, at=document.issued_at)
    return invoice_pdf.etag(page, attachment=xml), made


def _headers(document: _Document, suffix: str) -> dict[str, str]:
    """Return headers that name the file; numbers are ASCII letters, digits and "-" alone."""
    name = re.sub(r"[^A-Za-z0-9-]", "_", document.number)
    return {
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'inline; filename="{name}.{suffix}"',
    }


async def _answer_pdf(
    request: Request,
    backend: Backend,
    caller: Caller,
    find: _Find,
    *,
    name: str,
    parameters: PdfParameters,
) -> Response:
    document = await run_in_threadpool(_find, backend, caller, find, name)
    etag, made = await run_in_threadpool(_pdf, document, parameters, backend.document_locale)
    headers = {**_headers(document, "pdf"), "ETag": f'"{etag}"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(made, media_type=PDF, headers=headers)


@router.get(
    "/invoices/{invoice}/pdf",
    response_class=Response,
    responses=_responses(PDF, "The invoice as pages to print"),
    summary="One invoice as PDF",
)
async def get_invoice_pdf(
    request: Request,
    backend: BackendDep,
    caller: CallerDep,
    invoice: str,
    parameters: Annotated[PdfParameters, Query()],
) -> Response:
    """The same invoice gives the same bytes. The buyer is named for keys with billing:personal."""
    return await _answer_pdf(
        request, backend, caller, Documents.find_invoice, name=invoice, parameters=parameters
    )


@router.get(
    "/credit-notes/{credit_note}/pdf",
    response_class=Response,
    responses=_responses(PDF, "The credit note as pages to print"),
    summary="One credit note as PDF",
)
async def get_credit_note_pdf(
    request: Request,
    backend: BackendDep,
    caller: CallerDep,
    credit_note: str,
    parameters: Annotated[PdfParameters, Query()],
) -> Response:
    """The same credit note gives the same bytes."""
    return await _answer_pdf(
        request,
        backend,
        caller,
        Documents.find_credit_note,
        name=credit_note,
        parameters=parameters,
    )


def _text(
    backend: Backend, caller: Caller, find: _Find, name: str, *, form: str, write: _Write
) -> Response:
    document = _find(backend, caller, find, name)
    return Response(write(document), media_type=MEDIA[form], headers=_headers(document, form))


def _csv(document: _Document) -> str:
    if isinstance(document, CreditNoteDocument):
        return invoice_export.note_csv_text(document)
    return invoice_export.csv_text([document])


def _json(document: _Document) -> str:
    if isinstance(document, CreditNoteDocument):
        return invoice_export.note_json_text(document)
    return invoice_export.json_text(document)


@router.get(
    "/invoices/{invoice}/csv",
    response_class=Response,
    responses=_responses(CSV, "One invoice as CSV, a row for each line"),
    summary="One invoice as CSV, a row for each line",
    dependencies=[Depends(refuse_query)],
)
def get_invoice_csv(backend: BackendDep, caller: CallerDep, invoice: str) -> Response:
    """The buyer is named for keys with billing:personal."""
    return _text(backend, caller, Documents.find_invoice, invoice, form="csv", write=_csv)


@router.get(
    "/invoices/{invoice}/json",
    response_class=Response,
    responses=_responses(JSON, "One invoice as JSON with everything in it"),
    summary="One invoice as JSON with everything in it",
    dependencies=[Depends(refuse_query)],
)
def get_invoice_json(backend: BackendDep, caller: CallerDep, invoice: str) -> Response:
    """The buyer is named for keys with billing:personal."""
    return _text(backend, caller, Documents.find_invoice, invoice, form="json", write=_json)


@router.get(
    "/invoices/{invoice}/xml",
    response_class=Response,
    responses=_responses(XML, "One invoice as electronic invoice, EN 16931 CII"),
    summary="One invoice as electronic invoice, EN 16931 CII",
    dependencies=[Depends(refuse_query)],
)
def get_invoice_xml(backend: BackendDep, caller: CallerDep, invoice: str) -> Response:
    """The buyer is named for keys with billing:personal."""
    return _text(backend, caller, Documents.find_invoice, invoice, form="xml", write=cii.to_cii)


@router.get(
    "/credit-notes/{credit_note}/csv",
    response_class=Response,
    responses=_responses(CSV, "One credit note as CSV, a row for each line"),
    summary="One credit note as CSV, a row for each line",
    dependencies=[Depends(refuse_query)],
)
def get_credit_note_csv(backend: BackendDep, caller: CallerDep, credit_note: str) -> Response:
    """The buyer is named for keys with billing:personal."""
    return _text(backend, caller, Documents.find_credit_note, credit_note, form="csv", write=_csv)


@router.get(
    "/credit-notes/{credit_note}/json",
    response_class=Response,
    responses=_responses(JSON, "One credit note as JSON with everything in it"),
    summary="One credit note as JSON with everything in it",
    dependencies=[Depends(refuse_query)],
)
def get_credit_note_json(backend: BackendDep, caller: CallerDep, credit_note: str) -> Response:
    """The buyer is named for keys with billing:personal."""
    return _text(
        backend, caller, Documents.find_credit_note, credit_note, form="json", write=_json
    )


@router.get(
    "/credit-notes/{credit_note}/xml",
    response_class=Response,
    responses=_responses(XML, "One credit note as electronic invoice, EN 16931 CII"),
    summary="One credit note as electronic invoice, EN 16931 CII",
    dependencies=[Depends(refuse_query)],
)
def get_credit_note_xml(backend: BackendDep, caller: CallerDep, credit_note: str) -> Response:
    """The buyer is named for keys with billing:personal."""
    return _text(
        backend, caller, Documents.find_credit_note, credit_note, form="xml", write=cii.to_cii
    )


@router.get(
    "/exports/invoices",
    response_class=Response,
    responses={
        **READ_RESPONSES,
        200: {"description": "Rows", "content": {CSV: {"schema": {"type": "string"}}}},
    },
    summary="The invoices of a month as CSV, a row for each line",
)
def export_invoices(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[ExportParameters, Query()]
) -> Response:
    """The invoices issued in a month, the oldest first, at most 100,000, without personal data."""
    try:
        start, end = month_of(parameters.month)
    except Rejected as error:
        raise invalid("month", error.reason) from error
    documents = Documents(backend.engine, None, tenant=caller.tenant, is_personal=False)
    pages = documents.pages(start=start, end=end, customer=parameters.customer)
    first = next(pages, [])  # what goes wrong at once still has a status of its own

    def rows() -> Iterator[str]:
        yield invoice_export.csv_text(first)
        for page in pages:
            yield invoice_export.csv_text(page, has_header=False)

    headers = {
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'attachment; filename="invoices-{start:%Y-%m}.csv"',
    }
    return StreamingResponse(rows(), media_type=CSV, headers=headers)
