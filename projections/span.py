"""Facts on their way into the database: accepted, waiting, flushed as one span per partition."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from domain.acceptance import accepts
from domain.codes import Code
from domain.errors import Fatal, Rejected
from projections.position import NO_HOUR, Position
from runtime import metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

    from schemas.topics import Topic


class Covering(Protocol):
    """A facts record of any fold: it covers source offsets [from_offset, to_offset)."""

    @property
    def from_offset(self) -> int: ...  # noqa: D102 -- named by the class
    @property
    def to_offset(self) -> int: ...  # noqa: D102 -- likewise


Facts = TypeVar("Facts", bound=Covering)


@dataclass(slots=True)
class Span(Generic[Facts]):
    """Consecutive accepted facts of one partition.

    Args:
        start: Position they continue.
        end: Position after them.
        facts: The records, in order.
        load: What they weigh, in rows; a flush has a maximum.
    """

    start: Position
    end: Position
    facts: list[Facts] = field(default_factory=list)
    load: int = 0


class Binding(Protocol[Facts]):
    """What makes a projector of the engine: one facts topic and the tables it feeds."""

    @property
    def topic(self) -> Topic:
        """The facts topic."""

    @property
    def is_eager(self) -> bool:
        """Whether somebody waits for each record, so that a flush should not."""

    def decode(self, value: bytes | None) -> Facts:
        """Read a record; Rejected means that the topic is corrupt."""

    def load_of(self, facts: Facts) -> int:
        """Return what a record weighs, in rows."""

    def hour_high_of(self, facts: Facts) -> int:
        """Return the newest hour of a window in it, NO_HOUR for none."""

    def prepare(self, connection: psycopg.Connection) -> None:
        """Make what a new connection needs."""

    def forget(self, positions: Mapping[int, Position]) -> None:
        """Drop what was remembered about the tables; these partitions go on from here."""

    def write(
        self, connection: psycopg.Connection, spans: Mapping[int, Span[Facts]]
    ) -> dict[str, int]:
        """Write spans inside the open transaction; return rows by table."""


class Intake(Generic[Facts]):
    """Applies the acceptance rule to the records of one partition and collects what counts.

    Args:
        binding: Says how to read a record.
        partition: Partition number.
        position: Where the database is.
    """

    def __init__(self, binding: Binding[Facts], *, partition: int, position: Position) -> None:
        self._binding = binding
        self._partition = partition
        self.position = position
        self._span: Span[Facts] | None = None

    @property
    def load(self) -> int:
        """Return what waits, in rows."""
        return self._span.load if self._span else 0

    @property
    def is_empty(self) -> bool:
        """Say whether nothing waits."""
        return self._span is None

    def take(self, value: bytes | None, *, facts_offset: int) -> None:
        """Read one record of the facts partition.

        Raises:
            Fatal: facts_gap, or state_corrupt for a record that cannot be read.
        """
        try:
            facts = self._binding.decode(value)
        except Rejected as error:
            raise self._corrupt(facts_offset, error.reason) from error
        at = self.position
        if not accepts(
            position=at.next_offset, from_offset=facts.from_offset, to_offset=facts.to_offset
        ):
            metrics.FOLD_IGNORED.labels(self._binding.topic.name).inc()
            return
        hour_high = max(at.hour_high, self._binding.hour_high_of(facts), NO_HOUR)
        self.position = Position(facts.to_offset, facts_offset, hour_high)
        if self._span is None:
            self._span = Span(start=at, end=at)
        self._span.facts.append(facts)
        self._span.end = self.position
        self._span.load += self._binding.load_of(facts)

    def drain(self) -> Span[Facts] | None:
        """Hand over what waits."""
        span, self._span = self._span, None
        return span

    def _corrupt(self, facts_offset: int, reason: str) -> Fatal:
        name = self._binding.topic.name
        return Fatal(
            Code.STATE_CORRUPT,
            f"{name}/{self._partition} offset {facts_offset} is no facts record: {reason}",
            next_step="Find out who wrote it; only folds may write facts. Restore the topic from "
            "its replica or backup before starting again",
            topic=name,
            partition=self._partition,
            offset=facts_offset,
        )
