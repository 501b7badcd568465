"""The API as a process: granian inside our own event loop, so that one Shutdown ends everything.

Why embedded: granian's other mode starts its worker as a second process, which would outlive a
kill -9 of the first and would read the settings a second time.
"""

from __future__ import annotations

import asyncio
import logging

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from api.app import create_app
from domain.codes import Code
from domain.errors import Fatal
from runtime.logs import logger
from runtime.settings import Settings
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
DRAIN_S = 12
"""How long requests at work may take to end, seconds: a command's deadline, and a little."""


def serve(settings: Settings, shutdown: Shutdown) -> None:
    """This function will serve the API until the end is requested.

    Args:
        settings: Address, port, database and log.
        shutdown: Ends it; requests at work are finished first, for at most DRAIN_S.

    Raises:
        Fatal: not_ready, when the address cannot be listened on or the server ends by itself.
    """
    logging.getLogger("_granian").setLevel(logging.ERROR)
    asyncio.run(_serve(settings, shutdown))


async def _serve(settings: Settings, shutdown: Shutdown) -> None:
    server = Server(
        create_app(settings),
        address=settings.api_host,
        port=settings.api_port,
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
    address = f"{settings.api_host}:{settings.api_port}"
    serving = asyncio.ensure_future(server.serve())
    logger().info("api.started", address=address)
    while not serving.done() and not await asyncio.to_thread(shutdown.wait_ms, SHUTDOWN_POLL_MS):
        pass
    if serving.done():
        raise _ended(address, serving.exception())
    server.signal_handler_interrupt()  # type: ignore[no-untyped-call]  # granian has no types here
    try:
        await asyncio.wait_for(serving, DRAIN_S)
    except TimeoutError:
        logger().warning("api.drain_cut", after_s=DRAIN_S)
    logger().info("api.stopped")


def _ended(address: str, cause: BaseException | None) -> Fatal:
    return Fatal(
        Code.NOT_READY,
        f"the server on {address} ended by itself: {cause or 'see the lines above'}",
        next_step="Check that TIDEGAUGE_API_HOST is an address of this machine and that nobody "
        "else listens on TIDEGAUGE_API_PORT",
    )
