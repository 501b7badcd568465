"""usage_series and usage_window: deltas of many facts records merged, then added to the table."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import psycopg

from domain.codes import Code
from domain.errors import Retryable
from domain.usage.restating import forget_before
from domain.usage.windows import NEUTRAL, WindowDeltas, concatenated, merged
from projections import copy_binary
from projections.copy_binary import Kind, RowFormat
from projections.fresh_windows import FreshWindows
from projections.series_catalogue import STAGE as SERIES_STAGE
from projections.series_catalogue import SeriesCatalogue, high_half, low_half
from projections.usage_sketches import Place, drop_sketches, key_columns, write_sketches

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from domain.usage.facts import UsageFacts
    from domain.usage.seen import Int32s
    from projections.position import Position
    from projections.span import Span

Item = TypeVar("Item")

_KINDS: dict[str, Kind] = {
    "tenant": Kind.INTEGER,
    "series": Kind.UUID,
    "hour": Kind.TIMESTAMP,
    "events": Kind.BIGINT,
    "late": Kind.BIGINT,
    "sum": Kind.QUANTITY,
    "min": Kind.QUANTITY,
    "max": Kind.QUANTITY,
    "latest": Kind.QUANTITY,
    "latest_occurred_ms": Kind.BIGINT,
    "latest_offset": Kind.BIGINT,
    "first_offset": Kind.BIGINT,
    "last_offset": Kind.BIGINT,
    "key_digest": Kind.DIGEST,
}
"""Columns of the staging table, in order. Its tenant is an index into the flush's tenants: with
it every row has the same length, and the payload is made by columns."""
_FORMAT = RowFormat(_KINDS)
_NAMES = ", ".join(_KINDS)

_STAGE = "usage_window_delta"
_CREATE_STAGE = f"""
    CREATE TEMPORARY TABLE {_STAGE} (
        tenant integer, series uuid, hour timestamptz, events bigint, late bigint,
        sum numeric, min numeric, max numeric, latest numeric,
        latest_occurred_ms bigint, latest_offset bigint, first_offset bigint, last_offset bigint,
        key_digest numeric
    ) ON COMMIT DELETE ROWS
"""
UNITS_PER_PART_MAX = 2**62
"""Largest sum, in units, that merging may reach: int64 holds twice as much."""
_VALUES = ", ".join(f"d.{name}" for name in _KINDS if name != "tenant")
_IS_LATER = (
    "(excluded.latest_occurred_ms, excluded.latest_offset) "
    ">= (w.latest_occurred_ms, w.latest_offset)"
)
_UPSERT = f"""
    INSERT INTO usage_window AS w ({_NAMES})
    SELECT t.tenant, {_VALUES} FROM {_STAGE} d
    JOIN unnest(%s::text[]) WITH ORDINALITY AS t (tenant, number) ON t.number = d.tenant
    ON CONFLICT (tenant, series, hour) DO UPDATE SET
        events = w.events + excluded.events,
        late = w.late + excluded.late,
        sum = w.sum + excluded.sum,
        min = least(w.min, excluded.min),
        max = greatest(w.max, excluded.max),
        latest = CASE WHEN {_IS_LATER} THEN excluded.latest ELSE w.latest END,
        latest_offset =
            CASE WHEN {_IS_LATER} THEN excluded.latest_offset ELSE w.latest_offset END,
        latest_occurred_ms = greatest(w.latest_occurred_ms, excluded.latest_occurred_ms),
        first_offset = least(w.first_offset, excluded.first_offset),
        last_offset = greatest(w.last_offset, excluded.last_offset),
        key_digest = w.key_digest + excluded.key_digest
            - CASE WHEN w.key_digest + excluded.key_digest < {2**128} THEN 0 ELSE {2**128} END
"""  # noqa: S608 -- fixed texts only
_FORGET = f"""
    UPDATE usage_window SET min = {NEUTRAL["min_units"]}, max = 0, latest = 0,
        latest_occurred_ms = {NEUTRAL["latest_occurred_ms"]},
        latest_offset = {NEUTRAL["latest_offset"]}
    WHERE (tenant, series, hour)
        IN (SELECT * FROM unnest(%s::text[], %s::uuid[], %s::timestamptz[]))
