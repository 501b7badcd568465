"""Databases with the projections' tables, made as copies of one that was migrated once.

Migrating takes most of a second, a copy takes a tenth of that, and most tests of tables need one.
"""

import hashlib
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from projections import migrate as migration
from runtime.settings import Settings
from tests.support import services

_LOCK_KEY = 0x7465_7374  # "test": runs that share a server make the model one after the other


def create_migrated(admin_url: str, name: str) -> str:
    """Create a database with the tables of the usual schema, and return its URL."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK_KEY,))
        model = _model(connection, admin_url)
        copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(copy.format(sql.Identifier(name), sql.Identifier(model)))
    return urlunsplit(urlsplit(admin_url)._replace(path=f"/{name}"))


def _model(connection: psycopg.Connection, admin_url: str) -> str:
    """Return the name of the database to copy; whoever is first makes it.

    TimescaleDB's workers stay in every database that takes connections, and one that somebody is
    in cannot be copied: so it takes none, which says as well that it is whole.
    """
    digest = hashlib.sha256()
    for file in sorted(migration.MIGRATIONS.rglob("*.py")):
        digest.update(file.read_bytes())
    name = f"test_model_{digest.hexdigest()[:16]}"
    whole = "SELECT FROM pg_database WHERE datname = %s AND NOT datallowconn"
    if connection.execute(whole, (name,)).rowcount:
        return name
    services.drop_database(admin_url, name)
    url = services.create_database(admin_url, name)
    migration.migrate(Settings.model_validate({"database_url": url}))
    closed = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false")
    connection.execute(closed.format(sql.Identifier(name)))
    # Waits until each of them has gone, 10 s at most.
    ended = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s"
    connection.execute(ended, (name,))
    return name
