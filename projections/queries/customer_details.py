"""Sealed details of a customer, as at a moment; opening them is the edge's own business."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy

_AT = sqlalchemy.text("""
    SELECT details.version, details.sealed, details.set_at, erasure.erased_at
    FROM customer
    LEFT JOIN customer_erasure AS erasure USING (tenant, customer)
    LEFT JOIN LATERAL (
        SELECT version, sealed, set_at
        FROM customer_details
        WHERE tenant = customer.tenant AND customer = customer.customer
        ORDER BY set_at <= :at DESC, CASE WHEN set_at <= :at THEN version ELSE -version END DESC
        LIMIT 1
    ) AS details ON true
    WHERE customer.customer = :customer
""")
"""The newest version that was there at the moment; of a customer whose details came later, the
oldest one: an invoice from before shows it rather than nothing."""
_INVOICED = sqlalchemy.text("""
    SELECT DISTINCT ON (details.version) details.version, details.sealed, invoice.issued_at
    FROM invoice
    CROSS JOIN LATERAL (
        SELECT version, sealed
        FROM customer_details
        WHERE tenant = invoice.tenant AND customer = invoice.customer
        ORDER BY set_at <= invoice.finalized_at DESC,
            CASE WHEN set_at <= invoice.finalized_at THEN version ELSE -version END DESC
        LIMIT 1
    ) AS details
    WHERE invoice.customer = :customer
    ORDER BY details.version, invoice.issued_at DESC
""")


@dataclass(frozen=True, slots=True)
class SealedDetails:
    """Details of a customer.

    Args:
        customer: Customer.
        version: Their number; 0 when none were ever set.
        sealed: Sealed text by field; empty when there are none, or the customer was erased.
        set_at: When the books took them up (received); None when none were ever set.
        is_erased: Whether the books know that the customer was erased.
    """

    customer: str
    version: int
    sealed: dict[str, str]
    set_at: datetime | None
    is_erased: bool


@dataclass(frozen=True, slots=True)
class InvoicedVersion:
    """Details that stand on final invoices.

    Args:
        version: Their number.
        sealed: Sealed text by field.
        issued_at: Issue of the newest invoice that shows them.
    """

    version: int
    sealed: dict[str, str]
    issued_at: datetime


def find_details(
    connection: sqlalchemy.Connection, *, customer: str, at: datetime
) -> SealedDetails | None:
    """This function will return a customer's details at a moment; None for no such customer.

    Args:
        connection: Connection of one tenant.
        customer: Customer.
        at: The moment, aware, on the clock of the log: an invoice's is its finalized_at.
    """
    row = connection.execute(_AT, {"customer": customer, "at": at}).one_or_none()
    if row is None:
        return None
    return SealedDetails(
        customer=customer,
        version=row.version or 0,
        sealed=_sealed(row),
        set_at=row.set_at,
        is_erased=row.erased_at is not None,
    )


def invoiced_versions(
    connection: sqlalchemy.Connection, *, customer: str
) -> tuple[InvoicedVersion, ...]:
    """This function will return every version that stands on an invoice of a customer."""
    return tuple(
        InvoicedVersion(row.version, _sealed(row), row.issued_at)
        for row in connection.execute(_INVOICED, {"customer": customer})
    )


def _sealed(row: sqlalchemy.Row[Any]) -> dict[str, str]:
    return {} if row.sealed is None else dict(json.loads(row.sealed))
