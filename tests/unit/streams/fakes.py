"""A fold, a producer and messages in memory, so that the worker's rules can be tried alone."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError

from domain.codes import Code
from domain.errors import Rejected, Retryable
from runtime.settings import Settings
from schemas.topics import USAGE_EVENTS, topic_of
from streams import partition as partition_module
from streams.binding import DeadLetter
from streams.checkpoint import Checkpoint
from streams.partition import PartitionWorker

TOPIC = USAGE_EVENTS


@dataclass(frozen=True)
class Span:
    """Facts of a fold that only remembers what it saw."""

    start: int
    end: int
    values: tuple[str, ...] = ()


class ListFold:
    """State is the list of values folded; "bad" ones are refused."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self.observed: list[Span] = []
        self.cannot_decode = False

    def decode(
        self, messages: deque[FakeMessage], *, events_max: int, bytes_max: int
    ) -> list[str]:
        del bytes_max
        if self.cannot_decode:
            raise Retryable(Code.REGISTRY_AWAY, "nobody knows", retry_after_ms=1_000)
        return [message.text for message in list(messages)[:events_max]]

    def step(self, records: Sequence[str], *, from_offset: int, to_offset: int) -> Span:
        self.values += records
        return Span(from_offset, to_offset, tuple(records))

    def load(self) -> Iterator[None]:
        return iter(())

    def restore(self, facts: Span) -> None:
        self.values += facts.values

    def dead_letters(self, facts: Span) -> list[DeadLetter]:
        return [
            DeadLetter(facts.start + index, Code.BAD_VALUE, "refused")
            for index, value in enumerate(facts.values)
            if value == "bad"
        ]

    def observe(self, facts: Span) -> None:
        self.observed.append(facts)


class ListBinding:
    """Facts on the wire are JSON; a checkpoint has them like that, or in reverse."""

    topic = TOPIC
    state_version = 1

    def __init__(self, *, is_compact: bool = False) -> None:
        self.is_compact = is_compact
        self.folds: list[ListFold] = []
        self.checkpoints: list[Checkpoint | None] = []

    def new_fold(self, partition: int, checkpoint: Checkpoint | None) -> ListFold:
        del partition
        self.checkpoints.append(checkpoint)
        self.folds.append(ListFold())
        return self.folds[-1]

    def to_wire(self, facts: Span) -> bytes:
        if "huge" in facts.values and len(facts.values) > 1:
            return bytes(topic_of(TOPIC.facts).message_bytes_max + 1)
        return json.dumps([facts.start, facts.end, facts.values]).encode()

    def from_wire(self, value: bytes | None) -> Span:
        try:
            start, end, values = json.loads(value or b"")
        except ValueError as error:
            raise Rejected(Code.UNDECODABLE, "no span") from error
        return Span(start, end, tuple(values))

    def span(self, facts: Span) -> tuple[int, int]:
        return facts.start, facts.end

    def compact(self, facts: Span) -> bytes | None:
        return self.to_wire(facts)[::-1] if self.is_compact else None


class FakeMessage:
    """A source record."""

    def __init__(self, offset: int, text: str = "") -> None:
        self._offset, self.text = offset, text or f"v{offset}"

    def offset(self) -> int:
        return self._offset

    def partition(self) -> int:
        return 0

    def key(self) -> bytes:
        return b"key"

    def value(self) -> bytes:
        return self.text.encode()

    def error(self) -> None:
        return None

    def __len__(self) -> int:
        return len(self.text)


@dataclass
class Produced:
    """What a producer was asked to append."""

    topic: str
    value: bytes
    headers: dict[str, bytes]
    answer: Callable[[KafkaError | None, FakeMessage], None]

    def acknowledge(self, offset: int) -> None:
        self.answer(None, FakeMessage(offset))

    def fail(self, code: int = KafkaError._MSG_TIMED_OUT) -> None:
        self.answer(KafkaError(code), FakeMessage(-1))


@dataclass
class FakeProducer:
    """Keeps what it should append; flush acknowledges dead letters unless told otherwise."""

    produced: list[Produced] = field(default_factory=list)
    takes_dead_letters: bool = True

    def produce(
        self, topic: str, value: bytes, key: bytes = b"", *, partition: int, on_delivery: Any,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> None:  # fmt: skip
        del key, partition
        self.produced.append(Produced(topic, value, dict(headers or []), on_delivery))

    def flush(self, timeout: float) -> int:
        del timeout
        letters = [item for item in self.produced if item.topic == TOPIC.dead]
        for letter in letters:
            letter.answer(
                None if self.takes_dead_letters else KafkaError(KafkaError._MSG_TIMED_OUT),
                FakeMessage(0),
            )
        return 0

    @property
    def facts(self) -> list[Produced]:
        return [item for item in self.produced if item.topic == TOPIC.facts]


@dataclass
class FactsLog:
    """The facts partition as a restoration sees it: the accepted spans in order."""

    spans: list[Span] = field(default_factory=list)
    records: int = 0
    """End of the partition, ignored records included."""


class FakeRestoration:
    """Reads the facts log at once."""

    log: FactsLog

    def __init__(
        self, settings: Settings, binding: ListBinding, partition: int,
        checkpoint: Checkpoint | None,
    ) -> None:  # fmt: skip
        del settings
        self.fold = binding.new_fold(partition, checkpoint)
        for span in self.log.spans:
            self.fold.restore(span)
        self.position = self.log.spans[-1].end if self.log.spans else 0
        self.facts_end = self.log.records
        self.is_closed = False

    def advance(self) -> bool:
        return True

    def close(self) -> None:
        self.is_closed = True


@dataclass
class World:
    """A worker with everything around it faked."""

    worker: PartitionWorker[Any, Any]
    binding: ListBinding
    producer: FakeProducer
    log: FactsLog
    seeks: list[int]
    away: list[bool]

    @property
    def fold(self) -> ListFold:
        return self.binding.folds[-1]

    def offer(self, *offsets: int, text: str = "") -> None:
        self.worker.offer([FakeMessage(offset, text) for offset in offsets])  # type: ignore[misc]

    def accept(self) -> None:
        """Let the log take the last append, as the broker would."""
        item = self.producer.facts[-1]
        self.log.spans.append(self.binding.from_wire(item.value))
        self.log.records += 1
        item.acknowledge(self.log.records - 1)


def make_world(
    monkeypatch: pytest.MonkeyPatch, *, checkpoint: Checkpoint | None = None, **more: Any
) -> World:
    """Make a worker that has no state yet."""
    log, seeks, away = FactsLog(), [], [False]
    binding, producer = ListBinding(), FakeProducer()

    def seek(partition: int, offset: int) -> None:
        del partition
        if away[0]:
            raise Retryable(Code.BROKER_AWAY, "away", retry_after_ms=0)
        seeks.append(offset)

    monkeypatch.setattr(
        partition_module, "Restoration", type("R", (FakeRestoration,), {"log": log})
    )
    settings = Settings.model_validate({"fold_linger_ms": 0, "state_dir": Path("none"), **more})
    worker: PartitionWorker[Any, Any] = PartitionWorker(
        settings,
        binding,  # type: ignore[arg-type]
        0,
        producer=lambda: producer,  # type: ignore[arg-type,return-value]
        seek=seek,
        checkpoint=checkpoint,
    )
    return World(worker, binding, producer, log, seeks, away)
