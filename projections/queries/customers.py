"""Customers of a tenant."""

from __future__ import annotations

from typing import Any

import sqlalchemy

from domain.books.customer import Customer
from projections.queries.paging import Page, conditions, page_of


def list_customers(
    connection: sqlalchemy.Connection, *, limit: int, after: str | None
) -> Page[Customer]:
    """This function will return customers by id, as the books hold them.

    Args:
        connection: Connection of one tenant.
        limit: Rows of the page, 1 to PAGE_ROWS_MAX.
        after: Id of the last customer of the page before; None for the first page.
    """
    where = conditions("customer > :after" if after is not None else "")
    rows = connection.execute(
        sqlalchemy.text(
            f"SELECT document FROM customer {where}"  # noqa: S608 -- fixed texts only
            " ORDER BY customer LIMIT :row_count"
        ),
        {"after": after, "row_count": limit + 1},
    )
    return page_of([_from_row(row) for row in rows], limit=limit)


def find_customer(connection: sqlalchemy.Connection, *, customer: str) -> Customer | None:
    """This function will return one customer, or None when the tenant has no such one."""
    row = connection.execute(
        sqlalchemy.text("SELECT document FROM customer WHERE customer = :customer"),
        {"customer": customer},
    ).one_or_none()
    return None if row is None else _from_row(row)


def _from_row(row: sqlalchemy.Row[Any]) -> Customer:
    return Customer.from_document(row.document)
