"""Trace: from an invoice line down to the raw events, summed up again.

Line → what it reads (a composite reads several meters) → the windows of its part of the period,
hour by hour → source offset ranges, cut off at the invoice's pin → raw events. The ranges are read
once per meter and folded anew by a fresh fold; events that the first fold called conflicts, and
amendments that it refused, are left out, because what was against them may lie before the range.
What an amendment states of a window that is not additive is not believed: the events are folded
once more without the amended ones. Windows that grew after the pin are compared by the line's
usage only. Cost: O(windows) rows, and the ranges.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from domain.codes import Code
from domain.errors import Rejected
from domain.meter import carried_meters
from domain.period import Period
from domain.quantity import nanos_text
from domain.rating import alike_parts, line_sources, usage_entries
from domain.routing import partition_of
from domain.usage.amendments import ADDITIVE, no_state
from domain.usage.customer_windows import CustomerWindows, with_state
from domain.usage.dimension_sets import EverySet
from domain.usage.fold import UsageFold
from domain.usage.records import CataloguePublished, EventBatch, SourceRecord
from domain.usage.restating import state_of
from domain.usage.segment_rows import hours_of
from projections.invoicing.log import folded, source_records
from projections.invoicing.narrowing import Narrowed, Places, nanos_of, narrowed, without_amended
from projections.invoicing.replay import Finalized, find_invoice
from projections.invoicing.snapshot import Snapshot
from runtime.postgres import connect

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from domain.aggregation.window_row import WindowRow
    from domain.catalogue import Catalogue
    from domain.invoice import Line
    from domain.invoice_terms import Segment
    from domain.meter import Meter
    from domain.rating import Selection, UsageEntry
    from domain.usage.dimension_sets import DimensionSet
    from domain.usage.segment_rows import SegmentRow
    from runtime.settings import Settings

RANGE_GAP_MAX = 1_000
"""Ranges closer than this many records are read as one: a seek costs more than reading them."""

_REFUSED = """
    SELECT source_offset, event_index FROM reject
    WHERE topic = 'usage.events' AND partition = %s AND (code = 'conflict' OR event_index = -1)
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
        note: Why it does not count: "repeated" after its like, or "amended", taken away or
            replaced; empty when it does.
    """

    partition: int
    offset: int
    index: int
    event_id: str
    event_type: str
    occurred_at_ms: int
    quantity: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class TracedUsage:
    """What a line reads of one meter, as invoiced and as counted again.

    Args:
        meter: Meter key.
        unit: What one unit is, for people.
        where: Dimension values; empty for all.
        quantity: As the invoice has it, exact text; "0" for nothing.
        counted: As the raw events add up, exact text.
    """

    meter: str
    unit: str
    where: tuple[tuple[str, str], ...]
    quantity: str
    counted: str


@dataclass(frozen=True, slots=True)
class Traced:
    """What a line rests on.

    Args:
        original: The invoice as the log has it.
        line: The line.
        usage: What it reads, invoiced and counted again.
        windows: Its windows, as projected.
        ranges: Source offsets [first, last] that hold all its events, per window merged.
        partition: Partition of usage.events they lie in.
        events: Events counted again.
        differences: Windows whose events do not add up to what is projected.
        samples: The first raw events.
    """

    original: Finalized
    line: Line
    usage: tuple[TracedUsage, ...]
    windows: tuple[WindowRow, ...]
    ranges: tuple[tuple[int, int], ...]
    partition: int
    events: int
    differences: int
    samples: tuple[RawEvent, ...]

    @property
    def is_equal(self) -> bool:
        """Say whether the raw events give all that the line reads and every one of its windows."""
        return not self.differences and all(each.quantity == each.counted for each in self.usage)


@dataclass(frozen=True, slots=True)
class _Source:
    """One meter of a line in its part of the period.

    Args:
        original: The invoice.
        read: (number, part) of every part whose windows say what was used in it: of a level all
            that read the meter, else the part alone.
        catalogue: Catalogue version that prices it.
        selections: What the line reads of the meter there.
        partition: The customer's partition of usage.events.
        end: Source offset before which the pin lets events count.
    """

    original: Finalized
    read: tuple[tuple[int, Segment], ...]
    catalogue: Catalogue
    selections: tuple[Selection, ...]
    partition: int
    end: int

    @property
    def meter(self) -> Meter:
        """Return the meter."""
        return self.catalogue.meter(self.selections[0].meter)

    @property
    def customer(self) -> str:
        """Return whose events count."""
        return self.original.content.terms.customer

    def reads(self, dimensions: DimensionSet) -> bool:
        """Say whether the line reads windows of these dimensions."""
        asked = set(self.original.content.terms.dimensions)
        return any(
            asked.union(selection.where).issubset(dimensions) for selection in self.selections
        )

    def holds(self, entry: UsageEntry) -> bool:
        """Say whether a usage entry is one that the line reads."""
        names = {name for name, _ in entry.where}
        return entry.meter == self.meter.key and any(
            entry.segment == selection.segment
            and set(selection.where).issubset(entry.where)
            and names == {name for name, _ in selection.where} | set(selection.by)
            for selection in self.selections
        )


@dataclass(frozen=True, slots=True)
class _Counted:
    """A source with its windows, projected and counted again."""

    source: _Source
    windows: tuple[WindowRow, ...]
    again: tuple[SegmentRow, ...]
    ranges: tuple[tuple[int, int], ...]
    samples: tuple[RawEvent, ...]

    @property
    def differences(self) -> int:
        """Return how many windows differ, of those that did not grow after the pin."""
        grown = {_place(row) for row in self.windows if row.last_offset >= self.source.end}
        projected = {_place(row): row for row in self.windows}
        recounted = {_place(row): row for _, row in self.again}
        return sum(
            projected.get(key) != recounted.get(key)
            for key in (projected.keys() | recounted.keys()) - grown
        )


def _place(row: WindowRow) -> tuple[DimensionSet, int]:
    return row.dimensions, row.hour


def trace(
    settings: Settings, *, tenant: str, name: str, line_number: int, samples_max: int = 5
) -> Traced:
    """This function will trace one line of an invoice to its raw events.

    Args:
        settings: Where broker and database are.
        tenant: Who billed.
        name: Number or id of the invoice, or id of a correction.
        line_number: Line, from 1.
        samples_max: How many raw events to return.

    Raises:
        Rejected: invoice_unknown, or invalid_request when there is no such metered line.
        Fatal: log_truncated, when the events are older than the log.
        Retryable: broker_away, database_away.
    """
    original = find_invoice(settings, tenant=tenant, name=name)
    line = _line(original, line_number)
    counted = [
        _count(settings, source, samples_max=samples_max) for source in _sources(original, line)
    ]
    samples = tuple(sample for each in counted for sample in each.samples)
    return Traced(
        original=original,
        line=line,
        usage=tuple(usage for each in counted for usage in _usage(each)),
        windows=tuple(row for each in counted for row in each.windows),
        ranges=merged_ranges(span for each in counted for span in each.ranges),
        partition=counted[0].source.partition,
        events=sum(row.events for each in counted for _, row in each.again),
        differences=sum(each.differences for each in counted),
        samples=samples[:samples_max],
    )


def _line(original: Finalized, line_number: int) -> Line:
    lines = original.content.lines
    if not 1 <= line_number <= len(lines):
        raise Rejected(
            Code.INVALID_REQUEST, f"invoice {original.number} has lines 1 to {len(lines)}"
        )
    return lines[line_number - 1]


def _sources(original: Finalized, line: Line) -> list[_Source]:
    """Return what a line reads, by meter."""
    content = original.content
    selections = line_sources(
        terms=content.terms, catalogues=original.catalogues, line_id=line.line_id
    )
    if not selections:
        raise Rejected(
            Code.INVALID_REQUEST, f"line {line.line_id!r} is no usage and has no events"
        )
    positions = content.pin.usage_positions
    partition = partition_of(
        content.terms.tenant, content.terms.customer, partitions=len(positions)
    )
    segment = content.terms.segments[selections[0].segment]
    return [
        _Source(
            original=original,
            read=_read(original, meter=meter, number=selections[0].segment),
            catalogue=original.catalogues[segment.catalogue_version],
            selections=tuple(each for each in selections if each.meter == meter),
            partition=partition,
            end=positions[partition],
        )
        for meter in dict.fromkeys(each.meter for each in selections)
    ]


def _read(original: Finalized, *, meter: str, number: int) -> tuple[tuple[int, Segment], ...]:
    """Return the parts whose windows say what a meter came to in one of them."""
    terms, catalogues = original.content.terms, original.catalogues
    segments = terms.segments
    if catalogues[segments[number].catalogue_version].meter(meter).is_flow:
        return ((number, segments[number]),)
    alike = alike_parts(terms=terms, catalogues=catalogues, meter=meter)
    return tuple((each, segments[each]) for each in sorted(alike))


def _count(settings: Settings, source: _Source, *, samples_max: int) -> _Counted:
    """Count the raw events of a source again."""
    windows = _windows(settings, source)
    ranges = merged_ranges(
        (row.first_offset, min(row.last_offset, source.end - 1)) for row in windows
    )
    tenant = source.original.content.terms.tenant
    collected = CustomerWindows(tenant=tenant, customer=source.customer)
    samples: list[RawEvent] = []
    amended: set[bytes] = set()
    kept: list[SourceRecord] = []
    fold = _fold_with_catalogue(settings, source)
    places = Places(source.meter, windows)
    for first, last in ranges:
        refused = _refused(settings, tenant=tenant, partition=source.partition, span=(first, last))
        records = source_records(settings, partition=source.partition, start=first, end=last + 1)
        narrow = [
            narrowed(record, refused, customer=source.customer, places=places)
            for record in records
        ]
        if len(samples) < samples_max:
            samples += list(_raw_events(narrow, source))
        left = [item.record for item in narrow]
        for facts in folded(fold, left):
            collected.add(facts)
            amended |= {item.key for item in facts.amendments}
        if source.meter.aggregation not in ADDITIVE:
            kept += left
    rows = tuple(collected.every())
    if amended and kept:
        rows = _with_raw_values(rows, without_amended(kept, amended), settings, source)
    carried = carried_meters([source.meter])
    again = tuple(
        (number, row)
        for number, part in source.read
        for row in hours_of(rows, part, meter=source.meter.key, is_carried=bool(carried))
    )
    return _Counted(
        source=source,
        windows=windows,
        again=tuple(each for each in again if source.reads(each[1].dimensions)),
        ranges=ranges,
        samples=tuple(noted(samples[:samples_max], amended=amended)),
    )


def noted(samples: Iterable[RawEvent], *, amended: Iterable[bytes]) -> Iterator[RawEvent]:
    """This function will yield raw events in source order; what does not count says why.

    Args:
        samples: The first ones of a line.
        amended: Keys of the events that were taken away or replaced.
    """
    gone = {str(uuid.UUID(bytes=key)) for key in amended}
    seen: set[str] = set()
    for event in samples:
        repeated = "repeated" if event.event_id in seen else ""
        yield replace(event, note="amended" if event.event_id in gone else repeated)
        seen.add(event.event_id)


def _with_raw_values(
    rows: Iterable[WindowRow],
    records: Iterable[SourceRecord],
    settings: Settings,
    source: _Source,
) -> tuple[WindowRow, ...]:
    """Return rows with the smallest, largest and latest values and sketches of other records.

    Amendments say what their windows held without the event. Here nobody takes their word.
    """
    collected = CustomerWindows(
        tenant=source.original.content.terms.tenant, customer=source.customer
    )
    for facts in folded(_fold_with_catalogue(settings, source), records):
        collected.add(facts)
    raw = {(row.meter, *_place(row)): state_of(row) for row in collected.every()}
    return tuple(
        with_state(row, raw.get((row.meter, *_place(row)), no_state(row.meter))) for row in rows
    )


def _usage(counted: _Counted) -> Iterator[TracedUsage]:
    """Yield what a source reads, as the invoice has it and as it was counted again."""
    source = counted.source
    content = source.original.content
    again = usage_entries(
        terms=content.terms,
        rows=counted.again,
        catalogues=source.original.catalogues,
    )
    before = {entry.where: entry for entry in content.usage if source.holds(entry)}
    after = {entry.where: entry for entry in again if source.holds(entry)}
    for where in sorted(before.keys() | after.keys()):
        was, now = before.get(where), after.get(where)
        yield TracedUsage(
            meter=source.meter.key,
            unit=source.meter.unit,
            where=where,
            quantity=nanos_text(was.nanos if was else 0),
            counted=nanos_text(now.nanos if now else 0),
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


def _windows(settings: Settings, source: _Source) -> tuple[WindowRow, ...]:
    """Return the source's windows, hour by hour, as far as they began before the pin."""
    meter = source.meter
    with Snapshot(settings, tenant=source.original.content.terms.tenant) as snapshot:
        rows = [
            row
            for _, part in source.read
            for row in snapshot.windows(
                customer=source.customer,
                period=Period(part.start, part.end),
                meters=frozenset({meter.key}),
                carried=carried_meters([meter]),
                before_offset=source.end,
            )
        ]
    return tuple(row for row in rows if source.reads(row.dimensions))


