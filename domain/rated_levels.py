"""Levels over the parts of a period: what counts for a part is not only what lies within it.

A flow adds up, so each part has its own. A level stands until it changes, and a part that begins
with a change of plan or seats must not forget it (docs/decisions/0026):
1. parts that price a meter the same way are measured together, as if the period were not cut for
   it, whatever lies between them;
2. largest, smallest and latest value also see the level that stands where such a part begins.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from domain.aggregation.kinds import Aggregation
from domain.rated import priced_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.aggregation.window_row import WindowRow
    from domain.catalogue import Catalogue
    from domain.invoice_terms import InvoiceTerms
    from domain.meter import Meter

STANDING = frozenset({Aggregation.LATEST, Aggregation.MAX, Aggregation.MIN})
"""Aggregations of what is a level at any moment; a percentile or a count of ids is none."""

RowsOfParts: TypeAlias = "Mapping[int, Sequence[WindowRow]]"
"""One meter's windows, for one set of values, by the part that they lie in."""


def alike_parts(
    *, terms: InvoiceTerms, catalogues: Mapping[int, Catalogue], meter: str
) -> dict[int, frozenset[int]]:
    """This function will say which parts of a period price a meter the same way.

    The same way is by equal prices, as often, over the same meters with the same weights: seats,
    and prices of other meters, cut nothing. A price of its own of the customer counts.

    Args:
        terms: What the invoice is made by.
        catalogues: At least the versions of its segments.
        meter: Key of the meter.

    Returns:
        Of each part that prices the meter the numbers of all parts that do it in the same way.
    """
    ways: dict[int, object] = {}
    for number, segment in enumerate(terms.segments):
        counted = catalogues[segment.catalogue_version].counted
        way = []
        for priced in priced_of(segment, catalogues[segment.catalogue_version], terms.overrides):
            of = [(part.key, weight) for part, weight in counted.parts(priced.price.meter)]
            if any(key == meter for key, _ in of):
                way.append((priced.name, priced.price, priced.times, of))
        if way:
            ways[number] = way
    return {
        number: frozenset(other for other, its_way in ways.items() if its_way == way)
        for number, way in ways.items()
    }


def level_rows(
    meter: Meter, *, rows: RowsOfParts, together: frozenset[int]
) -> tuple[WindowRow, ...]:
    """This function will return what a level is measured from.

    Args:
        meter: The meter, which is no flow.
        rows: Its windows by part.
        together: Parts that are measured together.

    Returns:
        The windows of those parts, and as a window of its own each level that stands where one of
        them begins after another part.
    """
    found = [row for number in sorted(together) for row in rows.get(number, ())]
    if meter.aggregation not in STANDING:
        return tuple(found)
    for number in together:
        if number - 1 not in together:
            earlier = [row for part, held in rows.items() if part < number for row in held]
            if earlier:
                last = max(earlier, key=_occurrence)
                level = last.latest_nanos
                found.append(replace(last, min_nanos=level, max_nanos=level, events=0))
    return tuple(found)


def _occurrence(row: WindowRow) -> tuple[int, int, tuple[tuple[str, str], ...]]:
    return row.latest_occurred_ms, row.latest_offset, row.dimensions
