"""The one clock. Decisions never read it: it times waits and stamps what is only for diagnosis."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> datetime:
    """This function will return the present moment in UTC."""
    return datetime.now(UTC)


def now_ms() -> int:
    """This function will return the present moment in milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    """This function will return a clock that never goes back, for waits and durations, ms."""
    return time.monotonic_ns() // 1_000_000


def sleep_ms(milliseconds: int) -> None:
    """This function will block the calling thread for so long."""
    time.sleep(milliseconds / 1000)
