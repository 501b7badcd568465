"""api_key: keys by the hash of their secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

    from projections.books.rows import Booking

_INSERT = """
    INSERT INTO api_key (tenant, key_id, secret_sha256, label, scopes, created_at)
    VALUES (%s, %s, %s, %s, %s, %s)
"""


def project_created(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert a key."""
    fields = booking.fields
    connection.execute(
        _INSERT,
        (
            booking.tenant,
            *(fields.text(name) for name in ("key_id", "secret_sha256", "label")),
            list(fields.texts("scopes")),
            booking.booked_at,
        ),
    )


def project_revoked(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will mark a key as revoked, from the time the books give."""
    fields = booking.fields
    connection.execute(
        "UPDATE api_key SET revoked_at = %s WHERE tenant = %s AND key_id = %s",
        (fields.time("revoked_at"), booking.tenant, fields.text("key_id")),
    )
