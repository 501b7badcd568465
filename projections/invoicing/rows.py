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
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from domain.aggregation.window_row import WindowRow
from domain.quantity import decimal_nanos
from domain.usage.segment_rows import merged_hours

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import date

    import psycopg

OFFSET_MAX = 2**63 - 1
_HOURLY, _CARRIED, _MERGED, _EXTREME, _MERGED_DAYS, _EXTREME_DAYS = range(6)
_DAY, _MICROSECOND = timedelta(days=1), timedelta(microseconds=1)

_MADE = "SELECT day, reached FROM usage_day_made WHERE day >= %s AND day < %s"
_LATE = """
    SELECT customer, day, partition, last_offset FROM late_usage
    WHERE day = ANY(%s) AND customer = ANY(%s)
"""
_WANTED = """
    WITH wanted AS MATERIALIZED (
        SELECT q.number, q.kind, q.starts, q.ends, s.tenant, s.series, s.meter, s.dimensions
        FROM unnest(%(number)s::integer[], %(customer)s::text[], %(meter)s::text[],
            %(kind)s::integer[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
            AS q (number, customer, meter, kind, starts, ends)
        JOIN usage_series s ON s.customer = q.customer AND s.meter = q.meter
    )
"""
_WINDOWS = """
    usage_window v WHERE v.tenant = q.tenant AND v.series = q.series AND v.hour >= q.starts
        AND v.hour < q.ends AND v.first_offset < %(before)s
"""
_DAYS = """
    usage_day v WHERE v.tenant = q.tenant AND v.series = q.series
        AND v.day >= (q.starts AT TIME ZONE 'UTC')::date
        AND v.day < (q.ends AT TIME ZONE 'UTC')::date
"""


def _merged(kind: int, hour: str, rows: str, aggregates: str, columns: str) -> str:
    """Return the part of the statement that merges hours or days of a part and series."""
    return f"""
    SELECT q.number, q.kind, q.meter, q.dimensions, extract(epoch FROM w.hour)::bigint / 3600,
        w.events, w.sum, {columns}, w.first_offset, w.last_offset, w.key_digest, w.late, ''::bytea
    FROM wanted q CROSS JOIN LATERAL (
        SELECT min({hour}) AS hour, sum(events)::bigint AS events, sum(sum) AS sum, {aggregates}
            min(first_offset) AS first_offset, max(last_offset) AS last_offset,
            sum(key_digest) %% {2**128} AS key_digest, sum(late)::bigint AS late
        FROM {rows}
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
_NO_EXTREMES = "0::numeric, 0::numeric, 0::numeric, 0::bigint, 0::bigint"
_STATEMENT = f"""
    {_WANTED}
    {_merged(_MERGED, "hour", _WINDOWS, "", _NO_EXTREMES)}
    UNION ALL
    {_merged(_MERGED_DAYS, "first_hour", _DAYS, "", _NO_EXTREMES)}
    UNION ALL
    {_merged(_EXTREME, "hour", _WINDOWS, _EXTREMES, _EXTREME_COLUMNS)}
    UNION ALL
    {_merged(_EXTREME_DAYS, "first_hour", _DAYS, _EXTREMES, _EXTREME_COLUMNS)}
    UNION ALL
    SELECT q.number, q.kind, q.meter, q.dimensions, extract(epoch FROM w.hour)::bigint / 3600,
        w.events, w.sum, w.min, w.max, w.latest, w.latest_occurred_ms, w.latest_offset,
        w.first_offset, w.last_offset, w.key_digest, w.late, coalesce(k.sketch, ''::bytea)
    FROM wanted q
    JOIN usage_window w ON w.tenant = q.tenant AND w.series = q.series AND w.hour >= q.starts
        AND w.hour < q.ends AND w.first_offset < %(before)s
    LEFT JOIN usage_sketch k
        ON k.tenant = w.tenant AND k.series = w.series AND k.hour = w.hour
    WHERE q.kind = {_HOURLY}
    UNION ALL
    SELECT q.number, q.kind, q.meter, q.dimensions, extract(epoch FROM w.hour)::bigint / 3600,
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
    connection: psycopg.Connection,
    wanted: Sequence[Wanted],
    *,
    before_offset: int = OFFSET_MAX,
    has_days: bool = True,
) -> dict[int, list[WindowRow]]:
    """This function will read the windows of a whole batch in one statement.

    Args:
        connection: Connection that sees one tenant.
        wanted: What is needed.
        before_offset: Only windows whose first event lies before this source offset; days cannot
            tell, so with it windows alone are read.
        has_days: Whether days that were added up may be read in place of their windows.

    Returns:
        Rows by the number under which they were wanted.
    """
    can_take_days = has_days and before_offset == OFFSET_MAX
    days = days_to_take(connection, wanted) if can_take_days else {}
    asked = [each for one in wanted for each in _asked(one, days.get(one.number, ()))]
    found: dict[int, list[WindowRow]] = {each.number: [] for each in wanted}
    if not asked:
        return found
    names = ("number", "customer", "meter", "kind", "starts", "ends")
    parameters: dict[str, object] = dict(
        zip(names, map(list, zip(*asked, strict=True)), strict=True)
    )
    parameters["before"] = before_offset
    merged: dict[tuple[int, str, tuple[tuple[str, str], ...]], WindowRow] = {}
    for number, kind, *columns in connection.execute(_STATEMENT, parameters):
        row = from_row_window(columns)
        if kind in {_HOURLY, _CARRIED}:
            found[number].append(row)
            continue
        series = number, row.meter, row.dimensions
        held = merged.get(series)
        merged[series] = row if held is None else merged_hours(held, row)
    for (number, _, _), row in merged.items():
        found[number].append(row)
    return found


