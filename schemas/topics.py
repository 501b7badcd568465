"""The topic catalogue: every topic, declared once; topics are created and checked from here."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.registry import (
    BOOKS_FACTS,
    CATALOG_PUBLISHED,
    COMMAND,
    EMERGENCE_FACTS,
    EMERGENCE_SETTLED,
    EVENT_AMENDED,
    NODE_UPDATED,
    PULSE_RECEIVED,
    USAGE_BATCH,
    USAGE_EVENT,
    USAGE_FACTS,
    Schema,
)

MIB = 1024 * 1024
DAY_MS = 86_400_000
FOREVER_MS = -1


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic.

    Args:
        name: Name on the broker.
        record_key: What the Kafka record key holds, for people.
        partition_by: What the partition is computed from, for people; domain.routing does it.
        schemas: Value schemas that are allowed; empty means raw bytes.
        retention_ms: How long records are kept, milliseconds; FOREVER_MS keeps all.
        message_bytes_max: Largest record value taken, bytes.
        facts: Name of the facts topic of the fold that reads it; empty when no fold does.
        dead: Name of its dead-letter topic; empty when it has none.
        foreign: Schemas that others may write too, and extend in the schema registry; the first
            is what the registry's subject NAME-value begins with.
        partitions: Partitions, where it has not as many as the setting says.
    """

    name: str
    record_key: str
    partition_by: str
    schemas: tuple[Schema, ...]
    retention_ms: int
    message_bytes_max: int
    facts: str = ""
    dead: str = ""
    foreign: tuple[Schema, ...] = ()
    partitions: int = 0


USAGE_EVENTS = Topic(
    name="usage.events",
    record_key="tenant",
    partition_by="tenant, customer",
    schemas=(USAGE_BATCH, USAGE_EVENT, CATALOG_PUBLISHED, EVENT_AMENDED),
    retention_ms=40 * DAY_MS,  # the 35 days of the seen index, and time to notice
    message_bytes_max=1 * MIB,  # four full SDK batches; bounds what one bad record can cost
    facts="usage.facts",
    dead="usage.dead",
    foreign=(USAGE_EVENT, USAGE_BATCH),
)
USAGE_FACTS_TOPIC = Topic(
    name="usage.facts",
    record_key="none",
    partition_by="the source's partition number",
    schemas=(USAGE_FACTS,),
    retention_ms=FOREVER_MS,
    message_bytes_max=16 * MIB,  # usually 2 MiB; one batch of 5,000 events that feed 8 meters
)
USAGE_DEAD = Topic(
    name="usage.dead",
    record_key="the source's key",
    partition_by="the source's partition number",
    schemas=(),
    retention_ms=35 * DAY_MS,
    message_bytes_max=6 * MIB,
)
ACCOUNT_COMMANDS = Topic(
    name="account.commands",
    record_key="tenant",
    partition_by="tenant",
    schemas=(COMMAND,),
    retention_ms=FOREVER_MS,
    # An invoice of 5,000 lines (domain.invoice.RATED_LINES_MAX) of a plain price, 600 bytes a
    # line, and of 1,000 items, 1,150 bytes each, measured; of prices in five tiers 3,900 lines of
    # 1,070 bytes. Where not all items fit, some of them do (domain.invoice_room); one that does
    # not fit without any is left out of its run as `oversized`, the others are made.
    message_bytes_max=4 * MIB,
    facts="account.facts",
    dead="account.dead",
)
ACCOUNT_FACTS = Topic(
    name="account.facts",
    record_key="none",
    partition_by="the source's partition number",
    schemas=(BOOKS_FACTS,),
    retention_ms=FOREVER_MS,
    # The facts of one command always fit: a correction in which every line differs is the worst,
    # with 2.4 times the bytes of its command (measured).
    message_bytes_max=16 * MIB,
)
ACCOUNT_DEAD = Topic(
    name="account.dead",
    record_key="the source's key",
    partition_by="the source's partition number",
    schemas=(),
    retention_ms=35 * DAY_MS,
    message_bytes_max=6 * MIB,
)
NODE_EVENTS = Topic(
    name="node.events",
    record_key="tenant",
    partition_by="tenant, project",
    schemas=(NODE_UPDATED, PULSE_RECEIVED, EMERGENCE_SETTLED, CATALOG_PUBLISHED),
    retention_ms=FOREVER_MS,  # the evidence of what was charged
    message_bytes_max=1 * MIB,  # four times the largest webhook body that the gateway takes
    facts="emergence.facts",
    dead="node.dead",
    foreign=(NODE_UPDATED, PULSE_RECEIVED),
)
EMERGENCE_FACTS_TOPIC = Topic(
    name="emergence.facts",
    record_key="none",
    partition_by="the source's partition number",
    schemas=(EMERGENCE_FACTS,),
    retention_ms=FOREVER_MS,
    # One record at its largest makes 50 tiers known with their evidence: about 15 MiB. Usually a
    # micro-batch's facts are as large as its source records.
    message_bytes_max=16 * MIB,
)
NODE_DEAD = Topic(
    name="node.dead",
    record_key="the source's key",
    partition_by="the source's partition number",
    schemas=(),
    retention_ms=35 * DAY_MS,
    message_bytes_max=6 * MIB,
)
SCHEMA_REGISTRATIONS = Topic(
    name="schema.registrations",
    record_key="subject",
    partition_by="nothing: their order decides",
    schemas=(),  # canonical JSON: what gives ids their meaning cannot need an id to be read
    retention_ms=FOREVER_MS,
    message_bytes_max=256 * 1024,  # the largest schema, each of its characters escaped
    partitions=1,
)
SCHEMA_EXTERNAL = Topic(
    name="schema.external",
    record_key="none",
    partition_by="nothing: it stays empty",
    schemas=(),
    retention_ms=FOREVER_MS,
    message_bytes_max=1024,
    partitions=1,
)
"""Its being there says that the ids in this log's frames are those of an external registry."""
TOPICS: tuple[Topic, ...] = (
    USAGE_EVENTS,
    USAGE_FACTS_TOPIC,
    USAGE_DEAD,
    ACCOUNT_COMMANDS,
    ACCOUNT_FACTS,
    ACCOUNT_DEAD,
    NODE_EVENTS,
    EMERGENCE_FACTS_TOPIC,
    NODE_DEAD,
    SCHEMA_REGISTRATIONS,
)


def topic_of(name: str) -> Topic:
    """This function will return a topic of the catalogue by its name (KeyError otherwise)."""
    return {topic.name: topic for topic in (*TOPICS, SCHEMA_EXTERNAL)}[name]
