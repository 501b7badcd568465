"""What every answer gets: an id, safe headers, a count; and a defect shows nothing of itself."""

import dataclasses

import pytest
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from api.app import WATCH
from runtime.web.envelope import Envelope


async def _fine(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.state.request_id, headers={"Cache-Control": "public"})


async def _defect(request: Request) -> PlainTextResponse:
    raise RuntimeError("password=hunter2")


@pytest.fixture
def client() -> TestClient:
    routes = [Route("/fine", _fine), Route("/defect", _defect)]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(Envelope, watch=WATCH)]))


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


class TestEnvelope:
    def test_echoes_a_request_id(self, client: TestClient) -> None:
        answer = client.get("/fine", headers={"X-Request-Id": "abc.DEF-1_2"})
        assert answer.headers["x-request-id"] == answer.text == "abc.DEF-1_2"

    @pytest.mark.parametrize("wished", ["", "a b", "ä".encode(), "<script>", "x" * 65, "a\tb"])
    def test_makes_its_own_id_for_a_strange_one(
        self, client: TestClient, wished: str | bytes
    ) -> None:
        answer = client.get("/fine", headers=[(b"X-Request-Id", _bytes(wished))])
        assert answer.headers["x-request-id"].startswith("req_")

    def test_adds_safe_headers_and_keeps_those_of_the_route(self, client: TestClient) -> None:
        answer = client.get("/fine")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["cache-control"] == "public"

    def test_answers_a_defect_without_its_trace(
        self, client: TestClient, capsys: pytest.CaptureFixture[str]
    ) -> None:
        answer = client.get("/defect", headers={"X-Request-Id": "find-me"})

        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "internal"
        assert answer.json()["request_id"] == "find-me"
        assert "hunter2" not in answer.text
        assert "Traceback" not in answer.text

    def test_counts_strange_addresses_under_one_label(self, client: TestClient) -> None:
        """What strangers type does not grow our metrics."""
        for number in range(5):
            client.request(f"ODD{number}", f"/strange/{number}")
        labels = {
            (sample.labels["method"], sample.labels["route"])
            for metric in REGISTRY.collect()
            if metric.name == "tidegauge_api_requests"
            for sample in metric.samples
        }
        assert ("other", "unmatched") in labels
        assert not [route for _, route in labels if "strange" in route]

    def test_of_a_quiet_server_logs_defects_only(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A server of many small requests would else spend its time on writing about them."""
        routes = [Route("/fine", _fine), Route("/defect", _defect)]
        watch = dataclasses.replace(WATCH, name="quiet", is_quiet=True)
        quiet = TestClient(
            Starlette(routes=routes, middleware=[Middleware(Envelope, watch=watch)])
        )
        quiet.get("/fine")
        quiet.get("/defect")
        said = capsys.readouterr()
        assert (said.out + said.err).count("quiet.request") == 1
