"""O2, first half: the raw log, read by a stranger. Imports nothing of ours.

Frames, Avro and the acceptance of records are written again here from the documents, with fastavro
and the schema files; the result is plain tables in DuckDB.
"""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import fastavro
import pyarrow as pa
from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from tests.support.kafka_hash import partition_of

SCHEMA_FILES = Path(__file__).resolve().parents[2] / "schemas" / "avro"
BATCH, EVENT, CATALOGUE, FACTS, BOOKS_FACTS, EMERGENCE_FACTS = 1, 2, 3, 15, 6, 11
VALUE_BYTES_MAX = 1024 * 1024
_OF_FACTS = {FACTS, BOOKS_FACTS, EMERGENCE_FACTS}
"""Facts may be larger than what others send."""
EVENTS_PER_BATCH_MAX, SCALE, UNITS_MAX, YEAR_10000_MS = 5_000, 9, 10**14, 253_402_300_800_000
DIMENSIONS_MAX = 32
READ_PAUSE_S, READ_STALL_S = 0.1, 30
ROWS_PER_INSERT = 100_000
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")

EVENT_TABLE = pa.schema(
    [
        ("partition", pa.int32()),
        ("source_offset", pa.int64()),
        ("place", pa.int32()),
        ("tenant", pa.string()),
        ("customer", pa.string()),
        ("key", pa.binary(16)),
        ("fingerprint", pa.binary(8)),
        ("event_type", pa.string()),
        ("dimensions", pa.string()),
        ("occurred_ms", pa.int64()),
        ("received_ms", pa.int64()),
        ("backfill", pa.bool_()),
        ("nanos", pa.decimal128(38, 0)),
        ("is_bad", pa.bool_()),
        ("is_misrouted", pa.bool_()),
        ("properties", pa.string()),
        ("version", pa.int64()),
    ]
)
REFUSAL_TABLE = pa.schema(
    [
        ("partition", pa.int32()),
        ("source_offset", pa.int64()),
        ("events", pa.int64()),
        ("tenant", pa.string()),
        ("code", pa.string()),
        ("received_ms", pa.int64()),
    ]
)


class Refused(Exception):
    """A record that counts nothing; code, tenant and events as its reject must say them.

    A tenant of None stands for the one that the record's key names: the value could not be read.
    """

    def __init__(self, code: str, *, tenant: str | None = None, events: int = 1) -> None:
        super().__init__(code)
        self.code, self.tenant, self.events = code, tenant, events


def schema_of(name: str) -> Any:
    """Return a schema file as fastavro wants it."""
    return fastavro.parse_schema(json.loads((SCHEMA_FILES / f"{name}.avsc").read_text("utf-8")))


_SOURCE_SCHEMAS = {
    BATCH: schema_of("usage_batch"),
    EVENT: schema_of("usage_event"),
    CATALOGUE: schema_of("catalog_published"),
}


def unframe(value: bytes | None, schemas: dict[int, Any]) -> tuple[int, dict[str, Any]]:
    """Decode one value to its last byte (Refused otherwise)."""
    if not value:
        raise Refused("undecodable")
    if len(value) > VALUE_BYTES_MAX and not _OF_FACTS & set(schemas):
        raise Refused("oversized")
    if len(value) < 5 or value[0]:
        raise Refused("undecodable")
    schema_id = int.from_bytes(value[1:5], "big", signed=True)
    if schema_id not in schemas:
        raise Refused("unknown_schema")
    body = io.BytesIO(value[5:])
    try:
        record: Any = fastavro.schemaless_reader(body, schemas[schema_id], None)
    except Exception as error:  # hostile bytes make fastavro raise nearly any type
        raise Refused("undecodable") from error
    if body.tell() != len(value) - 5:
        raise Refused("undecodable")
    return schema_id, record


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One Kafka record."""

    partition: int
    offset: int
    received_ms: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, str]

    @classmethod
    def of_message(cls, message: Message) -> LogRecord:
        """Take what a consumer gave."""
        partition, offset, headers = message.partition(), message.offset(), message.headers()
        if partition is None or offset is None:
            raise RuntimeError("a message without a place")
        texts: dict[str, str] = {}
        for name, value in headers if isinstance(headers, list) else []:
            texts[name] = value.decode() if isinstance(value, bytes) else str(value)
        return cls(
            partition=partition,
            offset=offset,
            received_ms=message.timestamp()[1],
            key=_bytes(message.key()),
            value=_bytes(message.value()),
            headers=texts,
        )


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def read_topic(bootstrap: str, topic: str) -> Iterator[LogRecord]:
    """Yield every record of a topic up to its present end; each partition's are in order."""
    missing = {partition: end for partition, end in topic_ends(bootstrap, topic).items() if end}
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "oracle",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 20,
            "fetch.queue.backoff.ms": 10,
        }
    )
    consumer.assign([TopicPartition(topic, partition, 0) for partition in missing])
    stalled_s = time.monotonic()
    try:
        while missing:
            for message in consumer.consume(1_000, timeout=READ_PAUSE_S):
                if message.error() is not None:
                    continue
                stalled_s = time.monotonic()
                record = LogRecord.of_message(message)
                if record.offset < missing.get(record.partition, 0):
                    if record.offset + 1 == missing[record.partition]:
                        del missing[record.partition]
                    yield record
            if time.monotonic() - stalled_s > READ_STALL_S:
                raise RuntimeError(f"{topic} gives nothing more, missing up to {missing}")
    finally:
        consumer.close()


