"""PostgreSQL at the edge: connections that drop to the role their job needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import psycopg
import sqlalchemy

from domain.codes import Code
from domain.errors import Retryable

if TYPE_CHECKING:
    from runtime.settings import Settings

Role = Literal["owner", "projector", "app"]
ROLES: dict[Role, str] = {
    "owner": "",
    "projector": "tidegauge_projector",
    "app": "tidegauge_app",
}
"""Database roles: the owner migrates, the projector writes every tenant's rows, the app reads the
rows of one tenant (row level security). The first is the role of the URL itself."""
NOTIFY_CHANNEL = "tidegauge_projected"
"""Whoever LISTENs here learns of every commit of a projector; the payload is "schema topic"."""
CONNECT_TIMEOUT_S = 5
SILENCE_TIMEOUT_MS = 30_000
"""A server that acknowledges nothing for so long counts as away: its host may have vanished."""
POOL_SIZE_MAX = 8
"""Connections of one API process; 2 cores answer no more queries at once usefully."""


def connect(settings: Settings, *, role: Role, autocommit: bool = False) -> psycopg.Connection:
    """This function will open a connection for one job.

    Raises:
        Retryable: database_away, when nobody answers.
    """
    try:
        connection = psycopg.connect(
            settings.database_url.get_secret_value(),
            autocommit=autocommit,
            connect_timeout=CONNECT_TIMEOUT_S,
            tcp_user_timeout=SILENCE_TIMEOUT_MS,
            options=_options(settings, role),
            application_name=f"tidegauge-{role}",
        )
    except psycopg.OperationalError as error:
        raise database_away(error) from error
    return connection


def new_engine(settings: Settings, *, role: Role) -> sqlalchemy.Engine:
    """This function will return a pooled SQLAlchemy engine for one job."""
    url = sqlalchemy.make_url(settings.database_url.get_secret_value()).set(
        drivername="postgresql+psycopg"
    )
    return sqlalchemy.create_engine(
        url,
        pool_size=POOL_SIZE_MAX,
        max_overflow=0,
        pool_pre_ping=True,
        connect_args={
            "options": _options(settings, role),
            "connect_timeout": CONNECT_TIMEOUT_S,
            "tcp_user_timeout": SILENCE_TIMEOUT_MS,
            "application_name": f"tidegauge-{role}",
        },
    )


def _options(settings: Settings, role: Role) -> str:
    parts = [
        f"-c search_path={settings.database_schema},public",
        "-c timezone=UTC",
        "-c client_encoding=UTF8",
    ]
    if ROLES[role]:
        parts.append(f"-c role={ROLES[role]}")
    return " ".join(parts)


def database_away(error: object) -> Retryable:
    """This function will turn a driver's error into ours."""
    return Retryable(
        Code.DATABASE_AWAY,
        f"PostgreSQL does not answer: {str(error).strip()}",
        retry_after_ms=1000,
        next_step="Check TIDEGAUGE_DATABASE_URL and the server; work resumes by itself",
    )
