"""Bringing a database to the present schema, safely from several processes at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import sqlalchemy
from alembic import command
from alembic.config import Config

from domain.codes import Code
from domain.errors import Fatal
from runtime.logs import logger
from runtime.postgres import ROLES, database_away, new_engine

if TYPE_CHECKING:
    from runtime.settings import Settings

MIGRATIONS = Path(__file__).parent / "migrations"
TURN_WAIT_MS = 120_000
"""Longest wait for another process that migrates the same database, milliseconds."""
LOCK_WAIT_MS = 10_000
"""Longest wait for a table that somebody uses: longer would queue up every reader behind us."""
_LOCK_KEY = 0x7469_6465  # "tide": all schemas of one database take turns
_HYPERTABLES_READY = """
    SELECT current_setting('timescaledb.disable_load', true) IS NOT NULL
        AND EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
"""
"""An extension that the server did not preload would end the session, not the statement; the
setting is there when it did."""
_ROLE_TRIES_MAX = 20
"""Roles belong to the whole server and have no lock that spans databases; a try takes 2 ms."""


def migrate(settings: Settings) -> None:
    """This function will create or bring up to date the schema that the settings name.

    It may be called any number of times and by several processes at once. Everything happens in
    one transaction: a failure leaves the database as it was, save for the roles.

    Raises:
        Retryable: database_away, when nobody answers or a table stays locked.
        Fatal: setting_invalid, when the role of the URL may not do this.
    """
    engine = new_engine(settings, role="owner")
    try:
        _ensure_roles(engine)
        with engine.begin() as connection:
            has_timescaledb = _prepare(connection, schema=settings.database_schema)
            _run_alembic(
                connection, schema=settings.database_schema, has_timescaledb=has_timescaledb
            )
    except sqlalchemy.exc.DBAPIError as error:
        raise _translated(error) from error
    finally:
        engine.dispose()


def drop_schema(settings: Settings) -> None:
    """This function will drop the projections of one schema; the log can bring them back."""
    schema = settings.database_schema
    engine = new_engine(settings, role="owner")
    try:
        with engine.begin() as connection:
            _take_turn(connection)
            connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
            connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {schema}_chunks CASCADE")
    except sqlalchemy.exc.DBAPIError as error:
        raise _translated(error) from error
    finally:
        engine.dispose()


def _take_turn(connection: sqlalchemy.Connection) -> None:
    """Wait for the others; afterwards wait for no table longer than LOCK_WAIT_MS."""
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {TURN_WAIT_MS}")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})")
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}")


def _prepare(connection: sqlalchemy.Connection, *, schema: str) -> bool:
    """Take the turn, create the schema, and say whether hypertables can be made."""
    _take_turn(connection)
    connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    installed = "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'"
    if connection.exec_driver_sql(installed).scalar_one():
        return True
    is_ready = connection.exec_driver_sql(_HYPERTABLES_READY).scalar_one()
    if is_ready:
        connection.exec_driver_sql("CREATE EXTENSION timescaledb SCHEMA public")
    logger().info("database.timescaledb", is_used=bool(is_ready))
    return bool(is_ready)


def _run_alembic(connection: sqlalchemy.Connection, *, schema: str, has_timescaledb: bool) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    config.attributes["schema"] = schema
    config.attributes["has_timescaledb"] = has_timescaledb
    command.upgrade(config, "head")


def _ensure_roles(engine: sqlalchemy.Engine) -> None:
    """Create the roles and let the owner take them; another database may be doing the same."""
    for role in filter(None, ROLES.values()):
        for remaining in reversed(range(_ROLE_TRIES_MAX)):
            try:
                with engine.begin() as connection:
                    _ensure_role(connection, role)
                break
            except (sqlalchemy.exc.InternalError, sqlalchemy.exc.IntegrityError) as error:
                # "tuple concurrently updated", or created a moment ago: look again.
                if not remaining:
                    raise
                logger().info("database.role_race", role=role, error=str(error.orig))


def _ensure_role(connection: sqlalchemy.Connection, role: str) -> None:
    found = f"SELECT count(*) FROM pg_roles WHERE rolname = '{role}'"  # noqa: S608 -- ours
    if not connection.exec_driver_sql(found).scalar_one():
        connection.exec_driver_sql(
            f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN; "
            "EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
    _let_copy(connection, role)
    may_take = f"SELECT pg_has_role(session_user, '{role}', 'SET')"
    if not connection.exec_driver_sql(may_take).scalar_one():
        connection.exec_driver_sql(f"GRANT {role} TO CURRENT_USER")


def _let_copy(connection: sqlalchemy.Connection, role: str) -> None:
    """Take the projector out of row level security, if the owner may: COPY is refused inside it.

    Its policies let it write every row anyway. Without the right it writes by INSERT, slower.
    """
    if role != ROLES["projector"]:
        return
    lacks = f"SELECT NOT rolbypassrls FROM pg_roles WHERE rolname = '{role}'"  # noqa: S608 -- ours
    may_give = (
        "SELECT rolsuper OR (rolbypassrls AND rolcreaterole "  # noqa: S608 -- ours
        f"AND pg_has_role(current_user, '{role}', 'MEMBER WITH ADMIN OPTION')) "
        "FROM pg_roles WHERE rolname = current_user"
    )
    if connection.exec_driver_sql(lacks).scalar_one():
        if connection.exec_driver_sql(may_give).scalar_one():
            connection.exec_driver_sql(f"ALTER ROLE {role} BYPASSRLS")
        else:
            logger().info("database.projector_cannot_copy", role=role)


def _translated(error: sqlalchemy.exc.DBAPIError) -> Exception:
    """Turn the driver's error into one of our tiers; what is neither stays as it is."""
    if isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
        return Fatal(
            Code.SETTING_INVALID,
            f"the database role may not migrate: {error.orig}",
            next_step="TIDEGAUGE_DATABASE_URL needs a role with CREATE on the database, "
            "CREATEROLE and, for TimescaleDB, the right to create the extension",
        )
    if isinstance(error.orig, psycopg.OperationalError):
        return database_away(error.orig)
    return error
