"""API keys as they lie in the projection; read here without the room that projects them.

The gateway is a sibling of projections and must not import it. What both rely on is the table
api_key and its row level security: a session sees the one key whose hash it names.
"""

from __future__ import annotations

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
        key_id: Its public part, for logs and limits.
        scopes: What it may do; empty for everything.
    """

    tenant: str
    key_id: str
    scopes: frozenset[str]


class KeyStore:
    """Looks keys up; blocks, may be repeated, safe to use from many threads.

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
        try:
            with self._engine.connect() as connection, connection.begin():
                connection.execute(
                    _ENTER,
                    {
                        "statement_timeout": f"{STATEMENT_TIMEOUT_MS}ms",
                        "secret_sha256": secret_sha256,
                    },
                )
                row = connection.execute(_FIND, {"secret_sha256": secret_sha256}).one_or_none()
        except (exc.TimeoutError, exc.DBAPIError) as error:
            raise _translated(error) from error
        if row is None:
            return None
        return StoredKey(tenant=row.tenant, key_id=row.key_id, scopes=frozenset(row.scopes))

    def close(self) -> None:
        """Let go of the connections."""
        self._engine.dispose()


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
