"""A server as a process: granian inside our own event loop, so that one Shutdown ends everything.

Why embedded: granian's other mode starts its worker as a second process, which would outlive a
kill -9 of the first and would read the settings a second time.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from fastapi import FastAPI
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from domain.codes import Code
from domain.errors import Fatal
from runtime.logs import logger
from runtime.shutdown import Shutdown

HEADER_TIMEOUT_MS = 5_000
"""Longest time the headers of a request may take, ms: a slow sender must not hold a connection."""
BUFFER_BYTES_MAX = 64 * 1024
"""Largest head of a request, bytes; also what one connection may hold in memory before we read."""
BACKLOG = 512
"""Connections that wait to be accepted."""
REQUESTS_MAX = 256
"""Requests at work at once in one process; more wait in the backlog."""
SHUTDOWN_POLL_MS = 200
"""Time between two looks at the server while waiting for the end, ms."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Where a server listens, and how it is called.

    Args:
        name: Beginning of its log events; its settings are TIDEGAUGE_<NAME>_HOST and _PORT.
        host: Address.
        port: Port.
        drain_s: How long requests at work may take to end, seconds.
    """

    name: str
    host: str
    port: int
    drain_s: int


def serve(app: FastAPI, listener: Listener, shutdown: Shutdown) -> None:
    """This function will serve an application until the end is requested.

    Args:
        app: The application.
        listener: Where to listen.
        shutdown: Ends it; requests at work are finished first, for at most drain_s.

    Raises:
        Fatal: not_ready, when the address cannot be listened on or the server ends by itself.
    """
    logging.getLogger("_granian").setLevel(logging.ERROR)
    asyncio.run(_serve(app, listener, shutdown))


async def _serve(app: FastAPI, listener: Listener, shutdown: Shutdown) -> None:
    server = Server(
        app,
        address=listener.host,
        port=listener.port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=BACKLOG,
        backpressure=REQUESTS_MAX,
        http1_settings=HTTP1Settings(
            header_read_timeout=HEADER_TIMEOUT_MS, max_buffer_size=BUFFER_BYTES_MAX
        ),
        log_enabled=False,
    )
    address = f"{listener.host}:{listener.port}"
    serving = asyncio.ensure_future(server.serve())
    logger().info(f"{listener.name}.started", address=address)
    while not serving.done() and not await asyncio.to_thread(shutdown.wait_ms, SHUTDOWN_POLL_MS):
        pass
    if serving.done():
        raise _ended(listener, serving.exception())
    server.signal_handler_interrupt()  # type: ignore[no-untyped-call]  # granian has no types here
    try:
        await asyncio.wait_for(serving, listener.drain_s)
    except TimeoutError:
        logger().warning(f"{listener.name}.drain_cut", after_s=listener.drain_s)
    logger().info(f"{listener.name}.stopped")


def _ended(listener: Listener, cause: BaseException | None) -> Fatal:
    setting = f"TIDEGAUGE_{listener.name.upper()}"
    return Fatal(
        Code.NOT_READY,
        f"the server on {listener.host}:{listener.port} ended by itself: "
        f"{cause or 'see the lines above'}",
        next_step=f"Check that {setting}_HOST is an address of this machine and that nobody else "
        f"listens on {setting}_PORT",
    )
