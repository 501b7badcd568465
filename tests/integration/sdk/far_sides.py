"""What stands at the far side of a transport in tests: memory, a small HTTP server, mock Kafka."""

import gc
import gzip
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Protocol

import confluent_kafka

from tidegauge import Meter
from tidegauge.overriding import override
from tidegauge.testing import MemoryTransport

PARTITIONS = 4
WAIT_S = 20
API_KEY = "mk_test_0123456789"


@dataclass(frozen=True, slots=True)
class Received:
    """One batch as it arrived."""

    partition: int | None
    value: bytes
    traceparents: tuple[str, ...]


class FarSide(Protocol):
    """What a contract test needs of the other end."""

    def meter(self, **options: Any) -> Meter:
        """Make a meter that delivers here."""

    def received(self, batches: int) -> list[Received]:
        """Return everything that arrived, when it is that many batches."""

    def go_away(self) -> None:
        """Answer no more."""

    def end(self) -> None:
        """Let go of everything."""


class MemoryFarSide:
    def __init__(self) -> None:
        self.transport = MemoryTransport(partitions=PARTITIONS)

    def meter(self, **options: Any) -> Meter:
        options.pop("delivery_timeout_ms", None)
        return Meter("memory", tenant="acme", way_out=lambda: self.transport, **options)

    def received(self, batches: int) -> list[Received]:
        return [
            Received(parcel.partition, parcel.value, parcel.traceparents)
            for parcel in self.transport.parcels
        ]

    def go_away(self) -> None:
        self.transport.error = "memory_away"

    def end(self) -> None:
        pass


class MockCluster:
    """librdkafka's in-process broker; it lives as long as this object."""

    def __init__(self) -> None:
        self._host: confluent_kafka.Producer | None = confluent_kafka.Producer(
            {"test.mock.num.brokers": 1, "log_level": 0}
        )
        broker = next(iter(self._host.list_topics(timeout=WAIT_S).brokers.values()))
        self.bootstrap = f"{broker.host}:{broker.port}"

    def meter(self, **options: Any) -> Meter:
        return Meter(self.bootstrap, tenant="acme", **options)

    def received(self, batches: int) -> list[Received]:
        return [
            Received(
                message.partition(),
                message.value() or b"",
                tuple(
                    value.decode() if isinstance(value, bytes) else str(value)
                    for name, value in list(message.headers() or [])
                    if name == "traceparent"
                ),
            )
            for message in read_all(self.bootstrap, "usage.events", batches)
        ]

    def go_away(self) -> None:
        self.end()

    def end(self) -> None:
        self._host = None
        gc.collect()


def read_all(bootstrap: str, topic: str, records: int) -> list[confluent_kafka.Message]:
    """Return that many records from the start of a topic."""
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "reader", "enable.auto.commit": False}
    )
    consumer.assign(
        [
            confluent_kafka.TopicPartition(topic, place, confluent_kafka.OFFSET_BEGINNING)
            for place in range(PARTITIONS)
        ]
    )
    found: list[confluent_kafka.Message] = []
    deadline = time.monotonic() + WAIT_S
    while len(found) < records and time.monotonic() < deadline:
        found.extend(consumer.consume(100, timeout=0.2))
    consumer.close()
    assert [message.error() for message in found if message.error() is not None] == []
    return found


@dataclass(slots=True)
class Request:
    """One POST as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    connection: int


Script = Callable[[BaseHTTPRequestHandler, Request], bool]
"""Answers a request by itself and returns True, or leaves it to the server."""


@dataclass
class Gateway:
    """A small server that keeps the gateway's contract, unless a script says otherwise.

    It shares no code with the gateway: what the SDK believes of it stands here once more.
    """

    partitions: int = PARTITIONS
    script: list[Script] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    accepted: list[Request] = field(default_factory=list)
    is_away: bool = False
    connections: set[int] = field(default_factory=set)
    lookups: int = 0
    lookup_status: int = 200
    prefix: str = ""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm: ClassVar[bool] = True

            def do_GET(self) -> None:
                gateway.lookups += 1
                if self.path != f"{gateway.prefix}/api/v1/events/partitions" or gateway.is_away:
                    answer(self, 503 if gateway.is_away else 404, {"code": "not_found"})
                elif gateway.lookup_status != 200:
                    answer(self, gateway.lookup_status, {"code": "unauthorized"})
                else:
                    answer(self, 200, {"topic": "usage.events", "partitions": gateway.partitions})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.path, headers, body, self.client_address[1])
                gateway._take(self, request)

            @override
            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def _take(self, handler: BaseHTTPRequestHandler, request: Request) -> None:
        with self._lock:
            self.requests.append(request)
            self.connections.add(request.connection)
            script = self.script.pop(0) if self.script else None
        if script is not None and script(handler, request):
            return
        if self.is_away:
            answer(handler, 503, {"code": "broker_away"}, {"Retry-After": "0"})
            return
        with self._lock:
            self.accepted.append(request)
            offset = len(self.accepted) - 1
        answer(handler, 202, {"partition": 0, "offset": offset})

    def meter(self, **options: Any) -> Meter:
        return Meter.over_http(self.url, api_key=API_KEY, tenant="acme", **options)

    def received(self, batches: int) -> list[Received]:
        # A gateway finds the partition itself, so the SDK does not tell it.
        return [
            Received(
                None,
                gzip.decompress(one.body)
                if one.headers.get("content-encoding") == "gzip"
                else one.body,
                tuple(filter(None, one.headers.get("tidegauge-traceparents", "").split(","))),
            )
            for one in self.accepted
        ]

    def go_away(self) -> None:
        self.is_away = True

    def end(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def answer(
    handler: BaseHTTPRequestHandler,
    status: int,
    body: dict[str, Any],
    headers: dict[str, str] | None = None,
) -> None:
    """Send one JSON answer."""
    content = json.dumps(body).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(content)))
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(content)


def saying(status: int, code: str, **headers: str) -> Script:
    """Make a script that answers once in this way."""

    def script(handler: BaseHTTPRequestHandler, request: Request) -> bool:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer(handler, status, {"code": code}, named)
        return True

    return script
