"""A small supervisor: starts programs, merges their logs, watches them, ends them by pid.

Every program is a session of its own, so Ctrl-C reaches only the supervisor, which ends all in
order. When the supervisor itself is killed, the kernel ends its programs (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, TextIO

from cli.failures import CommandFailure, Ended
from runtime import clock

STOP_TIMEOUT_MS = 10_000
"""How long a program may take to end before it is killed, ms."""
TAIL_LINES = 20
"""Lines of a program's log that an error message shows."""
POLL_MS = 50
"""Time between two looks at whether something is ready, ms."""
RESTART_MS_MIN, RESTART_MS_MAX = 1_000, 30_000
"""Wait before a crashed program starts again, ms: it doubles from the first to the second."""
STEADY_MS = 60_000
"""A program that ran for so long starts again without a longer wait, ms."""
LINE_CHARACTERS_MAX = 4_000
"""A longer log line is cut, so that one program cannot fill the screen or the memory."""

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
"""What would move the cursor or change the screen of whoever reads a log."""
_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_COLOURS = (36, 33, 35, 32, 34, 96, 93, 95)

# Runs as the child before the program does: leaves root when asked to, then asks the kernel for a
# signal at the parent's death. The order matters: a change of user forgets the request.
_LAUNCHER = """
import ctypes, os, sys
parent, death, user, group, *command = sys.argv[1:]
if user:
    os.setgroups([])
    os.setgid(int(group))
    os.setuid(int(user))
ctypes.CDLL(None).prctl(1, int(death))
if os.getppid() == int(parent):
    os.execvp(command[0], command)
"""


@dataclass(frozen=True, slots=True)
class Program:
    """What to start.

    Args:
        name: Name in the merged log, short.
        command: Program and arguments.
        environment: The whole environment of the program.
        directory: Working directory.
        stop_signal: What asks it to end.
        user: (uid, gid) to run as when we are root; None for our own.
        stops_last: Whether others need it until they have ended, as a database.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    stop_signal: signal.Signals = signal.SIGTERM
    user: tuple[int, int] | None = None
    stops_last: bool = False


class LogStream:
    """One stream for the lines of many programs; a reader that goes away stops nothing.

    Args:
        target: Where lines go.
        is_coloured: Whether names are coloured.
    """

    def __init__(self, target: TextIO, *, is_coloured: bool = False) -> None:
        self._target: TextIO | None = target
        self._is_coloured = is_coloured
        self._lock = threading.Lock()
        self._colours: dict[str, int] = {}

    def write(self, name: str, line: str) -> None:
        """Write one line with its program's name; after a broken pipe, write nothing."""
        with self._lock:
            if self._target is None:
                return
            try:
                self._target.write(f"{self._label(name)} {line}\n")
                self._target.flush()
            except (OSError, ValueError):
                self._target = None

    def _label(self, name: str) -> str:
        text = f"{name:<8} │"
        if not self._is_coloured:
            return text
        colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
        return f"\x1b[{colour}m{text}\x1b[0m"


@dataclass(slots=True)
class Running:
    """One program under watch.

    Args:
        program: What was started.
        process: Its process; only the supervisor reaps it.
        started_at_ms: When it was started, on the monotonic clock.
        restart_ms: Wait before its next restart.
        restart_at_ms: When it is to start again; 0 while it runs.
        tail: End of its log.
        reader: Thread that reads its output.
    """

    program: Program
    process: subprocess.Popen[bytes]
    started_at_ms: int
    restart_ms: int = RESTART_MS_MIN
    restart_at_ms: int = 0
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    reader: threading.Thread | None = None


