"""The books binding: account.commands in, outcomes and book facts out."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from domain.books.dispatch import COMMANDS
from domain.books.facts import BooksFacts
from domain.books.fold import BooksFold
from domain.books.records import CommandRecord
from domain.books.state import TenantState
from runtime import ids, metrics
from runtime.kafka import offset_of, received_at_ms
from schemas.command_wire import from_wire_books_facts, from_wire_command, to_wire_books_facts
from schemas.topics import ACCOUNT_COMMANDS, Topic
from streams.binding import DeadLetter
from streams.kept_books import KeptBooks, made_by

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator, Sequence

    from confluent_kafka import Message

    from runtime.settings import Settings
    from streams.checkpoint import Checkpoint


EVENTS_PER_COMMAND = 16
"""What a command weighs against a usage event when a micro-batch is bounded."""


class BooksPartition:
    """The books fold of one partition, as the engine wants it.

    Args:
        fold: The fold.
        kept: What its checkpoint has of the state; None without one.
    """

    def __init__(self, fold: BooksFold, kept: KeptBooks | None = None) -> None:
        self._fold = fold
        self._kept = kept

    def decode(
        self, messages: deque[Message], *, events_max: int, bytes_max: int
    ) -> list[CommandRecord]:
        """Read messages of account.commands.

        The facts of a charge are several times as large as its command; a micro-batch whose facts
        do not fit into one record is folded again in smaller ones.
        """
        records: list[CommandRecord] = []
        bytes_left = bytes_max
        for message in islice(messages, max(1, events_max // EVENTS_PER_COMMAND)):
            value = message.value()
            records.append(
                from_wire_command(
                    value,
                    offset=offset_of(message),
                    received_at_ms=received_at_ms(message),
                    key=message.key(),
                )
            )
            bytes_left -= len(value or b"")
            if bytes_left <= 0:
                break
        return records

    def step(
        self, records: Sequence[CommandRecord], *, from_offset: int, to_offset: int
    ) -> BooksFacts:
        """Decide a micro-batch of commands."""
        self._keep(position=from_offset)
        facts = self._fold.step(records, from_offset=from_offset, to_offset=to_offset)
        self._count(facts)
        return facts

    def load(self) -> Iterator[None]:
        """Take on the state that the checkpoint has."""
        return iter(()) if self._kept is None else self._kept.load(self._fold)

    def restore(self, facts: BooksFacts) -> None:
        """Apply accepted facts."""
        self._keep(position=facts.from_offset)
        self._fold.restore(facts)
        self._count(facts)

    def _keep(self, *, position: int) -> None:
        """Let the checkpoint have the state: so far it follows from acknowledged facts alone."""
        if self._kept is not None:
            self._kept.write_if_due(
                position=position, received_high_ms=self._fold.received_high_ms
            )

    def _count(self, facts: BooksFacts) -> None:
        if self._kept is not None:
            self._kept.count(facts)

    def dead_letters(self, facts: BooksFacts) -> list[DeadLetter]:
        """Return what was no readable command."""
        return [DeadLetter(item.offset, item.code, item.reason) for item in facts.rejects]

    def observe(self, facts: BooksFacts) -> None:
        """Count outcomes by code and rejects by code."""
        for outcome in facts.outcomes:
            # A sender's own words are no label: there is no end of them.
            kind = outcome.kind if outcome.kind in COMMANDS else "unknown"
            metrics.BOOKS_OUTCOMES.labels(kind, outcome.code or "accepted").inc()
        for reject in facts.rejects:
            metrics.FOLD_REJECTS.labels(ACCOUNT_COMMANDS.name, reject.code.value).inc()


class BooksBinding:
    """Tells the engine where commands are read and how their facts look."""

    topic: Topic = ACCOUNT_COMMANDS

    def __init__(self, settings: Settings) -> None:
        self.state_version = made_by()
        self._partitions = settings.partitions
        self._writer = ids.new_id("wri")

    def new_fold(self, partition: int, checkpoint: Checkpoint | None) -> BooksPartition:
        """Return empty books; without a checkpoint they are restored from the facts alone."""
        kept = None if checkpoint is None else KeptBooks(checkpoint)
        fold = BooksFold(
            partition=partition,
            partitions=self._partitions,
            new_state=TenantState if kept is None else kept.new_state,
        )
        return BooksPartition(fold, kept)

    def to_wire(self, facts: BooksFacts) -> bytes:
        """Write a record of account.facts."""
        return to_wire_books_facts(facts, writer=self._writer)

    def from_wire(self, value: bytes | None) -> BooksFacts:
        """Read a record of account.facts."""
        return from_wire_books_facts(value)

    def span(self, facts: BooksFacts) -> tuple[int, int]:
        """Return the source offsets covered."""
        return facts.from_offset, facts.to_offset

    def compact(self, facts: BooksFacts) -> None:
        """Need all of a record, as it is on the log: the books forget nothing."""
