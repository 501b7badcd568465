"""Many events of one partition as one Kafka value: five-byte frame, then a columnar UsageBatch."""

import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final, TypeAlias

import fastavro

from tidegauge import limits
from tidegauge.wire import identity

SCHEMA_ID: Final = 1
"""Id of UsageBatch in the built-in registry."""

SCHEMA_TEXT: Final = resources.files(__package__).joinpath("usage_batch.avsc").read_text("utf-8")
"""The schema as published in schemas/avro/usage_batch.avsc."""

FRAME: Final = b"\x00" + SCHEMA_ID.to_bytes(4, "big")
"""What stands before a body: the magic byte and the schema id, big-endian."""

_SCHEMA: Final = fastavro.parse_schema(json.loads(SCHEMA_TEXT))

EventRow: TypeAlias = tuple[str, bytes, bytes, str, str, str, int, int, bool, str]
"""One event, ready for the wire; a plain tuple, because a million of them are made and dropped.

In order: id as text · key (16 bytes) · fingerprint (8 bytes) · customer · type · dimensions in
canonical form · occurred_at in ms since 1970 UTC · quantity in billionths · whether the id is
foreign, that is not a UUID · properties in canonical form.
"""

ROW_ID: Final = 0
ROW_KEY: Final = 1
ROW_CUSTOMER: Final = 3
ROW_BILLIONTHS: Final = 7
ROW_IS_FOREIGN: Final = 8


@dataclass(frozen=True, slots=True)
class BatchHeader:
    """What all events of a batch share.

    Attributes:
        tenant: Tenant that owns every event.
        source: Where foreign ids are unique; may be empty.
        producer_id: Random id of the meter, 16 bytes.
        sequence: Number of the batch within the meter, from 0.
        sent_at_ms: The producer's clock when the batch was closed, in ms since 1970 UTC.
        backfill: Whether the sender asks for the right to report old events.
        schema_id: Id of UsageBatch in the registry that the log uses.
    """

    tenant: str
    source: str
    producer_id: bytes
    sequence: int
    sent_at_ms: int
    backfill: bool
    schema_id: int = SCHEMA_ID


def scale_of(billionths: Sequence[int]) -> int:
    """This function will find the decimal places that hold every quantity exactly.

    A power of ten divides all numbers exactly when it divides their greatest common divisor, so
    one gcd in C replaces a loop over events.

    Args:
        billionths: Quantities times 10^9.

    Returns:
        The largest scale among the quantities, 0 to 9.
    """
    divisor = math.gcd(*billionths)
    if divisor == 0:
        return 0
    scale = limits.QUANTITY_SCALE
    while scale > 0 and divisor % 10 == 0:
        divisor //= 10
        scale -= 1
    return scale


def is_encodable(billionths: Sequence[int]) -> bool:
    """This function will tell whether one scale can hold all these quantities in 64 bits.

    Args:
        billionths: Quantities times 10^9, at least one.

    Returns:
        True when they may share a batch.
    """
    unit: int = 10 ** (limits.QUANTITY_SCALE - scale_of(billionths))
    return max(billionths) // unit <= limits.WIRE_INTEGER_MAX


def cut_by_scale(rows: Sequence[EventRow]) -> Iterator[Sequence[EventRow]]:
    """This function will cut rows into runs whose quantities can share one scale.

    Nearly always that is one run: only a quantity above 9.2 billion beside one with many decimal
    places makes a second.

    Args:
        rows: Events in order, at least one, each encodable alone.

    Yields:
        Runs in order; together they are exactly the rows.
    """
    billionths = [row[ROW_BILLIONTHS] for row in rows]
    if max(billionths) <= limits.WIRE_INTEGER_MAX or is_encodable(billionths):
        yield rows
        return
    start = 0
    scale = 0
    largest = 0
    for index, value in enumerate(billionths):
        scale_with = max(scale, scale_of((value,)))
        largest_with = max(largest, value)
        unit = 10 ** (limits.QUANTITY_SCALE - scale_with)
        if largest_with // unit > limits.WIRE_INTEGER_MAX:
            yield rows[start:index]
            start, scale, largest = index, scale_of((value,)), value
        else:
            scale, largest = scale_with, largest_with
    yield rows[start:]


def encode(header: BatchHeader, rows: Sequence[EventRow]) -> bytes:
    """This function will encode events of one partition into one Kafka value.

    Args:
        header: What the events share.
        rows: 1 to 5,000 events in order, that `cut_by_scale` left together.

    Returns:
        The frame and the Avro body.
    """
    columns = list(zip(*rows, strict=True))
    _, keys, fingerprints, customers, types, dimensions, times, billionths, foreign, properties = (
        columns
    )
    scale = scale_of(billionths)
    unit = 10 ** (limits.QUANTITY_SCALE - scale)
    strings = {text: place for place, text in enumerate(dict.fromkeys((*customers, *types)))}
    sets = {text: place for place, text in enumerate(dict.fromkeys(("", *dimensions)))}
    datum: Mapping[str, object] = {
        "tenant": header.tenant,
        "source": header.source,
        "producer_id": header.producer_id,
        "sequence": header.sequence,
        "sent_at_ms": header.sent_at_ms,
        "backfill": header.backfill,
        "strings": list(strings),
        "dimension_sets": [identity.pairs_of(text) for text in sets if text],
        "keys": b"".join(keys),
        "fingerprints": b"".join(fingerprints),
        "customer": [strings[text] for text in customers],
        "type": [strings[text] for text in types],
        "dimension_set": [sets[text] for text in dimensions],
        "occurred_at_ms": times,
        "scale": scale,
        "quantity": [value // unit for value in billionths],
        "foreign_ids": _foreign_ids(rows, foreign) if True in foreign else [],
        "properties": _properties(properties) if any(properties) else [],
    }
    out = io.BytesIO()
    out.write(b"\x00" + header.schema_id.to_bytes(4, "big"))
    fastavro.schemaless_writer(out, _SCHEMA, datum)
    return out.getvalue()


def _foreign_ids(rows: Sequence[EventRow], foreign: Sequence[bool]) -> list[dict[str, object]]:
    return [
        {"index": index, "id": row[ROW_ID]}
        for index, (row, is_foreign) in enumerate(zip(rows, foreign, strict=True))
        if is_foreign
    ]


def _properties(properties: Sequence[str]) -> list[dict[str, object]]:
    return [
        {"index": index, "name": name, "value": value}
        for index, text in enumerate(properties)
        if text
        for name, value in identity.pairs_of(text).items()
    ]