"""  # noqa: S608 -- fixed texts only
_COPY = f"COPY {_STAGE} FROM STDIN (FORMAT BINARY)"
_COPY_NEW = f"COPY usage_window ({_NAMES}) FROM STDIN (FORMAT BINARY)"
_MAY_COPY = "SELECT rolbypassrls OR rolsuper FROM pg_roles WHERE rolname = current_user"
"""COPY into a table with row level security is refused to roles that are subject to it."""
_EMPTY_STAGES = f"TRUNCATE {SERIES_STAGE}, {_STAGE}".encode()


@dataclass(frozen=True, slots=True)
class _Rows:
    """Merged deltas in the order of the table's key, beside what their series stand for.

    Args:
        deltas: The deltas, with series numbered in the order of the key.
        ids: Series id of each.
        tenant: Tenant number of each.
        partition: Partition that each came from.
        sketches: Sketches still to be merged, by number in the series catalogue and hour.
        restated: Windows, likewise, of which the table's extremes and sketch count no more.
    """

    deltas: WindowDeltas
    ids: np.ndarray
    tenant: Int32s
    partition: Int32s
    sketches: Mapping[tuple[int, int], list[bytes]] = field(default_factory=dict)
    restated: Mapping[tuple[int, int], int] = field(default_factory=dict)

    def chosen(self, mask: np.ndarray) -> _Rows:
        """Return the rows that the mask marks."""
        columns = {name: column[mask] for name, column in self.deltas.columns.items()}
        return _Rows(
            WindowDeltas(**columns), self.ids[mask], self.tenant[mask], self.partition[mask]
        )


class UsageWindows:
    """Writes window deltas. It remembers series and windows between flushes, for speed alone."""

    def __init__(self) -> None:
        self._series = SeriesCatalogue()
        self._fresh = FreshWindows()
        self._knows_new = True
        self._may_copy = False

    def prepare(self, connection: psycopg.Connection) -> None:
        """Make the staging tables of a new connection, and learn what its role may do."""
        SeriesCatalogue.prepare(connection)
        connection.execute(_CREATE_STAGE.encode())
        self._may_copy = connection.execute(_MAY_COPY).fetchall() == [(True,)]

    def forget(self, positions: Mapping[int, Position]) -> None:
        """Drop what was remembered; these partitions go on from here."""
        self._series.forget()
        self._fresh.place({number: at.hour_high for number, at in positions.items()})

    def write(
        self, connection: psycopg.Connection, spans: Mapping[int, Span[UsageFacts]]
    ) -> dict[str, int]:
        """Add the deltas of spans to the table, inside the open transaction.

        Returns:
            Rows written by table.
        """
        self._series.make_room()
        written = {"usage_series": 0, "usage_window": 0, "usage_sketch": 0}
        hours_high = {number: span.end.hour_high for number, span in spans.items()}
        for number, part in enumerate(_parts(spans)):
            if number:
                connection.execute(_EMPTY_STAGES)
            rows = self._rows(part)
            written["usage_series"] += self._series.store(connection)
            if not len(rows.deltas):
                continue
            written["usage_window"] += len(rows.deltas)
            is_new = self._fresh.take_new(
                partition=rows.partition,
                hour=rows.deltas.hour,
                id_low=low_half(rows.ids),
                hours_high=hours_high,
            )
            if not (self._knows_new and self._may_copy):
                is_new[:] = False
            self._forget_stated(connection, rows.restated)
            self._copy_new(connection, rows.chosen(is_new))
            self._merge(connection, rows.chosen(~is_new))
            written["usage_sketch"] += write_sketches(connection, self._placed(rows.sketches))
        return written

    def _placed(self, windows: Mapping[tuple[int, int], Item]) -> dict[Place, Item]:
        """Return what belongs to windows by the table's key instead of by series number."""
        if not windows:
            return {}
        ids, tenants = self._series.describe(np.array([number for number, _ in windows]))
        names = self._series.tenants
        return {
            (names[tenant], uuid.UUID(bytes=bytes(identity)), hour): item
            for identity, tenant, ((_, hour), item) in zip(
                ids.tolist(), tenants.tolist(), windows.items(), strict=True
            )
        }

    def _forget_stated(
        self, connection: psycopg.Connection, restated: Mapping[tuple[int, int], int]
    ) -> None:
        """Drop what the table's windows keep beyond sums, where facts have stated it anew."""
        if restated:
            key = key_columns(sorted(self._placed(restated)))
            connection.execute(_FORGET.encode(), key)
            drop_sketches(connection, key)

    def _rows(self, part: Sequence[tuple[int, UsageFacts]]) -> _Rows:
        """Merge the deltas of all facts, sorted by (tenant, series, hour).

        Sorted rows visit the pages of the primary key in order.
        """
        parts: list[WindowDeltas] = []
        partitions: list[Int32s] = []
        sketches: dict[tuple[int, int], list[bytes]] = {}
        restated: dict[tuple[int, int], int] = {}
        start = 0
        for partition, facts in part:
            numbers = self._series.numbers_of(facts.series, partition=partition)
            series = numbers[facts.windows.series] if numbers.size else numbers
            parts.append(replace(facts.windows, series=series))
            partitions.append(np.full(series.size, partition, dtype=np.int32))
            for index in facts.restated:
                window_stated = int(series[index]), int(facts.windows.hour[index])
                restated[window_stated] = start
                sketches.pop(window_stated, None)
            start += series.size
            window = facts.sketches.window
            windows = zip(
                series[window].tolist(), facts.windows.hour[window].tolist(), strict=True
            )
            for number_and_hour, state in zip(windows, facts.sketches.states, strict=True):
                sketches.setdefault(number_and_hour, []).append(state)
        deltas = concatenated(parts)
        for (number, hour), end in restated.items():
            before = (deltas.series[:end] == number) & (deltas.hour[:end] == hour)
            forget_before(deltas, np.flatnonzero(before))
        if not len(deltas):
            nothing = np.zeros(0, dtype=np.int32)
            return _Rows(deltas, np.zeros(0, dtype="V16"), nothing, nothing)
        numbers, first, inverse = np.unique(deltas.series, return_index=True, return_inverse=True)
        ids, tenant = self._series.describe(numbers)
        partition_of = np.concatenate(partitions)[first]
        order = np.lexsort((low_half(ids), high_half(ids), tenant))
        rank = np.empty(order.size, dtype=np.int32)
        rank[order] = np.arange(order.size, dtype=np.int32)
        deltas = merged(replace(deltas, series=rank[inverse]))
        place = order[deltas.series]
        return _Rows(deltas, ids[place], tenant[place], partition_of[place], sketches, restated)

    def _copy_new(self, connection: psycopg.Connection, rows: _Rows) -> None:
        """Copy windows that are certainly new right into the table."""
        if not rows.tenant.size:
            return
        tenants = [tenant.encode() for tenant in self._series.tenants]
        lengths = np.array([len(tenant) for tenant in tenants], dtype=np.int32)[rows.tenant]
        parts = []
        for length in np.unique(lengths).tolist():
            some = rows.chosen(lengths == length)
            part = _filled(some, RowFormat(_KINDS | {"tenant": Kind.TEXT}, text_bytes=length))
            numbers, place = np.unique(some.tenant, return_inverse=True)
            names = [tenants[number] for number in numbers.tolist()]
            copy_binary.put_texts(part["tenant"], names, place.astype(np.int32))
            parts.append(part)
        try:
            _copy(connection, _COPY_NEW, parts)
        except psycopg.errors.UniqueViolation as error:
            self._knows_new = False
            raise Retryable(
                Code.INTERNAL,
                f"a window held to be new is in the table: {error}",
                retry_after_ms=0,
                next_step="Nothing was written; from now on every window is looked up. "
                "Keep the logs and report this as a defect",
            ) from error

    def _merge(self, connection: psycopg.Connection, rows: _Rows) -> None:
        """Copy deltas to their staging table, which the commit empties; add them from there."""
        if not rows.tenant.size:
            return
        part = _filled(rows, _FORMAT)
        part["tenant"] = rows.tenant + 1  # ORDINALITY counts from 1
        _copy(connection, _COPY, [part])
        connection.execute(_UPSERT.encode(), [self._series.tenants])


