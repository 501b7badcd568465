"""Bytes to record and back: 0x00, int32 big-endian schema id, Avro body.

The frame is Confluent's wire format, so any Avro client can read our topics. A reader accepts only
the ids its topic allows, checks the size before decoding and that every byte was used after.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import fastavro

from domain.codes import Code
from domain.errors import Rejected
from domain.fields import is_clean_text
from schemas.registry import SUPERSEDED, USAGE_BATCH, USAGE_EVENT
from schemas.usage_fast import usage_batch_fields, usage_event_fields

if TYPE_CHECKING:
    from schemas.registry import Schema
    from schemas.topics import Topic

_FRAME = struct.Struct(">bi")
FRAME_BYTES = _FRAME.size
FAST_READERS = {
    USAGE_BATCH.schema_id: usage_batch_fields,
    USAGE_EVENT.schema_id: usage_event_fields,
}
"""Readers of the hot schemas; they return None for what only the general reader should judge."""


def encode(schema: Schema, record: dict[str, Any]) -> bytes:
    """This function will write a record with its frame."""
    buffer = io.BytesIO()
    buffer.write(_FRAME.pack(0, schema.schema_id))
    fastavro.schemaless_writer(buffer, schema.parsed, record)
    return buffer.getvalue()


class Decoder:
    """Decodes the values of one topic.

    Args:
        topic: Says which schemas are allowed, each in all its versions, and how large a value
            may be.
    """

    def __init__(self, topic: Topic) -> None:
        self._bytes_max = topic.message_bytes_max
        in_force = {schema.name: schema for schema in topic.schemas}
        self._schemas = {schema.schema_id: (schema, schema) for schema in topic.schemas} | {
            old.schema_id: (old, in_force[old.name]) for old in SUPERSEDED if old.name in in_force
        }

    def decode(self, value: bytes | None) -> tuple[Schema, dict[str, Any]]:
        """This function will decode one value.

        Args:
            value: The Kafka record's value; None for a tombstone.

        Returns:
            The schema in force of what was written, and the fields as that one has them.

        Raises:
            Rejected: oversized, unknown_schema or undecodable.
        """
        if not value:
            raise Rejected(Code.UNDECODABLE, "the record has no value")
        if len(value) > self._bytes_max:
            raise Rejected(
                Code.OVERSIZED, f"{len(value)} bytes, at most {self._bytes_max} are taken"
            )
        if len(value) < FRAME_BYTES or value[0] != 0:
            raise Rejected(Code.UNDECODABLE, "the value does not start with a schema frame")
        schema_id = _FRAME.unpack_from(value)[1]
        written, schema = self._schemas.get(schema_id, (None, None))
        if written is None or schema is None:
            raise Rejected(
                Code.UNKNOWN_SCHEMA, f"schema id {schema_id} is not allowed on this topic"
            )
        fast = FAST_READERS.get(schema_id)
        fields = fast(value, FRAME_BYTES) if fast is not None else None
        return schema, _body(written, schema, value) if fields is None else fields


def tenant_of_key(key: bytes | None) -> str:
    """This function will return the tenant that a record key names, or nothing."""
    try:
        tenant = (key or b"").decode()
    except UnicodeDecodeError:
        return ""
    return tenant if is_clean_text(tenant) else ""


def _body(written: Schema, schema: Schema, value: bytes) -> dict[str, Any]:
    """Read what was written with one version as another: the same one costs no resolution."""
    as_schema = None if written is schema else schema.parsed
    reader = io.BytesIO(value)
    reader.seek(FRAME_BYTES)
    try:
        record: Any = fastavro.schemaless_reader(reader, written.parsed, as_schema)
    except Exception as error:  # hostile bytes make fastavro raise nearly any type
        raise Rejected(
            Code.UNDECODABLE, f"no valid {schema.name}: {type(error).__name__}: {error}"[:300]
        ) from error
    if reader.tell() != len(value):
        raise Rejected(Code.UNDECODABLE, f"{len(value) - reader.tell()} bytes follow the record")
    fields: dict[str, Any] = record
    return fields
