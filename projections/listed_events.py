"""Listing: a customer's counted events, page by page, in the order of the log.

1. The windows of the hours that are asked for say between which source offsets their events lie.
2. The append time of the first record wanted leads to the facts that cover it: facts are appended
   after what they cover.
3. Facts and source records are read side by side. An event is listed when the facts that cover it
   accepted its key, so repeats and conflicts are not, and the sum of a list is what was counted.

Cost: one look at the windows, a seek per stretch of the log, and what lies there, other customers'
events too. A page ends after LOOKED_MAX of them, full or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy

from domain.codes import Code
from domain.errors import Rejected
from domain.period import to_ms
from domain.routing import partition_of
from domain.usage.records import EventBatch
from projections.counted_events import accepted_keys, rows_of_customer
from projections.invoicing.log import source_records
from projections.invoicing.trace import merged_ranges
from runtime.kafka import offset_at, read_partition
from schemas.topics import USAGE_FACTS_TOPIC
from schemas.usage_wire import from_wire_usage_facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from domain.period import Period
    from domain.usage.facts import UsageFacts
    from domain.usage.records import EventRow, SourceRecord
    from runtime.settings import Settings

DAYS_MAX = 31
"""Days of one question: its windows are read by the hour."""
LOOKED_MAX = 200_000
"""Events of all customers that one page looks at: below a second where they come in batches."""
LOOKED_PER_STRETCH = 20_000
"""What beginning at another place of the log counts as: it takes as long as reading so many."""
SKEW_MS = 60_000
"""Longest time by which clocks of brokers may differ, ms."""
_STRETCHES = sqlalchemy.text("""
    SELECT min(w.first_offset), max(w.last_offset)
    FROM usage_series AS s JOIN usage_window AS w ON w.tenant = s.tenant AND w.series = s.series
    WHERE s.customer = :customer AND w.hour >= :start AND w.hour < :end
        AND w.last_offset >= :offset
    GROUP BY w.hour
""")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where an event lies: offset of its record, and its place among the customer's events there.

    A page begins behind a place.
    """

    offset: int
    index: int


@dataclass(frozen=True, slots=True)
class ListedEvent:
    """A counted event as it lies on the log.

    Args:
        place: Where.
        received_at_ms: Append time of its record, milliseconds since 1970 UTC.
        row: What it says.
    """

    place: Place
    received_at_ms: int
    row: EventRow


