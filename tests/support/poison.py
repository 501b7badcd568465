"""Records that no fold may count, and some of foreign producers that it must: raw bytes each.

Made with fastavro and the schema files only, as a stranger would make them.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import fastavro

from tests.support.checkout import ROOT
from tests.support.kafka_hash import partition_of

BATCH, EVENT, CATALOGUE, FOREIGN_SCHEMA, NO_SCHEMA = 1, 2, 3, 5, 4_711
"""Schema ids on usage.events; the last two must not be there."""
VALUE_BYTES_MAX = 1024 * 1024
_FILES = {BATCH: "usage_batch", EVENT: "usage_event", CATALOGUE: "catalog_published"}
_SCHEMAS = {
    number: fastavro.parse_schema(
        json.loads((ROOT / "schemas" / "avro" / f"{name}.avsc").read_text(encoding="utf-8"))
    )
    for number, name in _FILES.items()
}


@dataclass(frozen=True, slots=True)
class Poison:
    """One record that must be refused.

    Args:
        kind: What is wrong with it.
        code: Code of its reject.
        events: How many events the reject stands for.
        partition: Where it goes.
        value: Its bytes; None is a record without value.
    """

    kind: str
    code: str
    events: int
    partition: int
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a poison goes, and who it says it is from."""

    tenant: str
    customer: str
    partition: int
    partitions: int
    now_ms: int
    random: random.Random


def framed(schema_id: int, record: dict[str, Any], *, as_id: int | None = None) -> bytes:
    """Encode a record; `as_id` puts another schema id in front of it."""
    out = io.BytesIO()
    out.write(b"\0" + (schema_id if as_id is None else as_id).to_bytes(4, "big"))
    fastavro.schemaless_writer(out, _SCHEMAS[schema_id], record)
    return out.getvalue()


def batch(place: Place, *, events: int = 2, **changes: Any) -> dict[str, Any]:
    """Return a valid batch, with some fields changed."""
    record: dict[str, Any] = {
        "tenant": place.tenant,
        "source": "stranger",
        "producer_id": b"\x07" * 16,
        "sequence": 0,
        "sent_at_ms": place.now_ms,
        "backfill": False,
        "strings": [place.customer, "request"],
        "dimension_sets": [],
        "keys": place.random.randbytes(16 * events),
        "fingerprints": place.random.randbytes(8 * events),
        "customer": [0] * events,
        "type": [1] * events,
        "dimension_set": [0] * events,
        "occurred_at_ms": [place.now_ms - 1000] * events,
        "scale": 0,
        "quantity": [1] * events,
        "foreign_ids": [],
        "properties": [
            {"index": index, "name": "latency_ms", "value": "1"} for index in range(events)
        ],
    }
    return record | changes


def single(place: Place, *, key: bytes, **changes: Any) -> bytes:
    """Encode one UsageEvent of a foreign producer; valid unless changed."""
    record: dict[str, Any] = {
        "tenant": place.tenant,
        "source": "stranger",
        "key": key,
        "fingerprint": key[:8],
        "id": key.hex(),
        "customer": place.customer,
        "type": "tokens",
        "occurred_at_ms": place.now_ms - 60_000,
        "quantity": 125,
        "scale": 1,
        "dimensions": {"region": "eu"},
        "properties": {},
        "backfill": False,
    }
    return framed(EVENT, record | changes)


def catalogue(place: Place, document: dict[str, Any], *, version: int) -> bytes:
    """Encode a valid catalogue of the place's tenant."""
    return _catalogue(place, json.dumps(document, separators=(",", ":")), version=version)


def _catalogue(place: Place, content: str, *, version: int, digest: bytes | None = None) -> bytes:
    digest = sha256(content.encode()).digest() if digest is None else digest
    return framed(
        CATALOGUE,
        {
            "tenant": place.tenant,
            "version": version,
            "content_sha256": digest,
            "content": content,
        },
    )


def _valid(place: Place) -> bytes:
    return framed(BATCH, batch(place))


