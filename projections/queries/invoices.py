"""Invoices of a tenant: heads for lists, and single ones with lines and taxes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy

from domain.invoice import item_of
from domain.money import Money
from domain.period import Period
from projections.queries.corrections import Corrected, Correction, corrected_by, corrections_of
from projections.queries.paging import Page, conditions, page_of

_COLUMNS = (
    "invoice, number, kind, seller, status, subscription, customer, currency, subtotal_minor,"
    " discount_minor, credit_minor, tax_minor, total_minor, carry_minor, paid_minor,"
    " credited_minor, open_minor, period_start, period_end, issued_at, due_at, voided_at,"
    " void_reason, content_sha256"
)
_LINE_COLUMNS = (
    "line, id, kind, label, price, form, meter, unit, quantity, amount_unrounded, amount, net,"
    " discounts, tax, service_start, service_end, steps, is_estimate, refers_invoice, refers_line"
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
class InvoiceFilter:
    """Which invoices are wanted; None for any.

    Args:
        customer: Who pays.
        subscription: What they are for.
        status: final, paid, overdue or void.
    """

    customer: str | None = None
    subscription: str | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True)
class Amounts:
    """What an invoice comes to, and what has become of it.

    Args:
        subtotal: Its lines before discounts.
        discount: What came off by discounts.
        credit: Account credit that was used.
        tax: Tax.
        total: What is to pay.
        carried: What was below 0 and became account credit.
        paid: What was paid.
        credited: What credit notes took back.
        open: What is still to pay.
    """

    subtotal: Money
    discount: Money
    credit: Money
    tax: Money
    total: Money
    carried: Money
    paid: Money
    credited: Money
    open: Money


@dataclass(frozen=True, slots=True)
class Invoice:
    """One invoice without its lines.

    Args:
        invoice: Its id.
        number: Its number for people, without gaps per seller, prefix and year.
        kind: period, opening or items.
        seller: Key of the legal entity that bills.
        status: final, paid, overdue or void.
        subscription: What it is for; empty for items alone.
        customer: Who pays.
        amounts: What it comes to.
        period: What was billed, half-open; None for items alone.
        issued_at: The as_of of its finalisation, UTC.
        due_at: When it is to be paid.
        voided_at: When it was voided; None while it holds.
        void_reason: Why; empty while it holds.
        content_sha256: SHA-256 of the content, 64 hex digits.
    """

    invoice: str
    number: str
    kind: str
    seller: str
    status: str
    subscription: str
    customer: str
    amounts: Amounts
    period: Period | None
    issued_at: datetime
    due_at: datetime
    voided_at: datetime | None
    void_reason: str
    content_sha256: str

    @property
    def total(self) -> Money:
        """Return what is to pay."""
        return self.amounts.total


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One line of an invoice; amounts are exact decimals in major units.

    Args:
        line: Place on the invoice, from 1.
        line_id: Its name within the invoice, for good.
        kind: fee, seats, usage, add_on, minimum or item.
        label: What it is, for people.
        price: Key of the price that made it; empty for an item or a minimum.
        form: Form of that price, for example "graduated".
        meter: Meter or composite it bills; empty for none.
        unit: What one unit is, for people.
        quantity: Billed quantity, exact.
        amount: Rounded once.
        amount_unrounded: Exact amount before the rounding.
        net: The amount without its discounts.
        discounts: (code, amount) of each discount that came off, major units.
        tax: Tax category.
        start, end: The time it is for.
        steps: How the amount came about, in order; every value is text.
        is_estimate: Whether the quantity is near the true one instead of equal to it.
        refers: (invoice, line id) that it corrects; ("", "") for none.
        corrected: The correction that it comes from; None for none.
    """

    line: int
    line_id: str
    kind: str
    label: str
    price: str
    form: str
    meter: str
    unit: str
    quantity: Decimal
    amount: Decimal
    amount_unrounded: Decimal
    net: Decimal
    discounts: tuple[tuple[str, Decimal], ...]
    tax: str
    start: datetime | None
    end: datetime | None
    steps: tuple[Mapping[str, str], ...]
    is_estimate: bool
    refers: tuple[str, str]
    corrected: Corrected | None = None


@dataclass(frozen=True, slots=True)
class InvoiceTax:
    """One row of an invoice's tax table.

    Args:
        code: Code of the tax; empty for lines without one.
        name: Its name.
        rate: Percent as decimal text.
        mode: exclusive or inclusive.
        base: What it was taken of, major units.
        amount: The tax, major units.
    """

    code: str
    name: str
    rate: str
    mode: str
    base: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class InvoiceDocument:
    """An invoice as a whole.

    Args:
        invoice: Its head.
        lines: Its lines in order.
        taxes: Its tax table.
        corrections: What changed after it was final, the first first.
        content: Canonical JSON of everything; its SHA-256 is the head's content_sha256.
    """

    invoice: Invoice
    lines: tuple[InvoiceLine, ...]
    taxes: tuple[InvoiceTax, ...]
    corrections: tuple[Correction, ...]
    content: str


