"""Windows out of the database, merged per (part of a period, series) by the database itself.

One statement reads a whole batch of invoices. A meter without sketch gives one row per part and
series, a sketched one a row per hour, a carried one the last window before the part as well:
the same rows as domain.usage.segment_rows makes of single hours.

Whole days of a part that were added up before (projections.usage_days) are read from there: 30
rows a series, not 720. Not of a customer for whom late_usage has something at or behind the
position they were made at. Without them everything comes from the windows, and is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

from domain.aggregation.window_row import WindowRow
from domain.quantity import decimal_nanos

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date, datetime

    import psycopg

OFFSET_MAX = 2**63 - 1
_MERGED, _HOURLY, _CARRIED, _EXTREME = 0, 1, 2, 3
_DAY, _MICROSECOND = timedelta(days=1), timedelta(microseconds=1)

_WANTED = f"""
    WITH wanted AS MATERIALIZED (
        SELECT q.number, q.kind, q.starts, q.ends, q.first_day, q.end_day, q.customer,
            s.tenant, s.series, s.meter, s.dimensions, s.partition
        FROM unnest(%(number)s::integer[], %(customer)s::text[], %(meter)s::text[],
            %(kind)s::integer[], %(starts)s::timestamptz[], %(ends)s::timestamptz[],
            %(first_day)s::date[], %(end_day)s::date[])
            AS q (number, customer, meter, kind, starts, ends, first_day, end_day)
        JOIN usage_series s ON s.customer = q.customer AND s.meter = q.meter
    ), part AS MATERIALIZED (
        SELECT DISTINCT number, partition, tenant, customer, starts, ends, first_day, end_day
        FROM wanted WHERE kind IN ({_MERGED}, {_EXTREME})
    ),
"""  # noqa: S608 -- fixed texts only
# Days that follow on each other become one run; what lies between the runs is a gap.
_RUNS_AND_GAPS = """
    run AS MATERIALIZED (
        SELECT number, partition, min(day) AS first, max(day) + 1 AS last
        FROM (
            SELECT p.number, p.partition, m.day, m.day - row_number()
                OVER (PARTITION BY p.number, p.partition ORDER BY m.day)::integer AS run
            FROM part p
            JOIN usage_day_made m ON m.tenant = p.tenant AND m.partition = p.partition
                AND m.day >= p.first_day AND m.day < p.end_day
            WHERE %(has_days)s AND NOT EXISTS (SELECT FROM late_usage l
                WHERE l.tenant = p.tenant AND l.customer = p.customer AND l.day = m.day
                    AND l.partition = m.partition AND l.last_offset >= m.reached)
        ) d
        GROUP BY number, partition, run
    ), gap AS MATERIALIZED (
        SELECT number, partition, starts, ends
        FROM (
            SELECT number, partition, until AS starts, lead(since)
                OVER (PARTITION BY number, partition ORDER BY since, until) AS ends
            FROM (
                SELECT number, partition, starts AS since, starts AS until FROM part
                UNION ALL
                SELECT number, partition, ends, ends FROM part
                UNION ALL
                SELECT number, partition, first::timestamp AT TIME ZONE 'UTC',
                    last::timestamp AT TIME ZONE 'UTC' FROM run
            ) e
        ) g
        WHERE starts < ends
    )
"""


def _added(aggregates: str) -> str:
    """Return what adds rows of windows, of days, or of both up."""
    return f"""
        SELECT min(hour) AS hour, sum(events)::bigint AS events, sum(sum) AS sum, {aggregates}
            min(first_offset) AS first_offset, max(last_offset) AS last_offset,
            sum(key_digest) %% {2**128} AS key_digest, sum(late)::bigint AS late
    """


def _merged(kind: int, aggregates: str, again: str, columns: str) -> str:
    """Return the part of the statement that merges the hours of a part and series.

    Args:
        kind: Of which kind.
        aggregates: What is added up of single rows beside what every kind needs.
        again: The same of rows that were added up.
        columns: Smallest, largest and latest value of what came out.
    """
    return f"""
    SELECT w.number, w.meter, w.dimensions, extract(epoch FROM w.hour)::bigint / 3600,
        w.events, w.sum, {columns}, w.first_offset, w.last_offset, w.key_digest, w.late, ''::bytea
    FROM (
        {_added(again)}, number, meter, dimensions
        FROM (
            SELECT q.number, q.series, q.meter, q.dimensions, v.*
            FROM wanted q JOIN gap g USING (number, partition) CROSS JOIN LATERAL (
                {_added(aggregates)} FROM usage_window v
                WHERE v.tenant = q.tenant AND v.series = q.series AND v.hour >= g.starts
                    AND v.hour < g.ends AND v.first_offset < %(before)s
            ) v
            WHERE q.kind = {kind} AND v.hour IS NOT NULL
            UNION ALL
            SELECT q.number, q.series, q.meter, q.dimensions, v.*
            FROM wanted q JOIN run r USING (number, partition) CROSS JOIN LATERAL (
                {_added(aggregates)} FROM (
                    SELECT first_hour AS hour, * FROM usage_day d
                    WHERE d.tenant = q.tenant AND d.series = q.series AND d.day >= r.first
                        AND d.day < r.last
                ) d
            ) v
            WHERE q.kind = {kind} AND v.hour IS NOT NULL
        ) u
        GROUP BY number, series, meter, dimensions
    ) w
