"""The books' state in their checkpoint: what a restart begins with, if it may be believed."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from confluent_kafka import OFFSET_BEGINNING
from rocksdict import Options, Rdict

from domain.books.customer import Customer
from domain.books.facts import BooksFacts
from domain.books.state import FirstOutcome
from runtime.settings import Settings
from schemas.command_wire import to_wire_books_facts
from streams import kept_books, restore
from streams.books import BooksBinding
from streams.checkpoint import Checkpoint
from streams.kept_books import made_by
from streams.restore import Restoration
from streams.store import StoreLost
from tests.support.billing import moment
from tests.support.kept_books import Keeper, canonical, restored, two_tenants

FACTS = two_tenants()
TRUTH = canonical(restored(FACTS))
DAMAGES = 300
"""Places of the store's files where a byte is changed, one after the other."""
CHILD = """
import sys
from pathlib import Path
from runtime import failpoints
from tests.support.kept_books import Keeper, two_tenants
failpoints.arm(sys.argv[2])
keeper = Keeper(Path(sys.argv[1]), facts_between=4)
for each in two_tenants():
    keeper.take([each])
    keeper.checkpoint.write()
print("survived")
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "0"


@dataclass
class Log:
    """The facts partition as a restoration reads it."""

    facts: Sequence[BooksFacts]
    started_at: int | None = None

    def assign(self, places: Sequence[Any]) -> None:
        (place,) = places
        self.started_at = 0 if place.offset == OFFSET_BEGINNING else place.offset

    def consume(self, count: int, timeout: float) -> list[Any]:
        del timeout
        assert self.started_at is not None
        found = range(self.started_at, len(self.facts))[:count]
        self.started_at += len(found)
        return [Kept(offset, self.facts[offset]) for offset in found]

    def close(self) -> None:
        """Nothing to let go of."""


@dataclass
class Kept:
    """A record of the facts partition."""

    number: int
    facts: BooksFacts

    def error(self) -> None:
        return None

    def offset(self) -> int:
        return self.number

    def value(self) -> bytes:
        return to_wire_books_facts(self.facts, writer="test")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    log = Log(FACTS)
    monkeypatch.setattr(restore, "new_consumer", lambda settings, group: log)
    monkeypatch.setattr(restore, "partition_ends", lambda *args: (0, len(FACTS)))
    return log


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of most facts, with state and records, and with files of every kind."""
    path = tmp_path_factory.mktemp("written") / "0"
    keep(path, FACTS[:20])
    database = Rdict(str(path), Options(raw_mode=True))
    database.flush()
    database.close()
    keep(path, FACTS[20:-5])
    return path


def keep(path: Path, facts: Sequence[BooksFacts]) -> None:
    keeper = Keeper(path, facts_between=12)
    keeper.take(facts)
    keeper.checkpoint.close()


def restart(path: Path) -> Any:
    """Restore as a worker does, and return the books."""
    binding = BooksBinding(Settings(partitions=1))
    checkpoint = Checkpoint.opened(path, identity="topic/1")
    assert checkpoint is not None
    restoration: Restoration[Any, Any] = Restoration(Settings(), binding, 0, checkpoint)
    while not restoration.advance():
        pass
    restoration.close()
    checkpoint.close()
    return canonical(restoration.fold._fold)  # type: ignore[attr-defined]


class TestKeptBooks:
    def test_are_there_after_a_restart_with_the_records_behind_them(self, path: Path) -> None:
        """Most facts are not applied again, and nothing is missing."""
        keep(path, FACTS)
        after = Keeper(path)
        assert len(FACTS) * 2 // 3 < after.started_at < len(FACTS)
        assert TRUTH == canonical(after.fold)
        after.checkpoint.close()

    def test_are_written_on(self, path: Path) -> None:
        """Lives of any length, each of which writes what changed in it."""
        for start in range(0, len(FACTS), 7):
            keeper = Keeper(path, facts_between=3)
            keeper.take(FACTS[start : start + 7])
            keeper.checkpoint.close()
        after = Keeper(path)
        assert TRUTH == canonical(after.fold)
        after.checkpoint.close()

    def test_lead_to_where_they_are_while_records_are_read(self, path: Path) -> None:
        """A start that ends among the records behind the state leaves the rest of them there."""
        keeper = Keeper(path, facts_between=10_000)
        keeper.take(FACTS)
        keeper.checkpoint.write()
        keeper.checkpoint.close()
        half = Keeper(path, facts_between=3, records_max=20)
        assert 0 < half.checkpoint.start < 20
        half.checkpoint.close()
        after = Keeper(path)
        assert TRUTH == canonical(after.fold)
        after.checkpoint.close()

    def test_hold_nothing_that_was_not_acknowledged(self, path: Path) -> None:
        """A step moves the state before its facts are on the log; a crash then forgets them."""
        keeper = Keeper(path, facts_between=1)
        keeper.take(FACTS[:9])
        keeper.partition.restore(FACTS[9])  # as a step that nobody acknowledged
        keeper.checkpoint.close()
        after = Keeper(path)
        assert canonical(restored(FACTS[:9])) == canonical(after.fold)
        after.checkpoint.close()

    def test_are_written_by_what_changed_and_not_by_what_there_is(self, path: Path) -> None:
        """The pause of a write does not grow with the books."""
        keeper = Keeper(path, facts_between=10_000)
        keeper.take(FACTS)
        kept = keeper.partition._kept
        assert kept is not None

        def changes() -> int:
            batch = keeper.checkpoint.store.batch()
            kept._put_all(batch)
            return batch.len()

        assert changes() > 40
        acme = Customer("acme", "USD", moment("2025-01-09"))
        keeper.fold._tenants["beta"].customers["acme"] = acme
        assert [2, 0] == [changes(), changes()]  # the customer, and what the tenant has once
        keeper.checkpoint.close()

    def test_that_msgpack_cannot_hold_are_done_without(self, path: Path) -> None:
        """The engine empties the store, and in the end does without one."""
        keeper = Keeper(path, facts_between=1)
        keeper.take(FACTS[:9])
        keeper.fold._tenants["acme"].receipts_issued[2025] = 2**64
        with pytest.raises(StoreLost, match="cannot be kept"):
            keeper.partition.restore(FACTS[9])
        keeper.checkpoint.close()

    def test_refuse_to_forget_what_was_appended(self, path: Path) -> None:
        """First answers and ids are kept for good; a change of that asks for another form."""
        keeper = Keeper(path)
        keeper.take(FACTS)
        state = keeper.fold._tenants["beta"]
        with pytest.raises(TypeError, match="stays as it is"):
            state.billing.ids.discard("crd_2")
        with pytest.raises(TypeError, match="stays as it is"):
            state.outcomes["cmd_1"] = FirstOutcome(b"", "", "")
        with pytest.raises(TypeError, match="stays as it is"):
            state.outcomes.pop("cmd_1")
        keeper.checkpoint.close()


