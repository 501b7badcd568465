"""Waking requests that stay open: one listener on the database for all of them.

The projector says NOTIFY after each commit. A wake-up carries nothing: who is woken looks for
itself, as its own tenant, so nobody learns from another's news. A wake-up may be missed while the
database is away; whoever waits looks again at each heartbeat.
"""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

from domain.codes import Code
from domain.errors import Retryable
from runtime import postgres
from runtime.logs import logger
from runtime.settings import Settings

LISTENERS_MAX = 100
"""Open streams of one process: each may ask the database twice a second, and more than 200 such
questions a second would be felt by everybody else."""
LISTENERS_OF_TENANT_MAX = 40
"""Of them one tenant's: who opens streams without end takes none of the others' places."""
PAUSE_S = 0.5
"""Least time between two wake-ups of one listener, seconds: a busy projector commits five times a
second, and nobody reads so fast."""
WAIT_S = 1
"""How long the thread waits for a notice before it looks whether it is to end, seconds."""
RETRY_S = 1
"""Pause before the database is asked again, seconds."""


class Listener:
    """One open stream's place among those that are woken; a block gives it back.

    Args:
        live: Where it is one of many.
        tenant: Whose stream it is.
    """

    def __init__(self, live: Live, tenant: str) -> None:
        self.tenant = tenant
        self._live = live
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()

    async def changed(self, timeout_s: float) -> bool:
        """Wait until something was projected, at least PAUSE_S and at most timeout_s.

        Returns:
            Whether anything was; after a time-out the caller may show a sign of life.
        """
        await asyncio.sleep(min(PAUSE_S, timeout_s))
        try:
            async with asyncio.timeout(max(0.0, timeout_s - PAUSE_S)):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        return True

    def wake(self) -> None:
        """Say that something was projected (from the listening thread)."""
        try:
            self._loop.call_soon_threadsafe(self._news.set)
        except RuntimeError:  # the loop has ended, and its requests with it
            self._live.leave(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.leave(self)


class Live:
    """Wakes the listeners of one process; connects when the first one comes.

    Args:
        settings: Where the database is.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._listeners: set[Listener] = set()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def listen(self, tenant: str) -> Listener:
        """Return a new listener, to be used as a block within the event loop.

        Raises:
            Retryable: overloaded, when there are LISTENERS_MAX, or LISTENERS_OF_TENANT_MAX of the
                tenant.
        """
        listener = Listener(self, tenant)
        with self._lock:
            of_tenant = sum(other.tenant == tenant for other in self._listeners)
            if len(self._listeners) >= LISTENERS_MAX or of_tenant >= LISTENERS_OF_TENANT_MAX:
                raise Retryable(
                    Code.OVERLOADED, "too many streams are open", retry_after_ms=10_000
                )
            self._listeners.add(listener)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="live", daemon=True)
                self._thread.start()
        return listener

    def leave(self, listener: Listener) -> None:
        """Forget a listener; doing it twice changes nothing."""
        with self._lock:
            self._listeners.discard(listener)

    def close(self) -> None:
        """Ask the thread to end; it is a daemon and holds nothing worth waiting for."""
        self._ending.set()

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                with postgres.connect(self._settings, role="app", autocommit=True) as connection:
                    self._listen_on(connection)
            except (Retryable, psycopg.Error) as error:
                logger().warning("live.database_away", reason=str(error))
                self._ending.wait(RETRY_S)

    def _listen_on(self, connection: psycopg.Connection) -> None:
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(postgres.NOTIFY_CHANNEL)))
        self._wake()  # what was said before is not heard any more
        while not self._ending.is_set():
            for notice in connection.notifies(timeout=WAIT_S):
                # Payload: schema and topic. Several schemas may share a database.
                if notice.payload.partition(" ")[0] == self._settings.database_schema:
                    self._wake()

    def _wake(self) -> None:
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener.wake()
