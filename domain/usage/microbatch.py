"""One micro-batch on its way through the usage fold: gather, judge, aggregate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from domain.codes import Code
from domain.errors import Rejected
from domain.fields import is_clean_text
from domain.period import HOUR_MS
from domain.quantity import NANOS_PER_UNIT, parse_nanos
from domain.usage.columns import BatchColumns, bad_value_reason, columns_of
from domain.usage.facts import (
    REASON_LENGTH_MAX,
    Accepted,
    CatalogueApplied,
    IntakeCount,
    Reject,
    SeriesColumns,
    UsageFacts,
)
from domain.usage.seen import HORIZON_HOURS, Int32s, Int64s, Verdict, rows_of
from domain.usage.windows import WindowDeltas, deltas_of_events, no_deltas

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from domain.catalogue import Meter
    from domain.usage.records import EventBatch, SourceRecord
    from domain.usage.seen_index import SeenIndex

HORIZON_MS = HORIZON_HOURS * HOUR_MS
"""How long after it occurred an event is still taken."""
FUTURE_MS = 5 * 60 * 1000
"""How far ahead of its receipt an event may lie: clocks of producers differ."""
LATE_AFTER_MS = HOUR_MS
"""An event received later than this after its window's end counts as late."""

COUNTED, DUPLICATE = 0, 1
CODE_NUMBERS: dict[Code, int] = {
    Code.BAD_VALUE: 2,
    Code.UNKNOWN_TYPE: 3,
    Code.TOO_LATE: 4,
    Code.FUTURE: 5,
    Code.MISROUTED: 6,
    Code.CONFLICT: 7,
}
"""Fate of an event: counted, duplicate, or the number of its code; lower codes take precedence."""
_CODES = {number: code for code, number in CODE_NUMBERS.items()}
_REASONS: dict[Code, str] = {
    Code.TOO_LATE: "occurred more than 35 days before it was received",
    Code.FUTURE: "lies more than 5 minutes ahead of its receipt",
    Code.MISROUTED: "the customer belongs to another partition",
    Code.CONFLICT: "the key was counted before with another payload",
}


@dataclass(frozen=True, eq=False, slots=True)
class TypePlan:
    """The meters that one event type feeds; compared by identity, made once per catalogue."""

    meters: tuple[Meter, ...]

    @property
    def properties(self) -> frozenset[str]:
        """Return the properties that a value is read from."""
        return frozenset(meter.value_property for meter in self.meters if meter.value_property)


@dataclass(frozen=True, slots=True)
class _Taken:
    """One taken batch: its columns, and per event where it came from, its owner, plan and fate.

    Args:
        batch: The events; from one record, or from one record each.
        columns: The same as numpy columns.
        offset: Source offset per event.
        received_ms: Append time per event.
        arrival_hour: Hour the seen index remembers them by.
        owner: Owner number per event, negative when it belongs elsewhere.
        plan: Number of the type's plan per event, negative for unknown types.
        fate: COUNTED, DUPLICATE or the number of a code per event; filled in as judged.
        values: Values read from properties, by property name.
    """

    batch: EventBatch
    columns: BatchColumns
    offset: Int64s
    received_ms: Int64s
    arrival_hour: int
    owner: Int32s
    plan: Int32s
    fate: np.ndarray
    values: dict[str, tuple[Int64s, Int32s]]