"""  # noqa: S608 -- fixed texts only


# The latest value is the last of three parts that compare from left to right. Only meters that are
# billed by an extreme or the latest value pay for it: it is a fifth of the statement's time.
_EXTREMES = (
    "min(min) AS min, max(max) AS max,"
    " max(ARRAY[latest_occurred_ms, latest_offset, latest]) AS latest,"
)
_EXTREMES_AGAIN = "min(min) AS min, max(max) AS max, max(latest) AS latest,"
_EXTREME_COLUMNS = "w.min, w.max, w.latest[3], w.latest[1]::bigint, w.latest[2]::bigint"
_NO_EXTREMES = "0::numeric, 0::numeric, 0::numeric, 0::bigint, 0::bigint"
_STATEMENT = f"""
    {_WANTED}
    {_RUNS_AND_GAPS}
    {_merged(_MERGED, "", "", _NO_EXTREMES)}
    UNION ALL
    {_merged(_EXTREME, _EXTREMES, _EXTREMES_AGAIN, _EXTREME_COLUMNS)}
    UNION ALL
    SELECT q.number, q.meter, q.dimensions, extract(epoch FROM w.hour)::bigint / 3600,
        w.events, w.sum, w.min, w.max, w.latest, w.latest_occurred_ms, w.latest_offset,
        w.first_offset, w.last_offset, w.key_digest, w.late, coalesce(k.sketch, ''::bytea)
    FROM wanted q
    JOIN usage_window w ON w.tenant = q.tenant AND w.series = q.series AND w.hour >= q.starts
        AND w.hour < q.ends AND w.first_offset < %(before)s
    LEFT JOIN usage_sketch k
        ON k.tenant = w.tenant AND k.series = w.series AND k.hour = w.hour
    WHERE q.kind = {_HOURLY}
    UNION ALL
    SELECT q.number, q.meter, q.dimensions, extract(epoch FROM w.hour)::bigint / 3600,
        w.events, w.sum, w.min, w.max, w.latest, w.latest_occurred_ms, w.latest_offset,
        w.first_offset, w.last_offset, w.key_digest, w.late, coalesce(k.sketch, ''::bytea)
    FROM wanted q CROSS JOIN LATERAL (
        SELECT * FROM usage_window v
        WHERE v.tenant = q.tenant AND v.series = q.series AND v.hour < q.starts
            AND v.first_offset < %(before)s AND v.events > 0
        ORDER BY v.hour DESC LIMIT 1
    ) w
    LEFT JOIN usage_sketch k
        ON k.tenant = w.tenant AND k.series = w.series AND k.hour = w.hour
    WHERE q.kind = {_CARRIED}
"""  # noqa: S608 -- fixed texts only


@dataclass(frozen=True, slots=True)
class Wanted:
    """The windows of one part of one customer's period.

    Args:
        number: Under which its rows come back.
        customer: Whose windows.
        start: Start of the part, on a full hour.
        end: Its end.
        meters: Meters to be read.
        sketched: Those of them of which every hour counts on its own.
        carried: Those of them whose last value before the part holds on.
        extreme: Those of them that are billed by their smallest, largest or latest value; of the
            others those three come back as 0.
    """

    number: int
    customer: str
    start: datetime
    end: datetime
    meters: frozenset[str]
    sketched: frozenset[str] = frozenset()
    carried: frozenset[str] = frozenset()
    extreme: frozenset[str] = frozenset()


def read_rows(
    connection: psycopg.Connection, wanted: Sequence[Wanted], *, before_offset: int = OFFSET_MAX
) -> dict[int, list[WindowRow]]:
    """This function will read the windows of a whole batch in one statement.

    Args:
        connection: Connection that sees one tenant.
        wanted: What is needed.
        before_offset: Only windows whose first event lies before this source offset; days cannot
            tell, so with it windows alone are read.

    Returns:
        Rows by the number under which they were wanted.
    """
    found: dict[int, list[WindowRow]] = {each.number: [] for each in wanted}
    asked = [
        (each.number, each.customer, meter, kind, each.start, each.end, *days)
        for each, days in ((each, _whole_days(each)) for each in wanted)
        for meter in sorted(each.meters)
        for kind in _kinds(each, meter)
    ]
    if not asked:
        return found
    names = ("number", "customer", "meter", "kind", "starts", "ends", "first_day", "end_day")
    parameters: dict[str, object] = dict(
        zip(names, map(list, zip(*asked, strict=True)), strict=True)
    )
    parameters["before"] = before_offset
    parameters["has_days"] = before_offset == OFFSET_MAX
    for row in connection.execute(_STATEMENT, parameters):
        found[row[0]].append(from_row_window(row[1:]))
    return found


def _whole_days(wanted: Wanted) -> tuple[date, date]:
    """Return the first UTC day that lies whole in a part, and the first one after those."""
    first = wanted.start.astimezone(UTC) + _DAY - _MICROSECOND
    return first.date(), wanted.end.astimezone(UTC).date()


def _kinds(wanted: Wanted, meter: str) -> Iterable[int]:
    if meter in wanted.sketched:
        yield _HOURLY
    else:
        yield _EXTREME if meter in wanted.extreme else _MERGED
    if meter in wanted.carried:
        yield _CARRIED


def from_row_window(row: tuple[Any, ...]) -> WindowRow:
    """This function will read a window from its SQL row, exactly."""
    return WindowRow(
        meter=row[0],
        dimensions=tuple(sorted(row[1].items())),
        hour=row[2],
        events=row[3],
        sum_nanos=decimal_nanos(row[4]),
        min_nanos=decimal_nanos(row[5]),
        max_nanos=decimal_nanos(row[6]),
        latest_nanos=decimal_nanos(row[7]),
        latest_occurred_ms=row[8],
        latest_offset=row[9],
        first_offset=row[10],
        last_offset=row[11],
        key_digest=int(row[12]),
        late=row[13],
        sketch=row[14],
    )
