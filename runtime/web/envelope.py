"""What every answer gets: a request id, safe headers, a count, and never a stack trace."""

from __future__ import annotations

import re
from dataclasses import dataclass

import structlog
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime import clock, ids
from runtime.logs import logger
from runtime.web import problems

REQUEST_ID_HEADER = "X-Request-Id"
DEFECT_STATUS = 500
UNMATCHED = "unmatched"
"""Route label of addresses that nobody serves: a label must not grow with what strangers type."""

_REQUEST_ID = re.compile(r"[0-9A-Za-z._-]{1,64}", re.ASCII)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True, slots=True)
class Watch:
    """How the answers of one server are counted and logged.

    Args:
        name: Beginning of its log events, for example "api".
        requests: Counts answers by method, route and status.
        seconds: Times them by method and route.
        is_quiet: Whether only defects are logged; a server that takes thousands of requests a
            second would spend its time on writing about them.
    """

    name: str
    requests: Counter
    seconds: Histogram
    is_quiet: bool


class Envelope:
    """ASGI middleware around the whole application.

    Args:
        app: The application.
        watch: How its answers are counted and logged.
    """

    def __init__(self, app: ASGIApp, *, watch: Watch) -> None:
        self._app = app
        self._watch = watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, send, self._watch)
        try:
            await self._app(scope, receive, exchange.send)
        except Exception as error:  # noqa: BLE001 -- whatever it is, its trace belongs in the log, not in the answer
            await exchange.answer_defect(error, receive)
        finally:
            exchange.close()


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, send: Send, watch: Watch) -> None:
        wished = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        self._request_id = wished if _REQUEST_ID.fullmatch(wished) else ids.new_id("req")
        self._scope = scope
        self._send = send
        self._watch = watch
        self._started_ms = clock.monotonic_ms()
        self._status = 0
        scope.setdefault("state", {})["request_id"] = self._request_id
        structlog.contextvars.bind_contextvars(request_id=self._request_id)

    async def send(self, message: Message) -> None:
        """Pass a message on; the first one gets the headers."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[REQUEST_ID_HEADER] = self._request_id
            for name, value in _SAFE_HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)

    async def answer_defect(self, error: Exception, receive: Receive) -> None:
        """Answer an error that no handler took; nothing more can be said once an answer began."""
        problem = problems.problem_of(error)
        if self._status == 0:
            response = problems.to_response(problem, request_id=self._request_id)
            await response(self._scope, receive, self.send)

    def close(self) -> None:
        """Count and log the exchange."""
        route = getattr(self._scope.get("route"), "path", UNMATCHED)
        method = self._scope["method"]
        label = method if method in _METHODS else "other"
        milliseconds = clock.monotonic_ms() - self._started_ms
        self._watch.requests.labels(method=label, route=route, status=str(self._status)).inc()
        self._watch.seconds.labels(method=label, route=route).observe(milliseconds / 1000)
        if not self._watch.is_quiet or self._status == DEFECT_STATUS:
            logger().info(
                f"{self._watch.name}.request",
                method=label,
                route=route,
                status=self._status,
                ms=milliseconds,
            )
        structlog.contextvars.unbind_contextvars("request_id")