class MicroBatch:
    """Gathers the batches of one step and turns them into facts."""

    def __init__(self) -> None:
        self._taken: list[_Taken] = []
        self._plans: dict[int, tuple[int, TypePlan]] = {}
        self._counts: dict[tuple[str, int], IntakeCount] = {}
        self._rejects: list[Reject] = []

    def refuse_record(
        self, record: SourceRecord, *, tenant: str, events: int, code: Code, reason: str
    ) -> None:
        """Reject a whole source record that holds this many events."""
        self._rejects.append(
            Reject(
                offset=record.offset,
                index=-1,
                events=events,
                tenant=tenant,
                customer="",
                code=code,
                reason=reason[:REASON_LENGTH_MAX],
                received_at_ms=record.received_at_ms,
            )
        )
        count = self._count_of(tenant, record.received_at_ms // HOUR_MS)
        count.received += events
        count.rejected += events

    def take(
        self,
        records: Sequence[SourceRecord],
        batch: EventBatch,
        *,
        owners_of: Callable[[Sequence[str]], list[int]],
        plan_of: Callable[[str], TypePlan | None],
        arrival_hour: int,
    ) -> None:
        """Take a batch, or refuse it whole when it is malformed.

        Args:
            records: The one record that held the batch, or one record per event.
            batch: The events.
            owners_of: Numbers customers; negative for those of another partition.
            plan_of: Finds an event type's meters.
            arrival_hour: Hour the seen index remembers the events by.
        """
        columns = columns_of(batch)
        if isinstance(columns, str) or not is_clean_text(batch.tenant):
            reason = columns if isinstance(columns, str) else "tenant is not printable text"
            self._refuse_malformed(records, batch, reason)
            return
        plan, names = self._plans_of(batch, columns, plan_of)
        numbers = np.full(len(batch.strings), -1, dtype=np.int32)
        # Only for events that some meter takes: junk must not fill the table of owners.
        used = np.unique(columns.customer[(plan >= 0) & ~columns.is_bad])
        if used.size:
            numbers[used] = owners_of([batch.strings[index] for index in used.tolist()])
        offset = np.array([record.offset for record in records], dtype=np.int64)
        received_ms = np.array([record.received_at_ms for record in records], dtype=np.int64)
        taken = _Taken(
            batch=batch,
            columns=columns,
            offset=np.broadcast_to(offset, len(columns)),
            received_ms=np.broadcast_to(received_ms, len(columns)),
            arrival_hour=arrival_hour,
            owner=numbers[columns.customer],
            plan=plan,
            fate=np.zeros(len(columns), dtype=np.int8),
            values={},
        )
        _judge(taken)
        if names:
            taken.values.update(self._property_values(batch, plan, taken.fate, names))
        self._taken.append(taken)

    def _refuse_malformed(
        self, records: Sequence[SourceRecord], batch: EventBatch, reason: str
    ) -> None:
        tenant = batch.tenant if is_clean_text(batch.tenant) else ""
        events = max(1, len(batch.occurred_at_ms)) if len(records) == 1 else 1
        for record in records:
            self.refuse_record(
                record, tenant=tenant, events=events, code=Code.UNDECODABLE, reason=reason
            )

    def _plans_of(
        self, batch: EventBatch, columns: BatchColumns, plan_of: Callable[[str], TypePlan | None]
    ) -> tuple[Int32s, set[str]]:
        """Return the plan number of each event, and the properties that its meters read."""
        numbers = np.full(len(batch.strings), -1, dtype=np.int32)
        properties: set[str] = set()
        for index in np.unique(columns.type_[~columns.is_bad]).tolist():
            plan = plan_of(batch.strings[index])
            if plan is not None:
                numbers[index] = self._plans.setdefault(id(plan), (len(self._plans), plan))[0]
                properties |= plan.properties
        return numbers[columns.type_], properties

    def _property_values(
        self, batch: EventBatch, plan: Int32s, fate: np.ndarray, names: set[str]
    ) -> dict[str, tuple[Int64s, Int32s]]:
        """Read the properties that meters take their value from; a missing one is a bad value."""
        given = {(index, name): value for index, name, value in batch.properties if name in names}
        by_number = dict(self._plans.values())
        values = {
            name: (np.zeros(plan.size, dtype=np.int64), np.zeros(plan.size, dtype=np.int32))
            for name in names
        }
        for index in np.flatnonzero(fate == COUNTED).tolist():
            for name in by_number[int(plan[index])].properties:
                try:
                    nanos = parse_nanos(given.get((index, name), ""))
                except Rejected:
                    fate[index] = CODE_NUMBERS[Code.BAD_VALUE]
                    continue
                units_column, nanos_column = values[name]
                units_column[index], nanos_column[index] = divmod(nanos, NANOS_PER_UNIT)
        return values

    def facts(
        self,
        *,
        seen: SeenIndex,
        owners: Sequence[tuple[str, str]],
        span: tuple[int, int],
        received_high_ms: int,
        catalogues: tuple[CatalogueApplied, ...],
    ) -> UsageFacts:
        """Judge the events against the seen index, aggregate the new ones, write it all down."""
        table = _Table.of(self._taken, seen=seen)
        self._note_fates(table)
        plans = [plan for _, plan in self._plans.values()]
        series, windows = table.windows(plans, owners)
        return UsageFacts(
            from_offset=span[0],
            to_offset=span[1],
            received_high_ms=received_high_ms,
            series=series,
            windows=windows,
            accepted=table.accepted,
            counts=tuple(self._counts[key] for key in sorted(self._counts)),
            rejects=tuple(sorted(self._rejects, key=lambda item: (item.offset, item.index))),
            catalogues=catalogues,
        )

    def _note_fates(self, table: _Table) -> None:
        """Count what became of every event and write down the refused ones."""
        start = 0
        for taken in self._taken:
            fate = table.fate[start : start + taken.fate.size]
            start += taken.fate.size
            hour = int(taken.received_ms[0]) // HOUR_MS
            count = self._count_of(taken.batch.tenant, hour)
            totals = np.bincount(fate, minlength=len(CODE_NUMBERS) + 2).tolist()
            count.received += fate.size
            count.accepted += totals[COUNTED]
            count.duplicates += totals[DUPLICATE]
            count.conflicts += totals[CODE_NUMBERS[Code.CONFLICT]]
            count.rejected += sum(totals[2 : CODE_NUMBERS[Code.CONFLICT]])
            if fate.size != totals[COUNTED] + totals[DUPLICATE]:
                self._rejects.extend(_rejects_of(taken, fate))

    def _count_of(self, tenant: str, hour: int) -> IntakeCount:
        return self._counts.setdefault((tenant, hour), IntakeCount(tenant, hour))


def _judge(taken: _Taken) -> None:
    """Judge what needs no state: values, type, time and partition; the last line written wins."""
    fate, columns = taken.fate, taken.columns
    fate[taken.owner < 0] = CODE_NUMBERS[Code.MISROUTED]
    age_ms = taken.received_ms - columns.occurred_ms
    fate[age_ms < -FUTURE_MS] = CODE_NUMBERS[Code.FUTURE]
    if not taken.batch.backfill:
        fate[age_ms > HORIZON_MS] = CODE_NUMBERS[Code.TOO_LATE]
    fate[taken.plan < 0] = CODE_NUMBERS[Code.UNKNOWN_TYPE]
    fate[columns.is_bad] = CODE_NUMBERS[Code.BAD_VALUE]


def _rejects_of(taken: _Taken, fate: np.ndarray) -> list[Reject]:
    """Return one reject per record and code, and one per conflict, because a trace skips those."""
    rejects = []
    for number, code in _CODES.items():
        positions = np.flatnonzero(fate == number)
        if positions.size and code is not Code.CONFLICT:
            _, first, events = np.unique(
                taken.offset[positions], return_index=True, return_counts=True
            )
            rejects += [
                _reject(taken, position, code, count)
                for position, count in zip(positions[first].tolist(), events.tolist(), strict=True)
            ]
        else:
            rejects += [_reject(taken, position, code, 1) for position in positions.tolist()]
    return rejects


def _reject(taken: _Taken, position: int, code: Code, events: int) -> Reject:
    batch = taken.batch
    customer = batch.strings[batch.customer[position]]
    offset = int(taken.offset[position])
    is_alone = len(taken.offset) > 1 and taken.offset[0] != taken.offset[-1]
    return Reject(
        offset=offset,
        index=0 if is_alone else position,
        events=events,
        tenant=batch.tenant,
        customer=customer if is_clean_text(customer) else "",
        code=code,
        reason=_reason(taken, position, code),
        received_at_ms=int(taken.received_ms[position]),
    )


def _reason(taken: _Taken, position: int, code: Code) -> str:
    if code is Code.UNKNOWN_TYPE:
        event_type = taken.batch.strings[taken.batch.type_[position]]
        return f"no meter takes event type {event_type!r}"[:REASON_LENGTH_MAX]
    if code is Code.BAD_VALUE and taken.columns.is_bad[position]:
        return bad_value_reason(taken.batch, position)
    return _REASONS.get(code, "a property that a meter reads is missing or no decimal text")


@dataclass(frozen=True, slots=True)
class _Table:
    """All taken events of a micro-batch in one set of columns."""

    taken: list[_Taken]
    owner: Int32s
    plan: Int32s
    fate: np.ndarray
    chosen: Int64s
    columns: dict[str, np.ndarray]

    @classmethod
    def of(cls, taken: list[_Taken], *, seen: SeenIndex) -> _Table:
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

    def windows(
        self, plans: list[TypePlan], owners: Sequence[tuple[str, str]]
    ) -> tuple[SeriesColumns, WindowDeltas]:
        """Aggregate the counted events into window deltas, one row per event and meter first."""
        none = np.zeros(0, dtype=np.int32)
        if not self.chosen.size:
            return SeriesColumns((), (), (), none, none, none), no_deltas()
        owner_numbers, owner = np.unique(self.owner[self.chosen], return_inverse=True)
        dimensions = _Dimensions(self.taken)
        source_set = dimensions.number[self.chosen]
        plan = self.plan[self.chosen]
        meters: dict[str, int] = {}
        rows: list[np.ndarray] = []
        meter_of: list[np.ndarray] = []
        set_of: list[np.ndarray] = []
        value_of: list[tuple[np.ndarray, np.ndarray]] = []
        for number in np.unique(plan).tolist():
            row = np.flatnonzero(plan == number)
            for meter in plans[number].meters:
                rows.append(row)
                meter_of.append(
                    np.full(row.size, meters.setdefault(meter.key, len(meters)), dtype=np.int64)
                )
                set_of.append(dimensions.projected(meter.group_by)[source_set[row]])
                value_of.append(self._values(meter, self.chosen[row]))
        row = np.concatenate(rows)
        order = np.argsort(row, kind="stable")
        row = row[order]
        event = self.chosen[row]
        meter_number = np.concatenate(meter_of)[order]
        set_number = np.concatenate(set_of)[order]
        code = (owner[row] * len(meters) + meter_number) * len(dimensions.sets) + set_number
        codes, series = np.unique(code, return_inverse=True)
        occurred_ms = self.columns["occurred_ms"][event]
        hour = occurred_ms // HOUR_MS
        late = self.columns["received_ms"][event] - (hour + 1) * HOUR_MS > LATE_AFTER_MS
        windows = deltas_of_events(
            series=series.astype(np.int32),
            hour=hour.astype(np.int32),
            late=late.astype(np.int32),
            units=np.concatenate([units for units, _ in value_of])[order],
            nanos=np.concatenate([nanos for _, nanos in value_of])[order],
            occurred_ms=occurred_ms,
            offset=self.columns["offset"][event],
            key_high=self.columns["key_high"][event],
            key_low=self.columns["key_low"][event],
        )
        rest, set_column = np.divmod(codes, len(dimensions.sets))
        owner_column, meter_column = np.divmod(rest, len(meters))
        columns = SeriesColumns(
            owners=tuple(owners[index] for index in owner_numbers.tolist()),
            meters=tuple(meters),
            dimension_sets=tuple(dict(items) for items in dimensions.sets),
            owner=owner_column.astype(np.int32),
            meter=meter_column.astype(np.int32),
            dimensions=set_column.astype(np.int32),
        )
        return columns, windows

    def _values(self, meter: Meter, events: Int64s) -> tuple[Int64s, Int32s]:
        """Return the meter's value of each event: its quantity, or one of its properties."""
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


class _Dimensions:
    """Numbers the dimension maps of a micro-batch, whole and projected onto group-by names."""

    def __init__(self, taken: list[_Taken]) -> None:
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
