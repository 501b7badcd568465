"""Invoices and their lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy

from domain.money import Money
from domain.period import Period
from projections.queries.paging import Page, conditions, page_of

_COLUMNS = (
    "invoice, number, subscription, customer, currency, total_minor, period_start, period_end,"
    " issued_at, content_sha256"
)


@dataclass(frozen=True, slots=True)
class InvoiceKey:
    """Place of an invoice in the list, which shows the newest first.

    Args:
        issued_at: When it was issued, UTC.
        invoice: Its id; parts invoices of one moment.
    """

    issued_at: datetime
    invoice: str


@dataclass(frozen=True, slots=True)
class Invoice:
    """One invoice without its lines.

    Args:
        invoice: Its id.
        number: Its number for people, without gaps within the tenant.
        subscription, customer: What it is for, and who pays.
        total: Sum of its lines.
        period: What was billed, half-open.
        issued_at: The as_of of its finalisation, UTC.
        content_sha256: SHA-256 of the content, 64 hex digits.
    """

    invoice: str
    number: str
    subscription: str
    customer: str
    total: Money
    period: Period
    issued_at: datetime
    content_sha256: str


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One line of an invoice.

    Args:
        line: Place on the invoice, as the projector counts.
        price: Key of the price that made it.
        form: Form of that price, for example "graduated".
        meter: Meter it bills; empty for a flat price.
        quantity: Billed quantity, exact.
        unit: What one unit is, for people.
        amount: Rounded once.
        amount_unrounded: Exact amount before the rounding, major units.
        steps: How the amount came about, in order; every value is text.
        is_estimate: Whether the quantity is near the true one instead of equal to it.
    """

    line: int
    price: str
    form: str
    meter: str
    quantity: Decimal
    unit: str
    amount: Money
    amount_unrounded: Decimal
    steps: tuple[Mapping[str, str], ...]
    is_estimate: bool


@dataclass(frozen=True, slots=True)
class InvoiceDocument:
    """An invoice as a whole.

    Args:
        invoice: Its head.
        lines: Its lines in order.
        content: Canonical JSON of lines and pin; its SHA-256 is the head's content_sha256.
    """

    invoice: Invoice
    lines: tuple[InvoiceLine, ...]
    content: str


def list_invoices(
    connection: sqlalchemy.Connection,
    *,
    limit: int,
    after: InvoiceKey | None,
    customer: str | None,
    subscription: str | None,
) -> Page[Invoice]:
    """This function will return invoices, the newest first.

    Args:
        connection: Connection of one tenant.
        limit: Rows of the page, 1 to PAGE_ROWS_MAX.
        after: Key of the last invoice of the page before; None for the first page.
        customer: Only those of this customer; None for all.
        subscription: Only those of this subscription; None for all.
    """
    where = conditions(
        "(issued_at, invoice) < (:issued_at, :invoice)" if after is not None else "",
        "customer = :customer" if customer is not None else "",
        "subscription = :subscription" if subscription is not None else "",
    )
    rows = connection.execute(
        sqlalchemy.text(
            f"SELECT {_COLUMNS} FROM invoice {where}"  # noqa: S608 -- fixed texts only
            " ORDER BY issued_at DESC, invoice DESC LIMIT :row_count"
        ),
        {
            "issued_at": None if after is None else after.issued_at,
            "invoice": None if after is None else after.invoice,
            "customer": customer,
            "subscription": subscription,
            "row_count": limit + 1,
        },
    )
    return page_of([_from_row(row) for row in rows], limit=limit)


def find_invoice(connection: sqlalchemy.Connection, *, invoice: str) -> InvoiceDocument | None:
    """This function will return an invoice with its lines, or None when there is no such one."""
    row = connection.execute(
        sqlalchemy.text(f"SELECT {_COLUMNS}, content FROM invoice WHERE invoice = :invoice"),  # noqa: S608 -- fixed texts only
        {"invoice": invoice},
    ).one_or_none()
    if row is None:
        return None
    lines = connection.execute(
        sqlalchemy.text(
            "SELECT line, price, form, meter, quantity, unit, amount_minor, amount_unrounded,"
            " steps, is_estimate FROM invoice_line WHERE invoice = :invoice ORDER BY line"
        ),
        {"invoice": invoice},
    )
    return InvoiceDocument(
        invoice=_from_row(row),
        lines=tuple(_from_line_row(line, currency=row.currency) for line in lines),
        content=row.content,
    )


def _from_row(row: sqlalchemy.Row[Any]) -> Invoice:
    return Invoice(
        invoice=row.invoice,
        number=row.number,
        subscription=row.subscription,
        customer=row.customer,
        total=Money(row.total_minor, row.currency),
        period=Period(row.period_start, row.period_end),
        issued_at=row.issued_at,
        content_sha256=row.content_sha256,
    )


def _from_line_row(row: sqlalchemy.Row[Any], *, currency: str) -> InvoiceLine:
    return InvoiceLine(
        line=row.line,
        price=row.price,
        form=row.form,
        meter=row.meter,
        quantity=row.quantity,
        unit=row.unit,
        amount=Money(row.amount_minor, currency),
        amount_unrounded=row.amount_unrounded,
        steps=tuple({name: str(value) for name, value in step.items()} for step in row.steps),
        is_estimate=row.is_estimate,
    )
