"""subscription: a customer on a plan, with the period that is to be invoiced next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from projections.books.rows import read_period, read_version

if TYPE_CHECKING:
    import psycopg

    from projections.books.rows import Booking

_INSERT = """
    INSERT INTO subscription (tenant, subscription, customer, plan, currency, anchor,
        period_index, period_start, period_end, catalogue_version, catalogue_sha256, created_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_RENEW = """
    UPDATE subscription SET period_index = %s, period_start = %s, period_end = %s,
        catalogue_version = %s, catalogue_sha256 = %s
    WHERE tenant = %s AND subscription = %s
"""


def project_created(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert a subscription."""
    fields = booking.fields
    period = read_period(fields)
    connection.execute(
        _INSERT,
        (
            booking.tenant,
            *(fields.text(name) for name in ("subscription", "customer", "plan", "currency")),
            fields.time("anchor"),
            *(period.index, period.start, period.end),
            read_version(fields, "catalogue_version"),
            fields.text("catalogue_sha256"),
            booking.booked_at,
        ),
    )


def project_renewed(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will move a subscription to its next period."""
    fields = booking.fields
    period = read_period(fields)
    connection.execute(
        _RENEW,
        (
            *(period.index, period.start, period.end),
            read_version(fields, "catalogue_version"),
            fields.text("catalogue_sha256"),
            booking.tenant,
            fields.text("subscription"),
        ),
    )
