"""Loading a checkpoint in slices, without a broker: the group's heartbeat waits for none of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING

from runtime.settings import Settings
from streams import restore
from streams.checkpoint import Checkpoint
from streams.restore import Restoration
from tests.unit.streams.fakes import FakeMessage, ListBinding, Span


class NoFacts:
    """A facts partition with so many records, none of which is ever given."""

    def __init__(self) -> None:
        self.started_at: list[int] = []
        self.is_closed = False

    def assign(self, places: list[Any]) -> None:
        self.started_at += [place.offset for place in places]

    def close(self) -> None:
        self.is_closed = True


class SomeFacts(NoFacts):
    """A facts partition that gives all its records at once."""

    def __init__(self, values: list[bytes]) -> None:
        super().__init__()
        self._values = values

    def consume(self, number: int, timeout: float) -> list[FakeMessage]:
        del number, timeout
        return [FakeMessage(place, value.decode()) for place, value in enumerate(self._values)]


RECORDS = 40


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    checkpoint = Checkpoint(tmp_path / "c", identity="x")
    for number in range(RECORDS):
        value = ListBinding().to_wire(Span(number, number + 1, (f"v{number}",)))
        checkpoint.note(facts_offset=number, compact=value, position=number + 1)
    checkpoint.write()
    return checkpoint


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> NoFacts:
    consumer = NoFacts()
    monkeypatch.setattr(restore, "new_consumer", lambda settings, group: consumer)
    monkeypatch.setattr(restore, "partition_ends", lambda *args: (0, RECORDS))
    return consumer


def begun(checkpoint: Checkpoint, binding: ListBinding) -> Restoration[Any, Any]:
    return Restoration(Settings(), binding, 0, checkpoint)  # type: ignore[arg-type]


class TestLoading:
    def test_gives_way_after_every_slice(
        self, checkpoint: Checkpoint, consumer: NoFacts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With slices of no length it takes as many as there are records, and starts once."""
        monkeypatch.setattr(restore, "SLICE_MS", 0)
        binding = ListBinding()
        restoration = begun(checkpoint, binding)
        slices = 0
        while not restoration.advance():
            assert consumer.started_at == [] or slices >= RECORDS
            slices += 1
        assert (RECORDS + 1, [RECORDS]) == (slices, consumer.started_at)
        assert [f"v{number}" for number in range(RECORDS)] == binding.folds[-1].values
        assert (RECORDS, RECORDS) == (restoration.position, restoration.facts_end)

    def test_may_end_in_the_middle(
        self, checkpoint: Checkpoint, consumer: NoFacts, monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:  # fmt: skip
        """A partition that is revoked then lets go of its store at once."""
        monkeypatch.setattr(restore, "SLICE_MS", 0)
        restoration = begun(checkpoint, ListBinding())
        for _ in range(5):
            assert not restoration.advance()
        restoration.close()
        checkpoint.close()
        again = Checkpoint(tmp_path / "c", identity="x")
        assert (RECORDS, True) == (again.position, consumer.is_closed)
        again.close()

    def test_begins_anew_when_the_fold_finds_its_part_torn(
        self, checkpoint: Checkpoint, consumer: NoFacts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever it raises, the facts have everything."""
        binding = ListBinding()
        restoration = begun(checkpoint, binding)

        def load() -> Iterator[None]:
            yield
            raise ValueError("torn")

        monkeypatch.setattr(restoration.fold, "load", load)
        assert not restoration.advance()
        assert 2 == len(binding.folds)
        assert (OFFSET_BEGINNING, 0, 0) == (
            consumer.started_at[0], restoration.position, checkpoint.position,
        )  # fmt: skip


class TestReading:
    @pytest.mark.parametrize("is_compact", [False, True])
    def test_notes_what_it_read_for_the_checkpoint(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_compact: bool
    ) -> None:
        """The record as it is on the log, unless less of it will do."""
        binding = ListBinding(is_compact=is_compact)
        values = [binding.to_wire(Span(place, place + 1, ("v",))) for place in range(3)]
        consumer = SomeFacts(values)
        monkeypatch.setattr(restore, "new_consumer", lambda settings, group: consumer)
        monkeypatch.setattr(restore, "partition_ends", lambda *args: (0, len(values)))
        checkpoint = Checkpoint(tmp_path / "c", identity="x")
        restoration = begun(checkpoint, binding)
        while not restoration.advance():
            pass
        checkpoint.write()
        noted = [value[::-1] for value in values] if is_compact else values
        assert noted == list(checkpoint.records())
