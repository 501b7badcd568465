"""Trace: from an invoice line down to the raw events, summed up again.

Line → its windows (from the projections) → source offset ranges, cut off at the invoice's pin →
raw events. The ranges are read once and folded anew by a fresh fold; events that the first fold
called conflicts are left out, because what they conflict with may lie before the range. Windows
that grew after the pin are compared by the line's total only. Cost: O(windows) rows, and the
ranges.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from domain.aggregation.measures import measured
from domain.aggregation.window_row import WindowRow
from domain.catalogue import carried_meters
from domain.codes import Code
from domain.errors import Rejected
from domain.invoice import span_of
from domain.period import HOUR_MS
from domain.quantity import nanos_text
from domain.routing import partition_of
from domain.usage.customer_windows import CustomerWindows
from domain.usage.dimension_sets import EverySet, other_set
from domain.usage.fold import UsageFold
from domain.usage.records import CataloguePublished, EventBatch, SourceRecord
from domain.usage.rows import batch_of_rows
from projections.invoicing.log import folded, source_records
from projections.invoicing.replay import Finalized, find_invoice
from projections.invoicing.snapshot import Snapshot
from runtime.postgres import connect

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from domain.catalogue import Meter
    from domain.rating import InvoiceLine
    from domain.usage.dimension_sets import DimensionSet
    from runtime.settings import Settings

RANGE_GAP_MAX = 1_000
"""Ranges closer than this many records are read as one: a seek costs more than reading them."""

_CONFLICTS = """
    SELECT source_offset, event_index FROM reject
    WHERE topic = 'usage.events' AND partition = %s AND code = 'conflict'
        AND source_offset BETWEEN %s AND %s
"""


@dataclass(frozen=True, slots=True)
class RawEvent:
    """One raw event of a window, as it lies on the log.

    Args:
        partition, offset, index: Where it lies: record and place within the record.
        event_id: Its UUID, or the hash of its id in UUID form.
        event_type: Its type.
        occurred_at_ms: When it happened, milliseconds since 1970 UTC.
        quantity: Its quantity as exact text.
    """

    partition: int
    offset: int
    index: int
    event_id: str
    event_type: str
    occurred_at_ms: int
    quantity: str


@dataclass(frozen=True, slots=True)
class Traced:
    """What a line rests on.

    Args:
        original: The invoice as the log has it.
        line: The line.
        windows: Its windows, as projected.
        ranges: Source offsets [first, last] that hold all its events, per window merged.
        partition: Partition of usage.events they lie in.
        events: Events counted again.
        quantity: Their quantity added up again, exact text.
        differences: Windows whose events do not add up to what is projected.
        samples: The first raw events.
    """

    original: Finalized
    line: InvoiceLine
    windows: tuple[WindowRow, ...]
    ranges: tuple[tuple[int, int], ...]
    partition: int
    events: int
    quantity: str
    differences: int
    samples: tuple[RawEvent, ...]

    @property
    def is_equal(self) -> bool:
        """Say whether the raw events give the line's quantity and every one of its windows."""
        return self.quantity == self.line.quantity and not self.differences


