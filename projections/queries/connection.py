"""Connections that see one tenant's rows, read only and for a bounded time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import psycopg
import sqlalchemy
from sqlalchemy import exc

from domain.codes import Code
from domain.errors import Retryable
from runtime import postgres

STATEMENT_TIMEOUT_MS = 5_000
"""Longest time for one statement, ms: long enough for a month of hours of one tenant, short enough
that a pool of eight connections survives a few careless questions."""
POOL_RETRY_AFTER_MS = 1_000
"""What a reader is told to wait when a statement took too long or no connection is free, ms."""

WORK_MEMORY = "16MB"
"""Memory of one sort or hash of a statement: a month of usage adds up without touching the disk,
and eight connections stay below 256 MB."""

_ENTER = sqlalchemy.text(
    "SELECT set_config('transaction_read_only', 'on', true),"
    " set_config('statement_timeout', :statement_timeout, true),"
    " set_config('work_mem', :work_memory, true),"
    " set_config('jit', 'off', true),"  # compiling takes longer than most of these statements
    " set_config('role', 'tidegauge_app', true),"
    " set_config('tidegauge.tenant', :tenant, true)"
)


@contextmanager
def tenant_connection(
    engine: sqlalchemy.Engine, *, tenant: str
) -> Iterator[sqlalchemy.Connection]:
    """This function will open a read-only transaction that sees one tenant's rows.

    Args:
        engine: Engine of the role app (runtime.postgres.new_engine).
        tenant: Tenant whose rows are visible; comes from an API key, never from a request.

    Raises:
        Retryable: database_away, or not_ready when a statement took too long or the tables are
            not there yet.
    """
    try:
        with engine.connect() as connection, connection.begin():
            connection.execute(
                _ENTER,
                {
                    "statement_timeout": f"{STATEMENT_TIMEOUT_MS}ms",
                    "work_memory": WORK_MEMORY,
                    "tenant": tenant,
                },
            )
            yield connection
    except exc.TimeoutError as error:
        raise _not_ready("every database connection is taken") from error
    except exc.DBAPIError as error:
        raise _translated(error, error.orig) from error
    except psycopg.Error as error:  # of a statement that the builder shares: no engine is between
        raise _translated(error, error) from error


def driver_of(connection: sqlalchemy.Connection) -> psycopg.Connection[Any]:
    """This function will return the driver's connection: the builder's statements take it."""
    return cast("psycopg.Connection[Any]", connection.connection.driver_connection)


def _translated(error: Exception, cause: BaseException | None) -> Exception:
    if isinstance(cause, psycopg.errors.QueryCanceled):
        return _not_ready(f"a statement took longer than {STATEMENT_TIMEOUT_MS} ms")
    if isinstance(cause, psycopg.errors.UndefinedTable | psycopg.errors.InvalidSchemaName):
        return _not_ready("the tables are missing", next_step="Run `tidegauge migrate`")
    if isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
        return postgres.database_away(cause)
    return error


def _not_ready(reason: str, *, next_step: str = "Try again, or ask for less") -> Retryable:
    return Retryable(
        Code.NOT_READY, reason, retry_after_ms=POOL_RETRY_AFTER_MS, next_step=next_step
    )
