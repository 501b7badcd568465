"""Folding the log again, without a database: what replay and trace stand on."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from domain.acceptance import accepts
from domain.books.facts import Fact
from domain.codes import Code
from domain.errors import Fatal
from domain.routing import partition_of
from domain.usage.facts import UsageFacts
from domain.usage.fold import UsageFold
from domain.usage.records import EventBatch, stands_alone
from runtime.kafka import read_partition
from runtime.schema_registry import new_foreign_schemas
from schemas.command_wire import from_wire_books_facts
from schemas.topics import ACCOUNT_FACTS, USAGE_FACTS_TOPIC
from schemas.usage_wire import from_wire_usage_facts, from_wire_usage_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from domain.usage.records import SourceRecord
    from runtime.settings import Settings

EVENTS_PER_STEP = 10_000
"""Events folded at once; with the largest batch on top still within what domain.quantity.UNITS_MAX
allows to be added up."""


def book_facts(settings: Settings, *, tenant: str) -> Iterator[Fact]:
    """This function will yield every accepted fact of a tenant's books, from the log.

    Raises:
        Fatal: facts_gap or log_truncated.
        Retryable: broker_away.
    """
    partition = partition_of(tenant, partitions=settings.partitions)
    position = 0
    for message in read_partition(settings, ACCOUNT_FACTS, partition):
        facts = from_wire_books_facts(message.value())
        if not accepts(
            position=position, from_offset=facts.from_offset, to_offset=facts.to_offset
        ):
            continue
        position = facts.to_offset
        for outcome in facts.outcomes:
            if outcome.tenant == tenant:
                yield from outcome.facts


def usage_from_events(settings: Settings, *, partition: int, end: int) -> Iterator[UsageFacts]:
    """This function will fold raw events [0, end) of one partition anew.

    Raises:
        Fatal: log_truncated, when usage.events no longer reaches back to its start.
        Retryable: broker_away.
    """
    fold = UsageFold(partition=partition, partitions=settings.partitions)
    yield from folded(fold, source_records(settings, partition=partition, start=0, end=end))


def source_records(
    settings: Settings, *, partition: int, start: int, end: int
) -> Iterator[SourceRecord]:
    """This function will yield decoded records [start, end) of usage.events.

    What the log no longer has comes from its archive, where there is one.

    Raises:
        Fatal: log_truncated, archive_gap, archive_corrupt or archive_foreign.
        Retryable: broker_away.
    """
    # Here, because it brings pyarrow, which every command would load for nothing.
    from projections.archive.source import raw_records  # noqa: PLC0415 -- see above

    with closing(new_foreign_schemas(settings)) as foreign:
        for record in raw_records(settings, partition=partition, start=start, end=end):
            yield from_wire_usage_source(
                record.value,
                offset=record.offset,
                received_at_ms=record.received_at_ms,
                foreign=foreign,
            )


def folded(fold: UsageFold, records: Iterable[SourceRecord]) -> Iterator[UsageFacts]:
    """This function will run records through a fold, a few at a time."""
    pending: list[SourceRecord] = []
    events = 0
    for record in records:
        if pending and (stands_alone(record) or stands_alone(pending[-1])):
            yield _step(fold, pending)
            pending, events = [], 0
        pending.append(record)
        body = record.body
        events += len(body.occurred_at_ms) if isinstance(body, EventBatch) else 1
        if events >= EVENTS_PER_STEP:
            yield _step(fold, pending)
            pending, events = [], 0
    if pending:
        yield _step(fold, pending)


def _step(fold: UsageFold, records: list[SourceRecord]) -> UsageFacts:
    return fold.step(records, from_offset=records[0].offset, to_offset=records[-1].offset + 1)


def usage_from_facts(settings: Settings, *, partition: int, end: int) -> Iterator[UsageFacts]:
    """This function will yield the accepted usage facts that cover source offsets [0, end).

    Raises:
        Fatal: facts_gap, when the chain does not lead to end.
        Retryable: broker_away.
    """
    position = 0
    if position == end:
        return
    for message in read_partition(settings, USAGE_FACTS_TOPIC, partition):
        facts = from_wire_usage_facts(message.value())
        if not accepts(
            position=position, from_offset=facts.from_offset, to_offset=facts.to_offset
        ):
            continue
        position = facts.to_offset
        yield facts
        if position >= end:
            break
    if position != end:
        raise Fatal(
            Code.FACTS_GAP,
            f"usage.facts/{partition} leads to {position}, the pin says {end}",
            next_step="The pin must be a boundary of the chain: is this the right broker?",
        )