def trace(
    settings: Settings, *, tenant: str, name: str, line_number: int, samples_max: int = 5
) -> Traced:
    """This function will trace one line of an invoice to its raw events.

    Args:
        settings: Where broker and database are.
        tenant: Who billed.
        name: Number or id of the invoice.
        line_number: Line, from 1.
        samples_max: How many raw events to return.

    Raises:
        Rejected: invoice_unknown, or invalid_request when there is no such metered line.
        Fatal: log_truncated, when the events are older than the log.
        Retryable: broker_away, database_away.
    """
    original = find_invoice(settings, tenant=tenant, name=name)
    content = original.content
    if not 1 <= line_number <= len(content.lines):
        raise Rejected(
            Code.INVALID_REQUEST, f"invoice {original.number} has lines 1 to {len(content.lines)}"
        )
    line = content.lines[line_number - 1]
    if not line.meter:
        raise Rejected(Code.INVALID_REQUEST, f"line {line_number} is a fee and has no events")
    partition = partition_of(tenant, content.customer, partitions=len(content.pin.usage_positions))
    end = content.pin.usage_positions[partition]
    windows = _windows(settings, original, line, end=end)
    ranges = merged_ranges((row.first_offset, min(row.last_offset, end - 1)) for row in windows)
    collected = CustomerWindows(tenant=tenant, customer=content.customer)
    samples: list[RawEvent] = []
    fold = _fold_with_catalogue(settings, original, partition)
    places = Places(original.catalogue.meter(line.meter), windows)
    for first, last in ranges:
        conflicts = _conflicts(settings, tenant=tenant, partition=partition, span=(first, last))
        records = source_records(settings, partition=partition, start=first, end=last + 1)
        narrow = [
            narrowed(record, conflicts, customer=content.customer, places=places)
            for record in records
        ]
        if len(samples) < samples_max:
            samples += list(_raw_events(narrow, original, line, partition))
        for facts in folded(fold, [item.record for item in narrow]):
            collected.add(facts)
    again = _of_line(collected, original, line)
    meter = original.catalogue.meter(line.meter)
    quantity = measured(meter.measure, windows=again, span=span_of(content.period))
    grown = {(row.dimensions, row.hour) for row in windows if row.last_offset >= end}
    projected, recounted = _by_window(windows), _by_window(again)
    return Traced(
        original=original,
        line=line,
        windows=windows,
        ranges=ranges,
        partition=partition,
        events=sum(row.events for row in again),
        quantity=nanos_text(quantity.nanos),
        differences=sum(
            projected.get(key) != recounted.get(key)
            for key in (projected.keys() | recounted.keys()) - grown
        ),
        samples=tuple(samples[:samples_max]),
    )


