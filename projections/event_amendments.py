"""event_amendment: events that were taken away or replaced, with what was there before."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from domain.period import from_ms
from projections.texts import storable

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

    from domain.usage.amendments import Amendment

_INSERT = """
    INSERT INTO event_amendment (tenant, event, kind, customer, event_id, partition, source_offset,
        original_offset, original, replacement_event, replacement, reason, actor, amended_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (tenant, customer, event) DO UPDATE SET kind = excluded.kind,
        event_id = excluded.event_id, partition = excluded.partition,
        source_offset = excluded.source_offset, original_offset = excluded.original_offset,
        original = excluded.original, replacement_event = excluded.replacement_event,
        replacement = excluded.replacement, reason = excluded.reason, actor = excluded.actor,
        amended_at = excluded.amended_at
"""
"""A key may come, and be amended, again when 35 days have passed: then the newest amendment is
shown, and the log has all."""


def write_amendments(
    connection: psycopg.Connection, amendments: Iterable[tuple[int, Amendment]]
) -> int:
    """This function will insert amendments, given with their partition; it returns the rows."""
    rows = [
        (
            item.tenant,
            uuid.UUID(bytes=item.key),
            "replace" if item.replacement_key else "void",
            *(item.customer, storable(item.event_id), partition, item.offset),
            *(item.original_offset, storable(item.original)),
            uuid.UUID(bytes=item.replacement_key) if item.replacement_key else None,
            *(storable(item.replacement), storable(item.reason), storable(item.actor)),
            from_ms(item.received_at_ms),
        )
        for partition, item in amendments
    ]
    if rows:
        connection.cursor().executemany(_INSERT, rows)
    return len(rows)
