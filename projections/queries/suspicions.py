"""What looked like misuse, and what an admin made of it (S0-60)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy

from projections.queries.paging import Page, conditions, page_of

_COLUMNS = "suspicion, customer, rule, detail, raised_at, is_open, closed_at, closed_by, note"


@dataclass(frozen=True, slots=True)
class Suspicion:
    """One suspicion.

    Args:
        suspicion: Its id, sus_….
        customer: Whom it is about.
        rule: Key of the catalogue's rule that raised it.
        detail: What was seen, for people.
        raised_at: When, UTC.
        is_open: Whether nobody closed it yet.
        closed_at: When it was closed, UTC; None while it is open.
        closed_by: Who closed it; empty while it is open.
        note: What they wrote.
    """

    suspicion: str
    customer: str
    rule: str
    detail: str
    raised_at: datetime
    is_open: bool
    closed_at: datetime | None
    closed_by: str
    note: str


def list_suspicions(
    connection: sqlalchemy.Connection,
    *,
    limit: int,
    after: tuple[datetime, str] | None,
    is_open: bool | None = None,
    customer: str | None = None,
) -> Page[Suspicion]:
    """This function will return suspicions, the newest first.

    Args:
        connection: Connection of one tenant.
        limit: Rows of the page, 1 to PAGE_ROWS_MAX.
        after: (raised_at, suspicion) of the last one of the page before; None for the first page.
        is_open: Only open ones, or only closed ones; None for all.
        customer: Only those about this customer; None for all.
    """
    where = conditions(
        "(raised_at, suspicion) < (:raised_at, :suspicion)" if after is not None else "",
        "is_open = :is_open" if is_open is not None else "",
        "customer = :customer" if customer is not None else "",
    )
    raised_at, suspicion = (None, None) if after is None else after
    rows = connection.execute(
        sqlalchemy.text(
            f"SELECT {_COLUMNS} FROM suspicion {where}"  # noqa: S608 -- fixed texts only
            " ORDER BY raised_at DESC, suspicion DESC LIMIT :row_count"
        ),
        {
            "raised_at": raised_at,
            "suspicion": suspicion,
            "is_open": is_open,
            "customer": customer,
            "row_count": limit + 1,
        },
    )
    return page_of([Suspicion(*row) for row in rows], limit=limit)


def find_suspicion(connection: sqlalchemy.Connection, *, suspicion: str) -> Suspicion | None:
    """This function will return one suspicion, or None when there is no such one."""
    row = connection.execute(
        sqlalchemy.text(f"SELECT {_COLUMNS} FROM suspicion WHERE suspicion = :suspicion"),  # noqa: S608 -- fixed texts only
        {"suspicion": suspicion},
    ).one_or_none()
    return None if row is None else Suspicion(*row)
