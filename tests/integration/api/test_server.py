"""The API as its own process on granian: it answers, it bounds slow senders, and it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from runtime.settings import Settings
from runtime.web.keys import NewApiKey
from tests.support.api_world import Rows, bearer
from tests.support.services import CHECKOUT

PROGRAM = """
from api.server import serve
from runtime import logs
from runtime.settings import Settings
from runtime.shutdown import Shutdown
settings = Settings()
logs.configure(settings, process="api")
serve(settings, Shutdown().install())
"""
START_SECONDS_MAX = 30
HEADER_SECONDS_MAX = 8
"""The server gives a head 5 s; the rest is for a busy machine."""


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[str]
    port: int
    key: NewApiKey

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=HEADER_SECONDS_MAX)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _start(settings: Settings, kafka: str, port: int, **more: str) -> subprocess.Popen[str]:
    environment = os.environ | {
        "PYTHONPATH": str(CHECKOUT),
        "TIDEGAUGE_DATABASE_URL": settings.database_url.get_secret_value(),
        "TIDEGAUGE_KAFKA": kafka,
        "TIDEGAUGE_API_PORT": str(port),
        **more,
    }
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=environment, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="module")
def server(settings: Settings, rows: Rows, kafka_bootstrap: str) -> Iterator[Server]:
    port = _free_port()
    server = Server(_start(settings, kafka_bootstrap, port), port, rows.api_key("served"))
    _wait_for(server, path="/readyz")
    yield server
    server.process.kill()
    server.process.communicate()


def _wait_for(server: Server, *, path: str) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            if httpx.get(server.url + path).status_code == 200:
                return
        except httpx.TransportError:
            assert server.process.poll() is None, server.process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _until_closed(connection: socket.socket) -> bytes:
    received = b""
    while chunk := connection.recv(65_536):
        received += chunk
    return received


class TestServer:
    def test_answers(self, server: Server, rows: Rows) -> None:
        rows.customer("served", "c1")
        answer = httpx.get(f"{server.url}/api/v1/billing/customers", headers=bearer(server.key))
        assert answer.status_code == 200
        assert [item["customer"] for item in answer.json()["data"]] == ["c1"]
        assert httpx.get(f"{server.url}/healthz").json() == {"status": "ok"}
        assert httpx.get(f"{server.url}/docs").status_code == 200

    @pytest.mark.parametrize(
        "head",
        [
            b"GET /api/v1/billing/customers?limit=\xff HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /api/v1/billing/invoices/%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\n\r\n",
            b"POST /api/v1/billing/customers HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ],
    )
    def test_survives_a_strange_head(self, server: Server, head: bytes) -> None:
        """A malformed head is refused or the connection closed; never a 5xx, never a crash."""
        with server.connect() as connection:
            connection.sendall(head)
            connection.shutdown(socket.SHUT_WR)
            received = _until_closed(connection)
        assert not received.startswith(b"HTTP/1.1 5")
        assert httpx.get(f"{server.url}/healthz").status_code == 200

    def test_closes_on_a_head_that_never_ends(self, server: Server) -> None:
        """Slowloris: who does not finish the head in time loses the connection."""
        with server.connect() as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            received = _until_closed(connection)
        assert b"200 OK" not in received

    def test_refuses_a_large_body_before_reading_it(self, server: Server) -> None:
        head = (
            "POST /api/v1/billing/customers HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {server.key.key}\r\nIdempotency-Key: k\r\n"
            "Content-Type: application/json\r\nContent-Length: 10737418240\r\n\r\n"
        )
        with server.connect() as connection:
            connection.sendall(head.encode())
            received = connection.recv(65_536)
        assert received.startswith(b"HTTP/1.1 413")

    def test_logs_facts_without_secrets(self, server: Server, settings: Settings) -> None:
        """The last test of this server: it ends it, in time, and reads what it wrote."""
        httpx.get(f"{server.url}/api/v1/billing/invoices/x", headers=bearer(server.key))
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)

        log = server.process.communicate(timeout=10)[1]

        assert server.process.returncode == 0
        assert time.monotonic() - started < 5
        lines = [json.loads(line) for line in log.splitlines()]
        answered = [line for line in lines if line["event"] == "api.request"]
        assert answered[-1]["route"] == "/api/v1/billing/invoices/{invoice}"
        assert answered[-1]["key_id"] == server.key.key_id
        assert answered[-1]["request_id"].startswith("req_")
        assert lines[-1]["event"] == "api.stopped"
        assert server.key.key not in log
        assert (settings.database_url.get_secret_value()) not in log


class TestAbsentBroker:
    def test_keeps_neither_a_caller_nor_the_end_waiting(
        self, settings: Settings, rows: Rows
    ) -> None:
        """A command that hangs in the producer for 30 s holds up nobody; reads go on."""
        port = _free_port()
        process = _start(settings, "127.0.0.1:1", port, TIDEGAUGE_COMMAND_TIMEOUT_MS="300")
        server = Server(process, port, rows.api_key("brokerless"))
        _wait_for(server, path="/healthz")
        headers = bearer(server.key)

        answer = httpx.post(
            f"{server.url}/api/v1/billing/customers",
            json={"customer": "c", "currency": "USD"},
            headers=headers | {"Idempotency-Key": "k"},
        )
        listed = httpx.get(f"{server.url}/api/v1/billing/customers", headers=headers)
        ready = httpx.get(f"{server.url}/readyz")
        started = time.monotonic()
        process.terminate()
        process.communicate(timeout=START_SECONDS_MAX)

        assert (answer.status_code, answer.json()["code"]) == (503, "broker_away")
        assert listed.status_code == 200
        assert (ready.status_code, ready.json()["parts"]["kafka"]) == (503, "does not answer")
        assert process.returncode == 0
        assert time.monotonic() - started < 10


class TestPort:
    def test_that_is_taken_ends_the_process_with_the_next_step(
        self, settings: Settings, kafka_bootstrap: str
    ) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            process = _start(settings, kafka_bootstrap, listener.getsockname()[1])
            log = process.communicate(timeout=30)[1]
        assert process.returncode != 0
        assert "TIDEGAUGE_API_PORT" in log
