"""Items: amounts that wait for a customer's next invoice, or are on one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy

from domain.money import Money
from projections.queries.corrections import Corrected, corrected_by
from projections.queries.paging import Page, conditions, page_of

_SELECT = """
    SELECT i.item, i.kind, i.status, i.customer, i.subscription, i.label, i.amount_minor,
        c.currency, i.invoice, i.added_at
    FROM invoice_item i JOIN customer c USING (tenant, customer)
"""


@dataclass(frozen=True, slots=True)
class ItemKey:
    """Place of an item in the list, which shows the newest first."""

    added_at: datetime
    item: str


@dataclass(frozen=True, slots=True)
class Item:
    """One item.

    Args:
        item: Its id.
        kind: one_off, proration, gain_share or correction.
        status: pending, invoiced or removed.
        customer: Who pays.
        subscription: On whose invoice it goes; empty for any.
        label: What it is, for people.
        amount: Before tax.
        invoice: The invoice it is on; empty for none.
        added_at: When it was booked.
        corrected: What an item of a correction corrects; None for others.
    """

    item: str
    kind: str
    status: str
    customer: str
    subscription: str
    label: str
    amount: Money
    invoice: str
    added_at: datetime
    corrected: Corrected | None


def list_items(
    connection: sqlalchemy.Connection,
    *,
    limit: int,
    after: ItemKey | None,
    customer: str | None,
    status: str | None,
) -> Page[Item]:
    """This function will return items, the newest first.

    Args:
        connection: Connection of one tenant.
        limit: Rows of the page, 1 to PAGE_ROWS_MAX.
        after: Key of the last item of the page before; None for the first page.
        customer: Only those of this customer; None for all.
        status: Only pending, invoiced or removed ones; None for all.
    """
    where = conditions(
        "(i.added_at, i.item) < (:added_at, :item)" if after is not None else "",
        "i.customer = :customer" if customer is not None else "",
        "i.status = :status" if status is not None else "",
    )
    rows = connection.execute(
        sqlalchemy.text(f"{_SELECT} {where} ORDER BY i.added_at DESC, i.item DESC LIMIT :count"),
        {
            "added_at": None if after is None else after.added_at,
            "item": None if after is None else after.item,
            "customer": customer,
            "status": status,
            "count": limit + 1,
        },
    ).all()
    return page_of(_from_rows(connection, rows), limit=limit)


def find_item(connection: sqlalchemy.Connection, *, item: str) -> Item | None:
    """This function will return one item, or None when there is no such one."""
    rows = connection.execute(
        sqlalchemy.text(f"{_SELECT} WHERE i.item = :item"), {"item": item}
    ).all()
    return next(iter(_from_rows(connection, rows)), None)


def _from_rows(
    connection: sqlalchemy.Connection, rows: Sequence[sqlalchemy.Row[Any]]
) -> list[Item]:
    corrected = corrected_by(connection, items=[row.item for row in rows])
    return [_from_row(row, corrected=corrected.get(row.item)) for row in rows]


def _from_row(row: sqlalchemy.Row[Any], *, corrected: Corrected | None) -> Item:
    return Item(
        item=row.item,
        kind=row.kind,
        status=row.status,
        customer=row.customer,
        subscription=row.subscription,
        label=row.label,
        amount=Money(row.amount_minor, row.currency),
        invoice=row.invoice,
        added_at=row.added_at,
        corrected=corrected,
    )
