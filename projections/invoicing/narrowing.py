"""Narrowing: of the records of a source range, one customer's events of some windows alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from domain.codes import Code
from domain.errors import Rejected
from domain.period import HOUR_MS
from domain.quantity import SCALE, parse_nanos
from domain.usage.amendments import EventAmended
from domain.usage.dimension_sets import other_set
from domain.usage.records import EventBatch, SourceRecord, Unreadable
from domain.usage.rows import batch_of_rows, replacement_row
from domain.usage.value_bands import with_band

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from domain.aggregation.window_row import WindowRow
    from domain.meter import Meter
    from domain.usage.dimension_sets import DimensionSet
    from domain.usage.records import EventRow

_OTHERS = Unreadable(Code.UNDECODABLE, "an amendment of another customer's event")
"""Stands in for a record that has nothing to do with the line."""


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
        self._meter = meter
        self._other = other_set(meter)
        self._offsets = {
            (row.dimensions, row.hour): (row.first_offset, row.last_offset) for row in windows
        }

    def dimensions_of(
        self,
        dimensions: Mapping[str, str],
        *,
        hour: int,
        offset: int,
        quantity_nanos: int,
        properties: Mapping[str, str],
    ) -> DimensionSet | None:
        """Return the set that an event was counted under; None when it was not."""
        meter = self._meter
        own = tuple((name, dimensions[name]) for name in meter.group_by if name in dimensions)
        nanos = quantity_nanos
        if meter.value_bands and meter.value_property:
            try:
                nanos = parse_nanos(properties.get(meter.value_property, ""))
            except Rejected:  # such an event was refused; no window holds it
                return None
        for counted in (own, self._other):
            place = with_band(counted, meter=meter, nanos=nanos), hour
            first, last = self._offsets.get(place, (1, 0))
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
    refused: frozenset[tuple[int, int]],
    *,
    customer: str,
    places: Places,
) -> Narrowed:
    """This function will return a record with one customer's events of some windows alone.

    Args:
        record: The record.
        refused: Offset and place of events that were conflicts, and offset and -1 of amendments
            that were refused; they are left out.
        customer: Whose events stay.
        places: The windows. Events get the dimensions that they were counted under.
    """
    body = record.body
    if isinstance(body, EventAmended):
        is_refused = (record.offset, -1) in refused
        body = _OTHERS if is_refused else _amendment(body, customer=customer, places=places)
    if isinstance(body, dict):
        body = batch_of_rows([body])
    if not isinstance(body, EventBatch):
        return Narrowed(record._replace(body=body), ())
    kept: list[int] = []
    sets: list[DimensionSet] = []
    properties: dict[int, dict[str, str]] = {}
    for index, name, value in body.properties:
        properties.setdefault(index, {})[name] = value
    for index, number in enumerate(body.dimension_set):
        if body.strings[body.customer[index]] != customer or (record.offset, index) in refused:
            continue
        counted = places.dimensions_of(
            body.dimension_sets[number - 1] if number else {},
            hour=body.occurred_at_ms[index] // HOUR_MS,
            offset=record.offset,
            quantity_nanos=nanos_of(body, index),
            properties=properties.get(index, {}),
        )
        if counted is not None:
            kept.append(index)
            sets.append(counted)
    return Narrowed(record._replace(body=_picked(body, kept, sets)), kept)


def _amendment(
    amended: EventAmended, *, customer: str, places: Places
) -> EventAmended | EventRow | Unreadable:
    """Return what of an amendment matters to the windows.

    Where they held the original, the fold takes it away as the first one did; elsewhere only what
    counts instead may be theirs.
    """
    if amended.customer != customer:
        return _OTHERS
    original = amended.original
    units: int = 10 ** (SCALE - original.scale)
    counted = places.dimensions_of(
        original.dimensions,
        hour=original.occurred_at_ms // HOUR_MS,
        offset=amended.original_offset,
        quantity_nanos=original.quantity * units,
        properties=original.properties,
    )
    if counted is None:
        return replacement_row(amended) or _OTHERS
    return replace(amended, original=replace(original, dimensions=dict(counted)))


def without_amended(
    records: Iterable[SourceRecord], amended: Collection[bytes]
) -> Iterator[SourceRecord]:
    """This function will yield narrowed records as if amended events had never come.

    Args:
        records: The records.
        amended: Keys of the events that were taken away.
    """
    for record in records:
        body = record.body
        if isinstance(body, EventAmended):
            row = replacement_row(body)
            is_left = row is not None and body.key in amended and row["key"] not in amended
            if row is not None and is_left:
                yield record._replace(body=batch_of_rows([row]))
        elif isinstance(body, EventBatch):
            kept = [
                index
                for index in range(len(body.customer))
                if body.keys[16 * index : 16 * index + 16] not in amended
            ]
            sets = [_set_of(body, index) for index in kept]
            if kept:
                yield record._replace(body=_picked(body, kept, sets))


def _set_of(batch: EventBatch, index: int) -> DimensionSet:
    number = batch.dimension_set[index]
    return tuple(sorted(batch.dimension_sets[number - 1].items())) if number else ()


def nanos_of(batch: EventBatch, index: int) -> int:
    """This function will return the quantity of one event of a batch, in billionths."""
    scale = batch.scales[index if len(batch.scales) > 1 else 0]
    units: int = 10 ** (SCALE - scale)
    return int(batch.quantity[index]) * units


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