def _copy(connection: psycopg.Connection, statement: str, parts: Sequence[np.ndarray]) -> None:
    with connection.cursor().copy(statement.encode()) as copy:
        for block in copy_binary.payload(*parts):
            copy.write(block)


def _parts(
    spans: Mapping[int, Span[UsageFacts]],
) -> Iterator[Sequence[tuple[int, UsageFacts]]]:
    """Cut spans so that no sum of a part can leave int64; nearly always there is one part.

    A record's own sums fit (domain.quantity.UNITS_MAX); half of int64 for all the others keeps
    them fitting when one more is added.
    """
    part: list[tuple[int, UsageFacts]] = []
    bound = 0
    for partition, span in spans.items():
        for facts in span.facts:
            sums = facts.windows.sum_units
            largest = int(np.abs(sums).max()) if sums.size else 0
            if part and bound + largest > UNITS_PER_PART_MAX:
                yield part
                part, bound = [], 0
            part.append((partition, facts))
            bound += largest
    if part:
        yield part


def _filled(rows: _Rows, form: RowFormat) -> np.ndarray:
    """Return rows in wire form, with everything but the tenant in place."""
    deltas = rows.deltas
    out = form.rows(len(deltas))
    out["series"] = rows.ids
    out["hour"] = copy_binary.timestamps_of_hours(deltas.hour)
    for name in (
        *("events", "late", "latest_occurred_ms", "latest_offset", "first_offset"),
        "last_offset",
    ):
        out[name] = getattr(deltas, name)
    for name in ("sum", "min", "max", "latest"):
        units, nanos = getattr(deltas, f"{name}_units"), getattr(deltas, f"{name}_nanos")
        copy_binary.put_quantities(out[name], units, nanos)
    copy_binary.put_digests(out["key_digest"], deltas.digest_high, deltas.digest_low)
    return out
