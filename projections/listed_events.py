"""Listing: a customer's counted events, page by page, in the order of the log.

1. The windows of the hours that are asked for say between which source offsets their events lie.
2. The append time of the first record wanted leads to the facts that cover it: facts are appended
   after what they cover.
3. Facts and source records are read side by side. An event is listed when the facts that cover it
   accepted its key, so repeats and conflicts are not, and the sum of a list is what was counted.

Cost: one look at the windows, a seek per stretch of the log, and what lies there, other customers'
events too; before them up to a minute of facts, as append times are no more exact. A page ends
after LOOKED_MAX of all that, full or not; the next one goes on in log and facts where it ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
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
from runtime.kafka import offset_at, offset_of, read_partition
from schemas.topics import USAGE_FACTS_TOPIC
from schemas.usage_wire import from_wire_usage_facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from confluent_kafka import Message

    from domain.period import Period
    from domain.usage.facts import UsageFacts
    from domain.usage.records import EventRow, SourceRecord
    from projections.span import Facts
    from runtime.settings import Settings

DAYS_MAX = 31
"""Days of one question: its windows are read by the hour."""
LOOKED_MAX = 200_000
"""Events of all customers that one page looks at, and what counts as some: below a second where
they come in batches."""
LOOKED_PER_STRETCH = 20_000
"""What beginning at another place of the log counts as: it takes as long as reading so many."""
FACTS_BYTES_PER_LOOK = 500
"""Bytes of facts that count as an event: of large records so many are read as quickly."""
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
    """Where an event lies; a page begins behind a place.

    Args:
        offset: Offset of its record.
        index: Its place among the customer's events there.
        facts_offset: Offset of usage.facts before which nothing is said of what lies behind; 0
            where nobody knows more.
    """

    offset: int
    index: int
    facts_offset: int = field(default=0, compare=False)


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
    behind = after or Place(0, -1)
    page, looked = _Page(asked, limit, behind, behind, []), 0
    for first, last in stretches:
        looked += LOOKED_PER_STRETCH
        begin = replace(page.reached, offset=max(first, behind.offset))
        for look in _looks(settings, asked, begin=begin, last=last):
            looked += look.cost
            is_full = page.take(look, start=begin.offset)
            if is_full or (looked >= LOOKED_MAX and page.has_moved):
                return EventPage(tuple(page.found), page.reached)
    return EventPage(tuple(page.found), None)


@dataclass(slots=True)
class _Page:
    """A page in the making.

    Args:
        asked: Which events.
        limit: How many at most.
        behind: Where it began.
        reached: Where the next one begins.
        found: Its events.
    """

    asked: Asked
    limit: int
    behind: Place
    reached: Place
    found: list[ListedEvent]

    @property
    def has_moved(self) -> bool:
        """Say whether the next page begins elsewhere: else it would look at the same again."""
        return self.reached > self.behind or self.reached.facts_offset > self.behind.facts_offset

    def take(self, look: _Look, *, start: int) -> bool:
        """Take a step of a stretch that begins at `start`; say whether the page is full.

        Records before it are read for their keys: the stretch before has listed them.
        """
        record = look.record
        if record is None:
            self.reached = replace(self.reached, facts_offset=look.facts_offset)
            return False
        for event in _listed(record, look, asked=self.asked):
            if event.place <= self.behind or record.offset < start:
                continue
            if len(self.found) == self.limit:
                self.reached = self.found[-1].place
                return True
            self.found.append(event)
        if record.offset >= start:
            end = Place(record.offset, _count_of(record), look.facts_offset)
            self.reached = max(self.reached, end)
        return False


@dataclass(frozen=True, slots=True)
class _Look:
    """A step of reading.

    Args:
        cost: Events that it counts as.
        facts_offset: Offset of usage.facts at which the next step finds what it needs.
        record: A source record; None for facts that were passed over.
        accepted: Keys that its facts accepted and that are still to come, with fingerprints.
    """

    cost: int
    facts_offset: int
    record: SourceRecord | None
    accepted: dict[bytes, bytes]


def _looks(settings: Settings, asked: Asked, *, begin: Place, last: int) -> Iterator[_Look]:
    """Yield the records of a stretch that is folded, and the facts that are passed over before.

    The stretch begins with `begin`, and its records where the facts that cover that do: of two
    events with one id in them the first counts, wherever a page ended. Whoever lists an event
    takes its key out.
    """
    start = begin.offset
    partition = partition_of(*asked.owner, partitions=settings.partitions)
    received_at_ms = next(
        record.received_at_ms
        for record in source_records(settings, partition=partition, start=start, end=start + 1)
    )
    at = offset_at(settings, USAGE_FACTS_TOPIC, partition, at_ms=max(0, received_at_ms - SKEW_MS))
    if at is None:
        return
    records: Iterator[SourceRecord] | None = None
    messages = read_partition(
        settings, USAGE_FACTS_TOPIC, partition, start=max(at, begin.facts_offset)
    )
    for each in chain(map(_facts_of, messages)):
        if each.to_offset <= start:
            yield _Look(1 + each.size_bytes // FACTS_BYTES_PER_LOOK, each.offset + 1, None, {})
            continue
        if each.from_offset > last:
            return
        if records is None:
            records = source_records(
                settings, partition=partition, start=each.from_offset, end=last + 1
            )
        owned = asked.owner in each.facts.series.owners
        accepted = accepted_keys(each.facts, owner=asked.owner) if owned else {}
        for record in records:
            yield _Look(_count_of(record), each.offset, record, accepted)
            if record.offset + 1 >= each.to_offset:
                break


@dataclass(frozen=True, slots=True)
class _PlacedFacts:
    """A facts record with its offset and size."""

    offset: int
    size_bytes: int
    facts: UsageFacts

    @property
    def from_offset(self) -> int:
        return self.facts.from_offset

    @property
    def to_offset(self) -> int:
        return self.facts.to_offset


def _facts_of(message: Message) -> _PlacedFacts:
    value = message.value()
    return _PlacedFacts(offset_of(message), len(value or b""), from_wire_usage_facts(value))


def chain(facts: Iterable[Facts]) -> Iterator[Facts]:
    """This function will yield the facts that count, read from the middle of a partition.

    What counts follows on what counted before; a late writer's record begins where an earlier one
    did. Read from the middle the first record may be such a one: what follows on it shows it.
    """
    current: Facts | None = None
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


def _listed(record: SourceRecord, look: _Look, *, asked: Asked) -> Iterator[ListedEvent]:
    """Yield the events of a record that were counted and asked for."""
    rows = rows_of_customer(record, tenant=asked.tenant, customer=asked.customer)
    start_ms, end_ms = to_ms(asked.period.start), to_ms(asked.period.end)
    for index, row in enumerate(rows):
        if look.accepted.get(row["key"]) != row["fingerprint"]:
            continue
        del look.accepted[row["key"]]
        if start_ms <= row["occurred_at_ms"] < end_ms and (
            not asked.types or row["type"] in asked.types
        ):
            place = Place(record.offset, index, look.facts_offset)
            yield ListedEvent(place, record.received_at_ms, row)