def list_invoices(
    connection: sqlalchemy.Connection,
    *,
    limit: int,
    after: InvoiceKey | None,
    wanted: InvoiceFilter,
) -> Page[Invoice]:
    """This function will return invoices, the newest first.

    Args:
        connection: Connection of one tenant.
        limit: Rows of the page, 1 to PAGE_ROWS_MAX.
        after: Key of the last invoice of the page before; None for the first page.
        wanted: Which ones.
    """
    where = conditions(
        "(issued_at, invoice) < (:issued_at, :invoice)" if after is not None else "",
        "customer = :customer" if wanted.customer is not None else "",
        "subscription = :subscription" if wanted.subscription is not None else "",
        "status = :status" if wanted.status is not None else "",
    )
    rows = connection.execute(
        sqlalchemy.text(
            f"SELECT {_COLUMNS} FROM invoice {where}"  # noqa: S608 -- fixed texts only
            " ORDER BY issued_at DESC, invoice DESC LIMIT :row_count"
        ),
        {
            "issued_at": None if after is None else after.issued_at,
            "invoice": None if after is None else after.invoice,
            "customer": wanted.customer,
            "subscription": wanted.subscription,
            "status": wanted.status,
            "row_count": limit + 1,
        },
    )
    return page_of([_from_row(row) for row in rows], limit=limit)


def find_invoice(connection: sqlalchemy.Connection, *, invoice: str) -> InvoiceDocument | None:
    """This function will return an invoice as a whole, or None when there is no such one.

    Args:
        connection: Connection of one tenant.
        invoice: Its id or its number.
    """
    row = connection.execute(
        sqlalchemy.text(
            f"SELECT {_COLUMNS}, scale, content FROM invoice"  # noqa: S608 -- fixed texts only
            " WHERE invoice = :invoice OR number = :invoice LIMIT 1"
        ),
        {"invoice": invoice},
    ).one_or_none()
    if row is None:
        return None
    key = {"invoice": row.invoice}
    lines = connection.execute(
        sqlalchemy.text(
            f"SELECT {_LINE_COLUMNS} FROM invoice_line"  # noqa: S608 -- fixed texts only
            " WHERE invoice = :invoice ORDER BY line"
        ),
        key,
    ).all()
    items = [item_of(line.id) for line in lines if line.refers_invoice]
    corrected = corrected_by(connection, items=items)
    taxes = connection.execute(
        sqlalchemy.text(
            "SELECT document FROM invoice_tax WHERE invoice = :invoice ORDER BY place"
        ),
        key,
    )
    return InvoiceDocument(
        invoice=_from_row(row),
        lines=tuple(_from_line_row(line, scale=row.scale, corrected=corrected) for line in lines),
        taxes=tuple(_tax(json.loads(document), scale=row.scale) for (document,) in taxes),
        corrections=corrections_of(connection, invoice=row.invoice),
        content=row.content,
    )


def _from_row(row: sqlalchemy.Row[Any]) -> Invoice:
    currency = row.currency
    return Invoice(
        invoice=row.invoice,
        number=row.number,
        kind=row.kind,
        seller=row.seller,
        status=row.status,
        subscription=row.subscription,
        customer=row.customer,
        amounts=Amounts(
            subtotal=Money(row.subtotal_minor, currency),
            discount=Money(row.discount_minor, currency),
            credit=Money(row.credit_minor, currency),
            tax=Money(row.tax_minor, currency),
            total=Money(row.total_minor, currency),
            carried=Money(row.carry_minor, currency),
            paid=Money(row.paid_minor, currency),
            credited=Money(row.credited_minor, currency),
            open=Money(row.open_minor, currency),
        ),
        period=None if row.period_start is None else Period(row.period_start, row.period_end),
        issued_at=row.issued_at,
        due_at=row.due_at,
        voided_at=row.voided_at,
        void_reason=row.void_reason,
        content_sha256=row.content_sha256,
    )


def _from_line_row(
    row: sqlalchemy.Row[Any], *, scale: int, corrected: Mapping[str, Corrected]
) -> InvoiceLine:
    return InvoiceLine(
        line=row.line,
        line_id=row.id,
        kind=row.kind,
        label=row.label,
        price=row.price,
        form=row.form,
        meter=row.meter,
        unit=row.unit,
        quantity=row.quantity,
        amount=row.amount,
        amount_unrounded=row.amount_unrounded,
        net=row.net,
        discounts=tuple(
            (each["code"], Decimal(each["amount"]).scaleb(-scale)) for each in row.discounts
        ),
        tax=row.tax,
        start=row.service_start,
        end=row.service_end,
        steps=tuple({name: str(value) for name, value in step.items()} for step in row.steps),
        is_estimate=row.is_estimate,
        refers=(row.refers_invoice, row.refers_line),
        corrected=corrected.get(item_of(row.id)),
    )


def _tax(document: Mapping[str, Any], *, scale: int) -> InvoiceTax:
    return InvoiceTax(
        code=document["code"],
        name=document["name"],
        rate=document["rate"],
        mode=document["mode"],
        base=Decimal(document["base"]).scaleb(-scale),
        amount=Decimal(document["amount"]).scaleb(-scale),
    )
