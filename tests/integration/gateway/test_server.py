"""The gateway as a process: it appends for real, cuts slow senders, and says when it cannot."""

import gzip
import json
import signal
import socket
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg

from producers.gateway.log import Record
from runtime.settings import Settings
from tests.support.api_world import Rows
from tests.support.gateway_process import START_TIMEOUT_S, Gateway, start_gateway
from tests.support.gateway_world import (
    BATCH,
    STRUCTURED,
    TENANT,
    URL,
    decoded,
    events_of,
    signed,
)
from tests.support.gateway_world import event as made
from tests.support.oracle_log import read_topic

HEADER_S, BODY_S, SLACK_S = 5, 20, 10
MEMORY_MB_MAX = 300


def _connect(gateway: Gateway) -> socket.socket:
    return socket.create_connection(("127.0.0.1", gateway.port), timeout=BODY_S + SLACK_S)


def _head(gateway: Gateway, *lines: str) -> bytes:
    return "\r\n".join(
        [
            f"POST {URL} HTTP/1.1", "Host: x", f"Authorization: Bearer {gateway.key.key}",
            f"Content-Type: {BATCH}", *lines, "", "",
        ]
    ).encode()  # fmt: skip


def _answer(connection: socket.socket) -> bytes:
    received = b""
    try:
        while chunk := connection.recv(65_536):
            received += chunk
            if b"\r\n\r\n" in received:
                break
    except (ConnectionResetError, BrokenPipeError):
        pass
    return received


class TestAppend:
    def test_lies_where_the_answer_says(self, gateway: Gateway, settings: Settings) -> None:
        """202 means that it is on the log: it is read back from there."""
        answer = httpx.post(
            f"{gateway.url}{URL}",
            content=json.dumps([made(number) for number in range(10)]),
            headers={**gateway.headers, "Content-Type": BATCH},
        )
        assert (answer.status_code, answer.json()["accepted"]) == (202, 10)
        found = [
            event
            for record in read_topic(settings.kafka, "usage.events")
            for event in events_of(decoded(Record("usage.events", 0, b"", record.value or b"")))
        ]
        assert len(found) == 10
        assert {event["tenant"] for event in found} == {TENANT}

    def test_of_a_webhook_lands_on_node_events(self, gateway: Gateway, settings: Settings) -> None:
        body = json.dumps({"data": {"node_id": "n", "project_id": "p"}}).encode()
        answer = httpx.post(
            f"{gateway.url}/webhook/node-update", content=body, headers=signed(body)
        )
        assert answer.status_code == 202
        (record,) = read_topic(settings.kafka, "node.events")
        fields = decoded(Record("node.events", 0, b"", record.value or b""))
        assert (fields["tenant"], fields["project"], fields["node"]) == (TENANT, "p", "n")


class TestSlowSender:
    def test_of_headers_is_cut(self, gateway: Gateway) -> None:
        started = time.monotonic()
        with _connect(gateway) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            assert b"202" not in _answer(connection)
        assert time.monotonic() - started < HEADER_S + SLACK_S

    def test_of_a_body_is_cut_and_told(self, gateway: Gateway) -> None:
        """Both the one who says how much will come, and the chunked upload that never ends."""
        answers: dict[str, bytes] = {}

        def drip(name: str, head: bytes, piece: bytes) -> None:
            with _connect(gateway) as connection:
                connection.sendall(head)
                ended = threading.Event()

                def send() -> None:
                    try:
                        while not ended.wait(0.5):
                            connection.sendall(piece)
                    except OSError:
                        pass

                sender = threading.Thread(target=send, daemon=True)
                sender.start()
                answers[name] = _answer(connection)
                ended.set()
                sender.join()

        started = time.monotonic()
        threads = [
            threading.Thread(target=drip, args=arguments)
            for arguments in (
                ("sized", _head(gateway, "Content-Length: 100000"), b" "),
                ("chunked", _head(gateway, "Transfer-Encoding: chunked"), b"1\r\n \r\n"),
            )
        ]
        for thread in threads:
            thread.start()
        # Meanwhile everybody else is served.
        assert httpx.get(f"{gateway.url}/healthz").status_code == 200
        for thread in threads:
            thread.join()
        assert time.monotonic() - started < BODY_S + SLACK_S
        for answer in answers.values():
            assert answer.startswith(b"HTTP/1.1 408"), answer

    def test_of_endless_chunks_is_told_it_is_too_large(self, gateway: Gateway) -> None:
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        with _connect(gateway) as connection:
            connection.sendall(_head(gateway, "Transfer-Encoding: chunked"))
            try:
                for _ in range(200):
                    connection.sendall(chunk)
            except OSError:
                pass
            assert _answer(connection)[:12] in {b"HTTP/1.1 413", b""}
        assert httpx.get(f"{gateway.url}/healthz").status_code == 200


