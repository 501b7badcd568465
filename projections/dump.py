"""One hash per table and one of all: two databases with the same rows have the same."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from psycopg import sql

from projections import usage_days
from runtime.postgres import connect

if TYPE_CHECKING:
    import psycopg

    from runtime.settings import Settings

_TABLES = """
    SELECT c.relname, array_agg(a.attname::text ORDER BY k.place)
    FROM pg_class c
    JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
    JOIN unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (number, place) ON true
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
    WHERE c.relnamespace = %s::regnamespace AND c.relkind IN ('r', 'p')
        AND NOT c.relname = ANY(%s)
    GROUP BY c.relname ORDER BY c.relname COLLATE "C"
"""
_COLUMNS = """
    SELECT attname::text FROM pg_attribute
    WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
    ORDER BY attname COLLATE "C"
"""


NO_PROJECTIONS = ("alembic_version", *usage_days.TABLES)
"""Tables that are no function of the log: the schema's version, and what speeds reading up."""
TOTAL = "total"
"""Name of the hash over all tables' names and hashes."""


def dump_hash(settings: Settings, schema: str | None = None) -> dict[str, str]:
    """This function will hash every row of every projection table, in the order of its key.

    A row counts with all its columns in PostgreSQL's text form, the columns in the order of their
    names, so neither the order of writing nor that of the columns matters. The rows are streamed,
    never held; they come from one snapshot.

    Args:
        settings: Where the database is.
        schema: Schema to hash; None for the one of the settings.

    Returns:
        SHA-256 by table, and TOTAL.

    Raises:
        Retryable: database_away.
    """
    name = settings.database_schema if schema is None else schema
    tables: dict[str, str] = {}
    with connect(settings, role="projector") as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        connection.execute("SET LOCAL datestyle = 'ISO'")
        for table, key in connection.execute(_TABLES, (name, list(NO_PROJECTIONS))).fetchall():
            tables[table] = _hash_table(connection, name, table, key)
    lines = "".join(f"{table} {digest}\n" for table, digest in tables.items())
    return {**tables, TOTAL: hashlib.sha256(lines.encode()).hexdigest()}


def _hash_table(connection: psycopg.Connection, schema: str, table: str, key: list[str]) -> str:
    name = sql.Identifier(schema, table)
    columns = connection.execute(_COLUMNS, (name.as_string(connection),)).fetchall()
    query = sql.SQL("COPY (SELECT {} FROM {} ORDER BY {}) TO STDOUT").format(
        sql.SQL(", ").join(sql.Identifier(column) for (column,) in columns),
        name,
        sql.SQL(", ").join(map(sql.Identifier, key)),
    )
    digest = hashlib.sha256()
    with connection.cursor().copy(query) as copy:
        for block in copy:
            digest.update(block)
    return digest.hexdigest()
