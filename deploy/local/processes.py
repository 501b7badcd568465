"""Start, recognise and end processes that must outlive the command that started them."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from errors import ServiceError
from paths import FETCH_LOG

LOG_TAIL_LINES = 25
POLL_SECONDS = 0.05
SERVICE_PORTS = range(20_000, 32_000)
"""Linux takes 32768 to 60999 for outgoing connections."""
APT_TIMEOUT_SECONDS = 600
"""One `apt-get` call; package indexes of a fresh machine are about 10 MB."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that was free a moment ago.

    It lies below the range that the operating system gives to outgoing connections. Inside that
    range a client that keeps trying to reach a killed service would sooner or later be given the
    service's own port, connect to itself, and keep the service from starting again.
    """
    ports = list(SERVICE_PORTS)
    random.shuffle(ports)
    for port in ports:
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    message = (
        f"No free port in {SERVICE_PORTS}.\nNext: give one with --kafka-port, --postgres-port."
    )
    raise ServiceError(message)


def spawn(command: Sequence[str], *, log_file: Path, environment: Mapping[str, str]) -> int:
    """Start a command in a session of its own, its output going to `log_file`; return its pid."""
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the starting terminal must not reach it
            env={**os.environ, **environment},
        )
    return process.pid


def start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None when there is none.

    Pid and start together name one process for good: a pid alone is used again after its end.
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in brackets and may hold blanks: count from its end.
    state, *fields = status.rpartition(")")[2].split()
    return None if state in {"Z", "X"} else int(fields[18])


def is_running(pid: int | None, started: int | None) -> bool:
    """Tell whether exactly the process that we started is still there."""
    return pid is not None and started is not None and start_ticks(pid) == started


def end(pid: int | None, started: int | None, *, how: signal.Signals, timeout_s: float) -> None:
    """Send `how` to a process of ours and wait for its end; after `timeout_s` send SIGKILL.

    Does nothing when the process has ended, even if another one has its pid by now.
    """
    if pid is None or not is_running(pid, started):
        return
    os.kill(pid, how)
    if not wait_for_end(pid, started, timeout_s=timeout_s):
        os.kill(pid, signal.SIGKILL)
        wait_for_end(pid, started, timeout_s=timeout_s)


def wait_for_end(pid: int, started: int | None, *, timeout_s: float) -> bool:
    """Wait until a process has ended; return False when it is still there after `timeout_s`."""
    give_up_at = time.monotonic() + timeout_s
    while is_running(pid, started):
        if time.monotonic() > give_up_at:
            return False
        time.sleep(POLL_SECONDS)
    return True


def processes_in(folder: Path) -> list[int]:
    """Return the pids of all processes whose working directory is `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink() == folder:
                found.append(int(entry.name))
        except OSError:
            continue  # ended while we looked, or not ours to see
    return found


def tail(log_file: Path) -> str:
    """Return the last lines of a log, indented, for an error message."""
    if not log_file.exists():
        return f"  ({log_file} does not exist)"
    lines = log_file.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"  | {line}" for line in lines[-LOG_TAIL_LINES:])


def run_step(title: str, command: Sequence[str], *, timeout_s: float, feed: str = "") -> None:
    """Run one command to its end, its output in `.cache/fetch.log`.

    Args:
        title: what the command does, for the screen.
        command: program and arguments.
        timeout_s: the longest time it may take, in seconds.
        feed: text for its standard input.

    Raises:
        ServiceError: the command failed or took too long; the message shows the end of its output.
    """
    FETCH_LOG.parent.mkdir(parents=True, exist_ok=True)
    with FETCH_LOG.open("wb") as log:
        try:
            subprocess.run(
                command,
                input=feed.encode(),
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=True,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            )
        except (subprocess.SubprocessError, OSError) as error:
            log.flush()
            message = (
                f"{title} failed: {error}\n{tail(FETCH_LOG)}\nNext: run `./dev services up` again."
            )
            raise ServiceError(message) from error


def need_programs(programs: Mapping[str, str], *, purpose: str) -> None:
    """Make sure that programs are there; install their Debian packages when we may.

    Args:
        programs: program → the Debian package that brings it.
        purpose: what they are for, for the message.

    Raises:
        ServiceError: a program is missing and cannot be installed from here.
    """
    missing = sorted(
        {package for program, package in programs.items() if not shutil.which(program)}
    )
    if not missing:
        return
    names = " ".join(missing)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        message = (
            f"{purpose} needs: {names}.\nNext: `apt-get install {names}` as root, or start "
            "Docker, or set TIDEGAUGE_KAFKA and TIDEGAUGE_DATABASE_URL to services of your own."
        )
        raise ServiceError(message)
    say(f"installing {names} ({purpose})")
    install = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    run_step("apt-get update", ["apt-get", "update"], timeout_s=APT_TIMEOUT_SECONDS)
    run_step("apt-get install", install, timeout_s=APT_TIMEOUT_SECONDS)


def say(text: str) -> None:
    """Print one line at once, also when standard output is a pipe."""
    print(text, flush=True)
