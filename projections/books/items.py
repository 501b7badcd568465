"""invoice_item: amounts that wait for a customer's next invoice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.invoice_terms import Item
from projections.books.rows import text_of
from projections.texts import storable

if TYPE_CHECKING:
    import psycopg

    from projections.books.rows import Booking

_INSERT = """
    INSERT INTO invoice_item (tenant, item, kind, status, customer, subscription, label,
        amount_minor, added_at, added_offset, added_index, invoice, document)
    VALUES (%s, %s, %s, 'pending', %s, %s, %s, %s, %s, %s, %s, '', %s)
"""


def project_added(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert an item; its place in the log says which came first."""
    document = text_of(booking.fields, "document")
    item = Item.from_document(document)
    connection.execute(
        _INSERT,
        (
            *(booking.tenant, item.item, item.kind, item.customer, item.subscription),
            *(storable(item.label), item.amount_minor, item.added_at),
            *(booking.source_offset, booking.fact_index, document),
        ),
    )


def project_removed(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will mark an item as removed."""
    connection.execute(
        "UPDATE invoice_item SET status = 'removed' WHERE tenant = %s AND item = %s",
        (booking.tenant, booking.fields.text("item")),
    )
