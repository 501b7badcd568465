"""One micro-batch on its way through the usage fold: gather, judge, aggregate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from domain.codes import Code
from domain.fields import is_clean_text
from domain.period import HOUR_MS
from domain.usage.amendments import Amendment, fact_of
from domain.usage.columns import BatchColumns, bad_value_reason, columns_of
from domain.usage.facts import (
    REASON_LENGTH_MAX,
    CatalogueApplied,
    IntakeCount,
    Reject,
    UsageFacts,
)
from domain.usage.properties import read_properties
from domain.usage.records import EventBatch, SourceRecord
from domain.usage.rows import batch_of_rows, replacement_row, void_row
from domain.usage.seen import HORIZON_HOURS, Int32s
from domain.usage.table import EventTable
from domain.usage.taken import CODE_NUMBERS, COUNTED, DUPLICATE, Amending, Taken, TypePlan

if TYPE_CHECKING:
    from domain.usage.amendments import EventAmended
    from domain.usage.dimension_sets import DimensionSets
    from domain.usage.seen_index import SeenIndex

HORIZON_MS = HORIZON_HOURS * HOUR_MS
"""How long after it occurred an event is still taken."""
FUTURE_MS = 5 * 60 * 1000
"""How far ahead of its receipt an event may lie: clocks of producers differ."""

_CODES = {number: code for code, number in CODE_NUMBERS.items()}
_REASONS: dict[Code, str] = {
    Code.TOO_LATE: "occurred more than 35 days before it was received",
    Code.FUTURE: "lies more than 5 minutes ahead of its receipt",
    Code.MISROUTED: "the customer belongs to another partition",
    Code.CONFLICT: "the key was counted before with another payload",
}
AMENDMENT_REASONS: dict[Code, str] = {
    Code.AMENDMENT_UNKNOWN: "no event with this key and payload is remembered as counted",
    Code.AMENDMENT_OUTDATED: "its announcement is too old, or its windows were stated anew since",
    Code.CONFLICT: "the key of the replacement was sent by somebody else",
}
_REPLACEMENT_IS_BAD = "the replacement has an unknown type, a value out of range, or lacks one"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a batch meets in the fold.

    Args:
        owners_of: Numbers customers; negative for those of another partition.
        plan_of: Finds an event type's meters.
        arrival_hour: Hour the seen index remembers the events by.
    """

    owners_of: Callable[[Sequence[str]], list[int]]
    plan_of: Callable[[str], TypePlan | None]
    arrival_hour: int


