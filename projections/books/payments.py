"""payment and refund: what was paid on invoices, and what went back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from projections.books.rows import AMOUNT_MINOR_MAX, text_of

if TYPE_CHECKING:
    import psycopg

    from domain.fields import Fields
    from projections.books.rows import Booking

_PAYMENT = """
    INSERT INTO payment (tenant, payment, invoice, customer, currency, amount_minor, applied_minor,
        refunded_minor, method, reference, paid_at, recorded_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, 0, %s, %s, %s, %s)
"""
_PAID = """
    UPDATE invoice SET status = %s, paid_minor = %s, open_minor = %s
    WHERE tenant = %s AND invoice = %s
"""
_REFUND = """
    INSERT INTO refund (tenant, refund, payment, invoice, customer, currency, amount_minor,
        from_credit_minor, reason, recorded_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_REFUNDED = "UPDATE payment SET refunded_minor = %s WHERE tenant = %s AND payment = %s"
_REOPENED = """
    UPDATE invoice SET status = %s, open_minor = %s, paid_minor = paid_minor - %s
    WHERE tenant = %s AND invoice = %s
"""


def _minor(fields: Fields, name: str) -> int:
    return fields.integer(name, minimum=0, maximum=AMOUNT_MINOR_MAX)


def project_recorded(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert a payment, and say what it leaves open."""
    fields = booking.fields
    invoice = fields.text("invoice")
    connection.execute(
        _PAYMENT,
        (
            *(booking.tenant, fields.text("payment"), invoice, fields.text("customer")),
            *(fields.text("currency"), _minor(fields, "amount_minor")),
            *(
                _minor(fields, "applied_minor"),
                fields.text("method"),
                text_of(fields, "reference"),
            ),
            *(fields.time("paid_at"), fields.time("recorded_at")),
        ),
    )
    connection.execute(
        _PAID,
        (
            *(fields.text("status"), _minor(fields, "paid_minor"), _minor(fields, "open_minor")),
            *(booking.tenant, invoice),
        ),
    )


def project_refunded(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert a refund; what did not come from credit is open again."""
    fields = booking.fields
    payment, invoice = fields.text("payment"), fields.text("invoice")
    amount, from_credit = _minor(fields, "amount_minor"), _minor(fields, "from_credit_minor")
    connection.execute(
        _REFUND,
        (
            *(booking.tenant, fields.text("refund"), payment, invoice, fields.text("customer")),
            *(fields.text("currency"), amount, from_credit, text_of(fields, "reason")),
            fields.time("recorded_at"),
        ),
    )
    connection.execute(_REFUNDED, (_minor(fields, "refunded_minor"), booking.tenant, payment))
    reopened = amount - from_credit
    connection.execute(
        _REOPENED,
        (
            *(fields.text("status"), _minor(fields, "open_minor"), reopened),
            *(booking.tenant, invoice),
        ),
    )
