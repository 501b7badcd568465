"""customer: who may be charged."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

    from projections.books.rows import Booking


def project_created(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert a customer."""
    fields = booking.fields
    connection.execute(
        "INSERT INTO customer (tenant, customer, currency, created_at, email_digest)"
        " VALUES (%s, %s, %s, %s, %s)",
        (
            *(booking.tenant, fields.text("customer"), fields.text("currency"), booking.booked_at),
            fields.values.get("email_digest"),
        ),
    )
