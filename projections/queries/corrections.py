"""Corrections of invoices, and what the items of a later invoice correct, with both pins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy

# An item is of the newest correction of its invoice when it was added: what a later one leaves of
# an item is an item of the later one.
_CORRECTED = """
    SELECT t.item, c.invoice, c.line, coalesce(i.number, '') AS number, c.correction,
        c.pinned_partition, c.pinned_before, c.pinned_after
    FROM invoice_item t
    CROSS JOIN LATERAL (
        SELECT c.tenant, c.invoice, t.document::jsonb->'refers'->>1 AS line, c.correction,
            c.pinned_partition, c.pinned_before, c.pinned_after
        FROM correction c
        WHERE c.tenant = t.tenant AND c.invoice = t.document::jsonb->'refers'->>0
            AND c.source_offset <= t.added_offset
        ORDER BY c.place DESC LIMIT 1
    ) c
    LEFT JOIN invoice i ON i.tenant = c.tenant AND i.invoice = c.invoice
    WHERE t.kind = 'correction' AND t.item = ANY(:items)
"""


@dataclass(frozen=True, slots=True)
class Pins:
    """What usage a customer's invoice was made from, before and after it was corrected.

    Args:
        partition: The customer's partition of usage.events.
        before: Source offset up to which usage was counted before.
        after: Source offset up to which it is counted now.
    """

    partition: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Correction:
    """What later usage changed of an invoice.

    Args:
        correction: Its id.
        place: Count of the invoice's corrections, from 1.
        effect: items, credit_note, promotion or none.
        credit_note: Its credit note; empty for none.
        corrected_at: When, UTC.
        pins: Before and after; None when it was booked before pins were kept.
        differences: (line id, before, after, difference), major units.
    """

    correction: str
    place: int
    effect: str
    credit_note: str
    corrected_at: datetime
    pins: Pins | None
    differences: tuple[tuple[str, Decimal, Decimal, Decimal], ...]


@dataclass(frozen=True, slots=True)
class Corrected:
    """What an item of a correction corrects.

    Args:
        invoice: Id of the invoice, or of a period that was skipped.
        number: Its number; empty for a skipped period.
        line: Id of the line.
        correction: Id of the correction that added the item.
        pins: As of Correction.
    """

    invoice: str
    number: str
    line: str
    correction: str
    pins: Pins | None


def corrections_of(connection: sqlalchemy.Connection, *, invoice: str) -> tuple[Correction, ...]:
    """This function will return the corrections of an invoice, the first first."""
    rows = connection.execute(
        sqlalchemy.text(
            "SELECT correction, place, effect, credit_note, corrected_at, pinned_partition,"
            " pinned_before, pinned_after FROM correction WHERE invoice = :invoice ORDER BY place"
        ),
        {"invoice": invoice},
    ).all()
    return tuple(
        Correction(
            correction=row.correction,
            place=row.place,
            effect=row.effect,
            credit_note=row.credit_note,
            corrected_at=row.corrected_at,
            pins=_pins(row),
            differences=_differences(connection, row.correction),
        )
        for row in rows
    )


def corrected_by(
    connection: sqlalchemy.Connection, *, items: Sequence[str]
) -> dict[str, Corrected]:
    """This function will return what items of corrections correct, by item; others are left out.

    Args:
        connection: Connection of one tenant.
        items: Ids of items.
    """
    if not items:
        return {}
    rows = connection.execute(sqlalchemy.text(_CORRECTED), {"items": list(items)})
    return {
        row.item: Corrected(row.invoice, row.number, row.line, row.correction, _pins(row))
        for row in rows
    }


def _pins(row: sqlalchemy.Row[Any]) -> Pins | None:
    if row.pinned_before is None:
        return None
    return Pins(row.pinned_partition, row.pinned_before, row.pinned_after)


def _differences(
    connection: sqlalchemy.Connection, correction: str
) -> tuple[tuple[str, Decimal, Decimal, Decimal], ...]:
    rows = connection.execute(
        sqlalchemy.text(
            "SELECT line, amount_before, amount_after, difference FROM correction_line"
            " WHERE correction = :correction ORDER BY place"
        ),
        {"correction": correction},
    )
    return tuple((line, before, after, difference) for line, before, after, difference in rows)
