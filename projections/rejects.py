"""reject: input that was not counted, with its code; its bytes lie in the dead-letter topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.period import from_ms
from projections.texts import storable, tenant_or_none

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

    from domain.usage.facts import Reject

_INSERT = """
    INSERT INTO reject (tenant, topic, partition, source_offset, event_index, code, events,
        customer, reason, received_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def write_rejects(
    connection: psycopg.Connection, rejects: Iterable[tuple[int, Reject]], *, topic: str
) -> int:
    """This function will insert rejects, given with their partition; it returns the rows.

    Args:
        connection: Inside the flush's transaction.
        rejects: Partition and reject; each comes once, for the position row says so.
        topic: Source topic they came from.
    """
    rows = [
        (
            *(tenant_or_none(reject.tenant), topic, partition, reject.offset, reject.index),
            *(reject.code.value, reject.events),
            *(storable(reject.customer), storable(reject.reason)),
            from_ms(reject.received_at_ms),
        )
        for partition, reject in rejects
    ]
    if rows:
        connection.cursor().executemany(_INSERT, rows)
    return len(rows)
