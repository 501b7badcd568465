"""The pipeline's processes as operating-system processes: start, kill, pause, restart, by pid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.checkout import ROOT

TIDEGAUGE = ROOT / ".venv" / "bin" / "tidegauge"
LOG_TAIL_LINES = 12
STOP_TIMEOUT_S = 15
WATCH_S = 0.1
COMMAND_TIMEOUT_S = 120
RESTARTS_MAX = 8
"""A fleet that needs more is not worth waiting for."""


def environment_of(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process: ours, without its settings, and these instead."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGAUGE_")}
    named = {f"TIDEGAUGE_{name.upper()}": value for name, value in settings.items()}
    return {**kept, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT), **named}


def run_command(
    arguments: Sequence[str], settings: Mapping[str, str], *, cwd: Path, timeout_s: float = 0
) -> subprocess.CompletedProcess[str]:
    """Run `tidegauge` with arguments to its end."""
    return subprocess.run(
        [str(TIDEGAUGE), *arguments],
        env=environment_of(settings),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout_s or COMMAND_TIMEOUT_S,
        check=False,
    )


def must_run(arguments: Sequence[str], settings: Mapping[str, str], *, cwd: Path) -> str:
    """Run `tidegauge` with arguments; a failure raises with what it said."""
    done = run_command(arguments, settings, cwd=cwd)
    if done.returncode != 0:
        said = f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        raise RuntimeError(
            f"tidegauge {' '.join(arguments)} ended with {done.returncode}:\n{said}"
        )
    return done.stdout


@dataclass(slots=True)
class Child:
    """One process of ours and its successors of the same name.

    Args:
        name: Name of it and of its log.
        command: Program and arguments.
        environment: All of it.
        log: Where all its output goes, of its successors too.
        cwd: Its working directory.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    cwd: Path
    starts: int = 0
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or its successor."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                list(self.command),
                env=dict(self.environment),
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.starts += 1

    @property
    def pid(self) -> int:
        """Return the pid of the present process."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Return how it ended; None while it runs."""
        return self._process.poll() if self._process else None

    @property
    def is_running(self) -> bool:
        """Say whether it runs, or is paused."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None and self.is_running:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """Freeze it; it does not notice."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on as if nothing had happened."""
        os.kill(self.pid, signal.SIGCONT)

    def hurry(self) -> None:
        """Ask the load to go on at full speed."""
        os.kill(self.pid, signal.SIGUSR1)

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Ask it to end, and kill it when it takes too long; return the exit status."""
        if self._process is None:
            return 0
        if self.is_running:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
        return self.wait(timeout_s)

    def wait(self, timeout_s: float) -> int:
        """Wait for its end; kill it when it takes too long."""
        if self._process is None:
            return 0
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def output(self) -> str:
        """Return everything it and its predecessors wrote."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def tail(self, lines: int = LOG_TAIL_LINES) -> str:
        """Return its last words, indented."""
        return "\n".join(
            f"  {self.name} | {line[:240]}" for line in self.output().splitlines()[-lines:]
        )


@dataclass(slots=True)
class Fleet:
    """All processes of a run. One that ends without being told is noted and started again.

    Args:
        folder: Where logs go and processes work.
        settings: Settings that all share, without the TIDEGAUGE_ prefix.
        unexpected: Ends that nobody asked for, in words.
    """

    folder: Path
    settings: dict[str, str]
    children: dict[str, Child] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)
    _expected_down: set[str] = field(default_factory=set)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _ending: threading.Event = field(default_factory=threading.Event)
    _watcher: threading.Thread | None = None

    def add(
        self, name: str, arguments: Sequence[str], *, module: str = "", **settings: str
    ) -> Child:
        """Start a process of `tidegauge`, or of a module of the tests, under a name."""
        command = [sys.executable, "-m", module] if module else [str(TIDEGAUGE)]
        child = Child(
            name=name,
            command=[*command, *arguments],
            environment=environment_of({**self.settings, **settings}),
            log=self.folder / f"{name}.log",
            cwd=self.folder,
        )
        with self._lock:
            self.children[name] = child
            child.start()
        return child

    def watch(self) -> None:
        """Note and restart whoever ends by itself, from now on."""
        self._watcher = threading.Thread(target=self._watch, name="fleet", daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        while not self._ending.wait(WATCH_S):
            with self._lock:
                for name, child in self.children.items():
                    if name not in self._expected_down and not child.is_running:
                        said = child.tail(3)
                        self.unexpected.append(f"{name} ended with {child.exit_code}:\n{said}")
                        if len(self.unexpected) <= RESTARTS_MAX:
                            child.start()

    def kill(self, name: str, *, down_s: float = 0) -> None:
        """Kill one and start its successor."""
        with self._lock:
            self._expected_down.add(name)
            self.children[name].kill()
        time.sleep(down_s)
        with self._lock:
            self.children[name].start()
            self._expected_down.discard(name)

    def end(self, name: str) -> int:
        """Ask one to end for good; return its exit status."""
        with self._lock:
            self._expected_down.add(name)
        return self.children[name].stop()

    def check(self) -> None:
        """Raise when processes end again and again by themselves."""
        if len(self.unexpected) > RESTARTS_MAX:
            raise RuntimeError("processes end by themselves:\n" + "\n".join(self.unexpected))

    def release(self, name: str) -> None:
        """Expect one to end by itself."""
        with self._lock:
            self._expected_down.add(name)

    def stop(self) -> None:
        """End all."""
        self._ending.set()
        if self._watcher is not None:
            self._watcher.join()
        for child in self.children.values():
            if child.is_running:
                os.kill(child.pid, signal.SIGCONT)
                os.kill(child.pid, signal.SIGTERM)
        for child in self.children.values():
            child.wait(STOP_TIMEOUT_S)

    def tails(self) -> str:
        """Return the last words of all."""
        return "\n".join(child.tail() for child in self.children.values())
