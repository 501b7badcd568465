"""How far each facts partition is projected: the row that every flush locks, checks and moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from domain.period import HOUR_MS, from_ms, to_ms

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    import psycopg

NO_HOUR = -1
"""hour_high of a partition that has no window yet."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far one facts partition is projected.

    Args:
        next_offset: Next source offset; what is below it is in the tables.
        facts_offset: Offset of the last facts record that counted, -1 before the first.
        hour_high: Newest hour of any window, hours since 1970 UTC; NO_HOUR for none.
    """

    next_offset: int
    facts_offset: int
    hour_high: int = NO_HOUR


START = Position(next_offset=0, facts_offset=-1)

_READ = """
    SELECT partition, next_offset, facts_offset, hour_high FROM position
    WHERE topic = %s AND partition = ANY(%s)
"""
_INSERT = """
    INSERT INTO position (topic, partition, next_offset, facts_offset)
    SELECT %s, partition, %s, %s FROM unnest(%s::integer[]) AS partition
    ON CONFLICT (topic, partition) DO NOTHING
"""
_UPDATE = """
    UPDATE position SET next_offset = %s, facts_offset = %s, hour_high = %s
    WHERE topic = %s AND partition = %s
"""


def read_positions(
    connection: psycopg.Connection, *, topic: str, partitions: Collection[int]
) -> dict[int, Position]:
    """This function will read positions; a partition without a row is at START."""
    stored = _fetch(connection, _READ, topic, partitions)
    return {partition: stored.get(partition, START) for partition in partitions}


def lock_positions(
    connection: psycopg.Connection, *, topic: str, partitions: Collection[int]
) -> dict[int, Position]:
    """This function will lock the positions for the rest of the transaction and return them.

    Missing rows are created at START; of two processes that create the same one the second waits
    for the first. Rows are always locked in the same order, so two flushes cannot deadlock.
    """
    ordered = sorted(partitions)
    query = _READ + "ORDER BY partition FOR UPDATE"
    stored = _fetch(connection, query, topic, ordered)
    missing = [partition for partition in ordered if partition not in stored]
    if missing:
        connection.execute(_INSERT, (topic, START.next_offset, START.facts_offset, missing))
        stored = _fetch(connection, query, topic, ordered)
    return stored


def write_positions(
    connection: psycopg.Connection, *, topic: str, positions: Mapping[int, Position]
) -> None:
    """This function will move locked positions."""
    rows = [
        (at.next_offset, at.facts_offset, _hour_time(at.hour_high), topic, partition)
        for partition, at in positions.items()
    ]
    connection.cursor().executemany(_UPDATE, rows)


def _fetch(
    connection: psycopg.Connection, query: str, topic: str, partitions: Collection[int]
) -> dict[int, Position]:
    rows = connection.execute(query, (topic, list(partitions))).fetchall()
    return {
        partition: Position(next_offset, facts_offset, _hour_number(hour_high))
        for partition, next_offset, facts_offset, hour_high in rows
    }


def _hour_time(hour: int) -> datetime | None:
    return None if hour == NO_HOUR else from_ms(hour * HOUR_MS)


def _hour_number(hour: datetime | None) -> int:
    return NO_HOUR if hour is None else to_ms(hour) // HOUR_MS
