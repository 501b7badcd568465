"""Bringing the vault to its present form; `tidegauge rebuild` and `migrate` never touch it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from sqlalchemy import exc

from runtime.vault.connection import ROLE, new_engine, translated

if TYPE_CHECKING:
    import sqlalchemy

    from runtime.settings import Settings

MIGRATIONS = Path(__file__).parent / "migrations"
TURN_WAIT_MS = 120_000
"""Longest wait for another process that migrates the same vault, milliseconds."""
LOCK_WAIT_MS = 10_000
"""Longest wait for a table that somebody uses, milliseconds."""
_LOCK_KEY = 0x7661_756C  # "vaul"
_ROLE_TRIES_MAX = 20
"""Roles belong to the whole server and have no lock that spans databases; a try takes 2 ms."""


def migrate(settings: Settings) -> None:
    """This function will create the vault or bring it up to date, in one transaction.

    It may be called any number of times and by several processes at once.

    Raises:
        Retryable: database_away, when nobody answers or a table stays locked.
        Fatal: setting_invalid, when the role of the URL may not do this.
    """
    engine = new_engine(settings, is_owner=True)
    try:
        with translated():
            _ensure_role(engine)
            with engine.begin() as connection:
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {TURN_WAIT_MS}")
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})")
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}")
                connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {settings.vault_schema}")
                _run_alembic(connection, schema=settings.vault_schema)
    finally:
        engine.dispose()


def _run_alembic(connection: sqlalchemy.Connection, *, schema: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    config.attributes["schema"] = schema
    config.attributes["role"] = ROLE
    command.upgrade(config, "head")


def _ensure_role(engine: sqlalchemy.Engine) -> None:
    """Create the role and let the owner take it; another database may be doing the same."""
    for remaining in reversed(range(_ROLE_TRIES_MAX)):
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql(
                    f"DO $$ BEGIN CREATE ROLE {ROLE} NOLOGIN; "
                    "EXCEPTION WHEN duplicate_object THEN NULL; END $$"
                )
                may_take = f"SELECT pg_has_role(session_user, '{ROLE}', 'SET')"
                if not connection.exec_driver_sql(may_take).scalar_one():
                    connection.exec_driver_sql(f"GRANT {ROLE} TO CURRENT_USER")
        except (exc.InternalError, exc.IntegrityError):
            if not remaining:
                raise
        else:
            return
