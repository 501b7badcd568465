"""charge and deliverable: what became of each detection, and what was made for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.books.charge import GENERATION_MAX
from domain.books.deliverables import SIZE_BYTES_MAX
from projections.books.rows import AMOUNT_MINOR_MAX, credits_of, json_of, read_version, text_of

if TYPE_CHECKING:
    import psycopg

    from projections.books.rows import Booking

_INSERT = """
    INSERT INTO charge (tenant, charge, customer, project, lone_node, tier, name, generation,
        covers, credits, price_minor, currency, delivers, evidence, rule_version, rule_sha256,
        status, requested_at, expires_at, approved_by, end_reason, refunded_credits,
        refunded_minor, transaction, receipt)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s, %s, %s, %s, %s::jsonb, %s, %s,
        'requested', %s, %s, '', '', 0, 0, '', '')
"""
_APPROVE = """
    UPDATE charge SET status = 'approved', approved_at = %s, approved_by = %s
    WHERE tenant = %s AND charge = %s
"""
_CAPTURE = """
    UPDATE charge SET status = 'captured', captured_at = %s, transaction = %s, receipt = %s
    WHERE tenant = %s AND charge = %s
"""
_SPEND = """
    UPDATE wallet SET total_spent_minor = total_spent_minor + %s
    WHERE tenant = %s AND customer = %s
"""
_END = """
    UPDATE charge SET status = %s, ended_at = %s, end_reason = %s
    WHERE tenant = %s AND charge = %s
"""
_REFUND = """
    UPDATE charge SET refunded_credits = refunded_credits + %s,
        refunded_minor = refunded_minor + %s
    WHERE tenant = %s AND charge = %s
"""
_DELIVERABLE = """
    INSERT INTO deliverable (tenant, charge, name, kind, uri, sha256, bytes, registered_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""


def project_requested(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert a charge that waits for approval."""
    fields = booking.fields
    connection.execute(
        _INSERT,
        (
            *(booking.tenant, fields.text("charge"), fields.text("customer")),
            *(text_of(fields, "project"), text_of(fields, "lone_node")),
            *(fields.text("tier"), fields.text("name")),
            fields.integer("generation", minimum=1, maximum=GENERATION_MAX),
            *(json_of(fields, "covers"), credits_of(fields, "credits")),
            fields.integer("price_minor", minimum=0, maximum=AMOUNT_MINOR_MAX),
            *(fields.text("currency"), list(fields.texts("delivers"))),
            *(json_of(fields, "evidence"), read_version(fields, "rule_version")),
            *(fields.text("rule_sha256"), booking.booked_at, fields.time("expires_at")),
        ),
    )


def project_approved(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will mark a charge as approved."""
    fields = booking.fields
    key = (booking.tenant, fields.text("charge"))
    connection.execute(_APPROVE, (booking.booked_at, text_of(fields, "approved_by"), *key))


def project_captured(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will mark a charge as paid, and add its price to what was spent."""
    fields = booking.fields
    connection.execute(
        _CAPTURE,
        (
            *(booking.booked_at, fields.text("transaction"), fields.text("receipt")),
            *(booking.tenant, fields.text("charge")),
        ),
    )
    price = fields.integer("price_minor", minimum=0, maximum=AMOUNT_MINOR_MAX)
    connection.execute(_SPEND, (price, booking.tenant, fields.text("customer")))


def project_delivered(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will mark a charge as delivered."""
    connection.execute(
        "UPDATE charge SET status = 'delivered', delivered_at = %s"
        " WHERE tenant = %s AND charge = %s",
        (booking.booked_at, booking.tenant, booking.fields.text("charge")),
    )


def _end(connection: psycopg.Connection, booking: Booking, status: str, reason: str) -> None:
    key = (booking.tenant, booking.fields.text("charge"))
    connection.execute(_END, (status, booking.booked_at, reason, *key))


def project_declined(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will end a charge that was turned down."""
    _end(connection, booking, "declined", text_of(booking.fields, "reason"))


def project_expired(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will end a charge whose time is over."""
    _end(connection, booking, "expired", "")


def project_withdrawn(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will end a charge whose detection ended."""
    _end(connection, booking, "withdrawn", text_of(booking.fields, "reason"))


def project_refunded(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will count what was given back; all of it ends the charge."""
    fields = booking.fields
    amount = fields.integer("amount_minor", minimum=0, maximum=AMOUNT_MINOR_MAX)
    given_back = (credits_of(fields, "credits"), amount)
    connection.execute(_REFUND, (*given_back, booking.tenant, fields.text("charge")))
    connection.execute(_SPEND, (-amount, booking.tenant, fields.text("customer")))
    if fields.boolean("is_full"):
        _end(connection, booking, "refunded", text_of(fields, "reason"))


def project_deliverable(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert a reference to what a charge gives."""
    fields = booking.fields
    connection.execute(
        _DELIVERABLE,
        (
            *(booking.tenant, fields.text("charge"), fields.text("name"), fields.text("kind")),
            *(text_of(fields, "uri"), fields.text("sha256")),
            fields.integer("bytes", minimum=0, maximum=SIZE_BYTES_MAX),
            booking.booked_at,
        ),
    )
