"""wallet, wallet_grant, wallet_posting, wallet_transaction: credits and what moved them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.books.wallet import GRANTS_MAX
from projections.books.rows import AMOUNT_MINOR_MAX, credits_of, text_of

if TYPE_CHECKING:
    import psycopg

    from domain.fields import Fields
    from projections.books.rows import Booking

COUNT_MAX = 2**31
_OPEN = """
    INSERT INTO wallet (tenant, customer, currency, available, held, total_spent_minor,
        auto_approval_credits, opened_at)
    VALUES (%s, %s, %s, 0, 0, 0, 0, %s)
"""
_OPEN_GRANT = """
    INSERT INTO wallet_grant (tenant, grant_id, customer, kind, priority, expires_at, age, credits,
        available, held, opened_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 0, 0, %s)
"""
_LEG = """
    INSERT INTO wallet_posting (tenant, posting, leg, kind, customer, account, grant_id, credits,
        reference, available_after, held_after, booked_at, booked_offset, booked_index)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_MOVE = {
    "available": "UPDATE wallet_grant SET available = available + %s"
    " WHERE tenant = %s AND grant_id = %s",
    "held": "UPDATE wallet_grant SET held = held + %s WHERE tenant = %s AND grant_id = %s",
}
"""Account of the customer → what a leg does to its grant."""
_BALANCE = "UPDATE wallet SET available = %s, held = %s WHERE tenant = %s AND customer = %s"
# A later word on a transaction changes what became of it, never what it was.
_TRANSACTION = """
    INSERT INTO wallet_transaction (tenant, transaction, kind, customer, charge, reference,
        credits, amount_minor, currency, status, receipt, payment_reference, code, reason, actor,
        recorded_at, changed_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (tenant, transaction) DO UPDATE SET
        status = excluded.status,
        receipt = CASE WHEN excluded.receipt = '' THEN wallet_transaction.receipt
            ELSE excluded.receipt END,
        code = excluded.code,
        reason = excluded.reason,
        actor = excluded.actor,
        changed_at = excluded.changed_at
"""


def project_opened(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert an empty wallet."""
    fields = booking.fields
    connection.execute(
        _OPEN,
        (booking.tenant, fields.text("customer"), fields.text("currency"), booking.booked_at),
    )


def project_posted(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert the legs of a posting, and move grants and balance by them."""
    fields = booking.fields
    customer = fields.text("customer")
    legs = fields.objects("legs", count_max=2 * (GRANTS_MAX + 1))
    if fields.values.get("opens") is not None:
        _open_grant(connection, booking, legs)
    available, held = credits_of(fields, "available"), credits_of(fields, "held")
    for number, leg in enumerate(legs):
        account, grant = leg.text("account"), text_of(leg, "grant")
        moved = credits_of(leg, "credits")
        connection.execute(
            _LEG,
            (
                *(booking.tenant, fields.text("posting"), number, fields.text("kind"), customer),
                *(account, grant, moved, fields.text("reference"), available, held),
                *(booking.booked_at, booking.source_offset),
                fields.integer("index", minimum=0, maximum=COUNT_MAX),
            ),
        )
        if account in _MOVE:
            connection.execute(_MOVE[account], (moved, booking.tenant, grant))
    connection.execute(_BALANCE, (available, held, booking.tenant, customer))


def _open_grant(
    connection: psycopg.Connection, booking: Booking, legs: tuple[Fields, ...]
) -> None:
    fields = booking.fields
    opens = fields.object("opens")
    grant = opens.text("grant")
    is_kept = opens.values.get("expires_at") is None
    connection.execute(
        _OPEN_GRANT,
        (
            *(booking.tenant, grant, fields.text("customer"), fields.text("kind")),
            opens.integer("priority", minimum=0, maximum=COUNT_MAX),
            None if is_kept else opens.time("expires_at"),
            opens.integer("age", minimum=0, maximum=AMOUNT_MINOR_MAX),
            sum(credits_of(leg, "credits") for leg in legs if text_of(leg, "grant") == grant),
            booking.booked_at,
        ),
    )


def project_auto_approval(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will set up to which charge a customer need not be asked."""
    fields = booking.fields
    connection.execute(
        "UPDATE wallet SET auto_approval_credits = %s WHERE tenant = %s AND customer = %s",
        (credits_of(fields, "limit_credits"), booking.tenant, fields.text("customer")),
    )


def project_transaction(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert a transaction, or change what became of it."""
    fields = booking.fields
    connection.execute(
        _TRANSACTION,
        (
            *(booking.tenant, fields.text("transaction"), fields.text("kind")),
            *(fields.text("customer"), text_of(fields, "charge") or None),
            *(fields.text("reference"), credits_of(fields, "credits")),
            fields.integer("amount_minor", minimum=0, maximum=AMOUNT_MINOR_MAX),
            *(fields.text("currency"), fields.text("status"), text_of(fields, "receipt")),
            *(text_of(fields, "payment_reference"), text_of(fields, "code")),
            *(text_of(fields, "reason"), text_of(fields, "actor")),
            *(booking.booked_at, booking.booked_at),
        ),
    )
