"""The worker of one partition: who arbitrates, what drops the state, what is never skipped."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError

from domain.codes import Code
from domain.errors import Fatal
from runtime import clock
from streams.binding import DeadLetter
from streams.checkpoint import Checkpoint
from streams.partition import copy_of
from streams.store import StoreLost
from tests.unit.streams.fakes import TOPIC, FakeMessage, Span, World, make_world


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A worker whose state is there: the facts reach source offset 5, facts offset 2."""
    world = make_world(monkeypatch)
    world.log.spans, world.log.records = [Span(0, 5, ("a", "b"))], 2
    world.worker.advance()
    return world


class TestRestoring:
    def test_reads_its_facts_then_seeks_the_source_to_their_end(self, world: World) -> None:
        """The group's committed offset is never asked."""
        assert ([5], 5, ["a", "b"]) == (world.seeks, world.worker.position, world.fold.values)

    def test_takes_nothing_before_its_state_is_there(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What the consumer had read ahead is read again after the seek."""
        world = make_world(monkeypatch)
        world.offer(0, 1)
        world.worker.advance()
        assert (0, True) == (world.worker.next_source, world.worker.is_running)

    def test_waits_while_the_broker_is_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A Retryable error is no reason to die, nor to start without a state."""
        world = make_world(monkeypatch)
        world.away[0] = True
        world.worker.advance()
        assert not world.worker.is_running
        world.away[0] = False
        world.worker.advance()
        assert world.worker.is_running


class TestOffering:
    def test_ignores_what_was_read_before_the_seek(self, world: World) -> None:
        """Offsets below the position come again after a seek back."""
        world.offer(3, 4, 5, 6)
        world.offer(4)
        world.worker.advance()
        assert Span(5, 7, ("v5", "v6")) == world.binding.from_wire(world.producer.facts[0].value)

    @pytest.mark.parametrize("offsets", [[6], [5, 7], [4, 5, 8]])
    def test_stops_at_a_hole(self, world: World, offsets: list[int]) -> None:
        """A live topic has no holes; a missing record would be missing money."""
        with pytest.raises(Fatal) as caught:
            world.offer(*offsets)
        assert Code.SOURCE_GAP == caught.value.code
        assert caught.value.next_step

    def test_is_full_when_enough_bytes_wait(self, world: World) -> None:
        """So that the source pauses, and memory has a bound."""
        for offset in range(5, 10):
            world.offer(offset, text="x" * 1_000_000)
        assert world.worker.is_full


class TestDecoding:
    def test_that_nobody_can_do_now_keeps_the_records_and_waits(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A schema registry that is away must not turn good records into refused ones."""
        now_ms = [clock.monotonic_ms()]
        monkeypatch.setattr(clock, "monotonic_ms", lambda: now_ms[0])
        world.fold.cannot_decode = True
        world.offer(5, 6)
        now_ms[0] += 1_000
        world.worker.advance()
        assert ([], True) == (world.producer.facts, world.worker.is_running)

        world.fold.cannot_decode = False
        world.worker.advance()  # too early: the registry is not asked all the time
        assert [] == world.producer.facts
        now_ms[0] += 1_000
        world.worker.advance()
        assert Span(5, 7, ("v5", "v6")) == world.binding.from_wire(world.producer.facts[0].value)


class TestAppending:
    def test_has_at_most_one_append_in_flight(self, world: World) -> None:
        """What arrives meanwhile makes the next batch larger."""
        world.offer(5)
        world.worker.advance()
        world.offer(6, 7)
        world.worker.advance()
        assert 1 == len(world.producer.facts)
        world.accept()
        world.worker.advance()
        assert Span(6, 8, ("v6", "v7")) == world.binding.from_wire(world.producer.facts[1].value)

    def test_goes_on_when_its_record_lies_where_it_should(self, world: World) -> None:
        """The acknowledgement at the expected offset says that nobody else wrote."""
        world.offer(5)
        world.worker.advance()
        assert 5 == world.worker.position
        world.accept()
        assert (6, 1, True) == (
            world.worker.position, len(world.fold.observed), world.worker.is_running,
        )  # fmt: skip

    @pytest.mark.parametrize("offset", [1, 3, 100])
    def test_drops_its_state_when_its_record_lies_elsewhere(
        self, world: World, offset: int
    ) -> None:
        """Another writer was there; only the log knows who won."""
        world.offer(5)
        world.worker.advance()
        world.producer.facts[0].acknowledge(offset)
        assert not world.worker.is_running
        assert [] == world.fold.observed

    def test_drops_its_state_when_the_outcome_is_unknown(self, world: World) -> None:
        """The record may be in the log or not."""
        world.offer(5)
        world.worker.advance()
        world.producer.facts[0].fail()
        assert not world.worker.is_running

    def test_reads_back_what_won_and_goes_on_from_there(self, world: World) -> None:
        """After the loss the other writer's facts are the state."""
        world.offer(5, 6)
        world.worker.advance()
        world.log.spans.append(Span(5, 9, ("their",)))
        world.log.records = 4
        world.producer.facts[0].acknowledge(3)
        world.worker.advance()
        assert (9, [5, 9], ["a", "b", "their"]) == (
            world.worker.position, world.seeks, world.fold.values,
        )  # fmt: skip

    def test_a_late_answer_to_a_dropped_append_says_nothing(self, world: World) -> None:
        """A record of before may land where the next one is expected: it is not that one."""
        world.offer(5)
        world.worker.advance()
        world.worker.drop_state("the producer broke")
        world.worker.advance()
        world.offer(5, 6)
        world.worker.advance()
        first, second = world.producer.facts
        first.acknowledge(2)
        assert (5, []) == (world.worker.position, world.fold.observed)
        second.acknowledge(3)
        assert not world.worker.is_running

    def test_waits_for_more_until_it_has_lingered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A batch of one record per message would be all overhead."""
        world = make_world(monkeypatch, fold_linger_ms=250)
        world.worker.advance()
        world.offer(0)
        world.worker.advance()
        assert [] == world.producer.facts

    def test_takes_no_more_events_than_a_batch_may_hold(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The rest waits for the next one."""
        world = make_world(monkeypatch, fold_batch_events_max=2)
        world.worker.advance()
        world.offer(0, 1, 2)
        world.worker.advance()
        world.accept()
        world.worker.advance()
        spans = [world.binding.from_wire(item.value) for item in world.producer.facts]
        assert [Span(0, 2, ("v0", "v1")), Span(2, 3, ("v2",))] == spans


class TestDeadLetters:
    def test_are_written_before_the_facts_that_mention_them(self, world: World) -> None:
        """A crash between the two leaves a second copy, never none."""
        world.offer(5, text="bad")
        world.worker.advance()
        assert [TOPIC.dead, TOPIC.facts] == [item.topic for item in world.producer.produced]
        letter = world.producer.produced[0]
        assert (b"bad", {"topic": b"usage.events", "partition": b"0", "offset": b"5",
                         "code": b"bad_value", "reason": b"refused"}) == (
            letter.value, letter.headers,
        )  # fmt: skip

    def test_hold_the_facts_back_until_the_broker_has_them(self, world: World) -> None:
        """Facts that tell of a copy which is nowhere would be a lie."""
        world.producer.takes_dead_letters = False
        world.offer(5, text="bad")
        world.worker.advance()
        assert ([], False) == (world.producer.facts, world.worker.is_running)

    def test_of_a_huge_record_keep_its_head_and_hash(self, world: World) -> None:
        """A small compressed record may be larger than the dead-letter topic takes."""
        text = "bad" + "0" * 6_000_000
        value, _, headers = copy_of(
            cast("Any", FakeMessage(5, text)),
            DeadLetter(5, Code.OVERSIZED, "too large"),
            source="usage.events",
        )
        assert value == text.encode()[:65_536]
        assert (b"6000003", hashlib.sha256(text.encode()).hexdigest().encode()) == (
            dict(headers)["bytes"],
            dict(headers)["sha256"],
        )
        assert world.worker.is_running


class TestHugeFacts:
    def test_are_folded_again_in_halves(self, world: World) -> None:
        """A facts record that no reader would take is never appended."""
        world.offer(5, text="a")
        world.offer(6, text="huge")
        world.worker.advance()
        assert ([], False) == (world.producer.facts, world.worker.is_running)

        world.worker.advance()
        world.offer(5, text="a")
        world.offer(6, text="huge")
        world.worker.advance()
        assert [["a"]] == [json.loads(item.value)[2] for item in world.producer.facts]


class TestClosing:
    def test_leaves_nothing_to_do(self, world: World) -> None:
        """An answer that comes after the partition went is ignored."""
        world.offer(5)
        world.worker.advance()
        world.worker.close()
        world.producer.facts[0].acknowledge(2)
        assert (5, False) == (world.worker.position, world.worker.is_running)


class TestStalling:
    def test_is_told_by_a_log_that_has_more_and_gives_nothing(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """librdkafka may lose a seek; the engine then seeks again."""
        later: Any = 10**12
        assert not world.worker.has_stalled(9)
        monkeypatch.setattr("runtime.clock.monotonic_ms", lambda: later)
        assert (True, False) == (world.worker.has_stalled(9), world.worker.has_stalled(5))


def test_an_error_without_a_record_is_no_acknowledgement(world: World) -> None:
    """The client hands a message of offset -1 with the error."""
    world.offer(5)
    world.worker.advance()
    world.producer.facts[0].answer(KafkaError(KafkaError._PURGE_QUEUE), FakeMessage(2))
    assert not world.worker.is_running


class TestLosingTheStore:
    """A disk that fails must not cost a key: the facts fill the store again, or memory does."""

    @pytest.fixture
    def checkpoint(self, tmp_path: Path) -> Checkpoint:
        return Checkpoint(tmp_path / "c", identity="x")

    @pytest.fixture
    def world(self, monkeypatch: pytest.MonkeyPatch, checkpoint: Checkpoint) -> World:
        world = make_world(monkeypatch, checkpoint=checkpoint, checkpoint_interval_ms=0)
        world.log.spans, world.log.records = [Span(0, 5, ("a", "b"))], 2
        world.worker.advance()
        return world

    @pytest.mark.parametrize("is_compact", [False, True])
    def test_gets_what_was_acknowledged(
        self, world: World, checkpoint: Checkpoint, *, is_compact: bool
    ) -> None:
        """The record as it was appended, unless less of it will do."""
        world.binding.is_compact = is_compact
        world.offer(5)
        world.worker.advance()
        world.accept()
        (appended,) = [each.value for each in world.producer.facts]
        assert [appended[::-1] if is_compact else appended] == list(checkpoint.records())

    def fail(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the fold find its store broken in the middle of a step."""

        def step(*args: object, **more: object) -> Span:
            raise StoreLost("the disk is full")

        world.offer(world.worker.next_source)
        monkeypatch.setattr(world.fold, "step", step)
        world.worker.advance()

    def test_drops_the_state_and_begins_with_an_empty_store(
        self, world: World, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Never with a part of the keys."""
        checkpoint.note(facts_offset=1, compact=b"x", position=5)
        checkpoint.write()
        self.fail(world, monkeypatch)
        assert (False, 0, []) == (
            world.worker.is_running, checkpoint.position, list(checkpoint.records()),
        )  # fmt: skip
        world.worker.advance()
        assert (5, ["a", "b"]) == (world.worker.position, world.fold.values)
        assert checkpoint is world.binding.checkpoints[-1]

    def test_does_without_after_a_second_failure(
        self, world: World, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A disk that stays broken must not make it begin again for ever."""
        for _ in range(2):
            self.fail(world, monkeypatch)
            world.worker.advance()
        assert [checkpoint, checkpoint, None] == world.binding.checkpoints
        world.offer(5)
        world.worker.advance()
        world.accept()
        assert 6 == world.worker.position
        world.worker.close()

    def test_does_without_a_store_that_cannot_be_emptied(
        self, world: World, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is in it belongs to nothing any more."""

        def clear() -> None:
            raise StoreLost("read-only file system")

        monkeypatch.setattr(checkpoint, "clear", clear)
        self.fail(world, monkeypatch)
        world.worker.advance()
        assert None is world.binding.checkpoints[-1]
        assert world.worker.is_running

    def test_drops_the_state_when_an_acknowledged_record_cannot_be_written(
        self, world: World, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Later generations could not be written either."""

        def write() -> None:
            raise StoreLost("input/output error")

        monkeypatch.setattr(checkpoint, "write", write)
        world.offer(5)
        world.worker.advance()
        world.accept()
        assert not world.worker.is_running
        monkeypatch.undo()
        assert ([], 0) == (list(checkpoint.records()), checkpoint.facts_end)

    def test_lets_go_of_the_partition_even_then(
        self, world: World, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A revoked partition waits for no disk."""

        def write() -> None:
            raise StoreLost("input/output error")

        monkeypatch.setattr(checkpoint, "write", write)
        world.worker.close()
        assert not world.worker.is_running
