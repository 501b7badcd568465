"""Dropping the projections and filling them again from the log: the same bytes come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.errors import Retryable
from projections.account_binding import AccountBinding
from projections.dump import dump_hash
from projections.emergence_binding import EmergenceBinding
from projections.flush import Database
from projections.migrate import drop_schema, migrate
from projections.span import Facts, Intake
from projections.usage_binding import UsageBinding
from runtime import clock
from runtime.kafka import broker_away, check_topics, new_consumer, partition_ends, read_partition
from runtime.logs import logger

if TYPE_CHECKING:
    from projections.position import Position
    from projections.span import Binding
    from runtime.settings import Settings
    from schemas.topics import Topic

__all__ = ["dump_hash", "rebuild"]

RETRIES_MAX = 10
"""Times one partition is begun again after the database was away or somebody else was ahead."""


def rebuild(settings: Settings) -> dict[str, dict[int, int]]:
    """This function will drop the schema and project all facts topics from their start again.

    Readers see empty tables meanwhile. A projector that runs at the same time does no harm: the
    position rows decide who writes what.

    Returns:
        Next source offset by facts topic and partition: everything below it is in the tables.

    Raises:
        Retryable: broker_away or database_away, more often than RETRIES_MAX in a row.
        Fatal: facts_gap, log_truncated, state_corrupt, or topics that are not as they should be.
    """
    check_topics(settings)
    drop_schema(settings)
    migrate(settings)
    return {
        UsageBinding.topic.name: _replay(settings, UsageBinding()),
        AccountBinding.topic.name: _replay(settings, AccountBinding()),
        EmergenceBinding.topic.name: _replay(settings, EmergenceBinding()),
    }


def _replay(settings: Settings, binding: Binding[Facts]) -> dict[int, int]:
    database = Database(settings, binding)
    try:
        return {
            partition: _replay_partition(settings, binding, database, partition).next_offset
            for partition in range(settings.partitions)
        }
    finally:
        database.close()


def _replay_partition(
    settings: Settings, binding: Binding[Facts], database: Database[Facts], partition: int
) -> Position:
    """Bring one partition to its present end, beginning again where the position row says."""
    end = _end_of(settings, binding.topic, partition)
    for remaining in reversed(range(RETRIES_MAX)):
        try:
            position = _replay_once(settings, binding, database, partition, end)
        except Retryable as error:
            if not remaining:
                raise
            logger().warning("rebuild.waits", reason=error.reason, partition=partition)
            clock.sleep_ms(error.retry_after_ms)
        else:
            if position is not None:
                at = {"partition": partition, "position": position.next_offset}
                logger().info("rebuild.partition", topic=binding.topic.name, **at)
                return position
    raise broker_away(f"{binding.topic.name}/{partition} is being written by somebody else")


def _replay_once(
    settings: Settings,
    binding: Binding[Facts],
    database: Database[Facts],
    partition: int,
    end: int,
) -> Position | None:
    """Project from the position to the end; None when another projector got ahead."""
    start = database.place((partition,))[partition]
    intake = Intake(binding, partition=partition, position=start)
    if start.facts_offset + 1 < end:
        records = read_partition(
            settings, binding.topic, partition, start=start.facts_offset + 1, end=end
        )
        for record in records:
            intake.take(record.value(), facts_offset=record.offset() or 0)
            if intake.load >= settings.projector_rows_max and not _flush(
                database, intake, partition
            ):
                return None
    return intake.position if _flush(database, intake, partition) else None


def _flush(database: Database[Facts], intake: Intake[Facts], partition: int) -> bool:
    """Write what was gathered; False when somebody else was ahead."""
    span = intake.drain()
    return span is None or not database.flush({partition: span}).stale


def _end_of(settings: Settings, topic: Topic, partition: int) -> int:
    consumer = new_consumer(settings, group="tidegauge.reader")
    try:
        return partition_ends(consumer, topic.name, partition)[1]
    finally:
        consumer.close()
