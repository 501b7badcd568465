"""What a fold must offer so that the engine, which knows nothing of usage or books, can run it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator, Sequence

    from confluent_kafka import Message

    from domain.codes import Code
    from schemas.topics import Topic
    from streams.checkpoint import Checkpoint

Facts = TypeVar("Facts")
Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A source record that was refused, in whole or in part.

    Args:
        offset: Source offset of the record.
        code: Why.
        reason: What was wrong, for people.
    """

    offset: int
    code: Code
    reason: str


class PartitionFold(Protocol[Record, Facts]):
    """The state of one partition: a deterministic function of its source records."""

    def decode(self, messages: deque[Message], *, events_max: int, bytes_max: int) -> list[Record]:
        """Read messages from the left, without taking them, until they hold so much.

        At least one is read. Bad bytes become a record that says so, never an error; Retryable
        says that nobody can tell now what the first one is.
        """

    def step(self, records: Sequence[Record], *, from_offset: int, to_offset: int) -> Facts:
        """Fold the records of [from_offset, to_offset) and move the state (StoreLost)."""

    def load(self) -> Iterator[None]:
        """Take on what the checkpoint holds beside its records, in steps of about 10 ms.

        It comes before any other call, and what it raises means that the checkpoint is torn.
        """

    def restore(self, facts: Facts) -> None:
        """Apply a facts record that the acceptance rule let through (StoreLost)."""

    def dead_letters(self, facts: Facts) -> Sequence[DeadLetter]:
        """Return what the step refused."""

    def observe(self, facts: Facts) -> None:
        """Move the metrics after the facts were acknowledged."""


class Binding(Protocol[Record, Facts]):
    """One kind of fold: where it reads, how its facts look on the wire."""

    @property
    def topic(self) -> Topic:
        """Source topic; it names its facts and dead-letter topics."""

    @property
    def state_version(self) -> int | str:
        """Changes when a checkpoint of before would be misread."""

    def new_fold(
        self, partition: int, checkpoint: Checkpoint | None
    ) -> PartitionFold[Record, Facts]:
        """Return an empty state for a partition, which may keep a part of it by the checkpoint."""

    def to_wire(self, facts: Facts) -> bytes:
        """Write a facts record."""

    def from_wire(self, value: bytes | None) -> Facts:
        """Read a facts record (Rejected when it is none)."""

    def span(self, facts: Facts) -> tuple[int, int]:
        """Return the source offsets [from, to) that a facts record covers."""

    def compact(self, facts: Facts) -> bytes | None:
        """Write what restore needs of a facts record, for a checkpoint; None for all of it."""
