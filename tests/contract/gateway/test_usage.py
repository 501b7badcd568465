"""Usage in plain JSON, as each system says it; every worked example that names intake."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from producers.gateway.balances import Balance, Use
from tests.support import gateway_world
from tests.support.gateway_world import TIME, World

USAGE = "/api/v1/billing/usage"
TRACK = "/functions/v1/billing-api/usage/track"
LOG_USAGE = "/admin-api.php?action=log_usage"
JSON = "application/json"


@pytest.fixture
def world() -> Iterator[World]:
    with gateway_world.world() as world:
        yield world


def taken(world: World, url: str, body: dict[str, Any]) -> tuple[str, str, int]:
    """Post a use and return customer, type and billionths of the one event on the log."""
    answer = world.post(body, kind=JSON, url=url)
    assert answer.status_code == 202, answer.text
    (event,) = world.log.events()
    return event["customer"], event["type"], event["nanos"]


class Known:
    """Somebody who knows balances, with the figures of X-34."""

    def __init__(self) -> None:
        self.uses: list[Use] = []

    async def is_known(self, *, tenant: str, event_type: str) -> bool:
        assert tenant == "acme"
        return event_type == "LLM_token_usage"

    async def after(self, use: Use) -> Balance:
        self.uses.append(use)
        return Balance(12, 999_988, None)

    def close(self) -> None:
        """Nothing to let go of."""


class TestS1:
    def test_x_34_twelve_units_are_taken(self, world: World) -> None:
        """Where nobody knows what is left, the figures are null and the form is S1's."""
        body = {
            "tenant_id": "t-1",
            "subscription_id": "sub-1",
            "event_type": "LLM_token_usage",
            "units": 12,
            "meta": {"model": "gpt-4", "tokens": 11_900, "stream": True},
        }
        answer = world.post(body, kind=JSON, url=TRACK)
        document = answer.json()
        assert (answer.status_code, document.pop("id") != "") == (202, True)
        assert document == {
            "ok": True, "credits_burned": None, "remaining_credits": None, "alert": None
        }  # fmt: skip
        (event,) = world.log.events()
        assert (event["customer"], event["type"]) == ("t-1", "LLM_token_usage")
        assert event["nanos"] == 12 * 10**9
        assert event["properties"] == {
            "model": "gpt-4", "tokens": "11900", "stream": "true", "subscription_id": "sub-1"
        }  # fmt: skip

    def test_s1_51_answers_what_the_books_will_know(self, world: World) -> None:
        """The hook: whoever knows balances answers with the figures of X-34."""

        known = Known()
        object.__setattr__(world.backend, "balances", known)
        body = {
            "tenant_id": "t-1",
            "subscription_id": "sub_1",
            "event_type": "LLM_token_usage",
            "units": 12,
            "time": TIME,
        }
        document = world.post(body, kind=JSON, url=TRACK).json()
        assert (document["credits_burned"], document["remaining_credits"]) == (12, 999_988)
        (record,) = world.log.records
        assert [
            Use(
                tenant="acme",
                customer="t-1",
                subscription="sub_1",
                event_type="LLM_token_usage",
                nanos=12 * 10**9,
                occurred_at=datetime.fromisoformat(TIME),
                partition=record.partition,
                offset=0,
            )
        ] == known.uses

    def test_x_41_an_unknown_type_is_refused_and_not_taken(self, world: World) -> None:
        """Where a catalogue is known, what it does not count never reaches the log."""
        object.__setattr__(world.backend, "balances", Known())
        body = {"tenant_id": "t-1", "event_type": "nobody_sells_this", "units": 1}
        answer = world.post(body, kind=JSON, url=TRACK)
        (result,) = answer.json()["results"]
        assert (422, "event_type", "unknown_type") == (
            answer.status_code,
            answer.json()["param"],
            result["code"],
        )
        assert not world.log.records

    def test_elsewhere_an_unknown_type_is_for_the_fold_to_refuse(self, world: World) -> None:
        """The canonical address takes it, so that it can be driven again."""
        object.__setattr__(world.backend, "balances", Known())
        body = {"customer": "t-1", "type": "nobody_sells_this"}
        assert taken(world, USAGE, body) == ("t-1", "nobody_sells_this", 10**9)

    @pytest.mark.parametrize(
        ("example", "event_type"),
        [("x_35", "vision_frame_batch"), ("x_36", "optimizer_job"), ("x_37", "simulator_run")],
    )
    def test_x_35_to_x_37_one_unit_of_each_type(
        self, world: World, example: str, event_type: str
    ) -> None:
        body = {"tenant_id": "t-1", "event_type": event_type, "units": 1}
        assert taken(world, TRACK, body) == ("t-1", event_type, 10**9)

    @pytest.mark.parametrize(
        ("tokens", "units"), [(0, 0), (1, 1), (1_000, 1), (1_001, 2), (11_001, 12), (12_000, 12)]
    )
    def test_x_38_tokens_are_units_of_a_thousand_rounded_up(
        self, world: World, tokens: int, units: int
    ) -> None:
        body = {"tenant_id": "t-1", "event_type": "LLM_token_usage", "tokens": tokens}
        assert taken(world, TRACK, body) == ("t-1", "LLM_token_usage", units * 10**9)

    def test_x_39_frames_are_units_of_a_hundred_rounded_up(self, world: World) -> None:
        body = {"tenant_id": "t-1", "event_type": "vision_frame_batch", "frames": 250}
        assert taken(world, TRACK, body)[2] == 3 * 10**9


