"""Whether this process can answer: each part it needs, asked at most every two seconds."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Protocol

import sqlalchemy
from confluent_kafka import KafkaException

from domain.errors import Retryable
from projections.queries import health
from projections.queries.connection import tenant_connection
from runtime import clock
from runtime.logs import logger

ANSWER_MS = 2_000
"""How long an answer is repeated, ms: nobody can load the database by asking for our health."""
LOG_TIMEOUT_S = 2
"""How long the broker may take, seconds."""

OK = "ok"


class Log(Protocol):
    """A Kafka client that can be asked for the broker's topics."""

    def list_topics(self, *, timeout: int) -> object:
        """Return the cluster's metadata; KafkaException when nobody answers."""


class Readiness:
    """Asks the parts; safe to use from many threads.

    Args:
        engine: Engine of the role app.
        log: A client of the broker.
    """

    def __init__(self, *, engine: sqlalchemy.Engine, log: Log) -> None:
        self._engine = engine
        self._log = log
        self._lock = threading.Lock()
        self._parts: Mapping[str, str] = {}
        self._asked_at_ms = 0

    def parts(self) -> Mapping[str, str]:
        """Return what each part says: "ok", or what is wrong with it; names no host."""
        is_old = clock.monotonic_ms() - self._asked_at_ms > ANSWER_MS
        # While one caller asks, the others repeat the answer before; only the very first wait.
        if (is_old or not self._parts) and self._lock.acquire(blocking=not self._parts):
            try:
                self._parts = {**self._database(), "kafka": self._kafka()}
                self._asked_at_ms = clock.monotonic_ms()
            finally:
                self._lock.release()
        return self._parts

    def _database(self) -> dict[str, str]:
        try:
            with tenant_connection(self._engine, tenant="") as connection:
                missing = health.missing_tables(connection)
        except Retryable as error:
            logger().warning("api.database_away", reason=error.reason)
            return {"database": "does not answer", "migrations": "unknown"}
        return {"database": OK, "migrations": f"missing: {', '.join(missing)}" if missing else OK}

    def _kafka(self) -> str:
        try:
            self._log.list_topics(timeout=LOG_TIMEOUT_S)
        except KafkaException as error:
            logger().warning("api.broker_away", reason=str(error))
            return "does not answer"
        return OK
