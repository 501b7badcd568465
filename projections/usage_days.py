"""usage_day: days that are over, added up per series, so that an invoice reads 30 rows, not 720.

A cache beside usage_window and no projection: whoever reads it must get the same without it. A day
is made once, in one transaction that sees one state of the tables, and never changes. What is
counted for it afterwards is late by the log, late_usage says so, and readers then take that
customer's day from its windows again (projections.invoicing.rows).

Every series is added up, of meters with sketches too: nothing reads those, they are one row in 25,
and what a reader may take then never hangs on which catalogue the maker knew.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg

from domain.codes import Code
from domain.errors import Retryable
from runtime import clock
from runtime.kafka import new_consumer, partition_ends
from runtime.postgres import connect, database_away
from schemas.topics import USAGE_EVENTS, USAGE_FACTS_TOPIC

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runtime.settings import Settings
    from runtime.shutdown import Shutdown

TABLES = ("usage_day", "usage_day_made")
"""What is no projection: neither in a dump nor brought back by a rebuild."""
MADE_AFTER = timedelta(hours=6)
"""How long a day has to be over. The broker's clock, which decides what is late, may be behind
ours by as much; and what still comes in the night after is in the day."""
DAYS_BACK = 35
"""Days before today that are made by themselves: a month and what is left of its grace."""
DAYS_MAX = 10_000
"""Days of tenants in one call; the others come with the next. 1 MB of names."""
STOP_LOOK_S = 0.2
"""How often a running statement is asked whether the process is to end, seconds."""

_MISSING = """
    SELECT t.tenant, d.day::date
    FROM (SELECT DISTINCT tenant FROM subscription WHERE %(tenant)s IN ('', tenant)) t
    CROSS JOIN generate_series(%(first)s::timestamp, %(last)s::timestamp, interval '1 day') d (day)
    WHERE NOT EXISTS (SELECT FROM usage_day_made m WHERE m.tenant = t.tenant
        AND m.day = d.day::date)
    ORDER BY 2, 1 LIMIT %(limit)s
"""
_POSITIONS = "SELECT partition, next_offset FROM position WHERE topic = %s"
# First, so that a second maker waits here, before it has read anything.
_CLAIM = """
    INSERT INTO usage_day_made (tenant, day, reached) VALUES (%s, %s, %s)
    ON CONFLICT (tenant, day) DO NOTHING
"""
_LATEST = "(max(ARRAY[latest_occurred_ms, latest_offset, latest]))"
COLUMNS = {
    "events": "sum(events)::bigint",
    "late": "sum(late)::bigint",
    "sum": "sum(sum)",
    "min": "min(min)",
    "max": "max(max)",
    "latest_occurred_ms": f"{_LATEST}[1]::bigint",
    "latest_offset": f"{_LATEST}[2]::bigint",
    "latest": f"{_LATEST}[3]",
    "first_offset": "min(first_offset)",
    "last_offset": "max(last_offset)",
    "key_digest": f"sum(key_digest) %% {2**128}",
    "first_hour": "min(hour)",
}
"""What a day holds, each as it comes out of its windows."""
ADDED_UP = ", ".join(f"{text} AS {name}" for name, text in COLUMNS.items())
_ADD_UP = f"""
    INSERT INTO usage_day (tenant, series, day, {", ".join(COLUMNS)})
    SELECT s.tenant, s.series, %(day)s, w.*
    FROM usage_series s CROSS JOIN LATERAL (
        SELECT {ADDED_UP}
        FROM usage_window v
        WHERE v.tenant = s.tenant AND v.series = s.series
            AND v.hour >= %(starts)s AND v.hour < %(ends)s
    ) w
    WHERE s.tenant = %(tenant)s AND w.first_hour IS NOT NULL
