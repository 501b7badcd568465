"""Test clocks: which tenants have one, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy

from runtime import clock


@dataclass(frozen=True, slots=True)
class TenantClock:
    """The clock of a test tenant.

    Args:
        started_at: Where it began.
        now_at: Where it stands; the tenant's time.
    """

    started_at: datetime
    now_at: datetime


def find_clock(connection: sqlalchemy.Connection) -> TenantClock | None:
    """This function will return the tenant's test clock; None for a tenant that has none."""
    row = connection.execute(
        sqlalchemy.text("SELECT started_at, now_at FROM tenant_clock")
    ).one_or_none()
    return None if row is None else TenantClock(row.started_at, row.now_at)


def tenant_now(connection: sqlalchemy.Connection) -> datetime:
    """This function will return the tenant's time: its test clock, or else the clock of all.

    Whatever is shown as of now goes by it: the books of a test tenant have decided by its clock.
    """
    held = find_clock(connection)
    return clock.now() if held is None else held.now_at
