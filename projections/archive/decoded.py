"""Events of archived records as columns, for people who ask with SQL.

They are what arrived, not what was counted: repeats and refused events are in it too. What was
counted is in the projections; records that cannot be read have no events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from domain.quantity import SCALE
from domain.usage.records import EventBatch
from domain.usage.rows import batch_of_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.usage.records import SourceRecord

_TEXTS = pa.map_(pa.string(), pa.string())
_INSTANT = pa.timestamp("ms", tz="UTC")
QUANTITY = pa.decimal128(38, 9)
EVENTS_SCHEMA = pa.schema(
    [
        pa.field("source_offset", pa.int64(), nullable=False),
        pa.field("event_index", pa.int32(), nullable=False),
        pa.field("tenant", pa.string(), nullable=False),
        pa.field("customer", pa.string(), nullable=False),
        pa.field("event_type", pa.string(), nullable=False),
        pa.field("event_key", pa.binary(16), nullable=False),
        pa.field("fingerprint", pa.binary(8), nullable=False),
        pa.field("occurred_at", _INSTANT, nullable=False),
        pa.field("received_at", _INSTANT, nullable=False),
        pa.field("quantity", QUANTITY),
        pa.field("dimensions", _TEXTS, nullable=False),
        pa.field("properties", _TEXTS, nullable=False),
    ]
)
_OCCURRED_MS_MAX = 253_402_300_800_000
"""First millisecond of the year 10000: a later one is no time of anybody's calendar."""


def events_table(records: Sequence[SourceRecord], *, partition: int) -> pa.Table:
    """This function will put the events of decoded records into columns.

    Args:
        records: Records of one partition; control records and unreadable ones have no events.
        partition: Its number, for the file's metadata.
    """
    parts = []
    for record in records:
        body = record.body
        if isinstance(body, dict):
            body = batch_of_rows([body])
        if isinstance(body, EventBatch):
            parts.append(_batch(record, body))
    schema = EVENTS_SCHEMA.with_metadata({"tidegauge.partition": str(partition)})
    return pa.Table.from_batches([part for part in parts if part is not None], schema=schema)


def _batch(record: SourceRecord, batch: EventBatch) -> pa.RecordBatch | None:
    """Return one record's events; None when its columns do not fit each other."""
    count = len(batch.occurred_at_ms)
    columns = (batch.customer, batch.type_, batch.dimension_set, batch.quantity)
    if (
        not count
        or any(len(column) != count for column in columns)
        or len(batch.keys) != 16 * count
        or len(batch.fingerprints) != 8 * count
    ):
        return None
    try:
        strings = pa.array(list(batch.strings), pa.string())
        sets = [list(pairs.items()) for pairs in ({}, *batch.dimension_sets)]
        return pa.record_batch(
            [
                pa.array([record.offset] * count, pa.int64()),
                pa.array(range(count), pa.int32()),
                pa.array([batch.tenant] * count, pa.string()),
                strings.take(pa.array(batch.customer, pa.int64())),
                strings.take(pa.array(batch.type_, pa.int64())),
                _fixed(batch.keys, 16, count),
                _fixed(batch.fingerprints, 8, count),
                _instants(batch.occurred_at_ms),
                pa.array([record.received_at_ms] * count, pa.int64()).cast(_INSTANT),
                _quantities(batch),
                pa.array(sets, _TEXTS).take(pa.array(batch.dimension_set, pa.int64())),
                _properties(batch, count),
            ],
            schema=EVENTS_SCHEMA,
        )
    except (pa.ArrowInvalid, pa.ArrowIndexError, UnicodeEncodeError, ValueError):
        return None  # the fold refuses it too; its bytes are in the records


def _fixed(data: bytes, size: int, count: int) -> pa.Array:
    return pa.Array.from_buffers(pa.binary(size), count, [None, pa.py_buffer(data)])


def _instants(milliseconds: Sequence[int]) -> pa.Array:
    """Return times; one outside the calendar is shown at its edge, and refused by the fold."""
    clipped = [min(max(int(value), 0), _OCCURRED_MS_MAX - 1) for value in milliseconds]
    return pa.array(clipped, pa.int64()).cast(_INSTANT)


def _quantities(batch: EventBatch) -> pa.Array:
    """Return exact decimals: the integers with their point moved, never a float."""
    scales = batch.scales if len(batch.scales) > 1 else (*batch.scales,) * len(batch.quantity)
    if any(not 0 <= scale <= SCALE for scale in scales):
        raise ValueError("a scale is out of range")
    parts = pa.array(
        [
            int(value) * 10 ** (SCALE - scale)
            for value, scale in zip(batch.quantity, scales, strict=True)
        ],
        pa.decimal128(38, 0),
    )
    return pa.Array.from_buffers(QUANTITY, len(parts), parts.buffers())


def _properties(batch: EventBatch, count: int) -> pa.Array:
    pairs: list[list[tuple[str, str]]] = [[] for _ in range(count)]
    for index, name, value in batch.properties:
        if not 0 <= index < count:
            raise ValueError("a property points to no event")
        pairs[index].append((name, value))
    return pa.array(pairs, _TEXTS)
