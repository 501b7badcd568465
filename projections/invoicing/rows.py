"""Windows out of the database, merged per (part of a period, series) by the database itself.

One statement reads a whole batch of invoices. A meter without sketch gives one row per part and
series, a sketched one a row per hour, a carried one the last window before the part as well:
the same rows as domain.usage.segment_rows makes of single hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from domain.aggregation.window_row import WindowRow
from domain.quantity import decimal_nanos

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    import psycopg

OFFSET_MAX = 2**63 - 1
_MERGED, _HOURLY, _CARRIED, _EXTREME = 0, 1, 2, 3

_WANTED = """
    WITH wanted AS MATERIALIZED (
        SELECT q.number, q.kind, q.starts, q.ends, s.tenant, s.series, s.meter, s.dimensions
        FROM unnest(%(number)s::integer[], %(customer)s::text[], %(meter)s::text[],
            %(kind)s::integer[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
            AS q (number, customer, meter, kind, starts, ends)
        JOIN usage_series s ON s.customer = q.customer AND s.meter = q.meter
    )
"""


def _merged(kind: int, aggregates: str, columns: str) -> str:
    """Return the part of the statement that merges the hours of a part and series."""
    return f"""
    SELECT q.number, q.meter, q.dimensions, extract(epoch FROM w.hour)::bigint / 3600,
        w.events, w.sum, {columns}, w.first_offset, w.last_offset, w.key_digest, w.late, ''::bytea
    FROM wanted q CROSS JOIN LATERAL (
        SELECT min(hour) AS hour, sum(events)::bigint AS events, sum(sum) AS sum, {aggregates}
            min(first_offset) AS first_offset, max(last_offset) AS last_offset,
            sum(key_digest) %% {2**128} AS key_digest, sum(late)::bigint AS late
        FROM usage_window v
        WHERE v.tenant = q.tenant AND v.series = q.series AND v.hour >= q.starts
            AND v.hour < q.ends AND v.first_offset < %(before)s
    ) w
    WHERE q.kind = {kind} AND w.hour IS NOT NULL
"""  # noqa: S608 -- fixed texts only


# The latest value is the last of three parts that compare from left to right. Only meters that are
# billed by an extreme or the latest value pay for it: it is a fifth of the statement's time.
_EXTREMES = (
    "min(min) AS min, max(max) AS max,"
    " max(ARRAY[latest_occurred_ms, latest_offset, latest]) AS latest,"
)
_EXTREME_COLUMNS = "w.min, w.max, w.latest[3], w.latest[1]::bigint, w.latest[2]::bigint"
_STATEMENT = f"""
    {_WANTED}
    {_merged(_MERGED, "", "0::numeric, 0::numeric, 0::numeric, 0::bigint, 0::bigint")}
    UNION ALL
    {_merged(_EXTREME, _EXTREMES, _EXTREME_COLUMNS)}
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
            AND v.first_offset < %(before)s
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
        before_offset: Only windows whose first event lies before this source offset.

    Returns:
        Rows by the number under which they were wanted.
    """
    found: dict[int, list[WindowRow]] = {each.number: [] for each in wanted}
    asked = [
        (each.number, each.customer, meter, kind, each.start, each.end)
        for each in wanted
        for meter in sorted(each.meters)
        for kind in _kinds(each, meter)
    ]
    if not asked:
        return found
    names = ("number", "customer", "meter", "kind", "starts", "ends")
    parameters: dict[str, object] = dict(
        zip(names, map(list, zip(*asked, strict=True)), strict=True)
    )
    parameters["before"] = before_offset
    for row in connection.execute(_STATEMENT, parameters):
        found[row[0]].append(from_row_window(row[1:]))
    return found


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
