"""tenant_clock: which tenants are test tenants, and what time it is for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

    from projections.books.rows import Booking

_START = "INSERT INTO tenant_clock (tenant, started_at, now_at) VALUES (%s, %s, %s)"
_ADVANCE = "UPDATE tenant_clock SET now_at = %s WHERE tenant = %s"


def project_started(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert a tenant's clock."""
    now_at = booking.fields.time("now_at")
    connection.execute(_START, (booking.tenant, now_at, now_at))


def project_advanced(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will move a tenant's clock."""
    connection.execute(_ADVANCE, (booking.fields.time("now_at"), booking.tenant))
