"""late_usage: days of customers whose usage came, or was amended, after the day was over.

Invoices end at midnight UTC and are made later than that. Whatever changes usage after an invoice
was made so arrives after the day in which it occurred, and nothing else needs to be looked for: an
invoice may have to be corrected where a day of its period has an offset at or behind its pin.

The day is judged by the newest append time of the facts record, so rows of the few events that
arrived just before midnight may be there without need, and none is ever missing. A day has one row
per customer and partition, however much arrives.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np

from domain.period import HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

    from domain.usage.facts import UsageFacts

HOURS_PER_DAY = 24
_EPOCH = date(1970, 1, 1)
_UPSERT = """
    INSERT INTO late_usage AS l (tenant, customer, day, partition, last_offset)
    SELECT * FROM unnest(%s::text[], %s::text[], %s::date[], %s::integer[], %s::bigint[])
    ON CONFLICT (tenant, customer, day, partition) DO UPDATE
        SET last_offset = greatest(l.last_offset, excluded.last_offset)
"""


def write_late_usage(
    connection: psycopg.Connection, each: Iterable[tuple[int, UsageFacts]]
) -> int:
    """This function will note late days of facts, given with their partition.

    Returns:
        The rows touched.
    """
    found: dict[tuple[str, str, int, int], int] = {}
    for partition, facts in each:
        for (owner, day), last_offset in late_days(facts).items():
            key = (*facts.series.owners[owner], day, partition)
            found[key] = max(found.get(key, -1), last_offset)
    if found:
        # In the order of the key: two projectors then never wait for each other in a circle.
        rows = sorted(found.items())
        connection.execute(
            _UPSERT,
            (
                [key[0] for key, _ in rows],
                [key[1] for key, _ in rows],
                [_EPOCH + timedelta(days=key[2]) for key, _ in rows],
                [key[3] for key, _ in rows],
                [last_offset for _, last_offset in rows],
            ),
        )
    return len(found)


def late_days(facts: UsageFacts) -> dict[tuple[int, int], int]:
    """This function will find the days of a facts record that were over when it was made.

    Returns:
        Owner number and day (days since 1970 UTC) → newest source offset of that day's usage.
    """
    windows = facts.windows
    day = windows.hour // HOURS_PER_DAY
    late = np.flatnonzero((day + 1) * HOURS_PER_DAY <= facts.received_high_ms // HOUR_MS)
    if not late.size:
        return {}
    owner = facts.series.owner[windows.series[late]].astype(np.int64)
    code = owner << 32 | day[late]
    codes, place = np.unique(code, return_inverse=True)
    newest = np.full(codes.size, -1, dtype=np.int64)
    np.maximum.at(newest, place, windows.last_offset[late])
    return {
        (value >> 32, value & 0xFFFFFFFF): offset
        for value, offset in zip(codes.tolist(), newest.tolist(), strict=True)
    }
