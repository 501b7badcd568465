"""Notices to customers (S0-50)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy

from projections.queries.paging import Page, conditions, page_of

_COLUMNS = "notification, customer, kind, charge, title, body, booked_at"


@dataclass(frozen=True, slots=True)
class Notification:
    """One notice.

    Args:
        notification: Its id, ntf_….
        customer: For whom.
        kind: approval_requested, charged, charge_declined, charge_expired, charge_withdrawn,
            charge_failed, refunded, delivered or topped_up.
        charge: Charge it is about; empty for none.
        title, body: What it says.
        booked_at: Received time of what caused it, UTC.
    """

    notification: str
    customer: str
    kind: str
    charge: str
    title: str
    body: str
    booked_at: datetime


def list_notifications(
    connection: sqlalchemy.Connection,
    *,
    limit: int,
    after: tuple[datetime, str] | None,
    customer: str | None = None,
) -> Page[Notification]:
    """This function will return notices, the newest first.

    Args:
        connection: Connection of one tenant.
        limit: Rows of the page, 1 to PAGE_ROWS_MAX.
        after: (booked_at, notification) of the last one of the page before; None for the first.
        customer: Only those; None for all.
    """
    return _list(connection, limit=limit, place=after, customer=customer, is_newest_first=True)


def list_notifications_since(
    connection: sqlalchemy.Connection,
    *,
    limit: int,
    since: tuple[datetime, str],
    customer: str | None = None,
) -> Page[Notification]:
    """This function will return notices that came after one, the oldest first, for a stream.

    Args:
        connection: Connection of one tenant.
        limit: Rows of the page, 1 to PAGE_ROWS_MAX.
        since: (booked_at, notification) of the last one that is known. Times rise within a
            tenant, whose commands all lie in one partition; notices of one moment go by id.
        customer: Only those; None for all.
    """
    return _list(connection, limit=limit, place=since, customer=customer, is_newest_first=False)


def _list(
    connection: sqlalchemy.Connection,
    *,
    limit: int,
    place: tuple[datetime, str] | None,
    customer: str | None,
    is_newest_first: bool,
) -> Page[Notification]:
    sign, order = ("<", "DESC") if is_newest_first else (">", "ASC")
    where = conditions(
        f"(booked_at, notification) {sign} (:booked_at, :notification)" if place else "",
        "customer = :customer" if customer is not None else "",
    )
    booked_at, notification = (None, None) if place is None else place
    rows = connection.execute(
        sqlalchemy.text(
            f"SELECT {_COLUMNS} FROM notification {where}"  # noqa: S608 -- fixed texts only
            f" ORDER BY booked_at {order}, notification {order} LIMIT :row_count"
        ),
        {
            "booked_at": booked_at,
            "notification": notification,
            "customer": customer,
            "row_count": limit + 1,
        },
    )
    return page_of([Notification(*row) for row in rows], limit=limit)
