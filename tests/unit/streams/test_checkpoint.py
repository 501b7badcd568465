"""The checkpoint: a prefix of the accepted chain, or nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from rocksdict import Options, Rdict

from streams.checkpoint import PENDING_BYTES_MAX, PENDING_MAX, Checkpoint
from tests.unit.streams.fakes import World, make_world


@pytest.fixture
def path(tmp_path: Path) -> Path:
    # "lock" in the path must not be taken for a lock that somebody holds.
    return tmp_path / "blocks" / "0"


def opened(path: Path, identity: str = "topic/1") -> Checkpoint:
    checkpoint = Checkpoint.opened(path, identity=identity)
    assert checkpoint is not None
    return checkpoint


def filled(path: Path, *, records: int = 3, size: int = 10) -> None:
    checkpoint = opened(path)
    for number in range(records):
        checkpoint.note(
            facts_offset=number, compact=b"%d" % number * size, position=(number + 1) * 10
        )
    checkpoint.close()


class TestCheckpoint:
    def test_comes_back_with_its_position(self, path: Path) -> None:
        """Records in order, and the position and facts end they lead to."""
        filled(path)
        checkpoint = opened(path)
        assert [b"0" * 10, b"1" * 10, b"2" * 10] == list(checkpoint.records())
        assert (30, 3) == (checkpoint.position, checkpoint.facts_end)

    def test_keeps_what_is_not_written_out_of_sight(self, path: Path) -> None:
        """Notes become visible with their position, all at once."""
        checkpoint = opened(path)
        checkpoint.note(facts_offset=0, compact=b"x", position=5)
        assert ([], 0) == (list(checkpoint.records()), checkpoint.position)
        checkpoint.write()
        assert ([b"x"], 5) == (list(checkpoint.records()), checkpoint.position)

    def test_orders_records_by_number_not_by_text(self, path: Path) -> None:
        """Offset 255 comes before 256, and 9 before 10."""
        checkpoint = opened(path)
        for offset in (9, 10, 255, 256, 65_536):
            checkpoint.note(facts_offset=offset, compact=b"%d" % offset, position=offset)
        checkpoint.write()
        assert [b"9", b"10", b"255", b"256", b"65536"] == list(checkpoint.records())

    @pytest.mark.parametrize("identity", ["other-topic/1", "topic/2"])
    def test_of_another_log_or_version_is_deleted(self, path: Path, identity: str) -> None:
        """A topic that was made anew, or a state that would be misread."""
        filled(path)
        checkpoint = opened(path, identity)
        assert ([], 0, 0) == (
            list(checkpoint.records()), checkpoint.position, checkpoint.facts_end,
        )  # fmt: skip

    def test_is_nobodys_while_this_process_holds_it(self, path: Path) -> None:
        """The second worker does without."""
        first = opened(path)
        assert Checkpoint.opened(path, identity="topic/1") is None
        first.close()
        assert Checkpoint.opened(path, identity="topic/1") is not None

    def test_is_nobodys_while_another_process_holds_it(self, path: Path) -> None:
        """And what that one wrote is still there afterwards."""
        filled(path)
        script = (
            "import sys; from rocksdict import Options, Rdict;"
            "held = Rdict(sys.argv[1], Options(raw_mode=True)); print('held', flush=True);"
            "sys.stdin.read(1)"
        )
        with subprocess.Popen(
            [sys.executable, "-c", script, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as holder:
            assert holder.stdout is not None
            holder.stdout.readline()
            assert Checkpoint.opened(path, identity="topic/1") is None
            holder.communicate(b"x")
        assert 3 == len(list(opened(path).records()))

    @pytest.mark.parametrize("name", ["CURRENT", "MANIFEST-*", "*.log", "*.sst"])
    def test_with_a_torn_file_starts_anew_or_shows_a_hole(self, path: Path, name: str) -> None:
        """Half a file is either noticed here or by the restore, which checks the chain."""
        filled(path, records=50, size=4_000)
        if name == "*.sst":
            database = Rdict(str(path), Options(raw_mode=True))
            database.flush()
            database.close()
        for file in path.glob(name):
            data = file.read_bytes()
            file.write_bytes(data[: len(data) // 2])
        checkpoint = opened(path)
        records = list(checkpoint.records())
        assert len(records) < 50 or checkpoint.position == 500

    def test_with_an_unreadable_position_starts_anew(self, path: Path) -> None:
        """Whatever stands there, the worker starts."""
        filled(path)
        database = Rdict(str(path), Options(raw_mode=True))
        database[b"meta"] = b"{"
        database.close()
        checkpoint = opened(path)
        assert ([], 0) == (list(checkpoint.records()), checkpoint.position)

    def test_is_due_when_so_much_waits(self, path: Path) -> None:
        """The memory of notes has a bound."""
        checkpoint = opened(path)
        for number in range(PENDING_MAX - 1):
            checkpoint.note(facts_offset=number, compact=b"", position=number)
        assert not checkpoint.is_due
        checkpoint.note(facts_offset=PENDING_MAX, compact=b"", position=PENDING_MAX)
        assert checkpoint.is_due

    def test_clear_forgets_notes_too(self, path: Path) -> None:
        """A note of the old chain must not come behind an empty one."""
        checkpoint = opened(path)
        checkpoint.note(facts_offset=7, compact=b"x", position=70)
        checkpoint.clear()
        checkpoint.write()
        assert ([], 0, 0) == (
            list(checkpoint.records()), checkpoint.position, checkpoint.facts_end,
        )  # fmt: skip


class TestWorkerAndCheckpoint:
    @pytest.fixture
    def world(self, monkeypatch: pytest.MonkeyPatch, path: Path) -> World:
        world = make_world(monkeypatch, checkpoint=opened(path), checkpoint_interval_ms=0)
        world.worker.advance()
        return world

    def test_acknowledged_facts_are_noted(self, world: World, path: Path) -> None:
        """And an append whose outcome is unknown is not."""
        world.offer(0)
        world.worker.advance()
        world.accept()
        world.offer(1)
        world.worker.advance()
        world.producer.facts[-1].fail()
        world.worker.close()
        checkpoint = opened(path)
        assert (1, 1, 1) == (
            len(list(checkpoint.records())), checkpoint.position, checkpoint.facts_end,
        )  # fmt: skip


class TestWithoutADisk:
    def test_there_is_no_checkpoint(self, tmp_path: Path) -> None:
        """Where none can be made, the worker does without and keeps all state in memory."""
        (tmp_path / "file").write_text("in the way")
        assert Checkpoint.opened(tmp_path / "file" / "0", identity="x") is None

    def test_pending_bytes_have_a_bound_too(self, path: Path) -> None:
        """A long restore notes many large records between two writes."""
        checkpoint = opened(path)
        due = []
        checkpoint.note(facts_offset=0, compact=bytes(PENDING_BYTES_MAX - 1), position=1)
        due.append(checkpoint.is_due)
        checkpoint.note(facts_offset=1, compact=b"x", position=2)
        due.append(checkpoint.is_due)
        checkpoint.write()
        checkpoint.note(facts_offset=2, compact=b"x", position=3)
        due.append(checkpoint.is_due)
        assert due == [False, True, False]