def merged_ranges(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """This function will merge inclusive offset ranges that overlap or lie close together."""
    result: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if result and first <= result[-1][1] + RANGE_GAP_MAX:
            result[-1] = (result[-1][0], max(result[-1][1], last))
        else:
            result.append((first, last))
    return tuple(result)


class Places:
    """The windows of a line, and which of them an event was counted in.

    A set of dimensions was counted with the others up to one source offset and apart from there
    on, so an event belongs to the window of its own set where that one's offsets hold its own, and
    else to that of the others. Events of no window are not the line's.

    Args:
        meter: The line's meter.
        windows: Its windows.
    """

    def __init__(self, meter: Meter, windows: Iterable[WindowRow]) -> None:
        self._names = meter.group_by
        self._other = other_set(meter)
        self._offsets = {
            (row.dimensions, row.hour): (row.first_offset, row.last_offset) for row in windows
        }

    def dimensions_of(
        self, dimensions: Mapping[str, str], *, hour: int, offset: int
    ) -> DimensionSet | None:
        """Return the set that an event was counted under; None when it was not."""
        own = tuple((name, dimensions[name]) for name in self._names if name in dimensions)
        for counted in (own, self._other):
            first, last = self._offsets.get((counted, hour), (1, 0))
            if first <= offset <= last:
                return counted
        return None


class Narrowed(NamedTuple):
    """A record with some of its events.

    Args:
        record: The record; single events have become a batch.
        places: Place of each event within the record as it lies on the log.
    """

    record: SourceRecord
    places: Sequence[int]


def narrowed(
    record: SourceRecord,
    conflicts: frozenset[tuple[int, int]],
    *,
    customer: str,
    places: Places,
) -> Narrowed:
    """This function will return a record with one customer's events of some windows alone.

    Args:
        record: The record.
        conflicts: Offset and place of events that were conflicts; they are left out.
        customer: Whose events stay.
        places: The windows. Events get the dimensions that they were counted under.
    """
    body = record.body
    if isinstance(body, dict):
        body = batch_of_rows([body])
    if not isinstance(body, EventBatch):
        return Narrowed(record, ())
    kept: list[int] = []
    sets: list[DimensionSet] = []
    for index, number in enumerate(body.dimension_set):
        if body.strings[body.customer[index]] != customer or (record.offset, index) in conflicts:
            continue
        counted = places.dimensions_of(
            body.dimension_sets[number - 1] if number else {},
            hour=body.occurred_at_ms[index] // HOUR_MS,
            offset=record.offset,
        )
        if counted is not None:
            kept.append(index)
            sets.append(counted)
    return Narrowed(record._replace(body=_picked(body, kept, sets)), kept)


def _picked(batch: EventBatch, kept: list[int], sets: list[DimensionSet]) -> EventBatch:
    """Return some events of a batch, with these dimensions."""
    number = {old: new for new, old in enumerate(kept)}
    distinct = list(dict.fromkeys(sets))
    set_numbers = {dimensions: place for place, dimensions in enumerate(distinct, start=1)}
    return replace(
        batch,
        keys=b"".join(batch.keys[16 * index : 16 * index + 16] for index in kept),
        fingerprints=b"".join(batch.fingerprints[8 * index : 8 * index + 8] for index in kept),
        customer=[batch.customer[index] for index in kept],
        type_=[batch.type_[index] for index in kept],
        dimension_sets=[dict(dimensions) for dimensions in distinct],
        dimension_set=[set_numbers[dimensions] for dimensions in sets],
        occurred_at_ms=[batch.occurred_at_ms[index] for index in kept],
        scales=batch.scales if len(batch.scales) == 1 else [batch.scales[index] for index in kept],
        quantity=[batch.quantity[index] for index in kept],
        properties=[
            (number[index], name, value)
            for index, name, value in batch.properties
            if index in number
        ],
    )


def _by_window(
    rows: Iterable[WindowRow],
) -> dict[tuple[tuple[tuple[str, str], ...], int], WindowRow]:
    return {(row.dimensions, row.hour): row for row in rows}


def _windows(
    settings: Settings, original: Finalized, line: InvoiceLine, *, end: int
) -> tuple[WindowRow, ...]:
    """Return the line's windows, as far as they began before a source offset."""
    content = original.content
    with Snapshot(settings, tenant=content.tenant) as snapshot:
        rows = snapshot.windows(
            customer=content.customer,
            period=content.period,
            carried=carried_meters(original.catalogue.meters),
            before_offset=end,
        )
        return tuple(row for row in rows if row.meter == line.meter)


def _of_line(
    collected: CustomerWindows, original: Finalized, line: InvoiceLine
) -> tuple[WindowRow, ...]:
    rows = collected.rows(
        span_of(original.content.period), carried=carried_meters(original.catalogue.meters)
    )
    return tuple(row for row in rows if row.meter == line.meter)


def _fold_with_catalogue(settings: Settings, original: Finalized, partition: int) -> UsageFold:
    """Return a fold that has counted nothing yet and knows the catalogue of the invoice."""
    fold = UsageFold(
        partition=partition, partitions=settings.partitions, dimension_sets=EverySet()
    )
    catalogue = original.catalogue
    published = CataloguePublished(original.content.tenant, catalogue.version, catalogue.content)
    fold.step([SourceRecord(0, 0, published)], from_offset=0, to_offset=1)
    return fold


def _conflicts(
    settings: Settings, *, tenant: str, partition: int, span: tuple[int, int]
) -> frozenset[tuple[int, int]]:
    with connect(settings, role="app") as connection:
        connection.execute("SELECT set_config('tidegauge.tenant', %s, true)", (tenant,))
        rows = connection.execute(_CONFLICTS, (partition, *span)).fetchall()
    return frozenset((offset, index) for offset, index in rows)


def _raw_events(
    narrow: Iterable[Narrowed], original: Finalized, line: InvoiceLine, partition: int
) -> Iterator[RawEvent]:
    """Yield the raw events of narrowed records that feed the line's meter, in source order."""
    content = original.content
    meter = original.catalogue.meter(line.meter)
    for record, places in narrow:
        batch = record.body
        if not isinstance(batch, EventBatch) or batch.tenant != content.tenant:
            continue
        for index, place in enumerate(places):
            if meter in original.catalogue.meters_of(batch.strings[batch.type_[index]]):
                yield replace(_raw_event(record, batch, index, partition), index=place)


def _raw_event(record: SourceRecord, batch: EventBatch, index: int, partition: int) -> RawEvent:
    scale = batch.scales[index if len(batch.scales) > 1 else 0]
    return RawEvent(
        partition=partition,
        offset=record.offset,
        index=index,
        event_id=str(uuid.UUID(bytes=batch.keys[16 * index : 16 * index + 16])),
        event_type=batch.strings[batch.type_[index]],
        occurred_at_ms=int(batch.occurred_at_ms[index]),
        quantity=nanos_text(int(batch.quantity[index]) * 10 ** (9 - scale)),
    )
