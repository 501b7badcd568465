"""One flush: facts of several partitions, their rows and their positions in one transaction."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

import psycopg

from domain.codes import Code
from domain.errors import Fatal, Retryable
from projections.position import lock_positions, read_positions, write_positions
from projections.span import Facts
from runtime import failpoints, metrics
from runtime.logs import logger
from runtime.postgres import NOTIFY_CHANNEL, connect, database_away

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from projections.position import Position
    from projections.span import Binding, Span
    from runtime.settings import Settings

_AWAY = (
    psycopg.OperationalError,
    psycopg.InterfaceError,  # the connection was closed under us
    psycopg.errors.ReadOnlySqlTransaction,  # a standby answers during a failover
)
"""Errors after which the same flush is right later."""
_NO_SCHEMA = (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)
"""The schema was never made, or is being rebuilt at this moment."""


@dataclass(frozen=True, slots=True)
class FlushResult:
    """What a flush did.

    Args:
        written: New position of the partitions whose rows are committed.
        stale: Partitions where another projector was ahead; nothing was written for them.
    """

    written: Mapping[int, Position]
    stale: Collection[int]


class Database(Generic[Facts]):
    """The one connection of a projector, opened when needed and thrown away after any error.

    Args:
        settings: Where the database is.
        binding: What is projected.
    """

    def __init__(self, settings: Settings, binding: Binding[Facts]) -> None:
        self._settings = settings
        self._binding = binding
        self._connection: psycopg.Connection | None = None

    def close(self) -> None:
        """Give the connection back; safe to call at any time."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def place(self, partitions: Collection[int]) -> dict[int, Position]:
        """Read where partitions go on and make the binding forget what it knew.

        Raises:
            Retryable: database_away.
        """
        with self._work() as connection:
            positions = read_positions(
                connection, topic=self._binding.topic.name, partitions=partitions
            )
        self._binding.forget(positions)
        return positions

    def flush(self, spans: Mapping[int, Span[Facts]]) -> FlushResult:
        """Write spans and their positions, all or nothing.

        Steps: 1. lock the position rows; 2. leave out the partitions whose row is not where the
        span starts: somebody else is writing them; 3. write the rows; 4. move the positions.

        Raises:
            Retryable: database_away. Whether the commit happened is unknown then: read the
                positions again before anything else.
            Fatal: internal, when the database refuses the rows for good.
        """
        topic = self._binding.topic.name
        with metrics.PROJECTOR_FLUSH_SECONDS.labels(topic).time(), self._work() as connection:
            stored = lock_positions(connection, topic=topic, partitions=spans)  # 1
            current = {
                partition: span
                for partition, span in spans.items()
                if stored[partition].next_offset == span.start.next_offset
            }  # 2
            rows = self._binding.write(connection, current) if current else {}  # 3
            written = {partition: span.end for partition, span in current.items()}
            write_positions(connection, topic=topic, positions=written)  # 4
            connection.execute(
                "SELECT pg_notify(%s, %s)",
                (NOTIFY_CHANNEL, f"{self._settings.database_schema} {topic}"),
            )
            failpoints.pass_by("projector.before_commit")
        failpoints.pass_by("projector.after_commit")
        for table, count in rows.items():
            metrics.PROJECTOR_ROWS.labels(topic, table).inc(count)
        return FlushResult(written=written, stale=tuple(spans.keys() - current.keys()))

    @contextmanager
    def _work(self) -> Iterator[psycopg.Connection]:
        """Open a transaction; after an error the connection is not used again."""
        try:
            if self._connection is None:
                self._connection = self._connect()
            with self._connection.transaction():
                yield self._connection
        except _AWAY as error:
            self._drop()
            raise database_away(error) from error
        except _NO_SCHEMA as error:
            self._drop()
            raise Retryable(
                Code.NOT_READY,
                f"schema {self._settings.database_schema} is not there: {error}",
                retry_after_ms=1000,
                next_step="Run `tidegauge migrate`; work resumes by itself",
            ) from error
        except psycopg.Error as error:
            self._drop()
            raise Fatal(
                Code.INTERNAL,
                f"PostgreSQL refuses the rows of {self._binding.topic.name}: {error}",
                next_step="Nothing was written or skipped. Check that the schema is the one "
                "`tidegauge migrate` made, with its grants; else report this as a defect",
            ) from error
        except BaseException:
            self._drop()
            raise

    def _connect(self) -> psycopg.Connection:
        connection = connect(self._settings, role="projector", autocommit=True)
        # Compiling a query costs more than running any of ours; the durability of what we
        # promise is no setting of the server's.
        connection.execute("SET jit = off")
        connection.execute("SET synchronous_commit = on")
        self._binding.prepare(connection)
        logger().info("projector.connected")
        return connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
