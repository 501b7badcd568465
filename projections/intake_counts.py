"""intake_count: what arrived per tenant and append hour, and what became of it.

Windows count what was accepted less what amendments took away: sum(accepted) - sum(voided).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.period import HOUR_MS, from_ms
from projections.texts import tenant_or_none

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

    from domain.usage.facts import UsageFacts

_FATES = ("received", "accepted", "duplicates", "conflicts", "rejected")
_NUMBERS = (*_FATES, "voided")
_UPSERT = f"""
    INSERT INTO intake_count AS i (tenant, partition, received_hour, {", ".join(_NUMBERS)})
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (tenant, partition, received_hour) DO UPDATE SET
        {", ".join(f"{name} = i.{name} + excluded.{name}" for name in _NUMBERS)}
"""  # noqa: S608 -- fixed texts only


def write_intake_counts(
    connection: psycopg.Connection, each: Iterable[tuple[int, UsageFacts]]
) -> int:
    """This function will add the counts of facts, given with their partition.

    Returns:
        The rows touched.
    """
    sums: dict[tuple[str, int, int], list[int]] = {}

    def row_of(tenant: str, partition: int, hour: int) -> list[int]:
        return sums.setdefault((tenant_or_none(tenant), partition, hour), [0] * len(_NUMBERS))

    for partition, facts in each:
        for count in facts.counts:
            row = row_of(count.tenant, partition, count.received_hour)
            for index, name in enumerate(_FATES):
                row[index] += getattr(count, name)
        for amendment in facts.amendments:
            row_of(amendment.tenant, partition, amendment.received_at_ms // HOUR_MS)[-1] += 1
    rows = [
        (tenant, partition, from_ms(hour * HOUR_MS), *numbers)
        for (tenant, partition, hour), numbers in sorted(sums.items())
    ]
    if rows:
        connection.cursor().executemany(_UPSERT, rows)
    return len(rows)
