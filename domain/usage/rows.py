"""Events as rows: neighbouring ones put together for numpy, and those of amendments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.period import HOUR_MS
from domain.usage.amendments import marker_key, replacement_key
from domain.usage.records import EventBatch, EventRow, SourceRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.usage.amendments import EventAmended, EventPayload


def row_group(record: SourceRecord, row: EventRow) -> tuple[str, bool, int]:
    """This function will return what rows must share to be put together.

    Returns:
        Tenant, right to backfill, and append hour.
    """
    return row["tenant"], row["backfill"], record.received_at_ms // HOUR_MS


def batch_of_rows(rows: Sequence[EventRow]) -> EventBatch:
    """This function will turn rows of one group into one batch, in their order."""
    strings: dict[str, int] = {}
    maps: dict[tuple[tuple[str, str], ...], int] = {(): 0}
    return EventBatch(
        tenant=rows[0]["tenant"],
        backfill=rows[0]["backfill"],
        customer=[strings.setdefault(row["customer"], len(strings)) for row in rows],
        type_=[strings.setdefault(row["type"], len(strings)) for row in rows],
        strings=list(strings),
        dimension_set=[
            maps.setdefault(tuple(row["dimensions"].items()), len(maps)) for row in rows
        ],
        dimension_sets=[dict(pairs) for pairs in list(maps)[1:]],
        keys=b"".join([row["key"] for row in rows]),
        fingerprints=b"".join([row["fingerprint"] for row in rows]),
        occurred_at_ms=[row["occurred_at_ms"] for row in rows],
        scales=[row["scale"] for row in rows],
        quantity=[row["quantity"] for row in rows],
        properties=[
            (index, name, value)
            for index, row in enumerate(rows)
            if row["properties"]
            for name, value in row["properties"].items()
        ],
    )


def void_row(amended: EventAmended) -> EventRow:
    """This function will return the original under the key of its marker."""
    return row_of(amended.original, amended.tenant, amended.customer, key=marker_key(amended.key))


def replacement_row(amended: EventAmended) -> EventRow | None:
    """This function will return what counts instead, if anything does."""
    if amended.replacement is None:
        return None
    key = replacement_key(amended.key)
    return row_of(amended.replacement, amended.tenant, amended.customer, key=key, backfill=False)


def row_of(
    event: EventPayload, tenant: str, customer: str, *, key: bytes, backfill: bool = True
) -> EventRow:
    """This function will return an event as a row of its own."""
    return {
        "tenant": tenant,
        "backfill": backfill,
        "key": key,
        "fingerprint": event.fingerprint,
        "customer": customer,
        "type": event.type,
        "occurred_at_ms": event.occurred_at_ms,
        "quantity": event.quantity,
        "scale": event.scale,
        "dimensions": event.dimensions,
        "properties": event.properties,
    }
