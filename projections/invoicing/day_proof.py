"""Days that were added up, against their windows: bills read the one in place of the other.

A day is compared when a bill would take it (projections.invoicing.rows): what late usage touched
since, it reads from the windows anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.quantity import decimal_nanos
from projections.invoicing.day_usage import ROWS_AT_ONCE, Count
from projections.invoicing.rows import Wanted, days_to_take
from projections.usage_days import ADDED_UP, COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    import psycopg


def _columns(alias: str) -> str:
    return ", ".join(f"{alias}.{name}" for name in COLUMNS)


_DIFFERENT = f"""
    SELECT s.customer, s.meter, day, coalesce(d.events, 0), coalesce(d.sum, 0),
        coalesce(w.events, 0), coalesce(w.sum, 0)
    FROM (
        SELECT v.tenant, v.series, (v.hour AT TIME ZONE 'UTC')::date AS day, {ADDED_UP}
        FROM usage_series o JOIN usage_window v USING (tenant, series)
        WHERE o.customer = ANY(%(customers)s) AND v.hour >= %(start)s AND v.hour < %(end)s
        GROUP BY 1, 2, 3
    ) w
    FULL JOIN (
        SELECT v.* FROM usage_series o JOIN usage_day v USING (tenant, series)
        WHERE o.customer = ANY(%(customers)s)
            AND v.day >= (%(start)s AT TIME ZONE 'UTC')::date
            AND v.day < (%(end)s AT TIME ZONE 'UTC')::date
    ) d USING (tenant, series, day)
    JOIN usage_series s USING (tenant, series)
    JOIN unnest(%(takers)s::text[], %(days)s::date[]) AS t (taker, taken)
        ON t.taker = s.customer AND t.taken = day
    WHERE ({_columns("w")}) IS DISTINCT FROM ({_columns("d")})
    ORDER BY s.customer, s.meter, day
"""  # noqa: S608 -- fixed texts only


def different_days(
    connection: psycopg.Connection, customers: Sequence[str], *, start: datetime, end: datetime
) -> Iterator[str]:
    """This function will yield the days of series that bills would take, and take wrongly.

    Args:
        connection: Connection inside a transaction that sees one tenant.
        customers: Whose usage.
        start: 00:00 UTC of the first day.
        end: 00:00 UTC of the day after the last.

    Yields:
        What differs, for people.
    """
    wanted = [
        Wanted(number, customer, start, end, frozenset())
        for number, customer in enumerate(customers)
    ]
    taken = [
        (customers[number], day)
        for number, days in days_to_take(connection, wanted).items()
        for day in days
    ]
    if not taken:
        return
    with connection.cursor(name="different_days") as cursor:
        cursor.itersize = ROWS_AT_ONCE
        parameters = {
            "customers": customers,
            "start": start,
            "end": end,
            "takers": [customer for customer, _ in taken],
            "days": [day for _, day in taken],
        }
        for customer, meter, day, *counts in cursor.execute(_DIFFERENT, parameters):
            added_up, counted = (
                Count(events, decimal_nanos(total)).text
                for events, total in (counts[:2], counts[2:])
            )
            yield f"{day} {meter} of {customer}: added up {added_up}; its windows {counted}"
