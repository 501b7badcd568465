"""The way over HTTP: what is sent, what is sent again, what is believed."""

import gzip
import logging
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.integration.sdk.far_sides import API_KEY, Gateway, Request, saying
from tidegauge import Delivery, InvalidOption, Meter, limits

WAIT_S = 10


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    gateway = Gateway()
    yield gateway
    gateway.end()


def record(meter: Meter, **changes: Any) -> str:
    event: dict[str, Any] = {"customer": "c", "type": "t", "quantity": 1}
    return meter.record(**(event | changes))


def cut(handler: BaseHTTPRequestHandler, request: Request) -> bool:
    """Take the batch and break the connection instead of answering."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)
    return True


class TestRequest:
    def test_is_the_contracts(self, gateway: Gateway) -> None:
        """Path, headers and bytes are what the gateway's contract says."""
        with gateway.meter() as meter:
            record(meter)
            assert meter.flush(WAIT_S) == 0
            record(meter)
            assert meter.flush(WAIT_S) == 0

        first, second = gateway.requests
        assert first.path == "/api/v1/events"
        assert first.headers["content-type"] == "application/vnd.tidegauge.usage-batch"
        assert first.headers["authorization"] == f"Bearer {API_KEY}"
        producer, sequence = first.headers["idempotency-key"].split("-")
        assert (len(bytes.fromhex(producer)), sequence) == (16, "0")
        assert second.headers["idempotency-key"] == f"{producer}-1"
        assert first.body[:5] == b"\x00\x00\x00\x00\x01"
        assert bytes.fromhex(producer) in first.body

    def test_goes_below_the_urls_path(self, gateway: Gateway) -> None:
        """A gateway behind a prefix is reached there."""
        gateway.prefix = "/usage"
        with Meter.over_http(f"{gateway.url}/usage/", api_key="k", tenant="acme") as meter:
            record(meter)
            assert meter.flush(WAIT_S) == 0

        assert [one.path for one in gateway.requests] == ["/usage/api/v1/events"]

    def test_uses_one_connection(self, gateway: Gateway) -> None:
        """Fifty batches and the look-up travel over one connection."""
        with gateway.meter(batch_events_max=1) as meter:
            for _ in range(50):
                record(meter)
            assert meter.flush(WAIT_S) == 0

        assert len(gateway.requests) == 50
        assert len(gateway.connections) == 1

    def test_may_be_compressed(self, gateway: Gateway) -> None:
        """With gzip, the body is the same batch, compressed, and says so."""
        gateway.script = [saying(503, "busy", Retry_After="0")]
        with gateway.meter(gzip=True) as meter:
            for _ in range(100):
                record(meter)
            assert meter.flush(WAIT_S) == 0

        first, second = gateway.requests
        assert first.headers["content-encoding"] == "gzip"
        assert first.body == second.body
        assert gzip.decompress(first.body)[:5] == b"\x00\x00\x00\x00\x01"


