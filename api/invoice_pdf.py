"""Invoices, previews and credit notes as PDF: the same document gives the same bytes."""

from __future__ import annotations

from datetime import datetime

from api import typesetting
from api.invoice_document import CreditNoteDocument, InvoiceDocument
from api.invoice_pages import credit_note_page, invoice_page
from api.invoice_words import Language
from domain.canonical import Json, sha256_hex, to_canonical_json

TEMPLATE = typesetting.Template("invoice.typ")

Document = InvoiceDocument | CreditNoteDocument


def to_page(document: Document, language: Language) -> dict[str, Json]:
    """This function will say what stands on the pages of a document."""
    if isinstance(document, CreditNoteDocument):
        return credit_note_page(document, language)
    return invoice_page(document, language)


def etag(page: dict[str, Json], *, attachment: str = "") -> str:
    """This function will return what names the bytes of a document.

    Args:
        page: What to_page returned: everything that can be seen, its status and buyer too.
        attachment: The electronic invoice inside; empty for none.
    """
    return f"{sha256_hex(to_canonical_json([page, attachment]))[:32]}-{TEMPLATE.layout}"


def render(page: dict[str, Json], *, at: datetime) -> bytes:
    """This function will return a document as PDF; 200 lines take about 60 ms, once.

    Args:
        page: What to_page returned.
        at: Date of issue; the file is dated by it.

    Raises:
        Retryable: overloaded, when too many pages are made or wait.
    """
    return typesetting.remembered(etag(page), lambda: to_pdf(page, at=at))


def to_pdf(page: dict[str, Json], *, at: datetime) -> bytes:
    """This function will lay a document out as PDF.

    Not as PDF/A, which refuses a character that our fonts lack; the electronic invoice is PDF/A.
    """
    return TEMPLATE.typeset(page, at=at)
