"""API keys as they lie in the projection: looked up by their hash, in a session that sees one.

It stands here because both the API and the gateway ask, and the gateway is a sibling of the room
that projects the table. What all three rely on is the table api_key and its row level security: a
session sees the one key whose hash it names, and no other row of anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import sqlalchemy
from sqlalchemy import exc

from domain.codes import Code
from domain.errors import Retryable
from runtime import postgres

STATEMENT_TIMEOUT_MS = 2_000
"""Longest time for the one look-up by index, ms; more means that the database is away."""

_ENTER = sqlalchemy.text(
    "SELECT set_config('transaction_read_only', 'on', true),"
    " set_config('statement_timeout', :statement_timeout, true),"
    " set_config('role', 'tidegauge_app', true),"
    " set_config('tidegauge.secret_sha256', :secret_sha256, true)"
)
_FIND = sqlalchemy.text(
    "SELECT tenant, key_id, scopes FROM api_key"
    " WHERE secret_sha256 = :secret_sha256 AND revoked_at IS NULL"
)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """One key that is in force.

    Args:
        tenant: Tenant it speaks for.
        key_id: Its public part, for logs, limits and the books.
        scopes: What it may do, as runtime.web.scopes reads it.
    """

    tenant: str
    key_id: str
    scopes: frozenset[str] = frozenset()


class KeyStore:
    """Looks keys up; blocks, may be repeated, safe to use from many threads.

    The hash of a secret of 192 random bits is looked up by index; what time tells about the index
    tells nothing about a secret, so no comparison in constant time is needed.

    Args:
        engine: Engine of the role app.
    """

    def __init__(self, engine: sqlalchemy.Engine) -> None:
        self._engine = engine

    def find(self, secret_sha256: str) -> StoredKey | None:
        """Return the key with this hash, or None when it is unknown or revoked.

        Args:
            secret_sha256: SHA-256 of the whole key, 64 lower-case hex digits.

        Raises:
            Retryable: database_away, or not_ready when the tables are not there yet.
        """
        with secret_connection(self._engine, secret_sha256=secret_sha256) as connection:
            row = connection.execute(_FIND, {"secret_sha256": secret_sha256}).one_or_none()
        if row is None:
            return None
        return StoredKey(tenant=row.tenant, key_id=row.key_id, scopes=frozenset(row.scopes))


@contextmanager
def secret_connection(
    engine: sqlalchemy.Engine, *, secret_sha256: str
) -> Iterator[sqlalchemy.Connection]:
    """This function will open a read-only transaction that sees one API key and nothing else.

    Args:
        engine: Engine of the role app.
        secret_sha256: SHA-256 of the whole key, 64 lower-case hex digits.

    Raises:
        Retryable: As KeyStore.find.
    """
    try:
        with engine.connect() as connection, connection.begin():
            connection.execute(
                _ENTER,
                {
                    "statement_timeout": f"{STATEMENT_TIMEOUT_MS}ms",
                    "secret_sha256": secret_sha256,
                },
            )
            yield connection
    except (exc.TimeoutError, exc.DBAPIError) as error:
        raise _translated(error) from error


def _translated(error: exc.TimeoutError | exc.DBAPIError) -> Retryable:
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    if isinstance(cause, psycopg.errors.UndefinedTable | psycopg.errors.InvalidSchemaName):
        return Retryable(
            Code.NOT_READY,
            "the tables are missing",
            retry_after_ms=1_000,
            next_step="Run `tidegauge migrate`",
        )
    return postgres.database_away(cause)
