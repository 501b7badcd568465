"""Invoices that wait for a person to look at them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy

ROWS_MAX = 1_000
"""Parked invoices that are listed: more than anybody looks at in a day."""


@dataclass(frozen=True, slots=True)
class ParkedInvoice:
    """One that waits.

    Args:
        subscription: Whose invoice.
        customer: Who would pay.
        reason: Why it waits.
        total_minor: What it came to before account credit when it was parked, minor units.
        currency: Of what.
        parked_at: Since when.
    """

    subscription: str
    customer: str
    reason: str
    total_minor: int
    currency: str
    parked_at: datetime


def list_parked(connection: sqlalchemy.Connection) -> tuple[ParkedInvoice, ...]:
    """This function will return what waits, the longest waiting first."""
    rows = connection.execute(
        sqlalchemy.text(
            "SELECT subscription, customer, reason, total_minor, parked_at,"
            " CAST(document AS json) ->> 'currency' AS currency"
            " FROM parked_invoice JOIN customer USING (customer)"
            " WHERE is_open ORDER BY parked_at, subscription LIMIT :row_count"
        ),
        {"row_count": ROWS_MAX},
    )
    return tuple(ParkedInvoice(**row._mapping) for row in rows)  # noqa: SLF001 -- its public name