class MicroBatch:
    """Gathers the batches of one step and turns them into facts."""

    def __init__(self) -> None:
        self._taken: list[Taken] = []
        self._plans: list[TypePlan] = []
        self._plan_numbers: dict[int, int] = {}
        self._counts: dict[tuple[str, int], IntakeCount] = {}
        self._rejects: list[Reject] = []
        self._amendments: list[Amendment] = []

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

    def refuse_amendment(
        self, record: SourceRecord, amended: EventAmended, *, code: Code, reason: str
    ) -> None:
        """Reject a control record: no event of it has arrived, so none is counted as refused."""
        self._rejects.append(
            Reject(
                offset=record.offset,
                index=-1,
                events=0,
                tenant=amended.tenant if is_clean_text(amended.tenant) else "",
                customer=amended.customer if is_clean_text(amended.customer) else "",
                code=code,
                reason=reason[:REASON_LENGTH_MAX],
                received_at_ms=record.received_at_ms,
            )
        )

    def take(
        self, records: Sequence[SourceRecord], batch: EventBatch, around: Surroundings
    ) -> None:
        """Take a batch, or refuse it whole when it is malformed.

        Args:
            records: The one record that held the batch, or one record per event.
            batch: The events.
            around: What it meets.
        """
        taken = self._taken_of(records, batch, around)
        if isinstance(taken, str):
            self._refuse_malformed(records, batch, taken)
        else:
            self._taken.append(taken)

    def amend(self, record: SourceRecord, amended: EventAmended, around: Surroundings) -> None:
        """Take a control record: first the event that goes, then the one that comes.

        The one that goes is judged by the time at which it came, the other one by now.
        """
        gone = record._replace(received_at_ms=amended.original_received_at_ms)
        parts = [(gone, void_row(amended))]
        row = replacement_row(amended)
        if row is not None:
            parts.append((record, row))
        taken: list[Taken] = []
        for number, (source, event) in enumerate(parts):
            part = self._taken_of([source], batch_of_rows([event]), around)
            if isinstance(part, str):
                self.refuse_amendment(record, amended, code=Code.UNDECODABLE, reason=part)
                return
            amending = Amending(amended, record.offset, record.received_at_ms, number == 0)
            taken.append(replace(part, amending=amending))
        self._taken += taken

    def _taken_of(
        self, records: Sequence[SourceRecord], batch: EventBatch, around: Surroundings
    ) -> Taken | str:
        """Judge what needs no state; return why not when the batch is malformed."""
        columns = columns_of(batch)
        if isinstance(columns, str) or not is_clean_text(batch.tenant):
            return columns if isinstance(columns, str) else "tenant is not printable text"
        plan = self._plans_of(batch, columns, around.plan_of)
        numbers = np.full(len(batch.strings), -1, dtype=np.int32)
        # Only for events that some meter takes: junk must not fill the table of owners.
        used = np.unique(columns.customer[(plan >= 0) & ~columns.is_bad])
        if used.size:
            numbers[used] = around.owners_of([batch.strings[index] for index in used.tolist()])
        offset = np.array([record.offset for record in records], dtype=np.int64)
        received_ms = np.array([record.received_at_ms for record in records], dtype=np.int64)
        taken = Taken(
            batch=batch,
            columns=columns,
            offset=np.broadcast_to(offset, len(columns)),
            received_ms=np.broadcast_to(received_ms, len(columns)),
            arrival_hour=around.arrival_hour,
            owner=numbers[columns.customer],
            plan=plan,
            fate=np.zeros(len(columns), dtype=np.int8),
            values={},
            hashes={},
        )
        _judge(taken)
        read_properties(taken, self._plans)
        return taken

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
    ) -> Int32s:
        """Return the plan number of each event."""
        numbers = np.full(len(batch.strings), -1, dtype=np.int32)
        for index in np.unique(columns.type_[~columns.is_bad]).tolist():
            plan = plan_of(batch.strings[index])
            if plan is not None:
                numbers[index] = self._plan_number(plan)
        return numbers[columns.type_]

    def _plan_number(self, plan: TypePlan) -> int:
        """Number a plan on first sight; the list keeps it alive, so its identity stays its own."""
        number = self._plan_numbers.setdefault(id(plan), len(self._plans))
        if number == len(self._plans):
            self._plans.append(plan)
        return number

    def facts(
        self,
        *,
        seen: SeenIndex,
        owners: Sequence[tuple[str, str]],
        dimension_sets: DimensionSets,
        span: tuple[int, int],
        received_high_ms: int,
        catalogues: tuple[CatalogueApplied, ...],
    ) -> UsageFacts:
        """Judge the events against the seen index, aggregate the new ones, write it all down."""
        table = EventTable.of(self._taken, seen=seen)
        self._note_fates(table)
        windows = table.windows(self._plans, owners, dimension_sets)
        self._rejects += windows.limited
        return UsageFacts(
            from_offset=span[0],
            to_offset=span[1],
            received_high_ms=received_high_ms,
            series=windows.series,
            windows=windows.deltas,
            sketches=windows.sketches,
            accepted=table.accepted,
            counts=tuple(self._counts[key] for key in sorted(self._counts)),
            rejects=tuple(sorted(self._rejects, key=lambda item: (item.offset, item.index))),
            catalogues=catalogues,
            amendments=tuple(self._amendments),
        )

    def _note_fates(self, table: EventTable) -> None:
        """Count what became of every event and write down the refused ones."""
        start = 0
        for taken in self._taken:
            fate = table.fate[start : start + taken.fate.size]
            start += taken.fate.size
            if taken.amending is not None:
                self._note_amendment(taken.amending, int(fate[0]))
                continue
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

    def _note_amendment(self, amending: Amending, fate: int) -> None:
        """Write an amendment down; one that was there before changes and says nothing."""
        amended, received_ms = amending.amended, amending.received_ms
        if fate == DUPLICATE:
            return
        if fate != COUNTED:
            if amending.is_void:
                code = _CODES[fate]
                record = SourceRecord(amending.offset, received_ms, amended)
                reason = AMENDMENT_REASONS.get(code) or _REASONS.get(code, _REPLACEMENT_IS_BAD)
                self.refuse_amendment(record, amended, code=code, reason=reason)
            return
        if amending.is_void:
            self._amendments.append(
                fact_of(amended, offset=amending.offset, received_at_ms=received_ms)
            )
        else:
            count = self._count_of(amended.tenant, received_ms // HOUR_MS)
            count.received += 1
            count.accepted += 1

    def _count_of(self, tenant: str, hour: int) -> IntakeCount:
        return self._counts.setdefault((tenant, hour), IntakeCount(tenant, hour))


def _judge(taken: Taken) -> None:
    """Judge what needs no state: values, type, time and partition; the last line written wins."""
    fate, columns = taken.fate, taken.columns
    fate[taken.owner < 0] = CODE_NUMBERS[Code.MISROUTED]
    age_ms = taken.received_ms - columns.occurred_ms
    fate[age_ms < -FUTURE_MS] = CODE_NUMBERS[Code.FUTURE]
    if not taken.batch.backfill:
        fate[age_ms > HORIZON_MS] = CODE_NUMBERS[Code.TOO_LATE]
    fate[taken.plan < 0] = CODE_NUMBERS[Code.UNKNOWN_TYPE]
    fate[columns.is_bad] = CODE_NUMBERS[Code.BAD_VALUE]


def _rejects_of(taken: Taken, fate: np.ndarray) -> list[Reject]:
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


def _reject(taken: Taken, position: int, code: Code, events: int) -> Reject:
    batch = taken.batch
    customer = batch.strings[batch.customer[position]]
    offset, index = taken.place_of(position)
    return Reject(
        offset=offset,
        index=index,
        events=events,
        tenant=batch.tenant,
        customer=customer if is_clean_text(customer) else "",
        code=code,
        reason=_reason(taken, position, code),
        received_at_ms=int(taken.received_ms[position]),
    )


def _reason(taken: Taken, position: int, code: Code) -> str:
    if code is Code.UNKNOWN_TYPE:
        event_type = taken.batch.strings[taken.batch.type_[position]]
        return f"no meter takes event type {event_type!r}"[:REASON_LENGTH_MAX]
    if code is Code.BAD_VALUE and taken.columns.is_bad[position]:
        return bad_value_reason(taken.batch, position)
    return _REASONS.get(code, "a property that a meter reads is missing or not what it reads")
