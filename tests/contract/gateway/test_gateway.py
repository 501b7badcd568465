"""The gateway's contract: keys, repeats, limits, outages; and its document says what it serves."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, settings

from domain.errors import Retryable
from producers.gateway.app import ROUTERS
from producers.gateway.log import away, unknown_delivery
from runtime.web.authentication import CACHE_MS, Authenticator
from runtime.web.key_store import StoredKey
from runtime.web.keys import new_api_key
from runtime.web.problems import ProblemError
from tests.support import gateway_world
from tests.support.gateway_world import BATCH, FRAMED, STRUCTURED, URL, World
from tests.support.gateway_world import event as made

OPEN = {"/healthz", "/readyz", "/metrics"}
SIGNED = "/webhook/"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with gateway_world.world() as world:
        yield world


@pytest.fixture(scope="module")
def document(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.client.get("/openapi.json").json()
    return found


class TestDocument:
    def test_names_exactly_what_is_served(self, document: dict[str, Any]) -> None:
        served = {
            (route.path, method)
            for router in ROUTERS
            for route in router.routes
            if isinstance(route, APIRoute) and route.include_in_schema
            for method in route.methods or ()
        }
        documented = {
            (path, method.upper())
            for path, methods in document["paths"].items()
            for method in methods
        }
        assert served == documented

    def test_asks_for_a_key_or_a_signature_everywhere(self, document: dict[str, Any]) -> None:
        for path, methods in document["paths"].items():
            for operation in methods.values():
                names = {item["name"] for item in operation.get("parameters", ())}
                if path.startswith(SIGNED):
                    assert "Tidegauge-Signature" in names
                else:
                    assert bool(operation.get("security")) == (path not in OPEN), path

    def test_is_a_page_for_people(self, world: World) -> None:
        page = world.client.get("/docs")
        assert page.status_code == 200
        assert "delivery_unknown" in page.text


def _schema() -> schemathesis.schemas.BaseSchema:
    manager = gateway_world.world()
    world = manager.__enter__()
    schema = schemathesis.openapi.from_asgi("/openapi.json", world.app)
    schema.keeper, schema.key = manager, world.key.key  # type: ignore[attr-defined]
    return schema


@schemathesis.serializer(FRAMED)
def _as_bytes(_: object, value: object) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


FUZZED = _schema()


class TestFuzz:
    @FUZZED.parametrize()
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    def test_finds_no_defect(self, case: Any) -> None:
        """Whatever the document allows and forbids: an answer or a refusal, never a 5xx."""
        headers = {"Authorization": f"Bearer {FUZZED.key}"}  # type: ignore[attr-defined]
        response = case.call(headers=headers)
        assert response.status_code < 500, response.text
        if response.status_code >= 400:
            assert response.headers["content-type"][0] == "application/problem+json"


class TestKeys:
    @pytest.mark.parametrize(
        "header",
        ["", "Bearer", "Bearer x", f"Basic {new_api_key().key}", f"Bearer {new_api_key().key}"],
    )
    def test_are_needed(self, world: World, header: str) -> None:
        answer = world.post(made(), Authorization=header)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")

    def test_without_the_scope_may_not_write(self) -> None:
        with gateway_world.world(scopes=frozenset({"billing:read"})) as world:
            answer = world.post(made())
            assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")

    def test_are_believed_for_a_minute_and_no_longer(self) -> None:
        """Revoked keys end, and intake outlives a database that is away for less."""
        assert CACHE_MS == 60_000
        key, now_ms, state = new_api_key(), [0], {"answer": "found"}
        asked: list[str] = []

        def find(digest: str) -> StoredKey | None:
            asked.append(digest)
            if state["answer"] == "away":
                raise away("the database")
            return StoredKey("acme", key.key_id, frozenset()) if state["answer"] else None

        async def scene() -> None:
            from starlette.requests import Request

            authenticator = Authenticator(find, now_ms=lambda: now_ms[0])
            header = (b"authorization", f"Bearer {key.key}".encode())
            request = Request({"type": "http", "headers": [header]})
            await asyncio.gather(*(authenticator.caller_of(request) for _ in range(10)))
            assert len(asked) == 1
            state["answer"] = ""
            now_ms[0] = 59_999
            await authenticator.caller_of(request)
            now_ms[0] = 60_000
            with pytest.raises(ProblemError):
                await authenticator.caller_of(request)
            state["answer"] = "away"
            with pytest.raises(Retryable):
                await authenticator.caller_of(request)

        asyncio.run(scene())


class TestRepeats:
    def test_give_the_first_answer(self, world: World) -> None:
        before = len(world.log.records)
        first, second = (world.post(made(), **{"Idempotency-Key": "r-1"}) for _ in range(2))
        assert (first.status_code, first.json()) == (second.status_code, second.json())
        assert len(world.log.records) == before + 1

    def test_with_another_body_are_a_conflict(self, world: World) -> None:
        world.post(made(), **{"Idempotency-Key": "r-2"})
        answer = world.post(made(2), **{"Idempotency-Key": "r-2"})
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_conflict")

    def test_tell_binary_events_apart_by_their_headers(self, world: World) -> None:
        headers = {
            "ce-specversion": "1.0", "ce-source": "/s", "ce-type": "t", "ce-subject": "c",
            "Idempotency-Key": "r-3",
        }  # fmt: skip
        codes = [
            world.post(b"", kind="application/json", **headers, **{"ce-id": name}).status_code
            for name in ("a", "b")
        ]
        assert codes == [202, 409]

    def test_after_a_failure_are_tried_again(self, world: World) -> None:
        world.log.failure = unknown_delivery()
        failed = world.post(made(), **{"Idempotency-Key": "r-4"})
        world.log.failure = None
        assert failed.status_code == 503
        assert world.post(made(), **{"Idempotency-Key": "r-4"}).status_code == 202


class TestPressure:
    @pytest.mark.parametrize(
        ("failure", "code"),
        [(unknown_delivery(), "delivery_unknown"), (away("no broker"), "broker_away")],
    )
    @pytest.mark.parametrize("kind", [STRUCTURED, BATCH])
    def test_without_a_broker_says_what_is_known(
        self, world: World, failure: Exception, code: str, kind: str
    ) -> None:
        world.log.failure = failure
        answer = world.post(made() if kind == STRUCTURED else [made()], kind=kind)
        world.log.failure = None
        assert (answer.status_code, answer.json()["code"]) == (503, code)
        assert int(answer.headers["Retry-After"]) >= 1

    def test_over_the_limit_says_when_to_go_on(self) -> None:
        with gateway_world.world(gateway_requests_per_minute=3) as world:
            codes = [world.post(made()).status_code for _ in range(4)]
            last = world.post(made())
            assert codes == [202, 202, 202, 429]
            assert last.json()["code"] == "rate_limited"
            assert 1 <= int(last.headers["Retry-After"]) <= 60

    def test_over_the_limit_of_events_takes_none(self) -> None:
        with gateway_world.world(gateway_events_per_minute=5_000) as world:
            batches = [[made(n + 1_000 * at) for n in range(1_000)] for at in range(6)]
            codes = [world.post(batch, kind=BATCH).status_code for batch in batches]
            assert codes == [202] * 5 + [429]
            assert len(world.log.events()) == 5_000

    def test_with_no_room_takes_nothing(self) -> None:
        with gateway_world.world(bytes_max=1_000) as world:
            answer = world.post([made(n) for n in range(20)], kind=BATCH)
            assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
            assert world.post(made()).status_code == 202
            assert world.backend.budget._taken == 0

    def test_is_ready_only_with_a_log(self, world: World) -> None:
        world.log.ready = "topic usage.events has partitions 3, the topic catalogue says 4"
        waiting = world.client.get("/readyz")
        unknown = world.client.get(f"{URL}/partitions", headers=world.headers)
        world.log.ready = "ok"
        assert (waiting.status_code, waiting.json()["parts"]["kafka"][:5]) == (503, "topic")
        assert (unknown.status_code, unknown.json()["code"]) == (503, "not_ready")
        assert world.client.get("/readyz").status_code == 200
        assert world.client.get("/healthz").status_code == 200

    def test_is_counted(self, world: World) -> None:
        world.post(made())
        text = world.client.get("/metrics").text
        assert 'tidegauge_gateway_events_total{status="accepted"}' in text
        assert "tidegauge_gateway_bytes 0.0" in text

    def test_takes_no_parameter_that_nobody_reads(self, world: World) -> None:
        answer = world.post(made(), url=f"{URL}?dryrun=true")
        assert (answer.status_code, answer.json()["param"]) == (400, "query")