def _fold_with_catalogue(settings: Settings, source: _Source) -> UsageFold:
    """Return a fold that has counted nothing yet and knows the catalogue of the line."""
    fold = UsageFold(
        partition=source.partition, partitions=settings.partitions, dimension_sets=EverySet()
    )
    catalogue = source.catalogue
    tenant = source.original.content.terms.tenant
    published = CataloguePublished(tenant, catalogue.version, catalogue.content)
    fold.step([SourceRecord(0, 0, published)], from_offset=0, to_offset=1)
    return fold


def _refused(
    settings: Settings, *, tenant: str, partition: int, span: tuple[int, int]
) -> frozenset[tuple[int, int]]:
    with connect(settings, role="app") as connection:
        connection.execute("SELECT set_config('tidegauge.tenant', %s, true)", (tenant,))
        rows = connection.execute(_REFUSED, (partition, *span)).fetchall()
    return frozenset((offset, index) for offset, index in rows)


def _raw_events(narrow: Iterable[Narrowed], source: _Source) -> Iterator[RawEvent]:
    """Yield the raw events of narrowed records that feed the source's meter, in source order."""
    tenant = source.original.content.terms.tenant
    for record, places in narrow:
        batch = record.body
        if not isinstance(batch, EventBatch) or batch.tenant != tenant:
            continue
        for index, place in enumerate(places):
            if source.meter in source.catalogue.meters_of(batch.strings[batch.type_[index]]):
                event = _raw_event(record, batch, index, source.partition)
                yield replace(event, index=place)


def _raw_event(record: SourceRecord, batch: EventBatch, index: int, partition: int) -> RawEvent:
    return RawEvent(
        partition=partition,
        offset=record.offset,
        index=index,
        event_id=str(uuid.UUID(bytes=batch.keys[16 * index : 16 * index + 16])),
        event_type=batch.strings[batch.type_[index]],
        occurred_at_ms=int(batch.occurred_at_ms[index]),
        quantity=nanos_text(nanos_of(batch, index)),
    )