def topic_ends(bootstrap: str, topic: str) -> dict[int, int]:
    """Return the end offset of every partition."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    partitions = admin.list_topics(topic, timeout=15).topics[topic].partitions
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    wanted = {TopicPartition(topic, partition): latest for partition in partitions}
    return {
        where.partition: future.result(timeout=15).offset
        for where, future in admin.list_offsets(wanted).items()
    }


def is_clean(text: str, length_max: int = 200) -> bool:
    """Say whether a text may be a name: 1 to length_max characters, none of them control codes."""
    return 0 < len(text) <= length_max and _CONTROL.search(text) is None


def canonical(pairs: dict[str, str]) -> str:
    """Write a map so that equal maps are equal texts."""
    return json.dumps(pairs, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@dataclass(slots=True)
class LogReader:
    """Reads usage.events into the tables `event` and `refusal`.

    Args:
        database: Where the tables go.
        partitions: Partition count of the topic.
        catalogues: (tenant, version) → content, of every catalogue that took effect.
    """

    database: duckdb.DuckDBPyConnection
    partitions: int
    catalogues: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    records: int = 0
    _in_force: dict[tuple[int, str], int] = field(default_factory=dict)
    _events: list[tuple[Any, ...]] = field(default_factory=list)
    _refusals: list[tuple[Any, ...]] = field(default_factory=list)

    def read(self, bootstrap: str, topic: str = "usage.events") -> None:
        """Read the whole topic."""
        self.make_tables()
        for record in read_topic(bootstrap, topic):
            self.take(
                partition=record.partition,
                offset=record.offset,
                received_ms=record.received_ms,
                value=record.value,
                key=record.key,
            )
        self.flush()

    def make_tables(self) -> None:
        """Make the tables, empty."""
        for name, schema in (("event", EVENT_TABLE), ("refusal", REFUSAL_TABLE)):
            empty = schema.empty_table()
            self.database.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM empty")
            del empty

    def take(
        self,
        *,
        partition: int,
        offset: int,
        received_ms: int,
        value: bytes | None,
        key: bytes | None = None,
    ) -> None:
        """Take one record."""
        self.records += 1
        if offset != self.ends.get(partition, 0):
            raise RuntimeError(f"usage.events/{partition} has a hole before offset {offset}")
        self.ends[partition] = offset + 1
        try:
            schema_id, record = unframe(value, _SOURCE_SCHEMAS)
            if schema_id == CATALOGUE:
                self._take_catalogue(partition, record)
            else:
                columns = record if schema_id == BATCH else _as_batch(record)
                self._take_batch(partition, offset, received_ms, columns)
        except Refused as refused:
            tenant = _named_by(key) if refused.tenant is None else refused.tenant
            row = (partition, offset, refused.events, tenant, refused.code, received_ms)
            self._refusals.append(row)
        if len(self._events) >= ROWS_PER_INSERT:
            self.flush()

    def flush(self) -> None:
        """Put what was gathered into the tables."""
        for name, schema, rows in (
            ("event", EVENT_TABLE, self._events),
            ("refusal", REFUSAL_TABLE, self._refusals),
        ):
            if rows:
                columns = zip(*rows, strict=True)
                gathered = pa.table(
                    [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)],
                    schema=schema,
                )
                self.database.execute(f"INSERT INTO {name} SELECT * FROM gathered")
                del gathered
            rows.clear()

    def _take_catalogue(self, partition: int, record: dict[str, Any]) -> None:
        """A higher version takes effect here; this test publishes no other valid ones."""
        content, tenant, version = record["content"], record["tenant"], record["version"]
        if sha256(content.encode()).digest() != record["content_sha256"]:
            raise Refused("undecodable")
        document = json.loads(content)
        if set(document) - {"version", "meters", "plans"} or document["version"] != version:
            raise Refused("catalogue_invalid", tenant=tenant, events=0)
        current = self._in_force.get((partition, tenant), 0)
        if version < current:
            raise Refused("catalogue_version_old", tenant=tenant, events=0)
        if version == current and self.catalogues[tenant, version] != document:
            raise Refused("catalogue_version_taken", tenant=tenant, events=0)
        self._in_force[partition, tenant] = version
        self.catalogues[tenant, version] = document

    def _take_batch(
        self, partition: int, offset: int, received_ms: int, batch: dict[str, Any]
    ) -> None:
        count = len(batch["occurred_at_ms"])
        if count > EVENTS_PER_BATCH_MAX:
            raise Refused("undecodable")
        tenant = batch["tenant"] if is_clean(batch["tenant"]) else ""
        if not tenant or not _is_well_formed(batch, count):
            raise Refused("undecodable", tenant=tenant, events=max(1, count))
        bad = _bad_events(batch, count)
        strings = batch["strings"]
        strangers = {
            index
            for index in {batch["customer"][i] for i in range(count) if not bad[i]}
            if partition_of(tenant, strings[index], partitions=self.partitions) != partition
        }
        properties: dict[int, dict[str, str]] = {}
        for item in batch["properties"]:
            properties.setdefault(item["index"], {})[item["name"]] = item["value"]
        sets = ["{}", *(canonical(pairs) for pairs in batch["dimension_sets"])]
        version = self._in_force.get((partition, tenant))
        factor = 10 ** (SCALE - batch["scale"])
        for i in range(count):
            self._events.append(
                (
                    partition,
                    offset,
                    i,
                    tenant,
                    strings[batch["customer"][i]],
                    batch["keys"][16 * i : 16 * i + 16],
                    batch["fingerprints"][8 * i : 8 * i + 8],
                    strings[batch["type"][i]],
                    sets[batch["dimension_set"][i]],
                    batch["occurred_at_ms"][i],
                    received_ms,
                    batch["backfill"],
                    Decimal(batch["quantity"][i] * factor),
                    bad[i],
                    batch["customer"][i] in strangers,
                    canonical(properties.get(i, {})),
                    version,
                )
            )


def _named_by(key: bytes | None) -> str:
    try:
        text = (key or b"").decode()
    except UnicodeDecodeError:
        return ""
    return text if is_clean(text) else ""


def _as_batch(event: dict[str, Any]) -> dict[str, Any]:
    has_dimensions = bool(event["dimensions"])
    return {
        "tenant": event["tenant"],
        "backfill": event["backfill"],
        "strings": [event["customer"], event["type"]],
        "dimension_sets": [event["dimensions"]] if has_dimensions else [],
        "keys": event["key"],
        "fingerprints": event["fingerprint"],
        "customer": [0],
        "type": [1],
        "dimension_set": [int(has_dimensions)],
        "occurred_at_ms": [event["occurred_at_ms"]],
        "scale": event["scale"],
        "quantity": [event["quantity"]],
        "properties": [
            {"index": 0, "name": name, "value": value}
            for name, value in event["properties"].items()
        ],
    }


def _is_well_formed(batch: dict[str, Any], count: int) -> bool:
    columns = ("customer", "type", "dimension_set", "quantity")
    limits = (
        (batch["customer"], len(batch["strings"]) - 1),
        (batch["type"], len(batch["strings"]) - 1),
        (batch["dimension_set"], len(batch["dimension_sets"])),
    )
    return (
        count >= 1
        and all(len(batch[name]) == count for name in columns)
        and len(batch["keys"]) == 16 * count
        and len(batch["fingerprints"]) == 8 * count
        and 0 <= batch["scale"] <= SCALE
        and all(0 <= index <= highest for indexes, highest in limits for index in indexes)
    )


def _bad_events(batch: dict[str, Any], count: int) -> list[bool]:
    """Say of each event whether a value of its own is out of range."""
    is_clean_string = [is_clean(text) for text in batch["strings"]]
    is_good_set = [True, *(_is_good_set(pairs) for pairs in batch["dimension_sets"])]
    units_end = UNITS_MAX * 10 ** batch["scale"]
    return [
        not (
            is_clean_string[batch["customer"][i]]
            and is_clean_string[batch["type"][i]]
            and is_good_set[batch["dimension_set"][i]]
            and 0 <= batch["quantity"][i] < units_end
            and 0 <= batch["occurred_at_ms"][i] < YEAR_10000_MS
        )
        for i in range(count)
    ]


def _is_good_set(pairs: dict[str, str]) -> bool:
    return len(pairs) <= DIMENSIONS_MAX and all(
        is_clean(name, 64) and is_clean(value, 256) for name, value in pairs.items()
    )
