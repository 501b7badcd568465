"""What tests of the spool share: meters, a crash that only closes the files, and questions."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.unit.sdk.memory_transport import MemoryTransport
from tidegauge import (
    Counters,
    Meter,
    MeterStopped,
    Spool,
    limits,
)

WAIT_S = 10
SMALL = {"segment_bytes": limits.SEGMENT_BYTES_MIN, "bytes_max": 4 * limits.SEGMENT_BYTES_MIN}
LONG = {"note": "x" * 1_000}
"""Properties that make an event a kilobyte, so that few fill a segment."""


def a_meter(way_out: MemoryTransport, spool: Spool | Path, **options: Any) -> Meter:
    settings: dict[str, Any] = {"tenant": "acme", "source": "checkout"} | options
    return Meter("nowhere:1", way_out=lambda: way_out, spool=spool, **settings)


def record(meter: Meter, number: int, **changes: Any) -> str:
    event: dict[str, Any] = {"customer": "cus", "type": "requests", "quantity": number}
    return meter.record(**(event | changes))


def crash(meter: Meter) -> None:
    """End a meter as kill -9 would: nothing is flushed, nothing deleted; the files close."""
    way_out = MemoryTransport()
    engine = meter._engine
    flusher = engine._flusher
    flusher.transport = way_out
    way_out.answers = False
    flusher.close_by(time.monotonic())
    engine.buffer.refuse_from_now(lambda: MeterStopped("flush_thread_died"))
    engine.thread.join(WAIT_S)
    engine.buffer.let_go_after_fork()
    meter._close_result = 0


def quantities(way_out: MemoryTransport) -> list[int]:
    return [
        value // 10 ** batch["scale"] for batch in way_out.batches() for value in batch["quantity"]
    ]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        threading.Event().wait(0.002)


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.spool"))


def is_balanced(counters: Counters) -> bool:
    known = counters.recorded + counters.recovered
    return known == (counters.acknowledged + counters.failed + counters.dropped + counters.pending)


def run(code: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).resolve().parents[3],
        env={**os.environ, "PYTHONPATH": re.sub("^$", ".", os.pathsep.join([*sys.path[:1], "."]))},
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
