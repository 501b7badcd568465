"""Invoices for other programs: CSV with a row for each line, JSON with everything.

CSV is RFC 4180 in UTF-8 with a header; columns are only ever added at the end. A spreadsheet takes
a cell that begins with = + - or @ for a formula (OWASP, CSV Injection), so such a text is put
behind an apostrophe; numbers are not texts and stay as they are. Amounts are decimal text in major
units with all their places, in the form of the catalogue and of no locale.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from typing import Any, Protocol

from api.invoice_document import (
    BuyerDetails,
    CreditNoteDocument,
    CreditNoteLine,
    InvoiceDocument,
)
from domain.billing_terms import Seller
from domain.canonical import Json, decimal_text, from_json, to_canonical_json
from domain.invoice import InvoiceContent, Line
from domain.line_steps import shown_steps
from domain.money import minor_text, minor_unit_places
from domain.period import time_text

COLUMNS = (
    *("invoice", "number", "kind", "status", "customer", "subscription", "currency"),
    *("issued_at", "due_at", "period_start", "period_end"),
    *("line", "line_kind", "label", "price", "form", "meter", "unit", "quantity"),
    *("amount_unrounded", "amount", "discount", "net", "tax_code", "tax_rate", "tax_amount"),
    *("service_start", "service_end", "is_estimate", "corrects_invoice", "corrects_line"),
    *("steps", "invoice_subtotal", "invoice_credit", "invoice_tax", "invoice_total"),
)
NOTE_COLUMNS = (
    *("credit_note", "number", "invoice", "invoice_number", "customer", "currency", "issued_at"),
    *("line", "label", "amount", "tax_amount", "note_net", "note_tax", "note_total", "reason"),
    *("money", "money_tax", "promotion", "promotion_tax", "note_promotion"),
)
_FORMULA = re.compile(r"[\s\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20|]|[\t\r\n]")
"""What a spreadsheet takes for the start of a formula, full-width signs too."""


class _Writer(Protocol):
    def writerow(self, row: Iterable[Any], /) -> object:
        """Write a row."""


def safe(text: str) -> str:
    """This function will make a text of a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def units_text(amount: int, *, scale: int) -> str:
    """This function will write whole units of 10^-scale in major units with all places."""
    sign = "-" if amount < 0 else ""
    digits = str(abs(amount)).rjust(scale + 1, "0")
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}" if scale else f"{sign}{digits}"


