"""What windows of one event keep beyond sums without it: read from the log, folded again.

1. The facts of the partition, up to the announcement of the amendment, say which windows the fold
   watches, which of their records touched the customer's hour, and which keys they counted.
2. The source records of those stretches hold the events. Those that were counted and not amended
   since, other than the one that goes, are folded anew under the catalogues and the sets of
   dimensions of their time.

Cost: one reading of the partition's facts, and the stretches.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from domain.codes import Code
from domain.errors import Rejected
from domain.period import HOUR_MS
from domain.usage.amendments import no_state
from domain.usage.customer_windows import CustomerWindows
from domain.usage.dimension_sets import AdmittedSets, SettledSets
from domain.usage.fold import UsageFold
from domain.usage.records import CataloguePublished, SourceRecord
from domain.usage.restating import state_of
from domain.usage.rows import batch_of_rows
from domain.usage.watches import Watches
from projections.counted_events import accepted_facts, accepted_keys, rows_of_customer
from projections.invoicing.log import source_records
from projections.invoicing.trace import merged_ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from domain.usage.amendments import WindowState
    from domain.usage.dimension_sets import KnownSet
    from domain.usage.facts import UsageFacts
    from domain.usage.watches import Place
    from projections.counted_events import CountedEvent
    from runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Source offsets of one facts record that touched the customer's hour.

    Args:
        start, end: The offsets [start, end).
        keys: Keys of the customer that it counted, with their fingerprints.
        catalogues: Versions that took effect since the stretch before, or within.
        sets: Sets of dimensions that are kept apart since the stretch before, or within.
    """

    start: int
    end: int
    keys: dict[bytes, bytes]
    catalogues: tuple[SourceRecord, ...]
    sets: tuple[KnownSet, ...]


@dataclass(slots=True)
class _Reading:
    """What the facts up to the announcement say."""

    found: CountedEvent
    stretches: list[_Stretch] = field(default_factory=list)
    amended: dict[bytes, int] = field(default_factory=dict)
    """Source offset of the newest amendment of each amended key of the customer."""
    _catalogues: list[SourceRecord] = field(default_factory=list)
    _sets: list[KnownSet] = field(default_factory=list)

    def take(self, facts: UsageFacts) -> None:
        """Take the next facts record."""
        tenant, customer = owner = self.found.tenant, self.found.customer
        self._catalogues += [
            SourceRecord(item.offset, 0, CataloguePublished(tenant, item.version, item.content))
            for item in facts.catalogues
            if item.tenant == tenant
        ]
        series = facts.series
        known = series.known_sets(series.admitted.tolist())
        self._sets += [item for item in known if item[0] == tenant]
        for item in facts.amendments:
            if (item.tenant, item.customer) == (tenant, customer):
                self.amended[item.key] = item.offset
        if _touches(facts, self.found):
            self.stretches.append(
                _Stretch(
                    facts.from_offset,
                    facts.to_offset,
                    accepted_keys(facts, owner=owner),
                    tuple(self._catalogues),
                    tuple(self._sets),
                )
            )
            self._catalogues, self._sets = [], []


def states_before(
    settings: Settings, found: CountedEvent, *, announced_at: int
) -> tuple[WindowState, ...]:
    """This function will state the windows of an event before an offset without the event.

    Args:
        settings: Where the broker is.
        found: The event.
        announced_at: Source offset of the announcement; its facts must be there.

    Returns:
        One state per window that the fold watches for it.

    Raises:
        Rejected: amendment_outdated, when the fold watches nothing for this announcement.
        Fatal: log_truncated, when events of the hour are older than the log and its archive.
        Retryable: broker_away.
    """
    return states_of_log(
        found,
        announced_at=announced_at,
        facts=accepted_facts(settings, found.partition),
        read=lambda start, end: source_records(
            settings, partition=found.partition, start=start, end=end
        ),
        partitions=settings.partitions,
    )


