"""Subscriptions of a tenant's customers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy

from projections.queries.paging import Page, conditions, page_of

_COLUMNS = (
    "subscription, customer, plan, catalogue_version, period_index, period_start, period_end,"
    " currency, anchor, created_at"
)


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription and its current period.

    Args:
        subscription: Its id.
        customer: Who pays.
        plan: Code of the plan within the catalogue.
        catalogue_version: Version whose prices hold for the current period (G-07).
        period_index: Count of the current period, from 0.
        period_start, period_end: The current period, half-open, UTC.
        currency: ISO 4217 code of its invoices.
        anchor: Start of the first period, which sets the cycle.
        created_at: When the books took it up (received), UTC.
    """

    subscription: str
    customer: str
    plan: str
    catalogue_version: int
    period_index: int
    period_start: datetime
    period_end: datetime
    currency: str
    anchor: datetime
    created_at: datetime


def list_subscriptions(
    connection: sqlalchemy.Connection, *, limit: int, after: str | None, customer: str | None
) -> Page[Subscription]:
    """This function will return subscriptions by id.

    Args:
        connection: Connection of one tenant.
        limit: Rows of the page, 1 to PAGE_ROWS_MAX.
        after: Id of the last subscription of the page before; None for the first page.
        customer: Only those of this customer; None for all.
    """
    where = conditions(
        "subscription > :after" if after is not None else "",
        "customer = :customer" if customer is not None else "",
    )
    rows = connection.execute(
        sqlalchemy.text(
            f"SELECT {_COLUMNS} FROM subscription {where}"  # noqa: S608 -- fixed texts only
            " ORDER BY subscription LIMIT :row_count"
        ),
        {"after": after, "customer": customer, "row_count": limit + 1},
    )
    return page_of([_from_row(row) for row in rows], limit=limit)


def find_subscription(
    connection: sqlalchemy.Connection, *, subscription: str
) -> Subscription | None:
    """This function will return one subscription, or None when the tenant has no such one."""
    row = connection.execute(
        sqlalchemy.text(
            f"SELECT {_COLUMNS} FROM subscription WHERE subscription = :subscription"  # noqa: S608 -- fixed texts only
        ),
        {"subscription": subscription},
    ).one_or_none()
    return None if row is None else _from_row(row)


def _from_row(row: sqlalchemy.Row[Any]) -> Subscription:
    return Subscription(
        subscription=row.subscription,
        customer=row.customer,
        plan=row.plan,
        catalogue_version=row.catalogue_version,
        period_index=row.period_index,
        period_start=row.period_start,
        period_end=row.period_end,
        currency=row.currency,
        anchor=row.anchor,
        created_at=row.created_at,
    )
