"""receipt, notification, suspicion: what people read of the books."""

from __future__ import annotations

from typing import TYPE_CHECKING

from projections.books.rows import text_of

if TYPE_CHECKING:
    import psycopg

    from projections.books.rows import Booking

_RECEIPT = """
    INSERT INTO receipt (tenant, receipt, kind, customer, transaction, content, content_sha256,
        issued_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""
_NOTICE = """
    INSERT INTO notification (tenant, notification, customer, kind, charge, title, body, booked_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""
_SUSPICION = """
    INSERT INTO suspicion (tenant, suspicion, customer, rule, detail, raised_at, is_open,
        closed_by, note)
    VALUES (%s, %s, %s, %s, %s, %s, true, '', '')
"""
_CLOSE = """
    UPDATE suspicion SET is_open = false, closed_at = %s, closed_by = %s, note = %s
    WHERE tenant = %s AND suspicion = %s
"""


def project_receipt(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert a receipt."""
    fields = booking.fields
    connection.execute(
        _RECEIPT,
        (
            booking.tenant,
            *(fields.text(name) for name in ("receipt", "kind", "customer", "transaction")),
            *(fields.document("content"), fields.text("content_sha256"), booking.booked_at),
        ),
    )


def project_notice(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert a notice to a customer."""
    fields = booking.fields
    connection.execute(
        _NOTICE,
        (
            booking.tenant,
            *(fields.text(name) for name in ("notification", "customer", "kind")),
            *(text_of(fields, "charge"), text_of(fields, "title"), text_of(fields, "body")),
            booking.booked_at,
        ),
    )


def project_suspicion(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert a suspicion."""
    fields = booking.fields
    connection.execute(
        _SUSPICION,
        (
            booking.tenant,
            *(fields.text(name) for name in ("suspicion", "customer", "rule")),
            *(text_of(fields, "detail"), booking.booked_at),
        ),
    )


def project_suspicion_closed(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will close a suspicion."""
    fields = booking.fields
    words = (text_of(fields, "closed_by"), text_of(fields, "note"))
    key = (booking.tenant, fields.text("suspicion"))
    connection.execute(_CLOSE, (booking.booked_at, *words, *key))


def project_nothing(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will write nothing: other facts of the command say it in tables."""
