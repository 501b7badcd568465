"""Payments of invoices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy

from domain.money import Money
from projections.queries.paging import Page, conditions, page_of

_SELECT = """
    SELECT payment, invoice, customer, currency, amount_minor, applied_minor, refunded_minor,
        method, reference, paid_at, recorded_at
    FROM payment
"""


@dataclass(frozen=True, slots=True)
class PaymentKey:
    """Place of a payment in the list, which shows the newest first."""

    recorded_at: datetime
    payment: str


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment.

    Args:
        payment: Its id.
        invoice, customer: What was paid, and by whom.
        amount: What came in.
        applied: What of it the invoice took; the rest became account credit.
        refunded: What went back.
        method, reference: How it came, and what it is called elsewhere.
        paid_at: When the money came.
        recorded_at: When the books took it up.
    """

    payment: str
    invoice: str
    customer: str
    amount: Money
    applied: Money
    refunded: Money
    method: str
    reference: str
    paid_at: datetime
    recorded_at: datetime


def list_payments(
    connection: sqlalchemy.Connection,
    *,
    limit: int,
    after: PaymentKey | None,
    customer: str | None,
    invoice: str | None,
) -> Page[Payment]:
    """This function will return payments, the newest first.

    Args:
        connection: Connection of one tenant.
        limit: Rows of the page, 1 to PAGE_ROWS_MAX.
        after: Key of the last payment of the page before; None for the first page.
        customer: Only those of this customer; None for all.
        invoice: Only those of this invoice; None for all.
    """
    where = conditions(
        "(recorded_at, payment) < (:recorded_at, :payment)" if after is not None else "",
        "customer = :customer" if customer is not None else "",
        "invoice = :invoice" if invoice is not None else "",
    )
    rows = connection.execute(
        sqlalchemy.text(f"{_SELECT} {where} ORDER BY recorded_at DESC, payment DESC LIMIT :count"),
        {
            "recorded_at": None if after is None else after.recorded_at,
            "payment": None if after is None else after.payment,
            "customer": customer,
            "invoice": invoice,
            "count": limit + 1,
        },
    )
    return page_of([_from_row(row) for row in rows], limit=limit)


def find_payment(connection: sqlalchemy.Connection, *, payment: str) -> Payment | None:
    """This function will return one payment, or None when there is no such one."""
    row = connection.execute(
        sqlalchemy.text(f"{_SELECT} WHERE payment = :payment"), {"payment": payment}
    ).one_or_none()
    return None if row is None else _from_row(row)


def _from_row(row: sqlalchemy.Row[Any]) -> Payment:
    currency = row.currency
    return Payment(
        payment=row.payment,
        invoice=row.invoice,
        customer=row.customer,
        amount=Money(row.amount_minor, currency),
        applied=Money(row.applied_minor, currency),
        refunded=Money(row.refunded_minor, currency),
        method=row.method,
        reference=row.reference,
        paid_at=row.paid_at,
        recorded_at=row.recorded_at,
    )