def csv_text(documents: Iterable[InvoiceDocument], *, has_header: bool = True) -> str:
    """This function will write invoices as CSV, a row for each line; one row without any."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    if has_header:
        writer.writerow(COLUMNS)
    for document in documents:
        _write_invoice(writer, document)
    return text.getvalue()


def _write_invoice(writer: _Writer, document: InvoiceDocument) -> None:
    content = document.content
    terms, period, totals = content.terms, content.terms.period, content.totals
    head = [
        *(safe(document.invoice), safe(document.number), str(terms.kind), str(document.status)),
        *(safe(terms.customer), safe(terms.subscription), terms.currency),
        *(time_text(document.issued_at), time_text(document.due_at)),
        *(("", "") if period is None else (time_text(period.start), time_text(period.end))),
    ]
    tail = [
        units_text(totals.subtotal, scale=content.scale),
        minor_text(amount_minor=totals.credit_minor, currency=terms.currency),
        units_text(totals.tax, scale=content.scale),
        minor_text(amount_minor=totals.total_minor, currency=terms.currency),
    ]
    for line in content.lines:
        writer.writerow([*head, *_line_cells(line, content, document), *tail])
    if not content.lines:
        writer.writerow([*head, *[""] * (len(COLUMNS) - len(head) - len(tail)), *tail])


def _line_cells(line: Line, content: InvoiceContent, document: InvoiceDocument) -> list[str]:
    steps = "; ".join(
        f"{step.label}: {step.quantity} x {step.rate} / {step.per} = {step.amount}"
        for step in shown_steps(line)
    )

    def amount(units: int) -> str:
        return units_text(units, scale=content.scale)

    corrects = line.refers[0]
    return [
        *(safe(line.line_id), line.kind, safe(line.label), safe(line.price), line.form),
        *(safe(line.meter), safe(line.unit), line.quantity, line.amount_unrounded),
        *(amount(line.amount), amount(sum(taken for _, taken in line.discounts))),
        *(amount(line.net), safe(line.tax_code), decimal_text(content.tax_of(line).rate)),
        amount(line.tax_amount),
        *(time_text(line.start), time_text(line.end), "true" if line.is_estimate else "false"),
        *(safe(document.numbers.get(corrects, corrects)), safe(line.refers[1]), safe(steps)),
    ]


def json_text(document: InvoiceDocument) -> str:
    """This function will write an invoice as JSON, canonical: the same bytes each time.

    The content stands in it as the books have it, amounts in whole units of its scale; what its
    SHA-256 is of is the canonical JSON of that object.
    """
    currency = document.content.terms.currency

    def amount(minor: int) -> str:
        return minor_text(amount_minor=minor, currency=currency)

    return to_canonical_json(
        {
            "invoice": document.invoice,
            "number": document.number,
            "status": document.status,
            "currency": currency,
            "issued_at": time_text(document.issued_at),
            "due_at": time_text(document.due_at),
            "total": amount(document.content.total_minor),
            "paid": amount(document.paid_minor),
            "credited": amount(document.credited_minor),
            "open": amount(document.open_minor),
            "void_reason": document.void_reason,
            "seller": _seller(document.seller),
            "buyer": _buyer(document.buyer),
            "numbers": document.numbers,
            "content": from_json(document.content.text),
            "content_sha256": document.content.sha256,
        }
    )


def _seller(seller: Seller) -> Json:
    return {
        "key": seller.key,
        "name": seller.name,
        "address": list(seller.address),
        "country": seller.country,
        "tax_id": seller.tax_id,
        "email": seller.email,
    }


def _buyer(buyer: BuyerDetails) -> Json:
    return {
        "customer": buyer.customer,
        "name": buyer.name,
        "address": list(buyer.address),
        "city": buyer.city,
        "region": buyer.region,
        "postal_code": buyer.postal_code,
        "country": buyer.country,
        "tax_id": buyer.tax_id,
        "email": buyer.email,
    }


def note_csv_text(document: CreditNoteDocument) -> str:
    """This function will write a credit note as CSV, a row for each line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(NOTE_COLUMNS)
    currency = document.invoice.content.terms.currency

    def amount(minor: int) -> str:
        return minor_text(amount_minor=minor, currency=currency)

    for line in document.lines:
        writer.writerow(
            [
                *(safe(document.credit_note), safe(document.number)),
                *(safe(document.invoice.invoice), safe(document.invoice.number)),
                *(safe(document.invoice.buyer.customer), currency),
                *(time_text(document.issued_at), safe(line.line)),
                *(safe(_label(line, document)), amount(line.amount_minor)),
                *(amount(line.tax_minor), amount(document.net_minor)),
                *(amount(document.tax_minor), amount(document.total_minor)),
                *(safe(document.reason), amount(line.money_minor), amount(line.money_tax_minor)),
                *(amount(line.promotion_minor), amount(line.promotion_tax_minor)),
                amount(document.promotion_minor),
            ]
        )
    return text.getvalue()


def note_json_text(document: CreditNoteDocument) -> str:
    """This function will write a credit note as canonical JSON, amounts in major units."""
    invoice = document.invoice
    currency = invoice.content.terms.currency

    def amount(minor: int) -> str:
        return minor_text(amount_minor=minor, currency=currency)

    return to_canonical_json(
        {
            "credit_note": document.credit_note,
            "number": document.number,
            "invoice": invoice.invoice,
            "invoice_number": invoice.number,
            "currency": currency,
            "places": minor_unit_places(currency),
            "issued_at": time_text(document.issued_at),
            "reason": document.reason,
            "lines": [
                {
                    "line": line.line,
                    "label": _label(line, document),
                    "amount": amount(line.amount_minor),
                    "tax_amount": amount(line.tax_minor),
                    "drawn": {
                        "money": amount(line.money_minor),
                        "money_tax": amount(line.money_tax_minor),
                        "promotion": amount(line.promotion_minor),
                        "promotion_tax": amount(line.promotion_tax_minor),
                    },
                }
                for line in document.lines
            ],
            "net": amount(document.net_minor),
            "tax": amount(document.tax_minor),
            "total": amount(document.total_minor),
            "promotion": amount(document.promotion_minor),
            "to_receivable": amount(document.to_receivable_minor),
            "to_credit": amount(document.to_credit_minor),
            "seller": _seller(invoice.seller),
            "buyer": _buyer(invoice.buyer),
        }
    )


def _label(line: CreditNoteLine, document: CreditNoteDocument) -> str:
    if line.label:
        return line.label
    lines = document.invoice.content.lines
    return next((each.label for each in lines if each.line_id == line.line), line.line)