def _huge(place: Place) -> bytes:
    # Random text, so that no compression brings it below the broker's limit by accident.
    filler = place.random.randbytes(VALUE_BYTES_MAX // 2 + 500).hex()
    properties = [{"index": 0, "name": "x", "value": filler}]
    return framed(BATCH, batch(place, properties=properties))


def _elsewhere(place: Place) -> bytes:
    """A valid batch of a customer who lives on another partition."""
    stranger = next(
        name
        for name in (f"stranger-{number}" for number in range(1_000))
        if partition_of(place.tenant, name, partitions=place.partitions) != place.partition
    )
    return framed(BATCH, batch(place, strings=[stranger, "request"]))


def _hostile_count(place: Place) -> bytes:
    """An array that says it holds 2^62 numbers, and then the record ends."""
    value = _valid(place)
    return value[: len(value) // 2] + b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"


def _bad_utf8(place: Place) -> bytes:
    return _valid(place).replace(place.customer.encode(), b"\xff" * len(place.customer), 1)


_DIMENSIONS_300 = {f"name-{number}": "x" for number in range(300)}
_Maker = Callable[[Place], bytes | None]

KINDS: dict[str, tuple[str, int, _Maker]] = {
    "garbage": ("undecodable", 1, lambda place: b"\x99" + place.random.randbytes(200)),
    "no value": ("undecodable", 1, lambda place: None),
    "empty value": ("undecodable", 1, lambda place: b""),
    "frame only": ("undecodable", 1, lambda place: b"\0\0\0\0\1"),
    "truncated": ("undecodable", 1, lambda place: _valid(place)[:-7]),
    "trailing bytes": ("undecodable", 1, lambda place: _valid(place) + b"\0"),
    "hostile array count": ("undecodable", 1, _hostile_count),
    "invalid utf-8": ("undecodable", 1, _bad_utf8),
    "unknown schema id": (
        "unknown_schema",
        1,
        lambda place: framed(BATCH, batch(place), as_id=NO_SCHEMA),
    ),
    "schema of another topic": (
        "unknown_schema",
        1,
        lambda place: framed(BATCH, batch(place), as_id=FOREIGN_SCHEMA),
    ),
    "oversized": ("oversized", 1, _huge),
    "wrong partition": ("misrouted", 2, _elsewhere),
    "no events": ("undecodable", 1, lambda place: framed(BATCH, batch(place, events=0))),
    "columns differ": (
        "undecodable",
        2,
        lambda place: framed(BATCH, batch(place, quantity=[1])),
    ),
    "index outside": (
        "undecodable",
        2,
        lambda place: framed(BATCH, batch(place, customer=[0, 9])),
    ),
    "impossible scale": (
        "undecodable",
        2,
        lambda place: framed(BATCH, batch(place, scale=12)),
    ),
    "empty tenant": ("undecodable", 2, lambda place: framed(BATCH, batch(place, tenant=""))),
    "negative quantity": (
        "bad_value",
        2,
        lambda place: framed(BATCH, batch(place, quantity=[-1, -1])),
    ),
    "huge quantity": (
        "bad_value",
        2,
        lambda place: framed(BATCH, batch(place, quantity=[10**14, 2**63 - 1])),
    ),
    "empty customer": (
        "bad_value",
        2,
        lambda place: framed(BATCH, batch(place, strings=["", "request"])),
    ),
    "control character": (
        "bad_value",
        2,
        lambda place: framed(BATCH, batch(place, strings=["nul\0", "request"])),
    ),
    "300 dimensions": (
        "bad_value",
        2,
        lambda place: framed(
            BATCH, batch(place, dimension_sets=[_DIMENSIONS_300], dimension_set=[1, 1])
        ),
    ),
    "time before 1970": (
        "bad_value",
        2,
        lambda place: framed(BATCH, batch(place, occurred_at_ms=[-1, -(2**62)])),
    ),
    "unknown type": (
        "unknown_type",
        2,
        lambda place: framed(BATCH, batch(place, strings=[place.customer, "nonsense"])),
    ),
    "too late": (
        "too_late",
        2,
        lambda place: framed(
            BATCH, batch(place, occurred_at_ms=[place.now_ms - 36 * 86_400_000] * 2)
        ),
    ),
    "future": (
        "future",
        2,
        lambda place: framed(
            BATCH, batch(place, occurred_at_ms=[place.now_ms + 3_600_000, 253_402_300_799_999])
        ),
    ),
    "property missing": (
        "bad_value",
        2,
        lambda place: framed(BATCH, batch(place, properties=[])),
    ),
    "catalogue hash wrong": (
        "undecodable",
        1,
        lambda place: _catalogue(place, '{"version":9}', version=9, digest=b"\0" * 32),
    ),
    "catalogue invalid": (
        "catalogue_invalid",
        0,
        lambda place: _catalogue(place, '{"version":9,"nonsense":1}', version=9),
    ),
}
"""Name → code, events the reject stands for, and how it is made."""


def make(kind: str, place: Place) -> Poison:
    """Make one poison record."""
    code, events, maker = KINDS[kind]
    return Poison(kind, code, events, place.partition, maker(place))
