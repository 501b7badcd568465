"""What the projections say while they follow the log, read as the projector sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runtime import postgres
from runtime.kafka import new_consumer, partition_ends
from schemas.topics import USAGE_EVENTS, USAGE_FACTS_TOPIC

if TYPE_CHECKING:
    from runtime.settings import Settings

_POSITIONS = "SELECT partition, next_offset FROM position WHERE topic = %s"
_RECEIVED = "SELECT coalesce(sum(received), 0) FROM intake_count WHERE tenant = %s"
_WINDOWS = "SELECT count(*) FROM usage_window WHERE tenant = %s"


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of everything received.

    Args:
        received: Events that arrived.
        accepted: Counted ones.
        duplicates: Repeats with the same payload.
        conflicts: Repeats with another payload.
        rejected: Refused for another reason.
        rejects: Those by code.
    """

    received: int = 0
    accepted: int = 0
    duplicates: int = 0
    conflicts: int = 0
    rejected: int = 0
    rejects: dict[str, int] = field(default_factory=dict)

    def since(self, before: Counts) -> Counts:
        """Return what was added since an earlier moment."""
        rejects = {
            code: count - before.rejects.get(code, 0) for code, count in self.rejects.items()
        }
        return Counts(
            received=self.received - before.received,
            accepted=self.accepted - before.accepted,
            duplicates=self.duplicates - before.duplicates,
            conflicts=self.conflicts - before.conflicts,
            rejected=self.rejected - before.rejected,
            rejects={code: count for code, count in rejects.items() if count},
        )


def count_windows(settings: Settings, *, tenant: str) -> int:
    """This function will count the hourly windows of a tenant."""
    with postgres.connect(settings, role="projector") as connection:
        row = connection.execute(_WINDOWS, (tenant,)).fetchone()
    return int(row[0]) if row else 0


def topic_ends(settings: Settings) -> dict[int, tuple[int, int]]:
    """This function will return first and next offset of every partition of usage.events."""
    consumer = new_consumer(settings, group="tidegauge.demo")
    try:
        return {
            partition: partition_ends(consumer, USAGE_EVENTS.name, partition)
            for partition in range(settings.partitions)
        }
    finally:
        consumer.close()


class Progress:
    """Watches the projections come to the end of usage.events.

    Args:
        settings: Where the database is.
        tenant: Whose events are counted.
        ends: Next offset to reach, per partition.
    """

    def __init__(self, settings: Settings, *, tenant: str, ends: dict[int, int]) -> None:
        self._connection = postgres.connect(settings, role="projector", autocommit=True)
        self._tenant = tenant
        self._ends = ends

    def received(self) -> int:
        """Return how many events are visible in the projections."""
        row = self._connection.execute(_RECEIVED, (self._tenant,)).fetchone()
        return int(row[0]) if row else 0

    def is_done(self) -> bool:
        """Say whether every partition is projected to its end."""
        rows = self._connection.execute(_POSITIONS, (USAGE_FACTS_TOPIC.name,)).fetchall()
        positions: dict[int, int] = {int(partition): int(offset) for partition, offset in rows}
        return all(positions.get(partition, 0) >= end for partition, end in self._ends.items())

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()