_Asked = tuple[int, str, str, int, datetime, datetime]
"""Number, customer, meter, kind, start and end: what one row of the statement's input says."""


def _asked(wanted: Wanted, days: Sequence[date]) -> Iterator[_Asked]:
    """Say what is read of a part: each meter once, or once per stretch of windows or days."""
    stretches = tuple(_stretches(wanted, days))
    number, customer, whole = wanted.number, wanted.customer, (wanted.start, wanted.end)
    for meter in sorted(wanted.meters):
        if meter in wanted.carried:
            yield number, customer, meter, _CARRIED, *whole
        if meter in wanted.sketched:
            yield number, customer, meter, _HOURLY, *whole
            continue
        is_extreme = meter in wanted.extreme
        for start, end, is_days in stretches:
            if is_days:
                kind = _EXTREME_DAYS if is_extreme else _MERGED_DAYS
            else:
                kind = _EXTREME if is_extreme else _MERGED
            yield number, customer, meter, kind, start, end


def _stretches(wanted: Wanted, days: Sequence[date]) -> Iterator[tuple[datetime, datetime, bool]]:
    """Cut a part into runs of days and what lies between them.

    Yields:
        Start, end, and whether it is read from days.
    """
    first = end = wanted.start
    for day in days:
        start = datetime.combine(day, time(), UTC)
        if start != end:
            if first < end:
                yield first, end, True
            yield end, start, False
            first = start
        end = start + _DAY
    if first < end:
        yield first, end, True
    if end < wanted.end:
        yield end, wanted.end, False


def days_to_take(
    connection: psycopg.Connection, wanted: Sequence[Wanted]
) -> dict[int, tuple[date, ...]]:
    """This function will say which days may be read in place of their windows.

    Returns:
        Days in order, by the number of the part that they lie in; none at all when none was made.
    """
    whole = {each.number: _whole_days(each) for each in wanted}
    bounds = [each for each in whole.values() if each[0] < each[1]]
    if not bounds:
        return {}
    first, end = min(each[0] for each in bounds), max(each[1] for each in bounds)
    made: dict[date, list[int]] = dict(connection.execute(_MADE, (first, end)).fetchall())
    if not made:
        return {}
    late = _late_days(connection, made, customers={each.customer for each in wanted})
    ordered = sorted(made)
    return {
        each.number: tuple(
            day
            for day in ordered
            if whole[each.number][0] <= day < whole[each.number][1]
            and (each.customer, day) not in late
        )
        for each in wanted
    }


def _late_days(
    connection: psycopg.Connection, made: dict[date, list[int]], *, customers: Collection[str]
) -> frozenset[tuple[str, date]]:
    """Return the days of customers that got or lost usage after they were made."""
    rows = connection.execute(_LATE, (list(made), list(customers)))
    return frozenset(
        (customer, day)
        for customer, day, partition, last_offset in rows
        if last_offset >= made[day][partition]
    )


def _whole_days(wanted: Wanted) -> tuple[date, date]:
    """Return the first UTC day that lies whole in a part, and the first one after those."""
    first = wanted.start.astimezone(UTC) + _DAY - _MICROSECOND
    return first.date(), wanted.end.astimezone(UTC).date()


def from_row_window(row: Sequence[Any]) -> WindowRow:
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
