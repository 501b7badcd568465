"""A customer's windows cut into the parts of a period: what rating reads, and what its pin hashes.

Of a meter without sketch all hours of a part merge into one row per series; the database does the
same in SQL (projections.invoicing.rows). A sketched meter keeps one row per hour. A carried one
brings the last window of each series before the part that has events, for its value holds on.
"""

from __future__ import annotations

import hashlib
import operator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from domain.aggregation.measure import Span
from domain.canonical import to_canonical_json
from domain.codes import Code
from domain.errors import invariant
from domain.period import to_ms
from domain.usage.customer_windows import merged_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from domain.aggregation.window_row import WindowRow
    from domain.invoice_terms import Segment

SegmentRow: TypeAlias = "tuple[int, WindowRow]"
"""Number of the part of the period, from 0, and a row of it."""


@dataclass(frozen=True, slots=True)
class Part:
    """What is read of one part of a period.

    Args:
        span: Its time, on full hours.
        meters: Meters that something prices.
        sketched: Those of them that keep their hours apart.
        carried: Those of them whose last value holds on.
        extreme: Those of them that are billed by their smallest, largest or latest value.
    """

    span: Span
    meters: frozenset[str]
    sketched: frozenset[str]
    carried: frozenset[str]
    extreme: frozenset[str] = frozenset()


def segment_rows(windows: Iterable[WindowRow], *, parts: Sequence[Part]) -> tuple[SegmentRow, ...]:
    """This function will cut one customer's windows into parts and merge them.

    Args:
        windows: Hourly windows in any order, each once; those that no part reads are left out.
        parts: Parts of the period, which do not overlap.

    Returns:
        Rows by part, meter, dimensions and hour; a merged row has the first hour of its windows.
    """
    every = tuple(windows)
    return tuple(
        (number, row) for number, part in enumerate(parts) for row in _rows_of(every, part)
    )


def _rows_of(windows: tuple[WindowRow, ...], part: Part) -> Iterator[WindowRow]:
    merged: dict[tuple[str, tuple[tuple[str, str], ...]], WindowRow] = {}
    before: dict[tuple[str, tuple[tuple[str, str], ...]], WindowRow] = {}
    hourly: list[WindowRow] = []
    for row in windows:
        series = row.meter, row.dimensions
        if row.meter not in part.meters:
            continue
        if part.span.holds_hour(row.hour):
            if row.meter in part.sketched:
                hourly.append(row)
            else:
                held = merged.get(series)
                merged[series] = row if held is None else merged_hours(held, row)
        elif row.meter in part.carried and row.events and part.span.is_after_hour(row.hour):
            held = before.get(series)
            before[series] = row if held is None or row.hour > held.hour else held
    yield from sorted((*before.values(), *hourly, *merged.values()), key=_place)


def merged_hours(one: WindowRow, other: WindowRow) -> WindowRow:
    """This function will add up two rows of a series and part; it has the first hour of both."""
    return replace(merged_rows(one, other), hour=min(one.hour, other.hour))


def _place(row: WindowRow) -> tuple[str, tuple[tuple[str, str], ...], int]:
    return row.meter, row.dimensions, row.hour


def hours_of(
    windows: Iterable[WindowRow], segment: Segment, *, meter: str, is_carried: bool
) -> tuple[WindowRow, ...]:
    """This function will return one meter's windows of a part of a period, hour by hour.

    Args:
        windows: Hourly windows in any order.
        segment: The part.
        meter: Of which meter.
        is_carried: Whether each series' last window before the part comes along.
    """
    only = frozenset({meter})
    part = Part(
        span=Span(to_ms(segment.start), to_ms(segment.end)),
        meters=only,
        sketched=only,
        carried=only if is_carried else frozenset(),
    )
    return tuple(row for _, row in segment_rows(windows, parts=[part]))


def usage_digest(rows: Iterable[SegmentRow]) -> str:
    """This function will hash what an invoice was made from, whatever the order of the rows.

    The hash is SHA-256 over one line per row: the canonical JSON array [part, meter, dimensions,
    hour, events, sum, first offset, last offset, set digest of the keys, late] and a line feed; a
    row with a sketch adds the sketch's SHA-256. Lines are sorted by part, meter, dimensions, hour;
    the hour of a merged row is the first one that counted.

    Returns:
        64 hex digits.

    Raises:
        Fatal: state_corrupt, when a row comes twice: something would be billed twice.
    """
    ordered = sorted(
        (((number, _place(row)), row) for number, row in rows), key=operator.itemgetter(0)
    )
    digest = hashlib.sha256()
    before: object = None
    for place, row in ordered:
        invariant(
            place != before,
            Code.STATE_CORRUPT,
            "a window comes twice",
            meter=row.meter,
            hour=row.hour,
        )
        before = place
        # The rest is written by hand, not by to_canonical_json: a sketched meter has 720 rows.
        head = to_canonical_json([place[0], row.meter, dict(row.dimensions)])[:-1]
        sketch = f',"{hashlib.sha256(row.sketch).hexdigest()}"' if row.sketch else ""
        digest.update(
            f"{head},{row.hour},{row.events},{row.sum_nanos},{row.first_offset},{row.last_offset},"
            f'"{row.key_digest:032x}",{row.late}{sketch}]\n'.encode()
        )
    return digest.hexdigest()
