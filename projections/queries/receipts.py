"""Receipts, as the books wrote them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy

from projections.queries.paging import Page, conditions, page_of

_COLUMNS = "receipt, kind, customer, transaction, content, content_sha256, issued_at"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One receipt (S0-51).

    Args:
        receipt: Its number, RCP-YYYY-NNNNNN, without gaps within tenant and year.
        kind: charge, top_up, refund or adjustment.
        customer: For whom.
        transaction: What it is for.
        content: Canonical JSON of everything on it.
        content_sha256: SHA-256 of the content, 64 hex digits.
        issued_at: When it was issued, UTC.
    """

    receipt: str
    kind: str
    customer: str
    transaction: str
    content: str
    content_sha256: str
    issued_at: datetime


def list_receipts(
    connection: sqlalchemy.Connection,
    *,
    limit: int,
    after: tuple[datetime, str] | None,
    customer: str | None = None,
) -> Page[Receipt]:
    """This function will return receipts, the newest first.

    Args:
        connection: Connection of one tenant.
        limit: Rows of the page, 1 to PAGE_ROWS_MAX.
        after: (issued_at, receipt) of the last one of the page before; None for the first page.
        customer: Only those; None for all.
    """
    where = conditions(
        "(issued_at, receipt) < (:issued_at, :receipt)" if after is not None else "",
        "customer = :customer" if customer is not None else "",
    )
    issued_at, receipt = (None, None) if after is None else after
    rows = connection.execute(
        sqlalchemy.text(
            f"SELECT {_COLUMNS} FROM receipt {where}"  # noqa: S608 -- fixed texts only
            " ORDER BY issued_at DESC, receipt DESC LIMIT :row_count"
        ),
        {
            "issued_at": issued_at,
            "receipt": receipt,
            "customer": customer,
            "row_count": limit + 1,
        },
    )
    return page_of([Receipt(*row) for row in rows], limit=limit)


def find_receipt(connection: sqlalchemy.Connection, *, receipt: str) -> Receipt | None:
    """This function will return a receipt by number, or None when there is no such one."""
    row = connection.execute(
        sqlalchemy.text(f"SELECT {_COLUMNS} FROM receipt WHERE receipt = :receipt"),  # noqa: S608 -- fixed texts only
        {"receipt": receipt},
    ).one_or_none()
    return None if row is None else Receipt(*row)
