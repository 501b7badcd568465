"""Usage records between wire and domain: from_wire_ and to_wire_, nothing else."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from domain.codes import Code
from domain.errors import Rejected
from domain.usage.facts import (
    Accepted,
    CatalogueApplied,
    IntakeCount,
    Reject,
    SeriesColumns,
    Sketches,
    UsageFacts,
)
from domain.usage.records import (
    EVENTS_PER_BATCH_MAX,
    CataloguePublished,
    EventBatch,
    EventRow,
    SourceRecord,
    Unreadable,
)
from domain.usage.windows import COLUMN_TYPES, WindowDeltas
from schemas.amendment_wire import (
    from_wire_amendment,
    from_wire_event_amended,
    to_wire_amendment,
)
from schemas.codec import Decoder, encode, tenant_of_key
from schemas.registry import (
    CATALOG_PUBLISHED,
    EVENT_AMENDED,
    USAGE_BATCH,
    USAGE_FACTS,
    Schema,
)
from schemas.topics import USAGE_EVENTS, USAGE_FACTS_TOPIC

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.usage.amendments import EventAmended
    from schemas.codec import ForeignSchemas

_SOURCE = Decoder(USAGE_EVENTS)
_FACTS = Decoder(USAGE_FACTS_TOPIC)
_INT32, _UINT64 = np.dtype("<i4"), np.dtype("<u8")


def from_wire_usage_source(
    value: bytes | None,
    *,
    offset: int,
    received_at_ms: int,
    key: bytes | None = None,
    foreign: ForeignSchemas | None = None,
) -> SourceRecord:
    """This function will decode a record of usage.events; a bad one becomes Unreadable.

    Args:
        value: The record's value.
        offset: Its offset.
        received_at_ms: Its append time, milliseconds since 1970 UTC.
        key: The record's key, for the tenant of a bad one.
        foreign: Where schema ids are looked up that are not ours; None knows no others.

    Raises:
        Retryable: Nobody can say now what the schema id means.
    """
    try:
        schema, fields = _SOURCE.decode(value, received_at_ms=received_at_ms, foreign=foreign)
        body = _source_body(schema, fields)
    except Rejected as error:
        return SourceRecord(
            offset, received_at_ms, Unreadable(error.code, error.reason, tenant_of_key(key))
        )
    return SourceRecord(offset, received_at_ms, body)


def _source_body(
    schema: Schema, fields: dict[str, Any]
) -> EventBatch | EventRow | CataloguePublished | EventAmended:
    if schema is USAGE_BATCH:
        if len(fields["occurred_at_ms"]) > EVENTS_PER_BATCH_MAX:
            raise Rejected(
                Code.UNDECODABLE, f"a batch holds more than {EVENTS_PER_BATCH_MAX} events"
            )
        return EventBatch(
            tenant=fields["tenant"],
            backfill=fields["backfill"],
            strings=fields["strings"],
            dimension_sets=fields["dimension_sets"],
            keys=fields["keys"],
            fingerprints=fields["fingerprints"],
            customer=fields["customer"],
            type_=fields["type"],
            dimension_set=fields["dimension_set"],
            occurred_at_ms=fields["occurred_at_ms"],
            scales=(fields["scale"],),
            quantity=fields["quantity"],
            properties=[
                item if isinstance(item, tuple) else (item["index"], item["name"], item["value"])
                for item in fields["properties"]
            ],
        )
    if schema is CATALOG_PUBLISHED:
        if hashlib.sha256(fields["content"].encode()).digest() != fields["content_sha256"]:
            raise Rejected(Code.UNDECODABLE, "the catalogue's hash does not belong to its content")
        return CataloguePublished(fields["tenant"], fields["version"], fields["content"])
    if schema is EVENT_AMENDED:
        return from_wire_event_amended(fields)
    row: EventRow = fields  # type: ignore[assignment]
    return row


def to_wire_catalogue(*, tenant: str, version: int, content: str) -> bytes:
    """This function will write a catalogue version as a record of usage.events."""
    return encode(
        CATALOG_PUBLISHED,
        {
            "tenant": tenant,
            "version": version,
            "content_sha256": hashlib.sha256(content.encode()).digest(),
            "content": content,
        },
    )


def to_wire_usage_facts(facts: UsageFacts, *, writer: str) -> bytes:
    """This function will write a facts record of the usage fold.

    Args:
        facts: What the fold decided.
        writer: Random id of the writing process, for people who read the log.
    """
    numbers: dict[str, int] = {}

    def number(text: str) -> int:
        return numbers.setdefault(text, len(numbers))

    series, accepted = facts.series, facts.accepted
    record: dict[str, Any] = {
        "writer": writer,
        "from_offset": facts.from_offset,
        "to_offset": facts.to_offset,
        "received_high_ms": facts.received_high_ms,
        "owner_tenant": [number(tenant) for tenant, _ in series.owners],
        "owner_customer": [number(customer) for _, customer in series.owners],
        "meters": [number(meter) for meter in series.meters],
        "strings": list(numbers),
        "dimension_sets": list(series.dimension_sets),
        "series_owner": _packed(series.owner, _INT32),
        "series_meter": _packed(series.meter, _INT32),
        "series_dimensions": _packed(series.dimensions, _INT32),
        "series_admitted": _packed(series.admitted, _INT32),
        "sketch_window": _packed(facts.sketches.window, _INT32),
        "sketch_length": _packed(np.array([len(item) for item in facts.sketches.states]), _INT32),
        "sketch_states": b"".join(facts.sketches.states),
        "accepted_owner": _packed(accepted.owner, _INT32),
        "accepted_keys": np.column_stack((accepted.high, accepted.low)).astype(">u8").tobytes(),
        "accepted_fingerprints": accepted.fingerprint.astype(">u8").tobytes(),
        "accepted_hour": _packed(accepted.hour, _INT32),
        "counts": [
            {name: getattr(count, name) for name in IntakeCount.__slots__}
            for count in facts.counts
        ],
        "rejects": [to_wire_reject(reject) for reject in facts.rejects],
        "catalogues": [
            {name: getattr(item, name) for name in CatalogueApplied.__slots__}
            for item in facts.catalogues
        ],
        "amendments": [to_wire_amendment(item) for item in facts.amendments],
        "restated": _packed(np.array(sorted(facts.restated), dtype=_INT32), _INT32),
        "watches": facts.watches,
    }
    for name, column in facts.windows.columns.items():
        record[f"window_{name}"] = _packed(column, COLUMN_TYPES[name].newbyteorder("<"))
    return encode(USAGE_FACTS, record)


def from_wire_usage_facts(value: bytes | None) -> UsageFacts:
    """This function will read a facts record of the usage fold.

    Raises:
        Rejected: When the bytes are no such record, which in a facts topic means corruption.
    """
    _, fields = _FACTS.decode(value)
    strings = fields["strings"]
    try:
        facts = UsageFacts(
            from_offset=fields["from_offset"],
            to_offset=fields["to_offset"],
            received_high_ms=fields["received_high_ms"],
            series=SeriesColumns(
                owners=tuple(
                    (strings[tenant], strings[customer])
                    for tenant, customer in zip(
                        fields["owner_tenant"], fields["owner_customer"], strict=True
                    )
                ),
                meters=tuple(strings[index] for index in fields["meters"]),
                dimension_sets=tuple(fields["dimension_sets"]),
                owner=_unpacked(fields["series_owner"], _INT32),
                meter=_unpacked(fields["series_meter"], _INT32),
                dimensions=_unpacked(fields["series_dimensions"], _INT32),
                admitted=_admitted(fields),
            ),
            windows=WindowDeltas(
                **{
                    name: _unpacked(fields[f"window_{name}"], kind.newbyteorder("<"))
                    for name, kind in COLUMN_TYPES.items()
                }
            ),
            sketches=_sketches(fields),
            accepted=_accepted(fields),
            counts=tuple(IntakeCount(**count) for count in fields["counts"]),
            rejects=tuple(from_wire_reject(reject) for reject in fields["rejects"]),
            catalogues=tuple(CatalogueApplied(**item) for item in fields["catalogues"]),
            amendments=tuple(from_wire_amendment(item) for item in fields["amendments"]),
            restated=frozenset(_unpacked(fields["restated"], _INT32).tolist()),
            watches=fields["watches"],
        )
        _require_whole(facts)
    except (IndexError, ValueError) as error:
        raise Rejected(Code.UNDECODABLE, f"facts columns do not fit: {error}") from error
    return facts


def _require_whole(facts: UsageFacts) -> None:
    """Refuse (ValueError) columns of different lengths and indexes that point to nothing."""
    series, windows, accepted = facts.series, facts.windows, facts.accepted
    sketches = facts.sketches
    tables = (
        (series.owner, series.meter, series.dimensions),
        tuple(windows.columns.values()),
        (accepted.owner, accepted.high, accepted.low, accepted.fingerprint, accepted.hour),
    )
    if sketches.window.size != len(sketches.states) or (np.diff(sketches.window) <= 0).any():
        raise ValueError("sketches do not fit their windows")
    if any(len({column.size for column in table}) > 1 for table in tables):
        raise ValueError("columns differ in length")
    places = (
        (series.owner, len(series.owners)),
        (series.meter, len(series.meters)),
        (series.dimensions, len(series.dimension_sets)),
        (windows.series, series.owner.size),
        (accepted.owner, len(series.owners)),
        (series.admitted, len(series)),
        (sketches.window, len(windows)),
        (np.array(sorted(facts.restated), dtype=_INT32), len(windows)),
    )
    if any(at.size and not 0 <= at.min() <= at.max() < count for at, count in places):
        raise ValueError("an index points to nothing")


def _admitted(fields: Mapping[str, Any]) -> np.ndarray:
    """Return the admitted series; all of them, where a record was written before the limit."""
    if fields["series_admitted"] is None:
        return np.arange(len(fields["series_owner"]) // _INT32.itemsize, dtype=np.int32)
    return _unpacked(fields["series_admitted"], _INT32)


def _sketches(fields: Mapping[str, Any]) -> Sketches:
    lengths = _unpacked(fields["sketch_length"], _INT32)
    ends = np.cumsum(lengths, dtype=np.int64)
    states = fields["sketch_states"] or b""
    if (lengths < 0).any() or int(lengths.sum()) != len(states):
        raise ValueError("sketches differ in length")
    places = zip((ends - lengths).tolist(), ends.tolist(), strict=True)
    return Sketches(
        window=_unpacked(fields["sketch_window"], _INT32),
        states=tuple(states[start:end] for start, end in places),
    )


def _accepted(fields: Mapping[str, Any]) -> Accepted:
    keys = np.frombuffer(fields["accepted_keys"], dtype=">u8").astype(np.uint64).reshape(-1, 2)
    fingerprints = np.frombuffer(fields["accepted_fingerprints"], dtype=">u8")
    return Accepted(
        owner=_unpacked(fields["accepted_owner"], _INT32),
        high=keys[:, 0],
        low=keys[:, 1],
        fingerprint=fingerprints.astype(np.uint64),
        hour=_unpacked(fields["accepted_hour"], _INT32),
    )


def to_wire_reject(reject: Reject) -> dict[str, Any]:
    """This function will write a reject as fields of a facts record."""
    return {name: getattr(reject, name) for name in Reject.__slots__}


def from_wire_reject(fields: dict[str, Any]) -> Reject:
    """This function will read a reject from fields of a facts record."""
    return Reject(**{**fields, "code": Code(fields["code"])})


def _packed(column: np.ndarray, kind: np.dtype) -> bytes:
    return column.astype(kind, copy=False).tobytes()


def _unpacked(data: bytes, kind: np.dtype) -> np.ndarray:
    """Read a packed column; fastavro gives an empty text where a default of bytes is filled in."""
    return np.frombuffer(data or b"", dtype=kind)
