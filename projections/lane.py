"""A thread that does one thing at a time, so that the reader of the log never waits for it.

The thread is a daemon: a database that hangs must not keep the process from ending.
"""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


class Lane:
    """Runs calls in the order they are given.

    Args:
        name: Name of the thread.
    """

    def __init__(self, name: str) -> None:
        # Unbounded, but its user waits for each answer before it asks again.
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, call: Callable[[], Result]) -> Future[Result]:
        """Run a call soon; its result or exception is in the future."""
        future: Future[Result] = Future()

        def run() -> None:
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001 -- the asker gets it, whatever it is
                future.set_exception(error)

        self._calls.put(run)
        return future

    def close(self, *, timeout_ms: int) -> bool:
        """End the thread after what it does now; False when that takes too long."""
        self._calls.put(None)
        self._thread.join(timeout_ms / 1000)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
