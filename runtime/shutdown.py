"""Graceful end: the first SIGTERM or SIGINT asks every loop to finish its step, then it ends."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


class Shutdown:
    """A flag that loops look at between two steps."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def install(self) -> Shutdown:
        """Set the flag on SIGTERM and SIGINT; call from the main thread only."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        return self

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 -- signal's form
        self._event.set()

    def request(self) -> None:
        """Ask for the end from code."""
        self._event.set()

    @property
    def is_requested(self) -> bool:
        """Say whether the process is to end."""
        return self._event.is_set()

    def wait_ms(self, milliseconds: int) -> bool:
        """Wait at most so long; True as soon as the end is requested."""
        return self._event.wait(milliseconds / 1000)
