"""Connections of the vault: to a database of its own if one is set, with a role of its own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import sqlalchemy
from sqlalchemy import exc

from domain.codes import Code
from domain.errors import Fatal, Retryable
from runtime.postgres import CONNECT_TIMEOUT_S, SILENCE_TIMEOUT_MS, database_away

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.settings import Settings

ROLE = "tidegauge_vault"
"""Reads and writes the keys of one tenant at a time, and nothing outside the vault."""
POOL_SIZE_MAX = 4
"""Connections of one process; a look-up of a key takes less than 1 ms."""
POOL_TIMEOUT_S = 10
"""Longest wait for one of them, seconds; then the caller is told to try again."""
STATEMENT_TIMEOUT_MS = 10_000
"""Longest time of one statement, ms: the wait for another one's lock included."""

_ENTER = sqlalchemy.text(
    "SELECT set_config('statement_timeout', :statement_timeout, true),"
    " set_config('tidegauge.tenant', :tenant, true),"
    " set_config('jit', 'off', true)"
)


def url_of(settings: Settings) -> str:
    """This function will return the URL of the vault's database."""
    own = settings.vault_database_url.get_secret_value()
    return own or settings.database_url.get_secret_value()


def new_engine(settings: Settings, *, is_owner: bool = False) -> sqlalchemy.Engine:
    """This function will return an engine of the vault; it connects when it is first used.

    Args:
        settings: Where the vault is.
        is_owner: Whether to stay the URL's role, which sees the keys of all tenants.
    """
    options = [
        f"-c search_path={settings.vault_schema}",
        "-c timezone=UTC",
        "-c client_encoding=UTF8",
        *(() if is_owner else (f"-c role={ROLE}",)),
    ]
    return sqlalchemy.create_engine(
        sqlalchemy.make_url(url_of(settings)).set(drivername="postgresql+psycopg"),
        pool_size=POOL_SIZE_MAX,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
        pool_pre_ping=True,
        # An error must not carry what it was about into a log.
        hide_parameters=True,
        connect_args={
            "options": " ".join(options),
            "connect_timeout": CONNECT_TIMEOUT_S,
            "tcp_user_timeout": SILENCE_TIMEOUT_MS,
            "application_name": "tidegauge-vault",
        },
    )


@contextmanager
def vault_connection(
    engine: sqlalchemy.Engine, *, tenant: str = ""
) -> Iterator[sqlalchemy.Connection]:
    """This function will open a transaction of the vault.

    Args:
        engine: An engine of new_engine.
        tenant: Whose keys are visible; empty for all, which needs the owner's engine.

    Raises:
        Retryable: database_away, or not_ready when the vault is not there, or busy.
        Fatal: setting_invalid, when the role may not work there.
    """
    with translated(), engine.connect() as connection, connection.begin():
        connection.execute(
            _ENTER, {"statement_timeout": f"{STATEMENT_TIMEOUT_MS}ms", "tenant": tenant}
        )
        yield connection


@contextmanager
def translated() -> Iterator[None]:
    """This function will turn what the database says inside the block into our errors."""
    try:
        yield
    except exc.TimeoutError as error:
        raise _busy("every connection of the vault is taken") from error
    except exc.DBAPIError as error:
        raise _translated(error) from error


def _translated(error: exc.DBAPIError) -> Exception:
    cause = error.orig
    if isinstance(cause, psycopg.errors.UndefinedTable | psycopg.errors.InvalidSchemaName):
        return Retryable(
            Code.NOT_READY,
            "the vault is not there",
            retry_after_ms=1_000,
            next_step="Run `tidegauge vault migrate`",
        )
    if isinstance(cause, psycopg.errors.QueryCanceled | psycopg.errors.LockNotAvailable):
        return _busy("the vault is busy")
    if isinstance(cause, psycopg.errors.InsufficientPrivilege):
        return Fatal(
            Code.SETTING_INVALID,
            f"the database role may not use the vault: {cause}",
            next_step="Run `tidegauge vault migrate` with the role that owns the vault, and make "
            f"the role of the other processes a member of {ROLE}",
        )
    if isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
        return database_away(cause)
    return error


def _busy(reason: str) -> Retryable:
    return Retryable(Code.NOT_READY, reason, retry_after_ms=1_000, next_step="Try again")
