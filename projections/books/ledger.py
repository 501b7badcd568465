"""ledger_leg, account_credit: the double entry of money, and what a customer may still draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from projections.books.rows import AMOUNT_MINOR_MAX, signed_minor, text_of

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg

    from projections.books.rows import Booking

LEGS_MAX = 50
"""Legs of one posting: the accounts there are, each a few times."""
INDEX_MAX = 2**31
_LEG = """
    INSERT INTO ledger_leg (tenant, posting, leg, kind, customer, currency, account, amount_minor,
        reference, booked_at, booked_offset, booked_index)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_BALANCE = """
    INSERT INTO account_credit (tenant, customer, currency, balance_minor, promotion_minor)
    VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT (tenant, customer) DO UPDATE SET balance_minor = excluded.balance_minor,
        promotion_minor = excluded.promotion_minor
"""
_ENTRY = """
    INSERT INTO account_credit_entry (tenant, customer, entry, kind, currency, amount_minor,
        balance_minor, reference, reason, booked_at, booked_offset)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (tenant, customer, entry, kind) DO UPDATE SET
        amount_minor = account_credit_entry.amount_minor + excluded.amount_minor,
        balance_minor = excluded.balance_minor
"""


def project_posted(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert the legs of a posting."""
    fields = booking.fields
    index = fields.integer("index", minimum=0, maximum=INDEX_MAX)
    for number, leg in enumerate(fields.objects("legs", count_max=LEGS_MAX)):
        connection.execute(
            _LEG,
            (
                *(booking.tenant, fields.text("posting"), number, fields.text("kind")),
                *(fields.text("customer"), fields.text("currency"), leg.text("account")),
                *(signed_minor(leg, "amount_minor"), text_of(fields, "reference")),
                *(fields.time("booked_at"), booking.source_offset, index),
            ),
        )


def project_granted(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will add to a customer's account credit."""
    fields = booking.fields
    _enter(
        connection,
        booking,
        entry=fields.text("credit"),
        kind=fields.text("kind"),
        amount_minor=fields.integer("amount_minor", minimum=0, maximum=AMOUNT_MINOR_MAX),
        reference=text_of(fields, "reference"),
        reason=text_of(fields, "reason"),
        booked_at=fields.time("granted_at"),
    )


def project_applied(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will take off a customer's account credit what an invoice drew."""
    fields = booking.fields
    invoice = fields.text("invoice")
    _enter(
        connection,
        booking,
        entry=invoice,
        kind="applied",
        amount_minor=-fields.integer("amount_minor", minimum=0, maximum=AMOUNT_MINOR_MAX),
        reference=invoice,
        reason="",
        booked_at=fields.time("applied_at"),
    )


def _enter(
    connection: psycopg.Connection,
    booking: Booking,
    *,
    entry: str,
    kind: str,
    amount_minor: int,
    reference: str,
    reason: str,
    booked_at: datetime,
) -> None:
    fields = booking.fields
    customer, currency = fields.text("customer"), fields.text("currency")
    balance = signed_minor(fields, "balance_minor")
    promotion = signed_minor(fields, "promotion_balance_minor")
    connection.execute(_BALANCE, (booking.tenant, customer, currency, balance, promotion))
    connection.execute(
        _ENTRY,
        (
            *(booking.tenant, customer, entry, kind, currency, amount_minor, balance),
            *(reference, reason, booked_at, booking.source_offset),
        ),
    )
