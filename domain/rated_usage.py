"""From windows to usage: one quantity for each selection that the prices of an invoice read."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from domain.aggregation.kinds import Aggregation
from domain.aggregation.measure import Span
from domain.aggregation.measures import measured
from domain.codes import Code
from domain.errors import invariant
from domain.period import HOUR_MS, to_ms
from domain.rated import Selection, UsageEntry, priced_of
from domain.rated_levels import alike_parts, level_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from domain.aggregation.window_row import WindowRow
    from domain.catalogue import Catalogue
    from domain.invoice_terms import InvoiceTerms, Segment
    from domain.meter import Meter
    from domain.pricing.price import Price, Where


def selections(*, terms: InvoiceTerms, catalogues: Mapping[int, Catalogue]) -> list[Selection]:
    """This function will return everything that the prices of an invoice read, without repeats.

    Args:
        terms: What the invoice is made by.
        catalogues: At least the versions of its segments.
    """
    found: dict[Selection, None] = {}
    for number, segment in enumerate(terms.segments):
        catalogue = catalogues[segment.catalogue_version]
        for priced in priced_of(segment, catalogue, terms.overrides):
            for selection in sources_of(number, priced.price, catalogue):
                found[selection] = None
    return list(found)


def meters_of(
    *, terms: InvoiceTerms, catalogues: Mapping[int, Catalogue]
) -> tuple[frozenset[str], ...]:
    """This function will return the meters that the prices of each segment read."""
    read: list[set[str]] = [set() for _ in terms.segments]
    for selection in selections(terms=terms, catalogues=catalogues):
        read[selection.segment].add(selection.meter)
    return tuple(frozenset(meters) for meters in read)


def line_sources(
    *, terms: InvoiceTerms, catalogues: Mapping[int, Catalogue], line_id: str
) -> tuple[Selection, ...]:
    """This function will return what a line reads: a composite reads several meters.

    Returns:
        Empty for a fee, a minimum, an item or an unknown line.
    """
    number, _, name = line_id.partition("/")
    if not number.isdecimal() or int(number) >= len(terms.segments):
        return ()
    segment = terms.segments[int(number)]
    catalogue = catalogues[segment.catalogue_version]
    return tuple(
        selection
        for priced in priced_of(segment, catalogue, terms.overrides)
        if priced.name == name
        for selection in sources_of(int(number), priced.price, catalogue)
    )


def sources_of(number: int, price: Price, catalogue: Catalogue) -> Iterator[Selection]:
    """This function will yield what one price of a segment reads: a composite, several meters."""
    if price.meter:
        for meter, _ in catalogue.counted.parts(price.meter):
            yield Selection(number, meter.key, price.where, price.reads)


def usage_entries(
    *,
    terms: InvoiceTerms,
    rows: Iterable[tuple[int, WindowRow]],
    catalogues: Mapping[int, Catalogue],
) -> tuple[UsageEntry, ...]:
    """This function will turn windows into what the prices of an invoice read.

    Args:
        terms: What the invoice is made by.
        rows: (number of the segment, window): hourly, or merged per series and segment where the
            meter has no sketch; of a time-weighted meter each series' last window before the
            segment too, for its value holds on.
        catalogues: At least the versions of its segments.

    Returns:
        Sorted by (segment, meter, where); a selection without windows has no entry. The events of
        a level are all that it was measured from.

    Raises:
        Fatal: state_corrupt, when a window lies outside its segment.
    """
    spans = [_span_of(segment) for segment in terms.segments]
    windows: dict[tuple[int, str], list[WindowRow]] = defaultdict(list)
    asked = set(terms.dimensions)
    for number, row in rows:
        # Amendments leave windows without events: their offsets count, their values do not.
        if row.events and (not asked or asked.issubset(row.dimensions)):
            windows[number, row.meter].append(row)
    entries: dict[tuple[int, str, Where], UsageEntry] = {}
    alike: dict[str, Mapping[int, frozenset[int]]] = {}
    for selection in selections(terms=terms, catalogues=catalogues):
        number, key = selection.segment, selection.meter
        meter = catalogues[terms.segments[number].catalogue_version].meter(key)
        own = windows.get((number, key), [])
        _require_within(own, span=spans[number], meter=meter)
        found: Iterable[tuple[Where, Sequence[WindowRow]]]
        if meter.is_flow or len(spans) == 1:
            found = _groups(own, selection) if own else ()
        else:
            if key not in alike:
                alike[key] = alike_parts(terms=terms, catalogues=catalogues, meter=key)
            found = _levels(windows, selection, meter, alike=alike[key])
        for where, group in found:
            place = number, key, where
            if place not in entries:
                entries[place] = _entry(place, group, meter=meter, span=spans[number])
    return tuple(entries[place] for place in sorted(entries))


def _levels(
    windows: Mapping[tuple[int, str], list[WindowRow]],
    selection: Selection,
    meter: Meter,
    *,
    alike: Mapping[int, frozenset[int]],
) -> Iterator[tuple[Where, Sequence[WindowRow]]]:
    """Yield what a level is measured from, by the values that a selection keeps apart."""
    by_values: dict[Where, dict[int, list[WindowRow]]] = defaultdict(dict)
    for number in alike:
        held = windows.get((number, meter.key))
        for where, group in _groups(held, selection) if held else ():
            by_values[where][number] = group
    for where, rows in by_values.items():
        found = level_rows(meter, rows=rows, together=alike[selection.segment])
        if found:
            yield where, found


def _span_of(segment: Segment) -> Span:
    return Span(to_ms(segment.start), to_ms(segment.end))


def _groups(
    windows: list[WindowRow], selection: Selection
) -> Iterable[tuple[Where, list[WindowRow]]]:
    """Return the windows of each set of values that a selection keeps apart."""
    if not selection.where and not selection.by:
        return (((), windows),)
    groups: dict[Where, list[WindowRow]] = {}
    asked = set(selection.where)
    for row in windows:
        if asked.issubset(row.dimensions):
            groups.setdefault(_group_of(row, selection), []).append(row)
    return groups.items()


def _group_of(row: WindowRow, selection: Selection) -> Where:
    if not selection.by:
        return selection.where
    values = dict(row.dimensions)
    split = {name: values.get(name, "") for name in selection.by}
    return tuple(sorted((dict(selection.where) | split).items()))


def _entry(
    place: tuple[int, str, Where], windows: Sequence[WindowRow], *, meter: Meter, span: Span
) -> UsageEntry:
    quantity = measured(meter.measure, windows=windows, span=span)
    return UsageEntry(
        *place,
        nanos=quantity.nanos,
        # A carried window was billed before; of a level, other parts' windows say what it is.
        events=sum(
            row.events for row in windows if not meter.is_flow or span.holds_hour(row.hour)
        ),
        is_estimate=quantity.is_estimate,
    )


def _require_within(windows: Iterable[WindowRow], *, span: Span, meter: Meter) -> None:
    """Stop at a window that a part should not have: it would be billed twice."""
    is_carried = meter.aggregation is Aggregation.TIME_WEIGHTED
    first, end = span.start_ms // HOUR_MS, span.end_ms // HOUR_MS
    for row in windows:
        if not (first <= row.hour < end or (is_carried and row.hour < first)):
            invariant(
                condition=False,
                code=Code.STATE_CORRUPT,
                reason="a window lies outside the billed part of a period",
                meter=row.meter,
                hour=row.hour,
            )
