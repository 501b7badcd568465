"""customer_details, customer_erasure: sealed texts as the books have them; no key is here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from projections.books.rows import VERSION_MAX, json_of

if TYPE_CHECKING:
    import psycopg

    from projections.books.rows import Booking


def project_set(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will add a version, and note by which token the books know the address."""
    fields = booking.fields
    customer = fields.text("customer")
    version = fields.integer("version", minimum=1, maximum=VERSION_MAX)
    connection.execute(
        "INSERT INTO customer_details (tenant, customer, version, sealed, set_at)"
        " VALUES (%s, %s, %s, %s, %s)",
        (booking.tenant, customer, version, json_of(fields, "sealed"), booking.booked_at),
    )
    _hold_email(connection, booking, fields.values.get("email_digest"))


def project_erased(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will empty every version; what was sealed cannot be opened any more anyway."""
    customer = booking.fields.text("customer")
    whose = (booking.tenant, customer)
    connection.execute(
        "UPDATE customer_details SET sealed = NULL WHERE tenant = %s AND customer = %s", whose
    )
    connection.execute(
        "INSERT INTO customer_erasure (tenant, customer, erased_at) VALUES (%s, %s, %s)",
        (*whose, booking.booked_at),
    )
    _hold_email(connection, booking, None)


def _hold_email(connection: psycopg.Connection, booking: Booking, digest: object) -> None:
    connection.execute(
        "UPDATE customer SET email_digest = %s WHERE tenant = %s AND customer = %s",
        (digest, booking.tenant, booking.fields.text("customer")),
    )