class TestHostile:
    def test_bodies_leave_it_alive_and_small(self, gateway: Gateway) -> None:
        bodies = [
            (gzip.compress(b" " * 200_000_000), {"Content-Encoding": "gzip"}),
            (b"[" * 4_000_000, {}),
            (b'"' + b"x" * 4_100_000 + b'"', {}),
            (b"[" + b"{}," * 999 + b"{}]", {}),
            (b"[" + b"0," * 1_900_000 + b"0]", {}),
            (b'{"a":' * 700_000, {}),
            (b'["' + b"\\u0000" * 600_000 + b'"]', {}),
            (b"[" + b"9" * 4_000_000 + b"]", {}),
            (b"[1." + b"9" * 4_000_000 + b"]", {}),
        ]
        for _ in range(3):
            for body, headers in bodies:
                answer = httpx.post(
                    f"{gateway.url}{URL}",
                    content=body,
                    headers={**gateway.headers, "Content-Type": BATCH, **headers},
                    timeout=30,
                )
                assert 400 <= answer.status_code < 500, (body[:20], answer.text[:200])
                assert answer.headers["content-type"] == "application/problem+json"
        assert gateway.memory_mb() < MEMORY_MB_MAX
        good = httpx.post(
            f"{gateway.url}{URL}",
            content=json.dumps(made(99)),
            headers={**gateway.headers, "Content-Type": STRUCTURED},
        )
        assert good.status_code == 202


class TestKey:
    def test_of_another_process_is_found_and_only_in_force(
        self, gateway: Gateway, rows: Rows
    ) -> None:
        fresh = rows.api_key("globex")
        revoked = rows.api_key("globex", revoked_at=datetime(2026, 1, 1, tzinfo=UTC))
        codes = [
            httpx.get(
                f"{gateway.url}{URL}/partitions", headers={"Authorization": f"Bearer {key.key}"}
            ).status_code
            for key in (fresh, revoked)
        ]
        assert codes == [200, 401]


class TestAbsentParts:
    def test_without_a_broker_it_lives_and_takes_nothing(
        self, settings: Settings, rows: Rows, tmp_path: Path
    ) -> None:
        gateway = start_gateway(settings, rows.api_key(TENANT), tmp_path, kafka="127.0.0.1:1")
        try:
            gateway.await_status("/healthz", 200)
            gateway.await_status("/readyz", 503)
            answer = httpx.post(
                f"{gateway.url}{URL}",
                content=json.dumps(made()),
                headers={**gateway.headers, "Content-Type": STRUCTURED},
            )
            # Not delivery_unknown, which it would be had the record been sent and waited for.
            assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
            assert int(answer.headers["Retry-After"]) >= 1
            gateway.process.send_signal(signal.SIGTERM)
            assert gateway.process.wait(START_TIMEOUT_S) == 0
        finally:
            gateway.end()

    def test_with_topics_of_another_shape_it_is_not_ready(
        self, settings: Settings, rows: Rows, tmp_path: Path
    ) -> None:
        """Routing by the wrong number would scatter a customer's events for good."""
        gateway = start_gateway(settings, rows.api_key(TENANT), tmp_path, partitions="3")
        try:
            gateway.await_status("/healthz", 200)
            give_up_s = time.monotonic() + START_TIMEOUT_S
            while "partitions 4" not in httpx.get(f"{gateway.url}/readyz").text:
                assert time.monotonic() < give_up_s, "it does not say why"
                time.sleep(0.05)
            assert httpx.get(f"{gateway.url}/readyz").status_code == 503
        finally:
            gateway.end()

    def test_without_a_database_known_keys_go_on(
        self, settings: Settings, rows: Rows, tmp_path: Path
    ) -> None:
        url = settings.database_url.get_secret_value()
        gateway = start_gateway(settings, rows.api_key(TENANT), tmp_path)
        try:
            gateway.await_status("/readyz", 200)
            partitions = f"{gateway.url}{URL}/partitions"
            assert httpx.get(partitions, headers=gateway.headers).status_code == 200
            name = url.rpartition("/")[2]
            with psycopg.connect(url, dbname="postgres", autocommit=True) as connection:
                connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = %s AND application_name = 'tidegauge-app'",
                    (name,),
                )
                try:
                    known = httpx.get(partitions, headers=gateway.headers)
                    stranger = {"Authorization": f"Bearer tg_live_{'a' * 8}_{'b' * 32}"}
                    unknown = httpx.get(partitions, headers=stranger)
                finally:
                    connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            assert known.status_code == 200
            assert (unknown.status_code, unknown.json()["code"]) == (503, "database_away")
            assert url not in unknown.text
        finally:
            gateway.end()

    def test_wrong_secrets_end_it_with_the_next_step(
        self, settings: Settings, rows: Rows, tmp_path: Path
    ) -> None:
        gateway = start_gateway(
            settings, rows.api_key(TENANT), tmp_path, webhook_secrets='{"acme": ["short"]}'
        )
        assert gateway.process.wait(START_TIMEOUT_S) == 1
        said = gateway.log.read_text()
        assert "TIDEGAUGE_WEBHOOK_SECRETS" in said
        assert "short" not in said.replace("or a secret is short", "")
