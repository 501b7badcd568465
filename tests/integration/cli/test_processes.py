"""The supervisor with real programs: it watches, tells why, and leaves nobody behind."""

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import processes
from cli.failures import CommandFailure
from cli.processes import LogStream, Program, Supervisor
from tests.end_to_end.commands import alive, processes_of

FOREVER = "import time\nwhile True: time.sleep(1)"


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def supervisor(log: io.StringIO) -> Iterator[Supervisor]:
    with Supervisor(LogStream(log)).ending() as running:
        yield running


def _program(folder: Path, code: str, *, name: str = "one") -> Program:
    return Program(
        name=name,
        command=(sys.executable, "-u", "-c", code),
        environment={"PATH": os.defpath},
        directory=folder,
    )


def _pid(supervisor: Supervisor) -> int:
    ((_, pid),) = supervisor.pids
    return pid


class TestWatching:
    def test_tells_the_end_and_the_last_lines_of_a_crash(
        self, supervisor: Supervisor, tmp_path: Path
    ) -> None:
        supervisor.start(_program(tmp_path, "print('it was the fuse'); raise SystemExit(3)"))
        with pytest.raises(CommandFailure) as caught:
            supervisor.wait(lambda: False, what="light", timeout_ms=20_000)
        assert "one ended unexpectedly (status 3)" in caught.value.text()
        assert "it was the fuse" in caught.value.text()

    def test_gives_up_after_the_time_and_shows_the_log(
        self, supervisor: Supervisor, tmp_path: Path, log: io.StringIO
    ) -> None:
        supervisor.start(_program(tmp_path, f"print('still warming up')\n{FOREVER}"))
        supervisor.wait(lambda: "warming" in log.getvalue(), what="a line", timeout_ms=20_000)
        with pytest.raises(CommandFailure, match="light did not come within 0 s") as caught:
            supervisor.wait(lambda: False, what="light", timeout_ms=100)
        assert "still warming up" in caught.value.text()

    def test_names_the_program_and_drops_escapes(
        self, supervisor: Supervisor, tmp_path: Path, log: io.StringIO
    ) -> None:
        supervisor.start(
            _program(tmp_path, f"print('\\x1b[2Jred\\x07 \\x1b[31malert')\n{FOREVER}")
        )
        supervisor.wait(lambda: "alert" in log.getvalue(), what="a line", timeout_ms=20_000)
        assert log.getvalue() == "one      │ red alert\n"

    def test_starts_a_crashed_program_again(self, tmp_path: Path, log: io.StringIO) -> None:
        pids: list[int] = []
        supervisor = Supervisor(
            LogStream(log), restarts=True, on_change=lambda found: pids.append(found[0][1])
        )
        with supervisor.ending():
            supervisor.start(_program(tmp_path, FOREVER))
            os.kill(_pid(supervisor), 9)
            supervisor.wait(lambda: len(pids) == 2, what="a successor", timeout_ms=20_000)
            assert alive(set(pids)) == {pids[1]}
        assert "ended (SIGKILL), starts again" in log.getvalue()

    def test_goes_on_when_nobody_reads_the_log(self, tmp_path: Path) -> None:
        """A closed pipe must not stop a program that writes a lot."""
        reader, writer = os.pipe()
        os.close(reader)
        done = tmp_path / "done"
        code = f"print('x' * 200_000)\nopen({str(done)!r}, 'w').close()\n{FOREVER}"
        with os.fdopen(writer, "w") as target:
            supervisor = Supervisor(LogStream(target))
            with supervisor.ending():
                supervisor.start(_program(tmp_path, code))
                supervisor.wait(done.exists, what="the end of writing", timeout_ms=20_000)
            with pytest.raises(BrokenPipeError):
                target.close()


class TestEnding:
    def test_asks_first(self, tmp_path: Path, log: io.StringIO) -> None:
        code = (
            "import signal, sys\n"
            "signal.signal(signal.SIGTERM, lambda *_: (print('good bye'), sys.exit()))\n"
            f"print('ready')\n{FOREVER}"
        )
        supervisor = Supervisor(LogStream(log))
        with supervisor.ending():
            supervisor.start(_program(tmp_path, code))
            supervisor.wait(lambda: "ready" in log.getvalue(), what="it", timeout_ms=20_000)
        assert "good bye" in log.getvalue()

    def test_kills_who_does_not_listen_and_its_children(
        self, tmp_path: Path, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(processes, "STOP_TIMEOUT_MS", 200)
        code = (
            "import signal, subprocess, sys\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            f"subprocess.Popen([sys.executable, '-c', {FOREVER!r}])\n"
            f"print('ready')\n{FOREVER}"
        )
        supervisor = Supervisor(LogStream(log))
        with supervisor.ending():
            supervisor.start(_program(tmp_path, code))
            supervisor.wait(lambda: "ready" in log.getvalue(), what="it", timeout_ms=20_000)
            pid = _pid(supervisor)
            family = {pid} | processes_of(pid)
        assert len(family) == 2
        supervisor.wait(lambda: not alive(family), what="their end", timeout_ms=5_000)

    def test_says_what_cannot_be_started(self, supervisor: Supervisor, tmp_path: Path) -> None:
        missing = Program("one", ("nothing",), {"PATH": ""}, tmp_path / "nowhere")
        with pytest.raises(CommandFailure, match="one cannot be started"):
            supervisor.start(missing)
