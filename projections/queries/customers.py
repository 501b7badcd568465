"""Customers of a tenant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy

from projections.queries.paging import Page, conditions, page_of

_COLUMNS = "customer, currency, created_at"


@dataclass(frozen=True, slots=True)
class Customer:
    """One customer.

    Args:
        customer: The tenant's own id of it, as in its events.
        currency: ISO 4217 code of its invoices.
        created_at: When the books took it up (received), UTC.
    """

    customer: str
    currency: str
    created_at: datetime


def list_customers(
    connection: sqlalchemy.Connection, *, limit: int, after: str | None
) -> Page[Customer]:
    """This function will return customers by id.

    Args:
        connection: Connection of one tenant.
        limit: Rows of the page, 1 to PAGE_ROWS_MAX.
        after: Id of the last customer of the page before; None for the first page.
    """
    where = conditions("customer > :after" if after is not None else "")
    rows = connection.execute(
        sqlalchemy.text(
            f"SELECT {_COLUMNS} FROM customer {where}"  # noqa: S608 -- fixed texts only
            " ORDER BY customer LIMIT :row_count"
        ),
        {"after": after, "row_count": limit + 1},
    )
    return page_of([_from_row(row) for row in rows], limit=limit)


def find_customer(connection: sqlalchemy.Connection, *, customer: str) -> Customer | None:
    """This function will return one customer, or None when the tenant has no such one."""
    row = connection.execute(
        sqlalchemy.text(f"SELECT {_COLUMNS} FROM customer WHERE customer = :customer"),  # noqa: S608 -- fixed texts only
        {"customer": customer},
    ).one_or_none()
    return None if row is None else _from_row(row)


def _from_row(row: sqlalchemy.Row[Any]) -> Customer:
    return Customer(customer=row.customer, currency=row.currency, created_at=row.created_at)
