"""The projector process: one loop per facts topic, each in its thread, ended together."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

from domain.errors import Retryable
from projections.account_binding import AccountBinding
from projections.emergence_binding import EmergenceBinding
from projections.engine import TopicProjector
from projections.lane import Lane
from projections.usage_binding import UsageBinding
from runtime.kafka import check_topics
from runtime.logs import logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.settings import Settings
    from runtime.shutdown import Shutdown

TopicName = Literal["usage", "account", "emergence"]
TOPIC_NAMES: tuple[TopicName, ...] = ("usage", "account", "emergence")
LOOK_MS = 200
"""How often the main thread looks whether a loop has ended; it also takes the signals."""
STOP_WAIT_MS = 9_000
"""Longest wait for the loops after the end was requested; a stop may take 10 s."""


def run_projector(
    settings: Settings, shutdown: Shutdown, topics: Sequence[TopicName] = TOPIC_NAMES
) -> None:
    """This function will keep the tables in step with the facts topics until the end is requested.

    Several processes may run it at once: they share the partitions of each topic, and the
    position rows keep two that hold the same partition from counting anything twice.

    Args:
        settings: Where broker and database are; the schema names the consumer groups.
        shutdown: Asked between two steps.
        topics: Which facts topics to project.

    Raises:
        Fatal: topic_missing, topic_mismatch, facts_gap, log_truncated or state_corrupt.
    """
    logger().info("projector.started", topics=list(topics), schema=settings.database_schema)
    if not _await_topics(settings, shutdown):
        return
    errors: list[BaseException] = []
    threads = [
        threading.Thread(
            target=_run_one, args=(settings, shutdown, name, errors), name=f"project {name}"
        )
        for name in topics
    ]
    for thread in threads:
        thread.daemon = True  # one that hangs must not keep the process from ending
        thread.start()
    while not shutdown.is_requested and not errors:
        shutdown.wait_ms(LOOK_MS)
    shutdown.request()
    for thread in threads:
        thread.join(STOP_WAIT_MS / 1000 / len(threads))
    if errors:
        raise errors[0]
    logger().info("projector.ended")


def group_of(settings: Settings, name: TopicName) -> str:
    """This function will name the consumer group of one facts topic."""
    return f"tidegauge.project.{settings.database_schema}.{name}"


def _run_one(
    settings: Settings, shutdown: Shutdown, name: TopicName, errors: list[BaseException]
) -> None:
    group = group_of(settings, name)
    try:
        match name:
            case "usage":
                TopicProjector(settings, UsageBinding(), group=group).run(shutdown)
            case "account":
                TopicProjector(settings, AccountBinding(), group=group).run(shutdown)
            case "emergence":
                TopicProjector(settings, EmergenceBinding(), group=group).run(shutdown)
    except BaseException as error:  # noqa: BLE001 -- the main thread raises it
        logger().error("projector.failed", topic=name, error=str(error))
        errors.append(error)


def _await_topics(settings: Settings, shutdown: Shutdown) -> bool:
    """Check the topics as soon as the broker answers; False when the end was requested first.

    It is asked in a thread of its own: its answer may take longer than a stop may.
    """
    lane = Lane("check topics")
    asking = lane.submit(lambda: check_topics(settings))
    while not shutdown.wait_ms(LOOK_MS if not asking.done() else 0):
        if not asking.done():
            continue
        try:
            asking.result()
        except Retryable as error:
            logger().warning("projector.broker_away", reason=error.reason)
            shutdown.wait_ms(error.retry_after_ms)
            asking = lane.submit(lambda: check_topics(settings))
        else:
            lane.close(timeout_ms=0)
            return True
    return False