"""  # noqa: S608 -- fixed texts only


@dataclass(frozen=True, slots=True)
class RolledDay:
    """A day of a tenant that was made.

    Args:
        tenant: Whose day.
        day: UTC day.
        series: Rows written; 0 when another maker was first, or nothing was used.
    """

    tenant: str
    day: date
    series: int


def last_day_over() -> date:
    """This function will return the last UTC day that may be made, by this machine's clock.

    Never by an as_of or a test clock: these may run ahead of the log.
    """
    return (clock.now() - MADE_AFTER).date() - timedelta(days=1)


def roll_up(
    settings: Settings,
    *,
    first: date | None = None,
    through: date | None = None,
    tenant: str = "",
    shutdown: Shutdown | None = None,
) -> Iterator[RolledDay]:
    """This function will make the days that are over and were not made, the oldest first.

    It may be stopped at any moment and run several times at once: a day is made whole or not.

    Args:
        settings: Where broker and database are.
        first: First UTC day; DAYS_BACK days before the last when not given.
        through: Last UTC day; the last that is over when not given or later.
        tenant: Only this one; empty for all that have a subscription.
        shutdown: Ends a statement that runs when the end is requested.

    Yields:
        Each day as it is made, at most DAYS_MAX.

    Raises:
        Retryable: not_ready when the projections do not reach what the log held after the days;
            broker_away, database_away.
    """
    over = last_day_over()
    last = over if through is None else min(through, over)
    begin = last - timedelta(days=DAYS_BACK - 1) if first is None else first
    try:
        with connect(settings, role="projector", autocommit=True) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("SELECT set_config('jit', 'off', false)")
            parameters = {
                "tenant": tenant,
                "first": begin,
                "last": last,
                "limit": DAYS_MAX,
            }
            missing = connection.execute(_MISSING, parameters).fetchall()
            if not missing:
                return
            ends = _log_ends(settings)
            with _ended_by(shutdown, connection):
                for owner, day in missing:
                    series = make_day(connection, tenant=owner, day=day, ends=ends)
                    yield RolledDay(owner, day, series)
    except psycopg.OperationalError as error:
        raise database_away(error) from error


def make_day(
    connection: psycopg.Connection, *, tenant: str, day: date, ends: Sequence[int]
) -> int:
    """This function will add up one day of a tenant, whole or not at all.

    Args:
        connection: Connection of the role projector, in autocommit, its isolation level
            REPEATABLE READ: positions and windows have to be of one state.
        tenant: Whose day.
        day: A UTC day that is over.
        ends: End of each partition of usage.events at a moment after the day was over.

    Returns:
        Rows written; 0 when somebody else made the day.

    Raises:
        Retryable: not_ready, when something of before `ends` is not in the windows yet.
    """
    starts = datetime(day.year, day.month, day.day, tzinfo=UTC)
    try:
        with connection.transaction():
            found: dict[int, int] = dict(
                connection.execute(_POSITIONS, (USAGE_FACTS_TOPIC.name,)).fetchall()
            )
            reached = [found.get(partition, 0) for partition in range(len(ends))]
            _check(reached, ends)
            if not connection.execute(_CLAIM, (tenant, day, reached)).rowcount:
                return 0
            parameters = {
                "tenant": tenant,
                "day": day,
                "starts": starts,
                "ends": starts + timedelta(days=1),
            }
            return connection.execute(_ADD_UP, parameters).rowcount
    except psycopg.errors.SerializationFailure:  # two made it at once: the other one's is there
        return 0


def _check(reached: Sequence[int], ends: Sequence[int]) -> None:
    for partition, (here, end) in enumerate(zip(reached, ends, strict=True)):
        if here < end:
            raise Retryable(
                Code.NOT_READY,
                f"{USAGE_FACTS_TOPIC.name}/{partition} is projected up to {here}, the log held "
                f"{end} when the day was over",
                retry_after_ms=1000,
                next_step="Are the folds and `tidegauge project` running? Then run the same again",
            )


def _log_ends(settings: Settings) -> tuple[int, ...]:
    reader = new_consumer(settings, group="tidegauge.reader")
    try:
        return tuple(
            partition_ends(reader, USAGE_EVENTS.name, partition)[1]
            for partition in range(settings.partitions)
        )
    finally:
        reader.close()


@contextmanager
def _ended_by(shutdown: Shutdown | None, connection: psycopg.Connection) -> Iterator[None]:
    """Cancel what the connection runs once the end is requested: a large day takes minutes."""
    if shutdown is None:
        yield
        return
    is_done = threading.Event()

    def watch() -> None:
        while not is_done.wait(STOP_LOOK_S):
            if shutdown.is_requested:
                connection.cancel()

    watcher = threading.Thread(target=watch, name="end roll-up", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_done.set()
        watcher.join()