@dataclass(frozen=True, slots=True)
class Asked:
    """What a list is of.

    Args:
        tenant: Whose tenant's.
        customer: Whose events.
        period: When they occurred, half-open, at most DAYS_MAX days.
        types: Names of event types; empty for all.
    """

    tenant: str
    customer: str
    period: Period
    types: frozenset[str] = frozenset()

    @property
    def owner(self) -> tuple[str, str]:
        """Return whose events, as facts name them."""
        return self.tenant, self.customer


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some events.

    Args:
        events: At most as many as were asked for; fewer, even none, do not mean the end.
        behind: Where the next page begins; None at the end.
    """

    events: tuple[ListedEvent, ...]
    behind: Place | None


def find_stretches(
    connection: sqlalchemy.Connection, asked: Asked, *, after: Place | None
) -> tuple[tuple[int, int], ...]:
    """This function will return the stretches [first, last] of the log that hold the events.

    Args:
        connection: Connection of the tenant.
        asked: Which events.
        after: Where the page before ended.

    Raises:
        Rejected: invalid_request, for a period that is too long.
    """
    period = asked.period
    if period.end - period.start > timedelta(days=DAYS_MAX):
        raise Rejected(
            Code.INVALID_REQUEST, f"events are listed of at most {DAYS_MAX} days", param="from"
        )
    rows = connection.execute(
        _STRETCHES,
        {
            "customer": asked.customer,
            "start": period.start.replace(minute=0, second=0, microsecond=0),
            "end": period.end,
            "offset": after.offset if after else 0,
        },
    )
    return merged_ranges((first, last) for first, last in rows)


def read_page(
    settings: Settings,
    asked: Asked,
    *,
    stretches: Sequence[tuple[int, int]],
    limit: int,
    after: Place | None,
) -> EventPage:
    """This function will read the events of a page from the log; it needs no database.

    Args:
        settings: Where the broker and the archive are.
        asked: Which events.
        stretches: What find_stretches found.
        limit: Events of the page, from 1.
        after: Where the page before ended.

    Raises:
        Fatal: log_truncated, when the events are older than the log and there is no archive;
            archive_gap, when that does not have them either.
        Retryable: broker_away.
    """
    found: list[ListedEvent] = []
    looked, behind = 0, after or Place(0, -1)
    for first, last in stretches:
        looked += LOOKED_PER_STRETCH
        start = max(first, behind.offset)
        for record, accepted in _covered(settings, asked, start=start, last=last):
            looked += _count_of(record)
            for event in _listed(record, accepted, asked=asked):
                if event.place <= behind:
                    continue
                if len(found) == limit:
                    return EventPage(tuple(found), found[-1].place)
                found.append(event)
            if looked >= LOOKED_MAX and record.offset >= max(start, behind.offset + 1):
                return EventPage(tuple(found), Place(record.offset, _count_of(record)))
    return EventPage(tuple(found), None)


def _covered(
    settings: Settings, asked: Asked, *, start: int, last: int
) -> Iterator[tuple[SourceRecord, dict[bytes, bytes]]]:
    """Yield the records of a stretch that is folded, each with the keys that are still to come.

    It begins where the facts that cover start do: of two events with one id in them the first
    counts, wherever a page ended. Whoever lists an event takes its key out.
    """
    partition = partition_of(*asked.owner, partitions=settings.partitions)
    received_at_ms = next(
        record.received_at_ms
        for record in source_records(settings, partition=partition, start=start, end=start + 1)
    )
    begin = offset_at(
        settings, USAGE_FACTS_TOPIC, partition, at_ms=max(0, received_at_ms - SKEW_MS)
    )
    if begin is None:
        return
    records: Iterator[SourceRecord] | None = None
    messages = read_partition(settings, USAGE_FACTS_TOPIC, partition, start=begin)
    for facts in chain(from_wire_usage_facts(message.value()) for message in messages):
        if facts.to_offset <= start:
            continue
        if facts.from_offset > last:
            return
        if records is None:
            records = source_records(
                settings, partition=partition, start=facts.from_offset, end=last + 1
            )
        accepted = (
            accepted_keys(facts, owner=asked.owner) if asked.owner in facts.series.owners else {}
        )
        for record in records:
            yield record, accepted
            if record.offset + 1 >= facts.to_offset:
                break


def chain(facts: Iterable[UsageFacts]) -> Iterator[UsageFacts]:
    """This function will yield the facts that count, read from the middle of a partition.

    What counts follows on what counted before; a late writer's record begins where an earlier one
    did. Read from the middle the first record may be such a one: what follows on it shows it.
    """
    current: UsageFacts | None = None
    for each in facts:
        if current is not None:
            if each.from_offset <= current.from_offset:
                continue
            if each.from_offset == current.to_offset:
                yield current
        current = each
    if current is not None:
        yield current


def _count_of(record: SourceRecord) -> int:
    body = record.body
    return len(body.customer) if isinstance(body, EventBatch) else 1


def _listed(
    record: SourceRecord, accepted: dict[bytes, bytes], *, asked: Asked
) -> Iterator[ListedEvent]:
    """Yield the events of a record that were counted and asked for."""
    rows = rows_of_customer(record, tenant=asked.tenant, customer=asked.customer)
    start_ms, end_ms = to_ms(asked.period.start), to_ms(asked.period.end)
    for index, row in enumerate(rows):
        if accepted.get(row["key"]) != row["fingerprint"]:
            continue
        del accepted[row["key"]]
        if start_ms <= row["occurred_at_ms"] < end_ms and (
            not asked.types or row["type"] in asked.types
        ):
            yield ListedEvent(Place(record.offset, index), record.received_at_ms, row)
