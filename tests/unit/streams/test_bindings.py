"""What the bindings tell the engine: batches, dead letters, metrics."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME

from domain.codes import Code
from domain.emergence.fold import EmergenceFold
from domain.errors import Retryable
from domain.usage.fold import UsageFold
from domain.usage.records import Unreadable
from runtime import metrics
from runtime.settings import Settings
from schemas.subjects import FOREIGN_ID_MIN, Foreign
from schemas.topics import Topic
from streams.binding import Binding
from streams.books import BooksBinding
from streams.emergence import EmergenceBinding, EmergencePartition
from streams.usage import UsageBinding, UsagePartition
from tests.support.amending import amendment_record
from tests.support.emergence_world import SINGLES, EmergenceWorld
from tests.support.usage_truth import Event, batch_record
from tests.unit.streams.fakes import FakeMessage

SETTINGS = Settings(partitions=1)
FOREIGN = b"\0" + FOREIGN_ID_MIN.to_bytes(4, "big")
BINDINGS: list[Binding[Any, Any]] = [
    UsageBinding(SETTINGS),
    BooksBinding(SETTINGS),
    EmergenceBinding(SETTINGS),
]


class Source(FakeMessage):
    """A source record with bytes and a time."""

    def __init__(self, offset: int, value: bytes | None = b"garbage") -> None:
        super().__init__(offset)
        self._value = value

    def value(self) -> bytes:  # type: ignore[explicit-override]
        return self._value  # type: ignore[return-value]

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_LOG_APPEND_TIME, 1_773_000_000_000


def queue(*values: bytes | None) -> deque[Any]:
    return deque(Source(offset, value) for offset, value in enumerate(values))


@pytest.mark.parametrize("binding", BINDINGS, ids=lambda binding: binding.topic.name)
class TestAnyBinding:
    @pytest.mark.parametrize("value", [None, b"", b"garbage", b"\0\0\0\0\1", b"\0" * 99])
    def test_turns_bad_bytes_into_a_record_and_a_dead_letter(
        self, binding: Binding[Any, Any], value: bytes | None
    ) -> None:
        """Nothing raises, nothing blocks the partition; the facts come back from their bytes."""
        fold = binding.new_fold(0, None)
        records = fold.decode(queue(value), events_max=10, bytes_max=1000)
        assert isinstance(records[0].body, Unreadable)
        facts = fold.step(records, from_offset=0, to_offset=1)
        assert [0] == [letter.offset for letter in fold.dead_letters(facts)]
        assert (0, 1) == binding.span(binding.from_wire(binding.to_wire(facts)))
        fold.observe(facts)

    def test_reads_at_least_one_record_and_takes_none(self, binding: Binding[Any, Any]) -> None:
        """However small the limits are; the worker takes them off the queue."""
        messages = queue(b"one", b"two")
        assert 1 == len(binding.new_fold(0, None).decode(messages, events_max=1, bytes_max=1))
        assert 2 == len(messages)

    def test_stops_at_the_byte_limit(self, binding: Binding[Any, Any]) -> None:
        """A facts record must fit its topic."""
        messages = queue(*[b"x" * 100] * 10)
        assert 3 == len(
            binding.new_fold(0, None).decode(messages, events_max=10_000, bytes_max=250)
        )


class TestUsage:
    def test_bounds_a_batch_by_its_events(self) -> None:
        """A UsageBatch weighs what it holds."""
        five = batch_record([Event(key) for key in range(5)])
        fold = BINDINGS[0].new_fold(0, None)
        assert 3 == len(fold.decode(queue(*[five] * 9), events_max=11, bytes_max=10**9))

    def test_reads_an_announced_amendment_alone(self) -> None:
        """What came before it and what comes after it belong to other micro-batches."""
        usual, alone = batch_record([Event(1)]), amendment_record(Event(1), announces=True)
        fold = BINDINGS[0].new_fold(0, None)
        messages = queue(usual, usual, alone, alone, usual)
        sizes = []
        while messages:
            sizes.append(len(fold.decode(messages, events_max=100, bytes_max=10**9)))
            for _ in range(sizes[-1]):
                messages.popleft()
        assert [2, 1, 1, 1] == sizes


class TestBooksMetrics:
    def test_have_no_label_from_outside(self) -> None:
        """Whoever sends commands must not be able to make time series."""
        from domain.books.records import Command, CommandRecord

        fold: Any = BINDINGS[1].new_fold(0, None)
        command = Command(tenant="t", command_id="c", kind="MadeUp", body="{}")
        facts = fold.step([CommandRecord(0, 0, command)], from_offset=0, to_offset=1)
        fold.observe(facts)
        kinds = {
            sample.labels["kind"]
            for metric in metrics.BOOKS_OUTCOMES.collect()
            for sample in metric.samples
        }
        assert "unknown" in kinds
        assert not any("MadeUp" in kind for kind in kinds)


class AwayRegistry:
    """Nobody who could say what an id means."""

    def find(self, topic: Topic, schema_id: int, *, received_at_ms: int) -> Foreign | None:
        raise Retryable(Code.REGISTRY_AWAY, f"{schema_id}", retry_after_ms=1_000)


class TestUnusualIds:
    def test_hold_up_only_what_comes_behind_them(self) -> None:
        """What was read before goes into the facts; the unusual record is the next one's first."""
        fold = UsagePartition(UsageFold(partition=0, partitions=1), 0, foreign=AwayRegistry())
        usual = batch_record([Event(key=1)])
        limits = {"events_max": 100, "bytes_max": 100_000}
        assert 2 == len(fold.decode(queue(usual, b"garbage", FOREIGN, usual), **limits))
        with pytest.raises(Retryable):
            fold.decode(queue(FOREIGN, usual), **limits)

    def test_hold_up_node_events_likewise(self) -> None:
        """Others may extend their schemas too."""
        fold = EmergencePartition(
            EmergenceFold(partition=0, partitions=1), 0, foreign=AwayRegistry()
        )
        limits = {"events_max": 100, "bytes_max": 100_000}
        assert 1 == len(fold.decode(queue(b"garbage", FOREIGN), **limits))
        with pytest.raises(Retryable):
            fold.decode(queue(FOREIGN, b"garbage"), **limits)


class TestEmergence:
    def test_gives_a_checkpoint_all_that_a_restore_needs(self) -> None:
        """Rows and catalogues; what happened on the way stays in the log."""
        world = EmergenceWorld()
        world.report(*SINGLES)
        binding = EmergenceBinding(SETTINGS)
        compact = binding.from_wire(binding.compact(world.last))
        assert compact == replace(world.last, events=(), activity=(), rejects=())
        assert world.last == binding.from_wire(binding.to_wire(world.last))
