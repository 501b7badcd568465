"""The usage fold on the real broker: every window, after restarts, beside others, after faults."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from domain.codes import Code
from domain.errors import Fatal
from runtime.kafka import client_config
from runtime.shutdown import Shutdown
from schemas.topics import USAGE_EVENTS
from schemas.usage_wire import to_wire_usage_facts
from streams.checkpoint import Checkpoint
from streams.restore import Restoration
from streams.usage import UsageBinding
from tests.support.fold_world import FoldWorld
from tests.support.usage_facts import totals_of


def trim(world: FoldWorld, topic: str, partition: int, offset: int) -> None:
    """Delete records as retention would."""
    admin = AdminClient(client_config(world.settings))
    place = TopicPartition(topic, partition, offset)
    for future in admin.delete_records([place]).values():
        future.result(timeout=15)


class TestFolding:
    def test_gives_the_windows_of_a_plain_count(self, world: FoldWorld) -> None:
        """Batches and single events, repeats, a conflict and garbage."""
        world.send(400, repeats=50)
        world.conflict()
        world.send_garbage(1)
        world.send(100, repeats=50)
        world.fold()
        world.assert_true()

    def test_copies_refused_records_to_the_dead_letters(self, world: FoldWorld) -> None:
        """Raw bytes and key, with where they came from and why."""
        world.send_garbage(1)
        world.fold()
        (letter,) = world.dead(1)
        headers = dict(letter.headers() or [])
        assert (b"garbage", b"key") == (letter.value(), letter.key())
        assert (b"usage.events", b"1", b"1", b"undecodable") == tuple(
            headers[name] for name in ("topic", "partition", "offset", "code")
        )


class TestRestarting:
    def test_counts_nothing_twice_whatever_is_left_of_the_checkpoint(
        self, world: FoldWorld
    ) -> None:
        """With it, without it, and with one that was begun after the old one was lost."""
        state = Path(world.settings.state_dir)
        for is_lost in (False, False, True, False, False):
            if is_lost:
                shutil.rmtree(state)
            world.send(60, repeats=60)
            world.fold()
        world.assert_true()

    def test_counts_nothing_twice_after_its_partitions_were_elsewhere(
        self, world: FoldWorld, tmp_path: Path
    ) -> None:
        """A checkpoint that missed what another machine wrote is filled up from the log."""
        here = world.settings
        there = here.model_copy(update={"state_dir": tmp_path / "elsewhere"})
        for settings in (here, there, here, here, there):
            world.send(60, repeats=60)
            world.fold(settings=settings)
        world.assert_true()

    def test_counts_nothing_twice_when_most_keys_are_on_the_disk(self, world: FoldWorld) -> None:
        """Generations of fifteen keys, restarts, and a store that is lost in between."""
        world.settings = world.settings.model_copy(update={"seen_memory_keys": 30})
        state = Path(world.settings.state_dir)
        for is_lost in (False, False, False, True, False):
            if is_lost:
                shutil.rmtree(state)
            world.send(150, repeats=100)
            world.fold()
        world.conflict()
        world.fold()
        world.assert_true()
        for number in (0, 1):
            checkpoint = Checkpoint.opened(
                state / "usage.events" / str(number), identity=self.identity(world)
            )
            assert checkpoint is not None
            assert checkpoint.start > 0, "no generation left memory"
            checkpoint.close()

    def identity(self, world: FoldWorld) -> str:
        engine = world.engine(Shutdown())
        return f"{engine._facts_topic_id()}/{UsageBinding(world.settings).state_version}"

    def test_uses_a_checkpoint_and_no_longer_the_head_of_the_facts(self, world: FoldWorld) -> None:
        """What it holds is not read from the topic again."""
        world.send(50)
        world.fold()
        ends = [len(world.records(number)) for number in (0, 1)]
        for number in (0, 1):
            trim(world, "usage.facts", number, -1)
        world.send(10, repeats=20)
        world.fold()
        after = [each for number in (0, 1) for each in world.records(number, start=ends[number])]
        assert 10 == totals_of(after)["accepted"]


class TestRestoration:
    """Reading one facts partition back, with a checkpoint of whatever quality."""

    @pytest.fixture
    def folded(self, world: FoldWorld) -> FoldWorld:
        for _ in range(3):
            world.send(30)
            world.fold(settings=world.settings.model_copy(update={"checkpoint_interval_ms": 0}))
        return world

    def restored(self, world: FoldWorld, checkpoint: Checkpoint | None) -> tuple[int, int, int]:
        binding = UsageBinding(world.settings)
        restoration = Restoration(world.settings, binding, 0, checkpoint)
        while not restoration.advance():
            pass
        restoration.close()
        fold = restoration.fold._fold  # type: ignore[attr-defined]
        return restoration.position, restoration.facts_end, fold.keys_held

    def expected(self, world: FoldWorld) -> tuple[int, int, int]:
        records = world.records(0)
        keys = sum(each.accepted.owner.size for each in records)
        return records[-1].to_offset, len(records), keys

    def test_needs_no_checkpoint(self, folded: FoldWorld) -> None:
        """The facts have everything."""
        assert self.expected(folded) == self.restored(folded, None)

    def test_fills_an_empty_checkpoint(self, folded: FoldWorld, tmp_path: Path) -> None:
        """So that the next restart has it all, not only what came after this one."""
        checkpoint = Checkpoint(tmp_path / "c", identity="x")
        self.restored(folded, checkpoint)
        checkpoint.close()
        again = Checkpoint(tmp_path / "c", identity="x")
        assert self.expected(folded)[:2] == (again.position, again.facts_end)
        assert len(folded.records(0)) == len(list(again.records()))
        trim(folded, "usage.facts", 0, -1)
        assert self.expected_from(again, folded) == self.restored(folded, again)

    def expected_from(self, checkpoint: Checkpoint, world: FoldWorld) -> tuple[int, int, int]:
        binding = UsageBinding(world.settings)
        keys = [binding.from_wire(value).accepted.owner.size for value in checkpoint.records()]
        return checkpoint.position, checkpoint.facts_end, sum(keys)

    @pytest.mark.parametrize("damage", ["hole", "ahead", "short", "garbage"])
    def test_throws_a_wrong_checkpoint_away(
        self, folded: FoldWorld, tmp_path: Path, damage: str
    ) -> None:
        """A hole, an end beyond the log, an end that does not fit, bytes that are no facts."""
        binding = UsageBinding(folded.settings)
        compact = [binding.compact(facts) for facts in folded.records(0)]
        ends = [facts.to_offset for facts in folded.records(0)]
        notes = list(zip(range(len(ends)), compact, ends, strict=True))
        if damage == "hole":
            del notes[1]
        elif damage == "ahead":
            last = replace(folded.records(0)[-1], from_offset=ends[-1], to_offset=ends[-1] + 9)
            notes.append((len(ends), binding.compact(last), ends[-1] + 9))
        elif damage == "short":
            notes[-1] = (*notes[-1][:2], ends[-1] + 1)
        else:
            notes[0] = (0, b"garbage", ends[0])
        checkpoint = Checkpoint(tmp_path / "c", identity="x")
        for offset, value, position in notes:
            checkpoint.note(facts_offset=offset, compact=value, position=position)
        checkpoint.write()
        assert self.expected(folded) == self.restored(folded, checkpoint)


class TestSeveralWriters:
    def test_three_unfenced_engines_give_the_right_windows(
        self, world: FoldWorld, tmp_path: Path
    ) -> None:
        """Of different groups on the same partitions: the log lets one record through each."""
        world.send(600, repeats=100)
        engines = [
            threading.Thread(
                target=world.fold,
                kwargs={
                    "group": f"unfenced-{number}-{tmp_path.name}",
                    "settings": world.settings.model_copy(
                        update={
                            "state_dir": tmp_path / str(number),
                            "fold_batch_events_max": 20 + number,
                            "fold_linger_ms": 0,
                        }
                    ),
                },
            )
            for number in range(3)
        ]
        for engine in engines:
            engine.start()
        for _ in range(4):
            world.send(100, repeats=50)
        for engine in engines:
            engine.join()
        world.fold()
        world.assert_true()
        written = sum(len(world.records(number)) for number in (0, 1))
        counted = sum(len(world.accepted(number)) for number in (0, 1))
        assert written > counted, "no writer ever got in another's way: nothing was shown"

    def test_records_of_a_zombie_are_ignored(self, world: FoldWorld) -> None:
        """A replay of an old record, and one that starts inside what is done."""
        world.send(100)
        world.fold()
        for number in (0, 1):
            old = world.records(number)
            world.append_facts(number, to_wire_usage_facts(old[0], writer="zombie"))
            middle = replace(old[-1], to_offset=old[-1].to_offset + 5)
            world.append_facts(number, to_wire_usage_facts(middle, writer="zombie"))
        world.send(100, repeats=100)
        world.fold()
        world.assert_true()

    def test_partitions_move_between_engines_of_one_group(self, world: FoldWorld) -> None:
        """One takes all, a second joins, the first leaves, while records come."""
        first, second = Shutdown(), Shutdown()
        world.send(100, repeats=10)
        engines = [world.engine(first), world.engine(second)]
        threads = [threading.Thread(target=engine.run) for engine in engines]
        threads[0].start()
        assert wait_until(lambda: engines[0].partitions == {0: True, 1: True})
        world.send(100, repeats=50)
        threads[1].start()
        assert wait_until(lambda: len(engines[0].partitions) == len(engines[1].partitions) == 1)
        world.send(100, repeats=50)
        first.request()
        threads[0].join()
        assert wait_until(lambda: engines[1].partitions == {0: True, 1: True})
        second.request()
        threads[1].join()
        world.send(50, repeats=100)
        world.fold()
        world.assert_true()


def wait_until(holds: object, *, seconds: int = 60) -> bool:
    """Poll a condition; False when it never held."""
    pause = threading.Event()
    for _ in range(seconds * 20):
        if holds():  # type: ignore[operator]
            return True
        pause.wait(0.05)
    return False


class TestDamagedLogs:
    def test_a_facts_gap_is_fatal(self, world: FoldWorld) -> None:
        """A record that starts after the position: facts are missing, nothing is skipped."""
        world.send(50)
        world.fold()
        last = world.records(0)[-1]
        beyond = replace(last, from_offset=last.to_offset + 1, to_offset=last.to_offset + 2)
        world.append_facts(0, to_wire_usage_facts(beyond, writer="lost"))
        with pytest.raises(Fatal) as caught:
            world.fold()
        assert Code.FACTS_GAP == caught.value.code
        assert "restore the facts topic" in caught.value.next_step

    def test_facts_without_their_beginning_are_fatal(
        self, world: FoldWorld, tmp_path: Path
    ) -> None:
        """Retention must never have touched them; only a checkpoint could still help."""
        world.send(50)
        world.fold()
        trim(world, "usage.facts", 0, 1)
        elsewhere = world.settings.model_copy(update={"state_dir": tmp_path / "empty"})
        with pytest.raises(Fatal) as caught:
            world.fold(settings=elsewhere)
        assert Code.FACTS_GAP == caught.value.code

    def test_facts_that_are_none_are_fatal(self, world: FoldWorld) -> None:
        """Nobody else writes there."""
        world.append_facts(0, b"garbage")
        with pytest.raises(Fatal) as caught:
            world.fold()
        assert Code.STATE_CORRUPT == caught.value.code

    def test_a_source_that_was_never_folded_and_is_cut_is_fatal(self, world: FoldWorld) -> None:
        """An empty facts topic starts at offset 0; what retention took is lost, and said so."""
        world.send(100)
        trim(world, USAGE_EVENTS.name, 0, 2)
        with pytest.raises(Fatal) as caught:
            world.fold()
        assert Code.SOURCE_GAP == caught.value.code
        assert caught.value.next_step

    def test_a_source_that_was_folded_may_be_cut(self, world: FoldWorld) -> None:
        """Retention is free to take what the facts cover, even all of it."""
        world.send(100)
        world.fold()
        trim(world, USAGE_EVENTS.name, 0, -1)
        trim(world, USAGE_EVENTS.name, 1, 1)
        world.fold()
        world.send(50, repeats=50)
        world.fold()
        world.assert_true()
