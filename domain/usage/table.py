"""The taken events of a micro-batch as one table: judged by the seen index, then added up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from domain.aggregation.kinds import Aggregation
from domain.aggregation.sketches import merged_sketch
from domain.codes import Code
from domain.period import HOUR_MS
from domain.usage.amending import JudgedRows, judge_amendments, voided_rows, voids_of
from domain.usage.amendments import ADDITIVE
from domain.usage.dimension_sets import OTHER, is_limited, other_set
from domain.usage.facts import (
    REASON_LENGTH_MAX,
    Accepted,
    Reject,
    SeriesColumns,
    Sketches,
    no_sketches,
)
from domain.usage.seen import Int32s, Int64s, UInt64s, Verdict, rows_of
from domain.usage.sketching import SKETCHES, SketchInput
from domain.usage.taken import CODE_NUMBERS, COUNTED, DUPLICATE, Taken, TypePlan
from domain.usage.value_bands import bands_of, in_band
from domain.usage.windows import WindowDeltas, deltas_of_events, no_deltas

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from domain.meter import Meter
    from domain.usage.dimension_sets import DimensionSets, KnownSet
    from domain.usage.seen_index import SeenIndex

LATE_AFTER_MS = HOUR_MS
"""An event received later than this after its window's end counts as late."""
_NONE = np.zeros(0, dtype=np.int32)


@dataclass(frozen=True, slots=True)
class TableWindows:
    """What the counted events of a micro-batch come to.

    Args:
        series: What the deltas' series numbers point to.
        deltas: Window deltas, by series and hour.
        sketches: Sketches of the windows that have one.
        limited: One note per tenant whose events were counted together as others.
    """

    series: SeriesColumns
    deltas: WindowDeltas
    sketches: Sketches
    limited: tuple[Reject, ...]


@dataclass(frozen=True, slots=True)
class _Feed:
    """Events of one plan that feed one of its meters.

    Args:
        tenant: Whose events.
        meter: The meter.
        row: Positions among the counted events, ascending.
        dimensions: Number of the set of dimension values, per event.
        value: Value per event as units and billionths.
        hashes: Hash of the value's text per event, of a meter that counts different ones.
    """

    tenant: str
    meter: Meter
    row: Int64s
    dimensions: np.ndarray
    value: tuple[Int64s, Int32s]
    hashes: UInt64s | None


