"""The CPU that processes take: what a figure is judged by where others work beside it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.support.services import STATE_FILE

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process, all its threads."""
    fields = _fields(pid)
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def tree_cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process and its descendants, those that have ended as well."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            children.setdefault(int(_fields(int(path.name))[1]), []).append(int(path.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    waiting, ticks = [pid], 0
    while waiting:
        one = waiting.pop()
        try:
            ticks += sum(map(int, _fields(one)[11:15]))
        except (FileNotFoundError, ProcessLookupError):
            continue
        waiting += children.get(one, [])
    return ticks * _TICK_S


def service_pids() -> dict[str, int]:
    """Return the processes of broker and database, where `./dev services up` started them here."""
    try:
        services = json.loads(STATE_FILE.read_text(encoding="utf-8"))["services"]
    except (FileNotFoundError, KeyError):
        return {}
    return {name: found["pid"] for name, found in services.items() if found.get("pid")}


def _fields(pid: int) -> list[str]:
    """Return what follows the name in a process' status: state, parent, …"""
    return (
        Path(f"/proc/{pid}/stat")
        .read_text(encoding="ascii", errors="replace")
        .rpartition(")")[2]
        .split()
    )
