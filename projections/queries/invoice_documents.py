"""What documents of invoices and credit notes are made of: heads with the whole content."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy

from projections.queries.invoices import InvoiceKey
from projections.queries.paging import Page, page_of

_COLUMNS = (
    "invoice, number, status, seller, customer, paid_minor, credited_minor, open_minor, issued_at,"
    " due_at, void_reason, content, content_sha256, finalized_at"
)


@dataclass(frozen=True, slots=True)
class InvoiceHead:
    """An invoice as its documents show it.

    Args:
        invoice: Its id.
        number: Its number.
        status: final, paid, overdue or void.
        seller: Key of the legal entity.
        customer: Who pays.
        paid_minor, credited_minor, open_minor: What became of its total, minor units.
        issued_at: Date of issue, UTC.
        due_at: When it is due, UTC.
        void_reason: Why it is void; empty when it is not.
        content: Canonical JSON.
        content_sha256: Its SHA-256.
        finalized_at: When the books took it: the clock of the buyer's details.
    """

    invoice: str
    number: str
    status: str
    seller: str
    customer: str
    paid_minor: int
    credited_minor: int
    open_minor: int
    issued_at: datetime
    due_at: datetime
    void_reason: str
    content: str
    content_sha256: str
    finalized_at: datetime


@dataclass(frozen=True, slots=True)
class CreditNoteHead:
    """A credit note as its documents show it.

    Args:
        credit_note: Its id.
        number: Its number.
        invoice: Id of the invoice that it is about.
        net_minor, tax_minor, total_minor: What is credited, minor units.
        promotion_minor: What of the total comes back as promotions.
        to_receivable_minor, to_credit_minor: Where that went.
        reason: Why.
        issued_at: Date of issue, UTC.
        lines: (line id, label, amount_minor, tax_minor, promotion_minor, promotion_tax_minor) in
            order.
    """

    credit_note: str
    number: str
    invoice: str
    net_minor: int
    tax_minor: int
    promotion_minor: int
    total_minor: int
    to_receivable_minor: int
    to_credit_minor: int
    reason: str
    issued_at: datetime
    lines: tuple[tuple[str, str, int, int, int, int], ...]


def find_invoice_head(connection: sqlalchemy.Connection, *, name: str) -> InvoiceHead | None:
    """This function will return an invoice by its id or number; None when there is no such one."""
    row = connection.execute(
        sqlalchemy.text(
            f"SELECT {_COLUMNS} FROM invoice WHERE invoice = :name OR number = :name"  # noqa: S608 -- fixed texts only
            " ORDER BY invoice <> :name LIMIT 1"
        ),
        {"name": name},
    ).one_or_none()
    return None if row is None else _invoice(row)


def list_invoice_heads(
    connection: sqlalchemy.Connection,
    *,
    start: datetime,
    end: datetime,
    customer: str | None,
    after: InvoiceKey | None,
    limit: int,
) -> Page[InvoiceHead]:
    """This function will return the invoices that were issued in a time, the oldest first.

    Args:
        connection: Connection of one tenant.
        start: First moment that counts, UTC.
        end: First moment that no longer counts, UTC.
        customer: Only those of this customer; None for all.
        after: Key of the last one of the page before; None for the first page.
        limit: Invoices of the page, 1 to PAGE_ROWS_MAX.
    """
    rows = connection.execute(
        sqlalchemy.text(
            f"SELECT {_COLUMNS} FROM invoice"  # noqa: S608 -- fixed texts only
            " WHERE issued_at >= :start AND issued_at < :end"
            " AND (CAST(:customer AS text) IS NULL OR customer = :customer)"
            " AND (issued_at, invoice) > (:after_at, :after_invoice)"
            " ORDER BY issued_at, invoice LIMIT :row_count"
        ),
        {
            "start": start,
            "end": end,
            "customer": customer,
            "after_at": start if after is None else after.issued_at,
            "after_invoice": "" if after is None else after.invoice,
            "row_count": limit + 1,
        },
    )
    return page_of([_invoice(row) for row in rows], limit=limit)


def find_numbers(connection: sqlalchemy.Connection, *, invoices: Iterable[str]) -> dict[str, str]:
    """This function will return the numbers of invoices, by id; those that exist."""
    rows = connection.execute(
        sqlalchemy.text("SELECT invoice, number FROM invoice WHERE invoice = ANY(:invoices)"),
        {"invoices": sorted(set(invoices))},
    )
    return {row.invoice: row.number for row in rows}


def find_credit_note_head(
    connection: sqlalchemy.Connection, *, name: str
) -> CreditNoteHead | None:
    """This function will return a credit note by its id or number; None when there is none."""
    row = connection.execute(
        sqlalchemy.text(
            "SELECT credit_note, number, invoice, net_minor, tax_minor, promotion_minor,"
            " total_minor, to_receivable_minor, to_credit_minor, reason, issued_at"
            " FROM credit_note WHERE credit_note = :name OR number = :name"
            " ORDER BY credit_note <> :name LIMIT 1"
        ),
        {"name": name},
    ).one_or_none()
    if row is None:
        return None
    lines = connection.execute(
        sqlalchemy.text(
            "SELECT line, label, amount_minor, tax_minor, promotion_minor, promotion_tax_minor"
            " FROM credit_note_line WHERE credit_note = :credit_note ORDER BY place"
        ),
        {"credit_note": row.credit_note},
    )
    return CreditNoteHead(
        credit_note=row.credit_note,
        number=row.number,
        invoice=row.invoice,
        net_minor=row.net_minor,
        tax_minor=row.tax_minor,
        promotion_minor=row.promotion_minor,
        total_minor=row.total_minor,
        to_receivable_minor=row.to_receivable_minor,
        to_credit_minor=row.to_credit_minor,
        reason=row.reason,
        issued_at=row.issued_at,
        lines=tuple((line.line, line.label, *line[2:]) for line in lines),
    )


def _invoice(row: sqlalchemy.Row[Any]) -> InvoiceHead:
    return InvoiceHead(
        invoice=row.invoice,
        number=row.number,
        status=row.status,
        seller=row.seller,
        customer=row.customer,
        paid_minor=row.paid_minor,
        credited_minor=row.credited_minor,
        open_minor=row.open_minor,
        issued_at=row.issued_at,
        due_at=row.due_at,
        void_reason=row.void_reason,
        content=row.content,
        content_sha256=row.content_sha256,
        finalized_at=row.finalized_at,
    )
