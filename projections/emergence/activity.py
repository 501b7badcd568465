"""node_activity: what came for a customer's project on a day of receipt."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from domain.period import from_ms

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

    from domain.emergence.facts import ActivityCount

_UPSERT = """
    INSERT INTO node_activity AS a
        (tenant, customer, project, day, updates, pulses, first_at, last_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (tenant, customer, project, day) DO UPDATE SET
        updates = a.updates + excluded.updates,
        pulses = a.pulses + excluded.pulses,
        first_at = least(a.first_at, excluded.first_at),
        last_at = greatest(a.last_at, excluded.last_at)
"""
_DAY_ONE = from_ms(0).date()


def write_activity(connection: psycopg.Connection, counts: Iterable[ActivityCount]) -> int:
    """This function will add counts up in the table; it returns how many it was given."""
    rows = [
        (
            *(count.tenant, count.customer, count.project),
            _DAY_ONE + timedelta(days=count.day),
            *(count.updates, count.pulses),
            *(from_ms(count.first_at_ms), from_ms(count.last_at_ms)),
        )
        for count in counts
    ]
    if rows:
        connection.cursor().executemany(_UPSERT, rows)
    return len(rows)
