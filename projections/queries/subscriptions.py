"""Subscriptions of a tenant's customers, and how each came to be what it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy

from domain.books import subscription as books
from domain.canonical import Json
from projections.queries.paging import Page, conditions, page_of

_COLUMNS = "document, plan, seats, catalogue_version, next_invoice_at, changed_at"
_CHANGES = "source_offset, fact_index, kind, change, changed_at"


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription and its open period.

    Args:
        agreed: The subscription as the books hold it.
        plan: Plan that held when it last changed, or holds with the open period.
        seats: Seats at that time.
        catalogue_version: Version whose prices hold then (G-07).
        next_invoice_at: From when its next invoice can be made; None when none is to come.
        changed_at: When it last changed.
    """

    agreed: books.Subscription
    plan: str
    seats: int
    catalogue_version: int
    next_invoice_at: datetime | None
    changed_at: datetime

    @property
    def subscription(self) -> str:
        """Return its id."""
        return self.agreed.subscription


@dataclass(frozen=True, slots=True)
class SubscriptionChange:
    """One change in the life of a subscription.

    Args:
        source_offset: Offset of the command that caused it in account.commands.
        fact_index: Number of the fact within that command's.
        kind: What happened, for example plan, seats, cancelled, renewed.
        change: What the books noted of it.
        changed_at: When it was decided; for a renewal, the start of the period that opened.
    """

    source_offset: int
    fact_index: int
    kind: str
    change: Json
    changed_at: datetime


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


def list_changes(
    connection: sqlalchemy.Connection,
    *,
    subscription: str,
    limit: int,
    after: tuple[int, int] | None,
) -> Page[SubscriptionChange]:
    """This function will return what happened to a subscription, in its order.

    Args:
        connection: Connection of one tenant.
        subscription: Its id.
        limit: Rows of the page, 1 to PAGE_ROWS_MAX.
        after: (source_offset, fact_index) of the last change of the page before; None for the
            first page.
    """
    where = conditions(
        "subscription = :subscription",
        "(source_offset, fact_index) > (:offset, :index)" if after is not None else "",
    )
    offset, index = after or (0, 0)
    rows = connection.execute(
        sqlalchemy.text(
            f"SELECT {_CHANGES} FROM subscription_change {where}"  # noqa: S608 -- fixed texts only
            " ORDER BY source_offset, fact_index LIMIT :row_count"
        ),
        {
            "subscription": subscription,
            "offset": offset,
            "index": index,
            "row_count": limit + 1,
        },
    )
    changes = [
        SubscriptionChange(
            source_offset=row.source_offset,
            fact_index=row.fact_index,
            kind=row.kind,
            change=row.change,
            changed_at=row.changed_at,
        )
        for row in rows
    ]
    return page_of(changes, limit=limit)


def _from_row(row: sqlalchemy.Row[Any]) -> Subscription:
    return Subscription(
        agreed=books.Subscription.from_document(row.document),
        plan=row.plan,
        seats=row.seats,
        catalogue_version=row.catalogue_version,
        next_invoice_at=row.next_invoice_at,
        changed_at=row.changed_at,
    )