class Supervisor:
    """Starts, watches and ends programs; one thread uses it, the main one.

    Args:
        log: Where the programs' output goes.
        restarts: Whether a crashed program starts again; otherwise it is a failure.
        on_change: Called with the running programs' (name, pid) after every start.
    """

    def __init__(
        self,
        log: LogStream,
        *,
        restarts: bool = False,
        on_change: Callable[[list[tuple[str, int]]], None] | None = None,
    ) -> None:
        self._log = log
        self._restarts = restarts
        self._on_change = on_change
        self._running: dict[str, Running] = {}

    @property
    def pids(self) -> list[tuple[str, int]]:
        """Return name and pid of every program, in the order of their start."""
        return [(name, item.process.pid) for name, item in self._running.items()]

    def start(self, program: Program) -> None:
        """Start a program; it is not ready yet when this returns.

        Raises:
            CommandFailure: When it cannot be started.
        """
        self._running[program.name] = self._spawn(program)
        self._tell()

    def _tell(self) -> None:
        if self._on_change is not None:
            self._on_change(self.pids)

    def _spawn(self, program: Program) -> Running:
        user, group = program.user or ("", "")
        launcher = (sys.executable, "-I", "-S", "-c", _LAUNCHER)
        identity = (os.getpid(), program.stop_signal.value, user, group)
        try:
            process = subprocess.Popen(  # noqa: S603 -- what the callers name, never a user's text
                [*launcher, *map(str, identity), *program.command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(program.environment),
                cwd=program.directory,
                start_new_session=True,
            )
        except OSError as error:
            raise CommandFailure(
                f"{program.name} cannot be started: {error}", next_step="see whether it is there"
            ) from error
        running = Running(program, process, clock.monotonic_ms())
        running.reader = threading.Thread(
            target=self._read, args=(running,), name=f"log-{program.name}", daemon=True
        )
        running.reader.start()
        return running

    def _read(self, running: Running) -> None:
        output: IO[bytes] | None = running.process.stdout
        if output is None:
            return
        with output:
            for raw in iter(lambda: output.readline(LINE_CHARACTERS_MAX), b""):
                line = _ESCAPES.sub("", raw.decode(errors="replace")).rstrip()
                running.tail.append(line)
                self._log.write(running.program.name, line)

    def tend(self) -> None:
        """Look after every program once: note who has ended, start again what is due.

        Raises:
            CommandFailure: When a program ended and is not to start again; shows its log.
        """
        for running in list(self._running.values()):
            if running.restart_at_ms:
                if clock.monotonic_ms() >= running.restart_at_ms:
                    self._restart(running)
            elif _has_ended(running.process):
                self._note_end(running)

    def _note_end(self, running: Running) -> None:
        _reap(running.process)
        status = running.process.returncode
        if running.reader is not None:
            running.reader.join(1)
        name = running.program.name
        if not self._restarts:
            raise CommandFailure(
                f"{name} ended unexpectedly ({_status_text(status)})",
                details=_quoted(running.tail),
                next_step="see its log; it is worth a report",
            )
        if clock.monotonic_ms() - running.started_at_ms > STEADY_MS:
            running.restart_ms = RESTART_MS_MIN
        running.restart_at_ms = clock.monotonic_ms() + running.restart_ms
        self._log.write(
            name, f"ended ({_status_text(status)}), starts again in {running.restart_ms} ms"
        )

    def _restart(self, running: Running) -> None:
        fresh = self._spawn(running.program)
        fresh.restart_ms = min(RESTART_MS_MAX, running.restart_ms * 2)
        self._running[running.program.name] = fresh
        self._tell()

    def wait(
        self,
        is_ready: Callable[[], bool],
        *,
        what: str,
        timeout_ms: int,
        whose: str = "",
    ) -> None:
        """Wait until something is ready, looking after the programs meanwhile.

        Args:
            is_ready: Asked every POLL_MS.
            what: What is waited for, for the message.
            timeout_ms: Longest wait.
            whose: Program whose log tells why it takes so long; empty for all of them.

        Raises:
            CommandFailure: When the time is over, or a program ended.
        """
        deadline_ms = clock.monotonic_ms() + timeout_ms
        while not is_ready():
            self.tend()
            if clock.monotonic_ms() > deadline_ms:
                shown = [item for name, item in self._running.items() if whose in {"", name}]
                raise CommandFailure(
                    f"{what} did not come within {timeout_ms // 1000} s",
                    details="\n".join(_quoted(item.tail) for item in shown),
                    next_step="see what these last lines of the log say",
                )
            clock.sleep_ms(POLL_MS)

    def stop(self) -> None:
        """End every program: ask, wait up to STOP_TIMEOUT_MS, then kill; databases last."""
        for stops_last in (False, True):
            group = [
                item for item in self._running.values() if item.program.stops_last is stops_last
            ]
            _end(group)
        self._running.clear()

    @contextlib.contextmanager
    def ending(self) -> Iterator[Supervisor]:
        """End every program when the block is left, whatever the reason."""
        try:
            yield self
        finally:
            with _deaf_to_signals():
                self.stop()


def _end(group: list[Running]) -> None:
    for running in group:
        if not _has_ended(running.process):
            with contextlib.suppress(ProcessLookupError):
                os.kill(running.process.pid, running.program.stop_signal)
    deadline_ms = clock.monotonic_ms() + STOP_TIMEOUT_MS
    for running in group:
        while not _has_ended(running.process) and clock.monotonic_ms() < deadline_ms:
            clock.sleep_ms(POLL_MS)
        _reap(running.process)
        if running.reader is not None:
            running.reader.join(1)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Say whether a process has ended, without reaping it: its pid stays ours until _reap."""
    if process.returncode is not None:
        return True
    found = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return found is not None


def _reap(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a program's session, then take its status.

    A program that was reaped is left alone: its pid may be somebody else's by now.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _status_text(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"status {status}"


def _quoted(lines: deque[str]) -> str:
    return "\n".join(f"  │ {line}" for line in lines)


def started_at(pid: int) -> int | None:
    """This function will return when a process started, in ticks since boot; None when it ended.

    Pid and start together name one process for good: a pid alone is used again after its end.
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in brackets and may hold blanks: count from its end.
    state, *fields = status.rpartition(")")[2].split()
    return None if state in {"Z", "X"} else int(fields[18])


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """This function will turn Ctrl-C, SIGTERM and a closed terminal into Ended within a block."""

    def leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 -- signal's form
        raise Ended(number)

    # Who is told to ignore a signal, as by nohup, goes on ignoring it.
    numbers = [number for number in _ENDINGS if signal.getsignal(number) != signal.SIG_IGN]
    with _handling(leave, numbers):
        yield


@contextlib.contextmanager
def clearing_away() -> Iterator[contextlib.ExitStack]:
    """This function will open a stack of things to undo; nothing interrupts the undoing."""
    stack = contextlib.ExitStack()
    try:
        yield stack
    finally:
        with _deaf_to_signals():
            stack.close()


@contextlib.contextmanager
def _deaf_to_signals() -> Iterator[None]:
    """Let nothing interrupt the clearing away; it is bounded by itself."""
    with _handling(signal.SIG_IGN, _ENDINGS):
        yield


@contextlib.contextmanager
def _handling(
    handler: Callable[[int, FrameType | None], None] | signal.Handlers,
    numbers: Sequence[signal.Signals],
) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old or signal.SIG_DFL)
