"""Credit notes: what was taken back of invoices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy

from domain.money import Money
from projections.queries.paging import Page, conditions, page_of

_SELECT = """
    SELECT credit_note, number, invoice, customer, currency, seller, net_minor, tax_minor,
        promotion_minor, total_minor, reason, paid_to, issued_at
    FROM credit_note
"""
_LINES = """
    SELECT line, label, amount_minor, tax_minor, amount_minor - promotion_minor,
        tax_minor - promotion_tax_minor, promotion_minor, promotion_tax_minor
    FROM credit_note_line WHERE credit_note = :credit_note ORDER BY place
"""


@dataclass(frozen=True, slots=True)
class CreditNoteKey:
    """Place of a credit note in the list, which shows the newest first."""

    issued_at: datetime
    credit_note: str


@dataclass(frozen=True, slots=True)
class CreditNoteLine:
    """One line of a credit note.

    Args:
        line: Id of the invoice's line.
        label: What it is, for people; empty where the books do not know it.
        amount: What was taken back, as the invoice's line has it.
        tax: Its tax.
        money, money_tax: What of both comes back as money.
        promotion, promotion_tax: What of both promotions had paid.
    """

    line: str
    label: str
    amount: Money
    tax: Money
    money: Money
    money_tax: Money
    promotion: Money
    promotion_tax: Money


@dataclass(frozen=True, slots=True)
class CreditNote:
    """One credit note.

    Args:
        credit_note, number: Its id, and its number for people.
        invoice, customer: What it takes back, and from whom.
        seller: Key of the legal entity.
        net, tax, total: What it comes to.
        promotion: What of the total comes back as promotions; the rest is money.
        paid_to: account_credit or refund.
        reason: Why.
        issued_at: When it was issued.
        lines: Its lines, in order.
    """

    credit_note: str
    number: str
    invoice: str
    customer: str
    seller: str
    net: Money
    tax: Money
    promotion: Money
    total: Money
    paid_to: str
    reason: str
    issued_at: datetime
    lines: tuple[CreditNoteLine, ...]


def list_credit_notes(
    connection: sqlalchemy.Connection,
    *,
    limit: int,
    after: CreditNoteKey | None,
    customer: str | None,
    invoice: str | None,
) -> Page[CreditNote]:
    """This function will return credit notes with their lines, the newest first.

    Args:
        connection: Connection of one tenant.
        limit: Rows of the page, 1 to PAGE_ROWS_MAX.
        after: Key of the last one of the page before; None for the first page.
        customer: Only those of this customer; None for all.
        invoice: Only those of this invoice; None for all.
    """
    where = conditions(
        "(issued_at, credit_note) < (:issued_at, :credit_note)" if after is not None else "",
        "customer = :customer" if customer is not None else "",
        "invoice = :invoice" if invoice is not None else "",
    )
    rows = connection.execute(
        sqlalchemy.text(
            f"{_SELECT} {where} ORDER BY issued_at DESC, credit_note DESC LIMIT :count"
        ),
        {
            "issued_at": None if after is None else after.issued_at,
            "credit_note": None if after is None else after.credit_note,
            "customer": customer,
            "invoice": invoice,
            "count": limit + 1,
        },
    ).all()
    return page_of([_from_row(connection, row) for row in rows], limit=limit)


def find_credit_note(connection: sqlalchemy.Connection, *, credit_note: str) -> CreditNote | None:
    """This function will return a credit note by id or number, or None when there is none."""
    row = connection.execute(
        sqlalchemy.text(f"{_SELECT} WHERE credit_note = :name OR number = :name LIMIT 1"),
        {"name": credit_note},
    ).one_or_none()
    return None if row is None else _from_row(connection, row)


def _from_row(connection: sqlalchemy.Connection, row: sqlalchemy.Row[Any]) -> CreditNote:
    currency = row.currency
    lines = connection.execute(sqlalchemy.text(_LINES), {"credit_note": row.credit_note})
    return CreditNote(
        credit_note=row.credit_note,
        number=row.number,
        invoice=row.invoice,
        customer=row.customer,
        seller=row.seller,
        net=Money(row.net_minor, currency),
        tax=Money(row.tax_minor, currency),
        promotion=Money(row.promotion_minor, currency),
        total=Money(row.total_minor, currency),
        paid_to=row.paid_to,
        reason=row.reason,
        issued_at=row.issued_at,
        lines=tuple(
            CreditNoteLine(line, label, *(Money(amount, currency) for amount in amounts))
            for line, label, *amounts in lines
        ),
    )
