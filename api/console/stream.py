"""The stream that tells a page to read itself again (server-sent events, WHATWG HTML, 9.2).

It carries no data: a page that is told asks for its own address, as its own caller. So the stream
needs no order, no memory and no rights of its own, and a missed word costs nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import Request
from starlette.responses import StreamingResponse

from api.console.navigation import BASE_PATH
from api.console.routing import new_router
from api.console.security import HEADERS
from api.console.session import ConsoleCallerDep
from api.dependencies import BackendDep
from api.live import Listener
from runtime import clock

router = new_router()
HEARTBEAT_S = 15
"""Longest silence, seconds: proxies end what is silent for 30 to 60."""
LIFE_MS = 10 * 60 * 1000
"""After so long a stream ends and the browser opens the next one, ms: with a key that was revoked
it hears that something changed for no longer than that."""
PROJECTED = "event: projected\ndata:\n\n"
SIGN_OF_LIFE = ": still here\n\n"


@router.get(f"{BASE_PATH}/stream")
async def get_stream(
    request: Request, backend: BackendDep, caller: ConsoleCallerDep
) -> StreamingResponse:
    """Say `projected` whenever rows of any tenant changed; who is told looks for itself."""
    listener = backend.live.listen(caller.tenant)
    return StreamingResponse(
        _words(request, listener),
        media_type="text/event-stream",
        headers={**HEADERS, "X-Accel-Buffering": "no"},
    )


async def _words(request: Request, listener: Listener) -> AsyncIterator[str]:
    with listener:
        yield "retry: 2000\n\n"
        end_ms = clock.monotonic_ms() + LIFE_MS
        while clock.monotonic_ms() < end_ms:
            yield PROJECTED if await listener.changed(HEARTBEAT_S) else SIGN_OF_LIFE
            if await request.is_disconnected():
                return
