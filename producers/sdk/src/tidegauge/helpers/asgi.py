"""ASGI middleware: API calls and the bytes of their bodies, per customer."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, TypeAlias

from tidegauge.helpers.quiet import quietly, record_quietly
from tidegauge.meter import Meter

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_FAILED: Final = 500


class UsageMiddleware:
    """Records one event per HTTP request and one for each direction that had bytes.

    The customer is asked for after the application has run, so that whatever it put into the
    scope (a user, a path parameter) can be used. A request that is nobody's is not recorded.
    Bytes are those of the bodies, as the application saw and sent them. Dimensions are the
    method, the class of the status (`2xx`), and the route's pattern where the framework puts it
    into the scope; never the path, whose values have no end.

    Args:
        app: The application.
        meter: Where events go. Its `record` is called in the event loop: leave `block_ms` at 0
            and do not choose `fsync="always"`.
        customer: Finds the customer in the scope, or None.
        calls: Event type of requests; None records none.
        bytes_in: Event type of bytes of request bodies; None records none.
        bytes_out: Event type of bytes of response bodies; None records none.
    """

    def __init__(
        self,
        app: Application,
        *,
        meter: Meter,
        customer: Callable[[Scope], str | None],
        calls: str | None = "api.call",
        bytes_in: str | None = "api.bytes_in",
        bytes_out: str | None = "api.bytes_out",
    ) -> None:
        self._app = app
        self._meter = meter
        self._customer = customer
        self._types = (calls, bytes_in, bytes_out)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """This function will run the application and record what the request used."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(receive, send)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        finally:
            self._record(scope, exchange)

    def _record(self, scope: Scope, exchange: "_Exchange") -> None:
        customer = quietly(lambda: self._customer(scope))
        dimensions = quietly(lambda: _dimensions(scope, exchange.status))
        quantities = (1, exchange.bytes_in, exchange.bytes_out)
        for event_type, quantity in zip(self._types, quantities, strict=True):
            if event_type is not None and quantity > 0:
                record_quietly(
                    self._meter,
                    customer=customer,
                    type=event_type,
                    quantity=quantity,
                    dimensions=dimensions,
                )


class _Exchange:
    """The two ends of one request, with a count of what passes."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.bytes_in = 0
        self.bytes_out = 0
        # An application that ends without an answer made its server answer so.
        self.status = _FAILED

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self.bytes_in += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        await self._send(message)
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.bytes_out += len(message.get("body", b""))


def _dimensions(scope: Scope, status: int) -> Mapping[str, str]:
    dimensions = {"method": str(scope["method"]), "status": f"{status // 100}xx"}
    route = getattr(scope.get("route"), "path", None)
    if isinstance(route, str) and route:
        dimensions["route"] = route
    return dimensions
