"""Dead letters as they lie in their topics, and which of them somebody means."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, cast

from confluent_kafka import Message

from domain.codes import Code
from domain.errors import Rejected
from domain.period import from_ms
from runtime.kafka import new_consumer, offset_of, partition_ends, read_partition, received_at_ms
from runtime.settings import Settings
from schemas.codec import tenant_of_key
from schemas.topics import TOPICS, Topic

Headers = list[tuple[str, bytes | str | None]]
"""What librdkafka gives; its types also allow what is only taken."""
SOURCES: tuple[Topic, ...] = tuple(topic for topic in TOPICS if topic.dead)
"""Topics whose fold refuses records."""
COPIES_MAX = 100_000
"""Letters whose name is remembered, so that a second copy is left out; about 20 MB."""


class Name(NamedTuple):
    """What a letter is called: where its record stands in its source topic.

    A record that was refused for two codes has two letters of one name.

    Args:
        topic: Source topic.
        partition: Its partition.
        offset: The record's offset.
    """

    topic: str
    partition: int
    offset: int

    @property
    def text(self) -> str:
        """Return the form that people type."""
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter.

    Args:
        name: Where the record came from.
        code: Why it was refused: a Code, or unknown text from another version.
        reason: The same for people.
        tenant: By the record's key; empty when the key is no text.
        at_ms: When the letter was written, broker's clock, milliseconds since 1970 UTC.
        place: Partition and offset of the letter itself.
        key: The record's key.
        value: The record's bytes; the head of them when `whole_bytes` is set.
        whole_bytes: Length of a value that was cut; 0 for a whole one.
        whole_sha256: Hash of a value that was cut, hex.
        headers: Every header of the letter, for people.
    """

    name: Name
    code: str
    reason: str
    tenant: str
    at_ms: int
    place: tuple[int, int]
    key: bytes | None
    value: bytes | None
    whole_bytes: int
    whole_sha256: str
    headers: tuple[tuple[str, bytes], ...]

    @property
    def at(self) -> datetime:
        """Return when it was written."""
        return from_ms(self.at_ms)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters are meant; what is left empty means all.

    Args:
        names: These.
        topic: Of this source topic.
        partition: Of this partition; None for all.
        code: Refused for this code.
        tenant: Of this tenant.
        since: Written at this time or later.
        until: Written before this time.
    """

    names: frozenset[Name] = frozenset()
    topic: str = ""
    partition: int | None = None
    code: str = ""
    tenant: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def has(self, letter: Letter) -> bool:
        """Say whether a letter is meant."""
        return (
            (not self.names or letter.name in self.names)
            and (not self.code or letter.code == self.code)
            and (not self.tenant or letter.tenant == self.tenant)
            and (self.since is None or letter.at >= self.since)
            and (self.until is None or letter.at < self.until)
        )

    def partitions(self, settings: Settings) -> Iterator[tuple[Topic, int]]:
        """Return where to look."""
        for topic in SOURCES:
            for partition in range(settings.partitions):
                if self._is_in(topic.name, partition):
                    yield topic, partition

    def _is_in(self, topic: str, partition: int) -> bool:
        if self.names and not any(name[:2] == (topic, partition) for name in self.names):
            return False
        return self.topic in ("", topic) and self.partition in (None, partition)


def name_of(text: str) -> Name:
    """This function will read a letter's name, for example usage.events/2/1234.

    Raises:
        Rejected: letter_unknown.
    """
    topic, _, rest = text.partition("/")
    partition, _, offset = rest.partition("/")
    is_number = all(part.isascii() and part.isdecimal() for part in (partition, offset))
    if topic in {source.name for source in SOURCES} and is_number and len(rest) <= 30:  # noqa: PLR2004 -- two numbers of 64 bits, about
        return Name(topic, int(partition), int(offset))
    raise Rejected(
        Code.LETTER_UNKNOWN,
        f"{text!r} names no dead letter",
        next_step="Names look like usage.events/2/1234; `tidegauge dead list` shows them",
    )


def read_letters(settings: Settings, wanted: Wanted, *, scan_max: int) -> Iterator[Letter]:
    """This function will read the letters that are meant, partition by partition, oldest first.

    A letter that a crash wrote twice comes once.

    Args:
        settings: Where the broker is.
        wanted: Which.
        scan_max: Letters to look at in all, from each topic's start.

    Raises:
        Rejected: letter_unknown, when there were more than scan_max letters to look at.
        Retryable: broker_away.
    """
    left = scan_max
    for topic, partition in wanted.partitions(settings):
        seen: OrderedDict[tuple[Name, str], None] = OrderedDict()
        for message in _messages(settings, topic, partition):
            if left == 0:
                raise Rejected(
                    Code.LETTER_UNKNOWN,
                    f"there are more than {scan_max} dead letters to look at",
                    next_step="Narrow it with --topic and --partition, or raise --scan-max",
                )
            left -= 1
            letter = from_wire_letter(message, topic)
            known = (letter.name, letter.code)
            if known in seen:
                continue
            seen[known] = None
            if len(seen) > COPIES_MAX:
                seen.popitem(last=False)  # copies follow each other closely
            if wanted.has(letter):
                yield letter


def _messages(settings: Settings, topic: Topic, partition: int) -> Iterator[Message]:
    dead = next(each for each in TOPICS if each.name == topic.dead)
    consumer = new_consumer(settings, group="tidegauge.reader")
    try:
        start, _ = partition_ends(consumer, dead.name, partition)
    finally:
        consumer.close()
    return read_partition(settings, dead, partition, start=start)


def from_wire_letter(message: Message, topic: Topic) -> Letter:
    """This function will read a letter; headers that are missing or odd become what can be known.

    Args:
        message: A record of a dead-letter topic.
        topic: The source topic that it belongs to.
    """
    headers = tuple(
        (name, value.encode() if isinstance(value, str) else value or b"")
        for name, value in cast("Headers", message.headers() or [])
    )
    fields = {name: value.decode(errors="replace") for name, value in headers}
    partition, offset = message.partition() or 0, offset_of(message)
    source = Name(
        topic.name,
        _number(fields.get("partition"), partition),
        _number(fields.get("offset"), -1 - offset),
    )
    return Letter(
        name=source,
        code=fields.get("code", ""),
        reason=fields.get("reason", ""),
        tenant=tenant_of_key(message.key()),
        at_ms=received_at_ms(message),
        place=(partition, offset),
        key=message.key(),
        value=message.value(),
        whole_bytes=_number(fields.get("bytes"), 0),
        whole_sha256=fields.get("sha256", ""),
        headers=headers,
    )


def _number(text: str | None, otherwise: int) -> int:
    is_number = text is not None and text.isascii() and text.isdecimal() and len(text) < 20  # noqa: PLR2004 -- 64 bits
    return int(text) if is_number and text is not None else otherwise
