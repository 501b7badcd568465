"""What windows of one event keep beyond sums without it: read from the log, folded again.

1. The facts of the partition were noted while the event was looked for (projections.facts_notes).
   They are read on to the announcement of the amendment, whose facts say which windows the fold
   watches.
2. The facts that touched the customer's hour are read again: they say which keys they counted.
3. The source records of those stretches hold the events. Those that were counted and not amended
   since, other than the one that goes, are folded anew under the catalogues and the sets of
   dimensions of their time.

Cost: the facts since the event was found, and the stretches.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeVar

from domain.codes import Code
from domain.errors import Rejected, invariant
from domain.period import HOUR_MS
from domain.usage.amendments import no_state
from domain.usage.customer_windows import CustomerWindows
from domain.usage.dimension_sets import AdmittedSets, KnownSet, SettledSets
from domain.usage.fold import UsageFold
from domain.usage.records import CataloguePublished, SourceRecord
from domain.usage.restating import state_of
from domain.usage.rows import batch_of_rows
from domain.usage.watches import Watches
from projections.counted_events import accepted_keys, rows_of_customer
from projections.invoicing.trace import merged_ranges

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from domain.usage.amendments import WindowState
    from domain.usage.facts import UsageFacts
    from domain.usage.watches import Place
    from projections.counted_events import CountedEvent
    from projections.facts_notes import FactsNotes, NotedStretch
    from projections.partition_log import PartitionLog

_Placed = TypeVar("_Placed", SourceRecord, tuple[int, KnownSet])
"""What begins with a source offset."""


def states_before(found: CountedEvent, *, announced_at: int) -> tuple[WindowState, ...]:
    """This function will state the windows of an event before an offset without the event.

    Args:
        found: The event; its notes are read on to the announcement.
        announced_at: Source offset of the announcement, which was sent after the event was found,
            and after this was asked before; its facts must be there.

    Returns:
        One state per window that the fold watches for it.

    Raises:
        Rejected: amendment_outdated, when the fold watches nothing for this announcement.
        Fatal: log_truncated, when events of the hour are older than the log and its archive;
            state_corrupt, when the announcement is older than what was read.
        Retryable: broker_away.
    """
    places = _watched(found.notes, announced_at)
    if places is None:
        raise Rejected(
            Code.AMENDMENT_OUTDATED, f"nothing is watched since {found.partition}/{announced_at}"
        )
    windows = CustomerWindows(tenant=found.tenant, customer=found.customer)
    for each in _folded_again(found):
        windows.add(each)
    rows = {(row.meter, row.dimensions, row.hour): row for row in windows.every()}
    return tuple(
        state_of(rows[place]) if place in rows else no_state(place[0]) for place in places
    )


def _watched(notes: FactsNotes, announced_at: int) -> tuple[Place, ...] | None:
    """Read on to an announcement and return the windows that are watched from there on."""
    invariant(
        notes.position <= announced_at,
        Code.STATE_CORRUPT,
        "what was noted reaches behind the announcement",
        position=notes.position,
        announced_at=announced_at,
    )
    for facts in notes.read_on():
        if facts.from_offset >= announced_at:
            watches = Watches()
            watches.put(facts.watches or "[]")
            watch = watches.find(announced_at)
            return None if watch is None else tuple(sorted(watch.gathered))
    return None


def _folded_again(found: CountedEvent) -> Iterator[UsageFacts]:
    """Yield facts of the events that are left, stretch by stretch."""
    notes, log = found.notes, found.notes.log
    admitted = AdmittedSets()
    fold = UsageFold(
        partition=log.partition,
        partitions=log.partitions,
        dimension_sets=SettledSets(admitted),
    )
    published = deque(
        SourceRecord(item.offset, 0, CataloguePublished(found.tenant, item.version, item.content))
        for item in notes.catalogues
    )
    sets = deque(notes.sets)
    stretches = notes.stretches(found.payload.occurred_at_ms // HOUR_MS)
    for (stretch, records), facts in zip(
        _records(stretches, log), notes.read_again(stretches), strict=True
    ):
        admitted.put(known for _, known in _before(sets, stretch.end))
        left = _left(records, stretch, found, keys=accepted_keys(facts, owner=notes.owner))
        both = sorted((*_before(published, stretch.end), *left), key=_offset)
        if both:
            yield fold.step(both, from_offset=both[0].offset, to_offset=both[-1].offset + 1)


def _before(waiting: deque[_Placed], end: int) -> list[_Placed]:
    """Take what begins with a source offset before end off a queue."""
    taken = []
    while waiting and waiting[0][0] < end:
        taken.append(waiting.popleft())
    return taken


def _offset(record: SourceRecord) -> int:
    return record.offset


def _records(
    stretches: Sequence[NotedStretch], log: PartitionLog
) -> Iterator[tuple[NotedStretch, list[SourceRecord]]]:
    """Yield each stretch with its records; those that lie close together are read at once."""
    ranges = merged_ranges((each.start, each.end - 1) for each in stretches)
    waiting = list(reversed(stretches))
    for first, last in ranges:
        records: list[SourceRecord] = []
        for record in log.records(first, last + 1):
            while waiting and record.offset >= waiting[-1].end:
                yield waiting.pop(), records
                records = []
            if waiting and record.offset >= waiting[-1].start:
                records.append(record)
        while waiting and waiting[-1].end <= last + 1:
            yield waiting.pop(), records
            records = []


def _left(
    records: Iterable[SourceRecord],
    stretch: NotedStretch,
    found: CountedEvent,
    *,
    keys: Mapping[bytes, bytes],
) -> Iterator[SourceRecord]:
    """Yield the events of a stretch that count still and fell into the hour."""
    amended = found.notes.amended
    waiting = {
        key: fingerprint
        for key, fingerprint in keys.items()
        if key != found.key and amended.get(key, -1) < stretch.start
    }
    hour = found.payload.occurred_at_ms // HOUR_MS
    for record in records:
        rows = []
        for row in rows_of_customer(record, tenant=found.tenant, customer=found.customer):
            if waiting.get(row["key"]) == row["fingerprint"]:
                del waiting[row["key"]]
                if row["occurred_at_ms"] // HOUR_MS == hour:
                    rows.append(row)
        if rows:
            yield record._replace(body=batch_of_rows(rows))