class TestRepetition:
    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
    def test_sends_the_same_bytes_and_key(self, gateway: Gateway, status: int) -> None:
        """An answer that says nothing about the batch has it sent again, byte for byte."""
        gateway.script = [saying(status, "busy", Retry_After="0")] * 2
        with gateway.meter() as meter:
            record(meter)
            assert meter.flush(WAIT_S) == 0
            assert (meter.counters.acknowledged, meter.counters.batches) == (1, 1)

        assert len(gateway.requests) == 3
        assert len({(one.body, one.headers["idempotency-key"]) for one in gateway.requests}) == 1

    def test_follows_a_connection_that_broke(self, gateway: Gateway) -> None:
        """A batch whose answer was lost is sent again with the same bytes."""
        gateway.script = [cut, cut]
        with gateway.meter() as meter:
            record(meter)
            assert meter.flush(WAIT_S) == 0

        assert len(gateway.requests) == 3
        assert len({one.body for one in gateway.requests}) == 1

    def test_waits_as_long_as_retry_after_says(self, gateway: Gateway) -> None:
        """A busy gateway is left alone for the time it asks for."""
        gateway.script = [saying(429, "rate_limited", Retry_After="1")]
        with gateway.meter() as meter:
            record(meter)
            started = time.monotonic()
            assert meter.flush(WAIT_S) == 0
            assert time.monotonic() - started >= 1.0

    def test_ends_when_the_time_is_over(self, gateway: Gateway) -> None:
        """However long Retry-After is, the outcome comes within delivery_timeout_ms."""
        gateway.script = [saying(503, "busy", Retry_After="3600")]
        told: list[Delivery] = []
        with gateway.meter(delivery_timeout_ms=1_000, on_delivery=told.append) as meter:
            record(meter)
            started = time.monotonic()
            assert meter.flush(WAIT_S) == 1
            assert time.monotonic() - started < WAIT_S  # Retry-After said an hour
        assert [one.error for one in told] == ["http_timed_out"]

    def test_gives_up_a_silent_gateway(
        self, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A gateway that takes a request and never answers is a broken connection."""
        monkeypatch.setattr(limits, "HTTP_REQUEST_TIMEOUT_S", 0.2)
        hung = threading.Event()

        def hang(handler: BaseHTTPRequestHandler, request: Request) -> bool:
            hung.wait(WAIT_S)
            return cut(handler, request)

        gateway.script = [hang]
        with gateway.meter() as meter:
            record(meter)
            assert meter.flush(WAIT_S) == 0
            assert meter.counters.acknowledged == 1
        hung.set()
        # Two, or more where the machine is so slow that an honest answer takes too long as well.
        assert len(gateway.requests) >= 2
        assert len({one.body for one in gateway.requests}) == 1


class TestRefusal:
    @pytest.mark.parametrize(
        ("status", "code"), [(403, "tenant_mismatch"), (409, "misrouted"), (413, "too_large")]
    )
    def test_fails_the_batch_with_the_problems_code(
        self, gateway: Gateway, status: int, code: str
    ) -> None:
        """Another 4xx is not repeated; its code reaches on_delivery with the ids."""
        gateway.script = [saying(status, code)]
        told: list[Delivery] = []
        with gateway.meter(on_delivery=told.append) as meter:
            event_id = record(meter)
            assert meter.flush(WAIT_S) == 1
        assert [(one.ids, one.error) for one in told] == [((event_id,), code)]
        assert len(gateway.requests) == 1

    def test_without_a_code_has_its_status(self, gateway: Gateway) -> None:
        """What is no problem document is named by its status."""

        def page(handler: BaseHTTPRequestHandler, request: Request) -> bool:
            handler.send_response(418)
            handler.send_header("Content-Length", "4")
            handler.end_headers()
            handler.wfile.write(b"\xff{]]")
            return True

        gateway.script = [page]
        told: list[Delivery] = []
        with gateway.meter(on_delivery=told.append) as meter:
            record(meter)
            meter.flush(WAIT_S)
        assert [one.error for one in told] == ["http_418"]

    @pytest.mark.parametrize("status", [200, 202, 204, 302])
    def test_is_everything_that_is_no_acknowledgement(self, gateway: Gateway, status: int) -> None:
        """A proxy that answers something friendly has acknowledged nothing."""

        def friendly(handler: BaseHTTPRequestHandler, request: Request) -> bool:
            handler.send_response(status)
            handler.send_header("Content-Length", "0")
            handler.send_header("Location", "/elsewhere")
            handler.end_headers()
            return True

        gateway.script = [friendly]
        with gateway.meter() as meter:
            record(meter)
            assert meter.flush(WAIT_S) == 1
            assert meter.counters.acknowledged == 0

    def test_is_kept_by_a_spool_unless_the_batch_is_at_fault(
        self, gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A revoked key costs no event; a batch that can never be taken costs its events."""
        monkeypatch.setattr(limits, "RETRY_FIRST_S", 0.01)
        gateway.script = [saying(401, "unauthorized")] * 3 + [saying(422, "bad_batch")]
        told: list[Delivery] = []
        with gateway.meter(spool=tmp_path, on_delivery=told.append) as meter:
            record(meter)
            assert meter.flush(WAIT_S) == 1
            assert meter.counters.resent == 3
            record(meter)
            assert meter.flush(WAIT_S) == 0
        assert [one.error for one in told] == ["bad_batch", None]


class TestLookup:
    def test_that_is_refused_is_waited_for_and_told(
        self, gateway: Gateway, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A wrong key shows in the log, without the key; events wait until it is right."""
        gateway.lookup_status = 401
        with caplog.at_level(logging.DEBUG), gateway.meter() as meter:
            record(meter)
            assert meter.flush(0.5) == 1
            gateway.lookup_status = 200
            assert meter.flush(WAIT_S) == 0
        assert "reason=unauthorized" in caplog.text
        assert API_KEY not in caplog.text

    def test_is_patient_with_a_gateway_that_is_not_there_yet(self) -> None:
        """Events recorded before the gateway started arrive when it does."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = free.getsockname()
        with Meter.over_http(
            f"http://127.0.0.1:{address[1]}", api_key="k", tenant="acme"
        ) as meter:
            record(meter)
            assert meter.flush(0.3) == 1
            meter.close(0.1)
            assert meter.counters.failed == 1


class TestUrl:
    @pytest.mark.parametrize(
        "url", ["", "localhost:80", "ftp://x", "http://", "http://u:p@x", "http://x?a", 7]
    )
    def test_that_is_none_is_refused(self, url: Any) -> None:
        """A wrong URL is told at start, and a user in it is sent to api_key."""
        with pytest.raises(InvalidOption) as caught:
            Meter.over_http(url, api_key="k", tenant="acme")

        assert caught.value.code == "option_invalid"
        assert "url" in str(caught.value)

    @pytest.mark.parametrize("api_key", ["", "k\r\nX-Evil: 1", None])
    def test_needs_a_key_that_fits_into_a_header(self, api_key: Any) -> None:
        """A key cannot bring headers of its own."""
        with pytest.raises(InvalidOption):
            Meter.over_http("http://127.0.0.1:1", api_key=api_key, tenant="acme")
