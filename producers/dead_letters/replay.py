"""Sending dead letters again: the same bytes, to the partition where they belong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from domain.books.records import Command
from domain.codes import Code
from domain.emergence.records import (
    DetectionSettled,
    NodeEvent,
    NodeReported,
    PulseReceived,
)
from domain.errors import Rejected
from domain.routing import partition_of
from domain.usage.amendments import EventAmended
from domain.usage.records import CataloguePublished, EventBatch, Unreadable
from producers.dead_letters.letters import Letter, Name
from runtime import clock
from runtime.kafka import broker_away
from runtime.schema_registry import new_foreign_schemas
from runtime.settings import Settings
from schemas.codec import ForeignSchemas
from schemas.command_wire import from_wire_command
from schemas.node_wire import from_wire_node_source
from schemas.topics import ACCOUNT_COMMANDS, NODE_EVENTS, USAGE_EVENTS, topic_of
from schemas.usage_wire import from_wire_usage_source

HEADER = "tidegauge-replay-of"
"""Header of a record that was sent again: the name of its letter."""
FLUSH_S = 60
"""Longest wait for the acknowledgements, seconds."""
IN_FLIGHT_MAX = 100
"""Letters handed over and not acknowledged; of 5 MiB each, what librdkafka may hold."""
Body = (
    EventBatch
    | dict[str, object]
    | CataloguePublished
    | EventAmended
    | Command
    | NodeEvent
    | Unreadable
)


@dataclass(slots=True)
class Replay:
    """What became of the letters.

    Args:
        sent: Records that the broker acknowledged, or would be sent by a dry run.
        events: Events in them, as far as they can be read.
        copies: Letters of a record that was sent already for another of its letters.
        refused: Letters that were not sent: name, code and reason.
        codes: What the sent ones had been refused for.
    """

    sent: int = 0
    events: int = 0
    copies: int = 0
    refused: list[tuple[Name, Code, str]] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)


def body_of(letter: Letter, foreign: ForeignSchemas | None = None) -> Body:
    """This function will decode a letter's value as its fold would, if it came now.

    Args:
        letter: The letter.
        foreign: Where schema ids are looked up that are not ours; None knows no others.

    Raises:
        Retryable: Nobody can say now what the schema id means.
    """
    key, offset = letter.key, letter.name.offset
    if letter.name.topic == USAGE_EVENTS.name:
        record = from_wire_usage_source(
            letter.value, offset=offset, received_at_ms=clock.now_ms(), key=key, foreign=foreign
        )
        body = record.body
        return dict(body) if isinstance(body, dict) else body
    if letter.name.topic == ACCOUNT_COMMANDS.name:
        return from_wire_command(letter.value, offset=offset, received_at_ms=0, key=key).body
    if letter.name.topic == NODE_EVENTS.name:
        return from_wire_node_source(
            letter.value, offset=offset, received_at_ms=clock.now_ms(), key=key, foreign=foreign
        ).body
    return Unreadable(Code.UNKNOWN_SCHEMA, f"nothing here reads {letter.name.topic}")


def events_in(body: Body) -> int:
    """This function will count the events or commands of a value; 0 when it cannot be read."""
    match body:
        case EventBatch():
            return len(body.occurred_at_ms)
        case CataloguePublished() | EventAmended() | Unreadable():
            return 0
        case _:
            return 1


def target_of(letter: Letter, *, partitions: int, foreign: ForeignSchemas | None = None) -> int:
    """This function will find the partition where a letter's record belongs.

    That is the one it came from, unless all its customers belong to another one.

    Args:
        letter: The letter.
        partitions: Partitions of its source topic.
        foreign: As in body_of.

    Raises:
        Rejected: letter_cut, letter_control or letter_split: it cannot be sent again.
    """
    if letter.whole_bytes:
        raise Rejected(
            Code.LETTER_CUT,
            f"{letter.whole_bytes} bytes were too many to keep",
            next_step="The source topic has the record while it is retained; send it in parts",
        )
    limit = topic_of(letter.name.topic).message_bytes_max
    if len(letter.value or b"") > limit:
        raise Rejected(
            Code.OVERSIZED,
            f"{letter.name.topic} takes no record of {len(letter.value or b'')} bytes",
            next_step="Have its sender send it in parts",
        )
    body = body_of(letter, foreign)
    if isinstance(body, CataloguePublished):
        raise Rejected(
            Code.LETTER_CONTROL,
            "a catalogue belongs to all partitions, at one place of each",
            next_step="Run `tidegauge catalogue publish`",
        )
    targets = _targets(body, partitions)
    if len(targets) > 1 and letter.code == Code.MISROUTED:
        raise Rejected(
            Code.LETTER_SPLIT,
            f"its customers belong to {len(targets)} partitions",
            next_step="Have its sender send it again in batches of one partition",
        )
    return targets.pop() if len(targets) == 1 else letter.name.partition


def _targets(body: Body, partitions: int) -> set[int]:
    match body:
        case EventBatch():
            strings = body.strings
            parts = {(body.tenant, strings[number]) for number in set(body.customer)}
        case dict():
            parts = {(str(body["tenant"]), str(body["customer"]))}
        case EventAmended():
            parts = {(body.tenant, body.customer)}
        case Command():
            return {partition_of(body.tenant, partitions=partitions)}
        case NodeReported() | PulseReceived() | DetectionSettled():
            return {partition_of(body.tenant, body.project, partitions=partitions)}
        case _:
            return set()
    return {partition_of(*each, partitions=partitions) for each in parts}


def replay(
    settings: Settings, letters: Iterable[Letter], *, producer: Callable[[], Producer] | None
) -> Replay:
    """This function will send letters again, in their order, and wait until the broker has them.

    Repeating it is safe: the fold knows the keys of events and the ids of commands for 35 days,
    which is as long as a letter is kept. Of a node the newest report counts, so one that is sent
    again late changes nothing that came after it.

    Args:
        settings: Partition count.
        letters: Which.
        producer: Makes the idempotent producer; None for a dry run.

    Returns:
        Counts and what was refused.

    Raises:
        Retryable: broker_away, when not everything was acknowledged, or registry_away; repeat the
            replay.
    """
    result, sent = Replay(), set[Name]()
    kafka = producer() if producer is not None else None
    with closing(new_foreign_schemas(settings)) as foreign:
        for letter in letters:
            if letter.name in sent:
                result.copies += 1
                continue
            try:
                target = target_of(letter, partitions=settings.partitions, foreign=foreign)
            except Rejected as refusal:
                result.refused.append((letter.name, refusal.code, refusal.reason))
                continue
            sent.add(letter.name)
            on_sent = partial(_on_sent, result, letter, events_in(body_of(letter, foreign)))
            if kafka is None:
                on_sent(None, None)
                continue
            _send(kafka, letter, target, on_sent)
            while len(kafka) > IN_FLIGHT_MAX:
                kafka.poll(0.1)
    if kafka is not None and kafka.flush(FLUSH_S):
        raise broker_away(f"{len(kafka)} letters were not acknowledged; replay them again")
    return result


def _send(
    kafka: Producer,
    letter: Letter,
    partition: int,
    on_delivery: Callable[[KafkaError | None, Message | None], None],
) -> None:
    try:
        kafka.produce(
            letter.name.topic,
            letter.value,
            letter.key,
            partition=partition,
            headers=[(HEADER, letter.name.text.encode())],
            on_delivery=on_delivery,
        )
    except KafkaException as error:
        on_delivery(error.args[0], None)


def _on_sent(
    result: Replay,
    letter: Letter,
    events: int,
    error: KafkaError | None,
    message: Message | None,
) -> None:
    del message
    if error is not None:
        result.refused.append((letter.name, Code.LETTER_UNDELIVERED, error.str()))
        return
    result.sent += 1
    result.events += events
    result.codes[letter.code] += 1
