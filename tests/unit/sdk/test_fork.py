"""What becomes of a meter in a forked child, as gunicorn and celery make them."""

import multiprocessing
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.sdk.memory_transport import MemoryTransport
from tidegauge import Meter, Spool, TidegaugeError
from tidegauge.overriding import override

WAIT_S = 10

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),  # Python 3.12: threads
]


def record(meter: Meter, number: int = 1) -> str:
    return meter.record(customer="cus", type="requests", quantity=number)


def in_child(work: Callable[[], object]) -> str:
    """Fork, do something in the child, and return what it returned or the code it raised."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            told = str(work())
        except TidegaugeError as error:
            told = error.code
        except BaseException as error:  # noqa: BLE001 - the parent's test shows it
            told = repr(error)
        os.write(writing, told.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    return told


def sent(way_outs: list[MemoryTransport]) -> list[list[int]]:
    return [
        [value for batch in way_out.batches() for value in batch["quantity"]]
        for way_out in way_outs
    ]


class TestChild:
    def a_meter(self, made: list[MemoryTransport], **options: Any) -> Meter:
        def connect() -> MemoryTransport:
            made.append(MemoryTransport(partitions=1))
            return made[-1]

        return Meter("nowhere:1", tenant="acme", way_out=connect, **options)

    def test_gets_a_fresh_meter_with_its_first_event(self) -> None:
        """The child sends its own events over its own transport, and none of the parent's."""
        made: list[MemoryTransport] = []
        with self.a_meter(made) as meter:
            made[0].answers = False
            record(meter, 1)

            def work() -> object:
                before = (meter.counters.recorded, meter.flush(0), meter.close(0))
                ids = {record(meter, number) for number in (2, 3)}
                left = meter.flush(WAIT_S)
                return before, len(ids), left, meter.counters.acknowledged, sent(made)[1:]

            assert in_child(work) == str(((0, 0, 0), 2, 0, 2, [[2, 3]]))
            made[0].answers = True
            assert meter.flush(WAIT_S) == 0
            assert sent(made) == [[1]]

    def test_makes_other_ids_than_its_parent(self) -> None:
        """Random tails prepared before the fork are not used on both sides of it."""
        with self.a_meter([]) as meter:
            record(meter)

            childs = in_child(lambda: [record(meter) for _ in range(300)])

            assert not {record(meter)[14:] for _ in range(300)} & {
                one[14:] for one in childs.strip("[]'").split("', '")
            }

    def test_never_hangs_on_a_lock_of_its_parent(self) -> None:
        """A lock that another thread held at the fork does not exist for the child."""
        with self.a_meter([]) as meter:
            record(meter)
            with meter._engine.buffer._lock:
                result = in_child(lambda: (meter.counters.pending, record(meter) != ""))
            assert result == "(0, True)"

    def test_may_not_share_the_parents_spool(self, tmp_path: Path) -> None:
        """One folder is one process: the child's record says so, the parent goes on."""
        with self.a_meter([], spool=tmp_path) as meter:
            assert in_child(lambda: record(meter)) == "spool_in_use"
            record(meter)
            assert meter.flush(WAIT_S) == 0

    def test_has_a_spool_of_its_own_with_slots(self, tmp_path: Path) -> None:
        """With {slot}, each worker has a folder; what a killed one left is sent by the next."""
        spool = Spool(tmp_path / "{slot}")
        made: list[MemoryTransport] = []

        def work() -> object:
            record(meter, 7)  # and then it is gone, without any goodbye
            return sorted(path.name for path in tmp_path.iterdir())

        with self.a_meter(made, spool=spool) as meter:
            assert in_child(work) == "['0', '1']"
        with self.a_meter(made, spool=spool) as meter:
            assert meter.counters.recovered == 1
            assert meter.flush(WAIT_S) == 0
        assert sent(made)[-1] == [7]

    def test_does_not_keep_the_parents_spool_locked(self, tmp_path: Path) -> None:
        """A child that lives on after its parent's meter closed does not hold the folder."""
        reading, writing = os.pipe()
        meter = self.a_meter([], spool=tmp_path)
        child = os.fork()
        if child == 0:
            os.read(reading, 1)
            os._exit(0)
        try:
            meter.close()

            self.a_meter([], spool=tmp_path).close()
        finally:
            os.write(writing, b"x")
            os.waitpid(child, 0)
            os.close(reading)
            os.close(writing)

    def test_does_not_outlive_its_parents_lock_by_a_copy(self, tmp_path: Path) -> None:
        """Even a copy of the lock's file that nobody closed is no lock after the meter closed."""
        meter = self.a_meter([], spool=tmp_path)
        copy = os.dup(meter._engine.buffer._folder._lock_file)  # type: ignore[attr-defined]
        meter.close()

        self.a_meter([], spool=tmp_path).close()
        os.close(copy)

    def test_may_outlive_a_parent_that_was_killed(self, tmp_path: Path) -> None:
        """The child's own copies are closed at the fork: it cannot keep the next meter out."""
        meter = self.a_meter([], spool=tmp_path)
        files = in_child(
            lambda: [
                str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.exists()
            ]
        )
        assert str(tmp_path) not in files
        meter.close()

    def test_of_multiprocessing_sends_everything_at_its_end(self, tmp_path: Path) -> None:
        """Such a worker ends without atexit; its meter is closed all the same."""
        told = tmp_path / "told"
        made: list[MemoryTransport] = []
        meter = self.a_meter(made)

        class Telling(MemoryTransport):
            @override
            def close(self) -> None:
                told.write_text(str(sent([self])))

        def work() -> None:
            record(meter, 5)

        made.clear()
        meter.plan = meter.plan.__class__(
            **{name: getattr(meter.plan, name) for name in meter.plan.__slots__}
            | {"connect": lambda: Telling(partitions=1)}
        )
        process = multiprocessing.get_context("fork").Process(target=work)
        process.start()
        process.join(WAIT_S)
        assert process.exitcode == 0
        assert told.read_text() == "[[5]]"
        meter.close(0)

    def test_leaves_the_parents_threads_alone(self) -> None:
        """Forking while threads record loses and doubles nothing in the parent."""
        made: list[MemoryTransport] = []
        with self.a_meter(made) as meter:
            ended = threading.Event()
            numbers: list[int] = []

            def work() -> None:
                while not ended.wait(0.0001):  # slower than the flush thread, or the buffer fills
                    numbers.append(len(numbers))
                    record(meter, numbers[-1])

            thread = threading.Thread(target=work)
            thread.start()
            for _ in range(5):
                assert in_child(lambda: record(meter) != "") == "True"
            ended.set()
            thread.join(WAIT_S)
            assert meter.flush(WAIT_S) == 0
        assert sorted(value for one in sent(made)[:1] for value in one) == numbers