@dataclass(frozen=True, slots=True)
class EventTable:
    """All taken events of a micro-batch in one set of columns."""

    taken: list[Taken]
    owner: Int32s
    plan: Int32s
    fate: np.ndarray
    chosen: Int64s
    columns: dict[str, np.ndarray]

    @classmethod
    def of(cls, taken: list[Taken], *, seen: SeenIndex) -> EventTable:
        """Concatenate the batches and let the seen index judge the events that are in order."""
        sizes = [item.fate.size for item in taken]
        columns = {
            name: np.concatenate([getattr(item.columns, name) for item in taken])
            for name in ("occurred_ms", "units", "nanos", "key_high", "key_low", "fingerprint")
            if taken
        }
        for name in ("offset", "received_ms"):
            columns[name] = np.concatenate(
                [getattr(item, name) for item in taken] or [np.zeros(0, dtype=np.int64)]
            )
        hours = np.array([item.arrival_hour for item in taken], dtype=np.int64)
        columns["arrival_hour"] = np.repeat(hours, sizes)
        nothing = np.zeros(0, dtype=np.int32)
        owner = np.concatenate([item.owner for item in taken] or [nothing])
        fate = np.concatenate([item.fate for item in taken] or [nothing.astype(np.int8)])
        if any(item.amending is not None for item in taken):
            judge_amendments(taken, JudgedRows(owner, fate, columns, seen))
        candidates = np.flatnonzero(fate == COUNTED)
        if candidates.size:
            verdicts = seen.add(
                rows_of(
                    owner=owner[candidates],
                    high=columns["key_high"][candidates],
                    low=columns["key_low"][candidates],
                    fingerprint=columns["fingerprint"][candidates],
                    hour=columns["arrival_hour"][candidates].astype(np.int32),
                )
            )
            fate[candidates[verdicts == Verdict.DUPLICATE]] = DUPLICATE
            fate[candidates[verdicts == Verdict.CONFLICT]] = CODE_NUMBERS[Code.CONFLICT]
        return cls(
            taken=taken,
            owner=owner,
            plan=np.concatenate([item.plan for item in taken] or [nothing]),
            fate=fate,
            chosen=np.flatnonzero(fate == COUNTED),
            columns=columns,
        )

    @property
    def accepted(self) -> Accepted:
        """Return the counted keys; owners are numbered within the record."""
        if not self.chosen.size:
            empty = np.zeros(0, dtype=np.uint64)
            none = np.zeros(0, dtype=np.int32)
            return Accepted(none, empty, empty, empty, none)
        _, owner = np.unique(self.owner[self.chosen], return_inverse=True)
        return Accepted(
            owner=owner.astype(np.int32),
            high=self.columns["key_high"][self.chosen],
            low=self.columns["key_low"][self.chosen],
            fingerprint=self.columns["fingerprint"][self.chosen],
            hour=self.columns["arrival_hour"][self.chosen].astype(np.int32),
        )

    def note(self, tenant: str, event: int, *, events: int, meters: Iterable[str]) -> Reject:
        """Write down that events of a tenant, from this one on, were counted as others."""
        position = event
        for taken in self.taken:
            if position < taken.fate.size:
                break
            position -= taken.fate.size
        batch = taken.batch
        offset, index = taken.place_of(position)
        reason = (
            f"counted as {OTHER}: more sets of dimensions than {', '.join(meters)} keeps apart"
        )
        return Reject(
            offset=offset,
            index=index,
            events=events,
            tenant=tenant,
            customer=batch.strings[batch.customer[position]],
            code=Code.DIMENSION_LIMIT,
            reason=reason[:REASON_LENGTH_MAX],
            received_at_ms=int(taken.received_ms[position]),
        )

    def windows(
        self,
        plans: Sequence[TypePlan],
        owners: Sequence[tuple[str, str]],
        dimension_sets: DimensionSets,
    ) -> TableWindows:
        """Aggregate the counted events into window deltas, one row per event and meter first."""
        if not self.chosen.size:
            nothing = SeriesColumns((), (), (), _NONE, _NONE, _NONE, _NONE)
            return TableWindows(nothing, no_deltas(), no_sketches(), ())
        dimensions = _Dimensions(self.taken)
        feeds = self._feeds(plans, dimensions)
        known_before = len(dimension_sets.known)
        limited = _limited(self, feeds, dimensions, dimension_sets)
        _put_bands(feeds, dimensions)
        meters: dict[str, int] = {}
        for feed in feeds:
            meters.setdefault(feed.meter.key, len(meters))
        row = np.concatenate([feed.row for feed in feeds])
        order = np.argsort(row, kind="stable")
        row = row[order]
        event = self.chosen[row]
        sizes = [feed.row.size for feed in feeds]
        meter_number = np.repeat([meters[feed.meter.key] for feed in feeds], sizes)[order]
        is_bare = np.repeat([feed.meter.aggregation not in ADDITIVE for feed in feeds], sizes)
        set_number = np.concatenate([feed.dimensions for feed in feeds])[order]
        owner_numbers, owner = np.unique(self.owner[self.chosen], return_inverse=True)
        code = (owner[row] * len(meters) + meter_number) * len(dimensions.sets) + set_number
        codes, series = np.unique(code, return_inverse=True)
        occurred_ms = self.columns["occurred_ms"][event]
        hour = occurred_ms // HOUR_MS
        late = self.columns["received_ms"][event] - (hour + 1) * HOUR_MS > LATE_AFTER_MS
        deltas = deltas_of_events(
            series=series.astype(np.int32),
            hour=hour.astype(np.int32),
            late=late.astype(np.int32),
            units=np.concatenate([feed.value[0] for feed in feeds])[order],
            nanos=np.concatenate([feed.value[1] for feed in feeds])[order],
            occurred_ms=occurred_ms,
            offset=self.columns["offset"][event],
            key_high=self.columns["key_high"][event],
            key_low=self.columns["key_low"][event],
            voids=voids_of(self.taken, event, is_bare=is_bare[order]),
        )
        rest, set_column = np.divmod(codes, len(dimensions.sets))
        owner_column, meter_column = np.divmod(rest, len(meters))
        # Only the sets that some series has: those beyond a limit would grow every record.
        used, set_column = np.unique(set_column, return_inverse=True)
        sets = dimensions.sets
        columns = SeriesColumns(
            owners=tuple(owners[index] for index in owner_numbers.tolist()),
            meters=tuple(meters),
            dimension_sets=tuple(dict(sets[number]) for number in used.tolist()),
            owner=owner_column.astype(np.int32),
            meter=meter_column.astype(np.int32),
            dimensions=set_column.astype(np.int32),
            admitted=_NONE,
        )
        columns = _with_admitted(columns, dimension_sets.known[known_before:])
        series_of_row = np.empty(row.size, dtype=np.int64)
        series_of_row[order] = series
        sketches = self._sketches(feeds, series_of_row, deltas)
        return TableWindows(columns, deltas, sketches, limited)

    def _feeds(self, plans: Sequence[TypePlan], dimensions: _Dimensions) -> list[_Feed]:
        source_set = dimensions.number[self.chosen]
        plan = self.plan[self.chosen]
        feeds = []
        for number in np.unique(plan).tolist():
            row = np.flatnonzero(plan == number)
            for meter in plans[number].meters:
                feed = _Feed(
                    tenant=plans[number].tenant,
                    meter=meter,
                    row=row,
                    dimensions=dimensions.projected(meter.group_by)[source_set[row]],
                    value=self._values(meter, self.chosen[row]),
                    hashes=self._hashes(meter, self.chosen[row]),
                )
                feeds.append(feed)
        return feeds

    def _values(self, meter: Meter, events: Int64s) -> tuple[Int64s, Int32s]:
        """Return the meter's value of each event: its quantity, a property, or 1 for a text."""
        if meter.aggregation is Aggregation.UNIQUE:
            return np.ones(events.size, dtype=np.int64), np.zeros(events.size, dtype=np.int32)
        if not meter.value_property:
            return self.columns["units"][events], self.columns["nanos"][events]
        nothing = (0, 0)
        parts = [
            item.values.get(meter.value_property)
            or tuple(np.zeros(item.fate.size, dtype=np.int64) for _ in nothing)
            for item in self.taken
        ]
        units = np.concatenate([part[0] for part in parts])
        nanos = np.concatenate([part[1] for part in parts])
        return units[events], nanos[events].astype(np.int32)

    def _hashes(self, meter: Meter, events: Int64s) -> UInt64s | None:
        """Return the hash of each event's text, for a meter that counts different ones."""
        if meter.aggregation is not Aggregation.UNIQUE:
            return None
        parts = []
        for item in self.taken:
            hashes = item.hashes.get(meter.value_property)
            parts.append(np.zeros(item.fate.size, np.uint64) if hashes is None else hashes)
        return np.concatenate(parts)[events]

    def _sketches(self, feeds: Sequence[_Feed], series: Int64s, deltas: WindowDeltas) -> Sketches:
        """Make the sketches of the windows whose meters have one.

        Args:
            feeds: Who fed what.
            series: Series number of each feed's rows, feed after feed.
            deltas: The windows, by series and hour.
        """
        if not any(feed.meter.aggregation in SKETCHES for feed in feeds):
            return no_sketches()
        windows = _place(deltas.series, deltas.hour)
        voided = list(voided_rows(self.taken))
        states: dict[int, list[bytes]] = {}
        start = 0
        for feed in feeds:
            own_series = series[start : start + feed.row.size]
            start += feed.row.size
            sketch = SKETCHES.get(feed.meter.aggregation)
            if sketch is None:
                continue
            event = self.chosen[feed.row]
            occurred_ms = self.columns["occurred_ms"][event]
            fed = SketchInput(
                window=np.searchsorted(windows, _place(own_series, occurred_ms // HOUR_MS)),
                units=feed.value[0],
                nanos=feed.value[1],
                occurred_ms=occurred_ms,
                offset=self.columns["offset"][event],
                hashes=feed.hashes,
            )
            if voided:
                fed = fed.chosen(~np.isin(event, voided))
            for window, state in sketch(fed):
                states.setdefault(window, []).append(state)
        ordered = sorted(states)
        return Sketches(
            window=np.array(ordered, dtype=np.int32),
            states=tuple(merged_sketch(states[window]) for window in ordered),
        )


def _place(series: np.ndarray, hour: np.ndarray) -> Int64s:
    """Join series and hour into one number that sorts as the two do."""
    joined: Int64s = series.astype(np.int64) << 32 | hour
    return joined


def _with_admitted(series: SeriesColumns, admitted: Sequence[KnownSet]) -> SeriesColumns:
    """Mark one series of each set that was admitted just now: a restore reads them there."""
    wanted = set(admitted)
    numbers = []
    for number in range(len(series)) if wanted else ():
        for known in series.known_sets([number]):
            if known in wanted:
                wanted.remove(known)
                numbers.append(number)
    return replace(series, admitted=np.array(numbers, dtype=np.int32))


def _limited(
    table: EventTable, feeds: Sequence[_Feed], dimensions: _Dimensions, known: DimensionSets
) -> tuple[Reject, ...]:
    """Let events beyond a meter's limit of sets count as others; one note per tenant.

    Sets are judged in the order of their first events, over all feeds: another way of cutting the
    partition into micro-batches admits the same ones.
    """
    firsts = []
    for number, feed in enumerate(feeds):
        if is_limited(feed.meter):
            size = len(dimensions.sets)
            first = np.full(size, -1, dtype=np.int64)
            # Backwards, so that the earliest of several stays.
            first[feed.dimensions[::-1]] = np.arange(feed.row.size - 1, -1, -1)
            present = np.flatnonzero(first >= 0)
            at = table.chosen[feed.row[first[present]]]
            firsts += list(
                zip(at.tolist(), [number] * present.size, present.tolist(), strict=True)
            )
    noted: dict[str, tuple[int, int, dict[str, None]]] = {}
    sets = dimensions.sets
    for event, number, set_number in sorted(firsts):
        feed = feeds[number]
        if known.admits(
            feed.meter,
            tenant=feed.tenant,
            dimensions=sets[set_number],
        ):
            continue
        beyond = feed.dimensions == set_number
        feed.dimensions[beyond] = dimensions.number_of(other_set(feed.meter))
        first_event, events, meters = noted.get(feed.tenant, (event, 0, {}))
        noted[feed.tenant] = (
            first_event,
            events + int(np.count_nonzero(beyond)),
            meters | {feed.meter.key: None},
        )
    return tuple(
        table.note(tenant, event, events=events, meters=meters)
        for tenant, (event, events, meters) in noted.items()
    )


def _put_bands(feeds: Sequence[_Feed], dimensions: _Dimensions) -> None:
    """Split the sets of banded meters by band, after the limit of sets was judged without it."""
    for feed in feeds:
        bounds = feed.meter.value_bands
        if not bounds:
            continue
        code = feed.dimensions * (len(bounds) + 1) + bands_of(bounds, *feed.value)
        codes, place = np.unique(code, return_inverse=True)
        sets = dimensions.sets
        numbers = [
            dimensions.number_of(in_band(sets[number], band))
            for number, band in (divmod(value, len(bounds) + 1) for value in codes.tolist())
        ]
        feed.dimensions[:] = np.array(numbers, dtype=np.int64)[place]


class _Dimensions:
    """Numbers the dimension maps of a micro-batch, whole and projected onto group-by names."""

    def __init__(self, taken: list[Taken]) -> None:
        whole: dict[tuple[tuple[str, str], ...], int] = {(): 0}
        columns = []
        for item in taken:
            numbers = [0]
            for dimensions in item.batch.dimension_sets:
                key = tuple(sorted(dimensions.items()))
                numbers.append(whole.setdefault(key, len(whole)))
            columns.append(np.array(numbers, dtype=np.int64)[item.columns.dimension_set])
        self.number: Int64s = np.concatenate(columns)
        self._whole = list(whole)
        self._numbers: dict[tuple[tuple[str, str], ...], int] = {(): 0}
        self._projections: dict[tuple[str, ...], np.ndarray] = {}

    @property
    def sets(self) -> tuple[tuple[tuple[str, str], ...], ...]:
        """Return the projected maps numbered so far, as sorted pairs."""
        return tuple(self._numbers)

    def projected(self, group_by: tuple[str, ...]) -> np.ndarray:
        """Return, per whole map, the number of what it has of these names."""
        table = self._projections.get(group_by)
        if table is None:
            wanted = frozenset(group_by)
            table = self._projections[group_by] = np.array(
                [
                    self._numbers.setdefault(
                        tuple(pair for pair in pairs if pair[0] in wanted), len(self._numbers)
                    )
                    for pairs in self._whole
                ],
                dtype=np.int64,
            )
        return table

    def number_of(self, pairs: tuple[tuple[str, str], ...]) -> int:
        """Return the number of a map that may be new."""
        return self._numbers.setdefault(pairs, len(self._numbers))
