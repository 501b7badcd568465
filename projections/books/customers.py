"""customer: who may be charged, and on which terms, as the books hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.books.customer import Customer
from projections.texts import storable

if TYPE_CHECKING:
    import psycopg

    from projections.books.rows import Booking

_INSERT = """
    INSERT INTO customer (tenant, customer, currency, created_at, email_digest, document, seller,
        changed_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""
_CHANGE = """
    UPDATE customer SET document = %s, seller = %s, changed_at = %s
    WHERE tenant = %s AND customer = %s
"""


def project_created(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert a customer."""
    fields = booking.fields
    customer = Customer.from_fields(fields.object("document"))
    connection.execute(
        _INSERT,
        (
            *(booking.tenant, customer.customer, customer.currency, customer.created_at),
            fields.values.get("email_digest"),
            *(storable(customer.document), customer.seller, fields.time("changed_at")),
        ),
    )


def project_changed(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will put a customer in the place of what it was."""
    fields = booking.fields
    customer = Customer.from_fields(fields.object("document"))
    connection.execute(
        _CHANGE,
        (
            *(storable(customer.document), customer.seller, fields.time("changed_at")),
            *(booking.tenant, customer.customer),
        ),
    )
