"""Waiting for the books: that what was sent is answered, and that what was logged is projected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from domain.codes import Code
from domain.errors import Retryable
from domain.routing import partition_of
from runtime import clock
from runtime.kafka import new_consumer, partition_ends
from runtime.postgres import connect, database_away
from schemas.topics import (
    ACCOUNT_COMMANDS,
    ACCOUNT_FACTS,
    USAGE_EVENTS,
    USAGE_FACTS_TOPIC,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from runtime.settings import Settings

DRAIN_TIMEOUT_MS = 120_000
"""How long billing waits for the projections to reach the end of the log."""
OUTCOME_INTERVAL_MS = 20
_OUTCOMES = "SELECT source_offset, code, reason FROM command_outcome WHERE source_offset = ANY(%s)"


def await_outcome(settings: Settings, *, tenant: str, source_offset: int) -> tuple[str, str]:
    """This function will wait for the answer to a command.

    Returns:
        The code, empty when accepted, and the reason.

    Raises:
        Retryable: command_timeout, when no answer is visible in time; database_away.
    """
    with connect(settings, role="app", autocommit=True) as connection:
        connection.execute("SELECT set_config('tidegauge.tenant', %s, false)", (tenant,))
        found = await_outcomes(settings, connection, tenant=tenant, offsets=[source_offset])
    return found[source_offset]


def await_outcomes(
    settings: Settings, connection: psycopg.Connection, *, tenant: str, offsets: Collection[int]
) -> dict[int, tuple[str, str]]:
    """This function will wait for the answers to many commands.

    The time allowed counts from the last answer that came, or from when the books were last seen
    to move on: a batch may take longer than one command, and another run's may come before it.

    Args:
        settings: How long to wait for a next answer.
        connection: Connection of the role app, in autocommit, that sees the tenant.
        tenant: Whose commands they are.
        offsets: Source offsets of the commands.

    Returns:
        Code, empty when accepted, and reason, by offset.

    Raises:
        Retryable: command_timeout, when no further answer is visible in time; database_away.
    """
    found: dict[int, tuple[str, str]] = {}
    waiting = set(offsets)
    deadline = clock.monotonic_ms() + settings.command_timeout_ms
    partition = partition_of(tenant, partitions=settings.partitions)
    reached = _reached(connection, partition)
    while waiting:
        try:
            rows = connection.execute(_OUTCOMES, (sorted(waiting),)).fetchall()
        except psycopg.OperationalError as error:
            raise database_away(error) from error
        if rows:
            found |= {offset: (code, reason) for offset, code, reason in rows}
            waiting -= found.keys()
            deadline = clock.monotonic_ms() + settings.command_timeout_ms
        elif clock.monotonic_ms() <= deadline:
            clock.sleep_ms(OUTCOME_INTERVAL_MS)
        elif (moved := _reached(connection, partition)) != reached:
            reached = moved
            deadline = clock.monotonic_ms() + settings.command_timeout_ms
        else:
            raise Retryable(
                Code.COMMAND_TIMEOUT,
                f"command {min(waiting)} is in the log, its outcome is not visible yet",
                retry_after_ms=1000,
                next_step="Are `tidegauge stream books` and `tidegauge project` running? "
                "Then run the same again",
            )
    return found


def _reached(connection: psycopg.Connection, partition: int) -> int:
    """Return how far the books of a partition are projected."""
    try:
        row = connection.execute(
            "SELECT next_offset FROM position WHERE topic = %s AND partition = %s",
            (ACCOUNT_FACTS.name, partition),
        ).fetchone()
    except psycopg.OperationalError as error:
        raise database_away(error) from error
    return 0 if row is None else int(row[0])


def await_projected(
    settings: Settings, *, tenant: str, timeout_ms: int = DRAIN_TIMEOUT_MS
) -> None:
    """This function will wait until the projections hold all that the log held when it was called.

    Args:
        settings: Where broker and database are.
        tenant: Whose books; usage of all partitions is waited for.
        timeout_ms: How long at most.

    Raises:
        Retryable: not_ready, when they do not get there in time; broker_away, database_away.
    """
    account = partition_of(tenant, partitions=settings.partitions)
    reader = new_consumer(settings, group="tidegauge.builder")
    try:
        usage = range(settings.partitions)
        wanted = {
            (USAGE_FACTS_TOPIC.name, number): partition_ends(reader, USAGE_EVENTS.name, number)[1]
            for number in usage
        }
        _, commands = partition_ends(reader, ACCOUNT_COMMANDS.name, account)
        wanted[ACCOUNT_FACTS.name, account] = commands
    finally:
        reader.close()
    deadline = clock.monotonic_ms() + timeout_ms
    with connect(settings, role="app", autocommit=True) as connection:
        while behind := _behind(connection, wanted):
            if clock.monotonic_ms() > deadline:
                topic, number = behind[0]
                raise Retryable(
                    Code.NOT_READY,
                    f"the projection of {topic}/{number} does not reach the end of the log",
                    retry_after_ms=1000,
                    next_step="Are the folds and `tidegauge project` running? Then bill again",
                )
            clock.sleep_ms(OUTCOME_INTERVAL_MS)


def _behind(
    connection: psycopg.Connection, wanted: dict[tuple[str, int], int]
) -> list[tuple[str, int]]:
    try:
        rows = connection.execute("SELECT topic, partition, next_offset FROM position").fetchall()
    except psycopg.OperationalError as error:
        raise database_away(error) from error
    reached = {(topic, partition): offset for topic, partition, offset in rows}
    return [place for place, offset in wanted.items() if reached.get(place, 0) < offset]
