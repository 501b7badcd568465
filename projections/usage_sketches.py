"""usage_sketch: what windows keep beyond sums, merged in the process by the domain's own rule.

A window belongs to one partition, whose position row this transaction holds: nobody else writes it
between the look and the write.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

from domain.aggregation.sketches import merged_sketch

if TYPE_CHECKING:
    import uuid
    from collections.abc import Mapping, Sequence

    import psycopg

Place: TypeAlias = "tuple[str, uuid.UUID, int]"
"""Tenant, series, and hour since 1970 UTC."""
_HOUR_S = 3_600
PLACES_PER_STATEMENT = 256
"""Windows of one statement: the largest sketch has 85 KiB, and PostgreSQL takes 1 GiB at once."""
_WANTED = """
    SELECT k.tenant, k.series, extract(epoch FROM k.hour)::bigint / 3600, w.sketch
    FROM unnest(%s::text[], %s::uuid[], %s::timestamptz[]) AS k (tenant, series, hour)
    JOIN usage_sketch w USING (tenant, series, hour)
"""
_WRITE = """
    INSERT INTO usage_sketch (tenant, series, hour, sketch)
    SELECT * FROM unnest(%s::text[], %s::uuid[], %s::timestamptz[], %b::bytea[])
    ON CONFLICT (tenant, series, hour) DO UPDATE SET sketch = excluded.sketch
"""
_DROP = """
    DELETE FROM usage_sketch WHERE (tenant, series, hour)
        IN (SELECT * FROM unnest(%s::text[], %s::uuid[], %s::timestamptz[]))
"""
Key: TypeAlias = "tuple[list[str], list[uuid.UUID], list[datetime]]"
"""Columns of the table's key."""


def key_columns(places: Sequence[Place]) -> Key:
    """This function will return windows as columns of the table's key."""
    hours = [datetime.fromtimestamp(hour * _HOUR_S, tz=UTC) for _, _, hour in places]
    return [tenant for tenant, _, _ in places], [series for _, series, _ in places], hours


def drop_sketches(connection: psycopg.Connection, key: Key) -> None:
    """This function will drop the sketches of windows that were stated anew.

    Where nothing is left of a window's events there is no sketch to write over the old one.
    """
    connection.execute(_DROP, key)


def write_sketches(connection: psycopg.Connection, sketches: Mapping[Place, list[bytes]]) -> int:
    """This function will merge sketches into the table, inside the open transaction.

    Args:
        connection: Connection of the projector.
        sketches: Sketches by window; those of one window are merged.

    Returns:
        Rows written.
    """
    places = sorted(sketches)  # in the order of the key
    for start in range(0, len(places), PLACES_PER_STATEMENT):
        _write_some(connection, places[start : start + PLACES_PER_STATEMENT], sketches)
    return len(places)


def _write_some(
    connection: psycopg.Connection,
    places: Sequence[Place],
    sketches: Mapping[Place, Sequence[bytes]],
) -> None:
    key = key_columns(places)
    held: dict[Place, bytes] = {
        (tenant, series, hour): sketch
        for tenant, series, hour, sketch in connection.execute(_WANTED, key, binary=True)
    }
    states = [
        merged_sketch([*sketches[place], *([held[place]] if place in held else [])])
        for place in places
    ]
    connection.execute(_WRITE, (*key, states))
