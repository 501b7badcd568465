"""intake_count: what arrived per tenant and append hour, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.period import HOUR_MS, from_ms
from projections.texts import tenant_or_none

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

    from domain.usage.facts import IntakeCount

_NUMBERS = ("received", "accepted", "duplicates", "conflicts", "rejected")
_UPSERT = f"""
    INSERT INTO intake_count AS i (tenant, partition, received_hour, {", ".join(_NUMBERS)})
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (tenant, partition, received_hour) DO UPDATE SET
        {", ".join(f"{name} = i.{name} + excluded.{name}" for name in _NUMBERS)}
"""  # noqa: S608 -- fixed texts only


def write_intake_counts(
    connection: psycopg.Connection, counts: Iterable[tuple[int, IntakeCount]]
) -> int:
    """This function will add counts, given with their partition; it returns the rows touched."""
    sums: dict[tuple[str, int, int], list[int]] = {}
    for partition, count in counts:
        key = (tenant_or_none(count.tenant), partition, count.received_hour)
        row = sums.setdefault(key, [0] * len(_NUMBERS))
        for index, name in enumerate(_NUMBERS):
            row[index] += getattr(count, name)
    rows = [
        (tenant, partition, from_ms(hour * HOUR_MS), *numbers)
        for (tenant, partition, hour), numbers in sorted(sums.items())
    ]
    if rows:
        connection.cursor().executemany(_UPSERT, rows)
    return len(rows)
