"""Rotation: every key of the vault is wrapped anew, so that an old master key opens nothing more.

It closes old backups too: what they hold is wrapped under a master key that nobody has, once it is
destroyed. That is the only way in which an erasure reaches copies that were made before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy

from runtime import clock
from runtime.logs import logger
from runtime.vault.connection import new_engine, vault_connection
from runtime.vault.kept import kept_purpose
from runtime.vault.keys import data_purpose, lookup_purpose
from runtime.vault.vault import check_masters, compact

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.settings import Settings
    from runtime.vault.master import MasterKeys

BATCH_ROWS = 500
"""Keys of one transaction: some 5 ms, so nobody who seals waits long."""


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    key: tuple[str, ...]
    purpose: Callable[[sqlalchemy.Row[Any]], tuple[str, ...]]


_TABLES = (
    _Table(
        "data_key",
        ("tenant", "customer", "version"),
        lambda row: data_purpose(row.tenant, row.customer, row.version),
    ),
    _Table("lookup_key", ("tenant",), lambda row: lookup_purpose(row.tenant)),
    _Table(
        "kept_buyer",
        ("tenant", "customer", "version"),
        lambda row: kept_purpose(row.tenant, row.customer, row.version),
    ),
)


def rotate(settings: Settings, masters: MasterKeys) -> dict[str, int]:
    """This function will wrap every key under the present master key and forget the others.

    It may be killed and run again; who seals and opens meanwhile is not disturbed, as long as all
    processes know both master keys.

    Returns:
        Rewrapped keys by table.

    Raises:
        Fatal: vault_key_wrong, before anything is changed, when a master key is missing.
        Retryable: database_away or not_ready.
    """
    engine = new_engine(settings, is_owner=True)
    try:
        with vault_connection(engine) as connection:
            check_masters(connection, masters)
        counts = {table.name: _rewrap(engine, masters, table) for table in _TABLES}
        with vault_connection(engine) as connection:
            connection.execute(
                sqlalchemy.text(
                    "DELETE FROM master_key WHERE key_id <> :current AND NOT EXISTS"
                    " (SELECT FROM data_key WHERE data_key.master_key = key_id)"
                ),
                {"current": masters.current},
            )
        parts = all_parts(engine)
    finally:
        engine.dispose()
    compact(settings, parts)
    logger().info("vault.rotated", master_key=masters.current, **counts)
    return counts


def sweep(settings: Settings) -> int:
    """This function will delete kept buyers whose time is over, and return how many they were.

    Raises:
        Retryable: database_away or not_ready.
    """
    engine = new_engine(settings, is_owner=True)
    try:
        with vault_connection(engine) as connection:
            deleted = connection.execute(
                sqlalchemy.text("DELETE FROM kept_buyer WHERE keep_until < :today"),
                {"today": clock.now().date()},
            ).rowcount
    finally:
        engine.dispose()
    compact(settings, ["kept_buyer"] if deleted else [])
    return deleted


def compact_all(settings: Settings) -> None:
    """This function will write every table of the vault anew (compact)."""
    engine = new_engine(settings, is_owner=True)
    try:
        parts = all_parts(engine)
    finally:
        engine.dispose()
    compact(settings, parts)


def all_parts(engine: sqlalchemy.Engine) -> list[str]:
    """This function will return the tables of the vault that have files."""
    with vault_connection(engine) as connection:
        return list(
            connection.execute(
                sqlalchemy.text(
                    "SELECT relname::text FROM pg_class"
                    " WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
                    " AND relname <> 'alembic_version' ORDER BY relname"
                )
            ).scalars()
        )


def _rewrap(engine: sqlalchemy.Engine, masters: MasterKeys, table: _Table) -> int:
    """Wrap a table's keys anew, a batch per transaction, until none is under another key."""
    key = ", ".join(table.key)
    where = " AND ".join(f"{column} = :{column}" for column in table.key)
    find = sqlalchemy.text(
        f"SELECT {key}, master_key, wrapped FROM {table.name}"  # noqa: S608 -- fixed texts only
        f" WHERE master_key <> :current ORDER BY {key} LIMIT :row_count FOR UPDATE"
    )
    write = sqlalchemy.text(
        f"UPDATE {table.name} SET master_key = :master_key, wrapped = :wrapped"  # noqa: S608 -- fixed texts only
        f" WHERE {where}"
    )
    done = 0
    while True:
        with vault_connection(engine) as connection:
            rows = connection.execute(
                find, {"current": masters.current, "row_count": BATCH_ROWS}
            ).all()
            for row in rows:
                purpose = table.purpose(row)
                secret = masters.unwrap(bytes(row.wrapped), key_id=row.master_key, purpose=purpose)
                values = {column: getattr(row, column) for column in table.key}
                wrapped = masters.wrap(secret, purpose=purpose)
                connection.execute(
                    write, {**values, "master_key": masters.current, "wrapped": wrapped}
                )
        done += len(rows)
        if len(rows) < BATCH_ROWS:
            return done