class TestNotBelieved:
    @pytest.mark.parametrize("prefix", [b"t", b"e", b"a", b"r", b"books"])
    def test_with_one_entry_less_it_is_read_from_the_facts(
        self, written: Path, path: Path, log: Log, prefix: bytes
    ) -> None:
        """A tenant, a changing entry, an appended one, a record, or what counts them."""
        shutil.copytree(written, path)
        database = Rdict(str(path), Options(raw_mode=True))
        keys: list[Any] = sorted(database.keys())
        keys = [key for key in keys if key.startswith(prefix)]
        del database[keys[len(keys) // 2]]
        database.close()
        with structlog.testing.capture_logs() as logs:
            assert TRUTH == restart(path)
        assert ["checkpoint.torn"] == [line["event"] for line in logs]

    def test_whole_it_is_taken(self, written: Path, path: Path, log: Log) -> None:
        """Or the tests beside this one would prove nothing."""
        shutil.copytree(written, path)
        with structlog.testing.capture_logs() as logs:
            assert TRUTH == restart(path)
        assert [] == logs

    def test_ahead_of_the_log_it_is_read_from_the_facts(
        self, path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The topic was made anew, or restored from a backup that knew less."""
        keep(path, FACTS)
        log.facts = FACTS[:9]
        monkeypatch.setattr(restore, "partition_ends", lambda *args: (0, 9))
        with structlog.testing.capture_logs() as logs:
            assert canonical(restored(FACTS[:9])) == restart(path)
        assert "checkpoint.ahead_of_log" in {line["event"] for line in logs}

    def test_of_other_code_it_is_read_from_the_facts(self, path: Path) -> None:
        """Another rule may lie behind a state that looks the same."""
        keep(path, FACTS)
        with structlog.testing.capture_logs() as logs:
            checkpoint = Checkpoint(path, identity="topic/2")
        assert (0, ["checkpoint.foreign"]) == (checkpoint.start, [line["event"] for line in logs])
        checkpoint.close()

    def test_any_change_of_the_code_is_other_code(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A line in any module of the rooms, or a module's name."""
        monkeypatch.setattr("importlib.resources.files", lambda room: tmp_path / room)
        for room in kept_books.ROOMS:
            (tmp_path / room / "deep").mkdir(parents=True)
            (tmp_path / room / "deep" / "rule.py").write_text("x = 1")
        found = {made_by()}
        (tmp_path / "domain" / "deep" / "rule.py").write_text("x = 2")
        found.add(made_by())
        (tmp_path / "domain" / "deep" / "rule.py").rename(tmp_path / "domain" / "deep" / "r.py")
        found.add(made_by())
        (tmp_path / "domain" / "notes.txt").write_text("no code")
        assert 3 == len(found)
        assert made_by() in found

    def test_damaged_anywhere_it_gives_the_truth_or_is_left(
        self, written: Path, tmp_path: Path, log: Log
    ) -> None:
        """Every restart ends at the truth; of those that left the checkpoint each says so."""
        files = [file for file in sorted(written.iterdir()) if file.stat().st_size]
        chance = random.Random(20261121)
        left = 0
        for number in range(DAMAGES):
            path = tmp_path / str(number)
            shutil.copytree(written, path)
            file = path / files[number % len(files)].name
            data = bytearray(file.read_bytes())
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            file.write_bytes(data)
            with structlog.testing.capture_logs() as logs:
                books = restart(path)
            assert books == TRUTH, (file.name, logs)
            left += bool(logs)
            shutil.rmtree(path)
        assert left > DAMAGES // 10


class TestKilled:
    @pytest.mark.parametrize("point", ["books.before_state", "books.after_state"])
    @pytest.mark.parametrize("times", [1, 2, 5])
    def test_while_it_writes_its_state_nothing_is_lost(
        self, path: Path, log: Log, point: str, times: int
    ) -> None:
        """kill -9 before and after the batch; the next life reads what is missing."""
        child = subprocess.run(
            [sys.executable, "-c", CHILD, str(path), f"{point}:{times}"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (-signal.SIGKILL, "") == (child.returncode, child.stdout), child.stderr
        assert TRUTH == restart(path)