class TestS3:
    def test_s3_35_an_api_call_with_path_and_method(self, world: World) -> None:
        body = {
            "organization_id": "org-1",
            "type": "api_call",
            "dimensions": {"path": "/graphql", "method": "POST"},
        }
        assert taken(world, USAGE, body) == ("org-1", "api_call", 10**9)
        assert world.log.events()[0]["dimensions"] == {"path": "/graphql", "method": "POST"}

    @pytest.mark.parametrize(
        ("dimensions", "count"),
        [({"kind": "metadata"}, 53_687_091_200), ({"direction": "out"}, 1_073_741_824)],
    )
    def test_x_73_bytes_are_exact(
        self, world: World, dimensions: dict[str, str], count: int
    ) -> None:
        body = {"customer": "org-1", "type": "bytes", "quantity": count, "dimensions": dimensions}
        assert taken(world, USAGE, body)[2] == count * 10**9


class TestS4:
    @pytest.mark.parametrize("url", [USAGE, LOG_USAGE])
    def test_x_96_without_options_the_quantity_is_one(self, world: World, url: str) -> None:
        body = {"tenant_id": "t-1", "resource_type": "message"}
        assert taken(world, url, body) == ("t-1", "message", 10**9)

    def test_s4_17_metadata_is_kept(self, world: World) -> None:
        body = {
            "tenant_id": "t-1",
            "resource_type": "message",
            "quantity": 1,
            "metadata": {"tokens": 250, "model": "gpt-4", "more": {"a": 0.1}},
        }
        taken(world, LOG_USAGE, body)
        assert world.log.events()[0]["properties"] == {
            "tokens": "250", "model": "gpt-4", "more": '{"a":0.1}'
        }  # fmt: skip

    def test_another_action_is_not_here(self, world: World) -> None:
        for url in ("/admin-api.php", "/admin-api.php?action=set_quota", f"{LOG_USAGE}&action=x"):
            assert world.post({}, kind=JSON, url=url).status_code == 404


class TestIds:
    def test_come_from_the_idempotency_key(self, world: World) -> None:
        """After a restart nothing is remembered here, and the repeat still has the same key."""
        body = {"customer": "c", "type": "t", "time": TIME}
        for key in ("k1", "k1", "k2"):
            world.backend.repeats._known.clear()
            world.post(body, kind=JSON, url=USAGE, **{"Idempotency-Key": key})
        keys = [(event["key"], event["fingerprint"]) for event in world.log.events()]
        assert keys[0] == keys[1] != keys[2]

    def test_are_new_each_time_without_one(self, world: World) -> None:
        for _ in range(2):
            world.post({"customer": "c", "type": "t"}, kind=JSON, url=USAGE)
        assert len({event["key"] for event in world.log.events()}) == 2

    def test_are_the_same_over_the_other_ways(self, world: World) -> None:
        """A plain id without source is the SDK's without source."""
        from tidegauge.wire.identity import event_key

        world.post({"customer": "c", "type": "t", "id": "i-1"}, kind=JSON, url=USAGE)
        assert world.log.events()[0]["key"] == event_key(source="", event_id="i-1")


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "param", "code"),
        [
            ([], "body", "event_invalid"),
            ({"type": "t"}, "customer", "customer_not_text"),
            ({"customer": "c"}, "type", "type_not_text"),
            ({"customer": "", "type": "t"}, "customer", "customer_empty"),
            ({"customer": "c", "tenant_id": "c", "type": "t"}, "tenant_id", "event_invalid"),
            ({"customer": "c", "type": "t", "quantity": 1, "units": 1}, "units", "event_invalid"),
            ({"customer": "c", "type": "t", "tokens": 1}, "tokens", "event_invalid"),
            ({"customer": "c", "type": "LLM_token_usage", "tokens": -1}, "tokens",
             "event_invalid"),
            ({"customer": "c", "type": "LLM_token_usage", "tokens": "1"}, "tokens",
             "event_invalid"),
            ({"customer": "c", "type": "t", "quantiy": 1}, "quantiy", "event_invalid"),
            ({"customer": "c", "type": "t", "quantity": -1}, "quantity", "quantity_negative"),
            ({"customer": "c", "type": "t", "id": 7}, "id", "event_invalid"),
            ({"customer": "c", "type": "t", "source": None}, "source", "event_invalid"),
            ({"customer": "c", "type": "t", "meta": []}, "properties", "properties_not_mapping"),
            ({"customer": "c", "type": "t", "meta": [], "subscription_id": "s"}, "meta",
             "event_invalid"),
            ({"customer": "c", "type": "t", "subscription_id": 7}, "properties",
             "property_not_text"),
            ({"customer": "c", "type": "t", "time": "now"}, "time", "event_invalid"),
        ],
    )  # fmt: skip
    def test_name_code_and_param(self, world: World, body: object, param: str, code: str) -> None:
        answer = world.post(body, kind=JSON, url=USAGE)
        assert answer.status_code == 422, answer.text
        problem = answer.json()
        assert (problem["param"], problem["results"][0]["code"]) == (param, code)
        assert world.log.records == []
