"""Running `tidegauge` as a person does: as a program of its own, from another folder."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import services

UP_SECONDS_MAX = 90
DEMO_SECONDS_MAX = 150
"""Far above the 30 s it takes: the machine of a test is shared."""


def environment(**variables: str) -> dict[str, str]:
    """The environment without settings of whoever runs the tests, and with these."""
    kept = {name: value for name, value in os.environ.items() if "TIDEGAUGE" not in name}
    return {**kept, "PYTHONPATH": str(services.CHECKOUT), "COLUMNS": "100", **variables}


def command(*arguments: str) -> list[str]:
    """The command line of `tidegauge`."""
    return [sys.executable, "-m", "cli.main", *arguments]


def run(
    *arguments: str, folder: Path, timeout_s: float = DEMO_SECONDS_MAX, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `tidegauge` to its end."""
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@contextmanager
def up(*options: str, folder: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run `tidegauge up` until the block is left; its words go to the file `log`.

    Yields:
        The process, once it has written where everything is.
    """
    log, cache = folder / "log", Path(variables["TIDEGAUGE_CACHE_DIR"])
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            command("up", *options),
            cwd=folder,
            env=environment(**variables),
            stdout=output,
            stderr=output,
            text=True,
        )
    try:
        deadline = time.monotonic() + UP_SECONDS_MAX
        while not (cache / "services.json").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"`up` did not get ready:\n{log.read_text(encoding='utf-8')[-4000:]}")
            time.sleep(0.1)
        yield process
    finally:
        if process.poll() is None:
            process.kill()


def processes_of(pid: int) -> set[int]:
    """Pids of all living descendants of a process."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent, *_ = (entry / "stat").read_text("utf-8").rpartition(")")[2].split()
            except OSError:
                continue  # ended while we looked
            if state not in {"Z", "X"}:
                parents[int(entry.name)] = int(parent)
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def alive(pids: set[int]) -> set[int]:
    """Those of the pids that still run."""
    left = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state not in {"Z", "X"}:
            left.add(pid)
    return left
