"""Bytes to record and back: 0x00, int32 big-endian schema id, Avro body.

The frame is Confluent's wire format, so any Avro client can read our topics. A reader accepts only
the ids its topic allows, checks the size before decoding and that every byte was used after.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any, Protocol

import fastavro

from domain.codes import Code
from domain.errors import Rejected
from domain.fields import is_clean_text
from schemas import wire_ids
from schemas.registry import SUPERSEDED, USAGE_BATCH, USAGE_EVENT
from schemas.usage_fast import usage_batch_fields, usage_event_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from schemas.registry import Schema
    from schemas.subjects import Foreign
    from schemas.topics import Topic

    FastReader = Callable[[bytes, int], dict[str, Any] | None]

_FRAME = struct.Struct(">bi")
FRAME_BYTES = _FRAME.size
FAST_READERS: Mapping[Schema, FastReader] = {
    USAGE_BATCH: usage_batch_fields,
    USAGE_EVENT: usage_event_fields,
}
"""Readers of the hot schemas; they return None for what only the general reader should judge."""


class ForeignSchemas(Protocol):
    """Where the meaning of ids is found that are not ours: a schema registry."""

    def find(self, topic: Topic, schema_id: int, *, received_at_ms: int) -> Foreign | None:
        """Return how records of a topic with this id are read; None when it means nothing there.

        It may ask the log or a server, so it is called for unusual ids only.

        Args:
            topic: The topic.
            schema_id: Id in the frame.
            received_at_ms: Append time of the record, milliseconds since 1970 UTC.

        Raises:
            Retryable: Nobody can say it now; to reject the record instead would be wrong.
        """


def encode(schema: Schema, record: dict[str, Any]) -> bytes:
    """This function will write a record with its frame."""
    buffer = io.BytesIO()
    buffer.write(_FRAME.pack(0, wire_ids.number_of(schema)))
    fastavro.schemaless_writer(buffer, schema.parsed, record)
    return buffer.getvalue()


class Decoder:
    """Decodes the values of one topic.

    Args:
        topic: Says which schemas are allowed, each in all its versions, and how large a value
            may be.
    """

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._bytes_max = topic.message_bytes_max
        self._in_force = {schema.name: schema for schema in topic.schemas}
        self._ids: Mapping[int, int] = {}
        self._readers: dict[int, tuple[Schema, Schema, FastReader | None]] = {}

    def decode(
        self,
        value: bytes | None,
        *,
        received_at_ms: int = 0,
        foreign: ForeignSchemas | None = None,
    ) -> tuple[Schema, dict[str, Any]]:
        """This function will decode one value.

        Args:
            value: The Kafka record's value; None for a tombstone.
            received_at_ms: The record's append time, milliseconds since 1970 UTC.
            foreign: Where ids are looked up that are not ours; None knows no others.

        Returns:
            The schema in force of what was written, and the fields as that one has them.

        Raises:
            Rejected: oversized, unknown_schema or undecodable.
            Retryable: Nobody can say now what the id means.
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
        if self._ids is not wire_ids.in_force():
            self._learn_ids()
        known = self._readers.get(schema_id)
        if known is None:
            found = (
                foreign.find(self._topic, schema_id, received_at_ms=received_at_ms)
                if foreign is not None
                else None
            )
            if found is None:
                raise Rejected(
                    Code.UNKNOWN_SCHEMA, f"schema id {schema_id} is not allowed on this topic"
                )
            return self._foreign_body(found, value)
        written, schema, fast = known
        fields = fast(value, FRAME_BYTES) if fast is not None else None
        if fields is None:
            as_schema = None if written is schema else schema.parsed
            fields = _body(written.parsed, as_schema, value, name=schema.name)
        return schema, fields

    def _learn_ids(self) -> None:
        """Take the numbers of our schemas that are in force now."""
        ids = wire_ids.in_force()
        written = [*self._in_force.values(), *SUPERSEDED]
        self._readers = {
            ids[schema.schema_id]: (
                schema,
                self._in_force[schema.name],
                FAST_READERS.get(schema),
            )
            for schema in written
            if schema.name in self._in_force
        }
        self._ids = ids

    def _foreign_body(self, found: Foreign, value: bytes) -> tuple[Schema, dict[str, Any]]:
        """Read with the schema of ours that is known to fit; what came later has its defaults."""
        schema = self._in_force[found.read_as.name]
        try:
            written, read_as = found.version.parsed, found.read_as.parsed
        except Exception as error:  # fastavro raises several types
            raise Rejected(
                Code.UNKNOWN_SCHEMA, f"schema id {found.version.schema_id} cannot be read with"
            ) from error
        fields = _body(written, read_as, value, name=schema.name, reader=_Exact(value))
        return schema, fields if found.read_as is schema else {**_defaults(schema), **fields}


def tenant_of_key(key: bytes | None) -> str:
    """This function will return the tenant that a record key names, or nothing.

    The key is the tenant, or tenant 0x1f customer: with it any Kafka client finds the partition.
    """
    try:
        tenant = (key or b"").partition(b"\x1f")[0].decode()
    except UnicodeDecodeError:
        return ""
    return tenant if is_clean_text(tenant) else ""


class _Exact(io.BytesIO):
    """Bytes whose end is an error.

    fastavro passes over a field that we do not read without looking whether all of it is there.
    """

    def read(self, size: int | None = -1, /) -> bytes:  # type: ignore[explicit-override]  # typing has it from 3.12 on
        """Read exactly so many bytes (EOFError when there are fewer)."""
        found = super().read(size)
        if len(found) != size:
            raise EOFError("the record is cut off")
        return found


def _defaults(schema: Schema) -> dict[str, Any]:
    return {
        field["name"]: field["default"]
        for field in schema.definition["fields"]
        if "default" in field
    }


def _body(
    written: Any,  # noqa: ANN401 -- fastavro's own opaque form
    as_schema: Any,  # noqa: ANN401 -- likewise
    value: bytes,
    *,
    name: str,
    reader: io.BytesIO | None = None,
) -> dict[str, Any]:
    """Read what was written with one schema as another; None is the same, without resolution."""
    reader = reader or io.BytesIO(value)
    reader.seek(FRAME_BYTES)
    try:
        record: Any = fastavro.schemaless_reader(reader, written, as_schema)
    except Exception as error:  # hostile bytes make fastavro raise nearly any type
        raise Rejected(
            Code.UNDECODABLE, f"no valid {name}: {type(error).__name__}: {error}"[:300]
        ) from error
    if reader.tell() != len(value):
        raise Rejected(Code.UNDECODABLE, f"{len(value) - reader.tell()} bytes follow the record")
    fields: dict[str, Any] = record
    return fields