def states_of_log(
    found: CountedEvent,
    *,
    announced_at: int,
    facts: Iterable[UsageFacts],
    read: Callable[[int, int], Iterable[SourceRecord]],
    partitions: int,
) -> tuple[WindowState, ...]:
    """This function will do the same with a log that is at hand.

    Args:
        found: The event.
        announced_at: Source offset of the announcement.
        facts: The accepted facts of the partition, from the first one.
        read: Returns the source records [start, end) of the partition.
        partitions: Partition count of usage.events.
    """
    reading = _Reading(found)
    places: tuple[Place, ...] | None = None
    for each in facts:
        if each.from_offset >= announced_at:
            places = _watched(each, announced_at)
            break
        reading.take(each)
    if places is None:
        raise Rejected(
            Code.AMENDMENT_OUTDATED, f"nothing is watched since {found.partition}/{announced_at}"
        )
    windows = CustomerWindows(tenant=found.tenant, customer=found.customer)
    for each in _folded_again(reading, read=read, partitions=partitions):
        windows.add(each)
    rows = {(row.meter, row.dimensions, row.hour): row for row in windows.every()}
    return tuple(
        state_of(rows[place]) if place in rows else no_state(place[0]) for place in places
    )


def _touches(facts: UsageFacts, found: CountedEvent) -> bool:
    """Say whether a record has windows of the event's customer and hour."""
    owner = found.tenant, found.customer
    if owner not in facts.series.owners:
        return False
    number = facts.series.owners.index(owner)
    hours = facts.windows.hour[facts.series.owner[facts.windows.series] == number]
    return bool((hours == found.payload.occurred_at_ms // HOUR_MS).any())


def _watched(facts: UsageFacts, announced_at: int) -> tuple[Place, ...] | None:
    watches = Watches()
    watches.put(facts.watches or "[]")
    watch = watches.find(announced_at)
    return None if watch is None else tuple(sorted(watch.gathered))


def _folded_again(
    reading: _Reading, *, read: Callable[[int, int], Iterable[SourceRecord]], partitions: int
) -> Iterator[UsageFacts]:
    """Yield facts of the events that are left, stretch by stretch."""
    found = reading.found
    admitted = AdmittedSets()
    fold = UsageFold(
        partition=found.partition,
        partitions=partitions,
        dimension_sets=SettledSets(admitted),
    )
    for stretch, records in _records(reading.stretches, read=read):
        admitted.put(stretch.sets)
        left = _left(records, stretch, reading)
        both = sorted((*stretch.catalogues, *left), key=_offset)
        if both:
            yield fold.step(both, from_offset=both[0].offset, to_offset=both[-1].offset + 1)


def _offset(record: SourceRecord) -> int:
    return record.offset


def _records(
    stretches: Sequence[_Stretch], *, read: Callable[[int, int], Iterable[SourceRecord]]
) -> Iterator[tuple[_Stretch, list[SourceRecord]]]:
    """Yield each stretch with its records; those that lie close together are read at once."""
    ranges = merged_ranges((each.start, each.end - 1) for each in stretches)
    waiting = list(reversed(stretches))
    for first, last in ranges:
        records: list[SourceRecord] = []
        for record in read(first, last + 1):
            while waiting and record.offset >= waiting[-1].end:
                yield waiting.pop(), records
                records = []
            if waiting and record.offset >= waiting[-1].start:
                records.append(record)
        while waiting and waiting[-1].end <= last + 1:
            yield waiting.pop(), records
            records = []


def _left(
    records: Iterable[SourceRecord], stretch: _Stretch, reading: _Reading
) -> Iterator[SourceRecord]:
    """Yield the events of a stretch that count still and fell into the hour."""
    found = reading.found
    keys = {
        key: fingerprint
        for key, fingerprint in stretch.keys.items()
        if key != found.key and reading.amended.get(key, -1) < stretch.start
    }
    hour = found.payload.occurred_at_ms // HOUR_MS
    for record in records:
        rows = []
        for row in rows_of_customer(record, tenant=found.tenant, customer=found.customer):
            if keys.get(row["key"]) == row["fingerprint"]:
                del keys[row["key"]]
                if row["occurred_at_ms"] // HOUR_MS == hour:
                    rows.append(row)
        if rows:
            yield record._replace(body=batch_of_rows(rows))
