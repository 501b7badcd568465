"""Changing subscriptions and customers over HTTP: each change is one command, once per key."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.support.api_world import MemoryBooks, Rows, bearer
from tests.support.stories import CATALOGUE, SEATS, plan

BASE = "/api/v1/billing"
PLANS = [
    plan("TEAM", "62", also=[SEATS], is_popular=True, seats_max=50),
    plan("BUSINESS", "180", trial_days=7, fees="in_advance"),
    plan("YEAR", "700", interval="year"),
]


class Caller:
    """A caller with a key, whose every wish has an Idempotency-Key of its own unless said."""

    def __init__(self, client: TestClient, headers: dict[str, str]) -> None:
        self.client = client
        self.headers = headers
        self.wishes = 0

    def post(
        self, path: str, body: Mapping[str, Any], *, key: str = "", method: str = "POST"
    ) -> Any:
        self.wishes += 1
        headers = self.headers | {"Idempotency-Key": key or f"wish-{self.wishes}"}
        return self.client.request(method, f"{BASE}{path}", json=body, headers=headers)

    def get(self, path: str) -> Any:
        answer = self.client.get(f"{BASE}{path}", headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def caller(rows: Rows, books: MemoryBooks, client: TestClient, tenant: str) -> Caller:
    """A tenant with a catalogue and the customer c1, who pays CAD."""
    content = json.dumps({**CATALOGUE, "version": 1, "plans": PLANS})
    books.send(
        tenant=tenant,
        command_id=f"catalogue {tenant}",
        kind="PublishCatalogue",
        body={"content": content},
    )
    caller = Caller(client, bearer(rows.api_key(tenant)))
    assert caller.post("/customers", {"customer": "c1", "currency": "CAD"}).status_code == 201
    return caller


@pytest.fixture
def path(caller: Caller) -> str:
    """Path of a subscription of c1 on TEAM from 2026-03-01, which is today."""
    body = {"customer": "c1", "plan": "TEAM", "start": "2026-03-01T00:00:00Z", "seats": 3}
    answer = caller.post("/subscriptions", body)
    assert answer.status_code == 201, answer.text
    return f"/subscriptions/{answer.json()['subscription']}"


class TestSubscriptions:
    def test_s1_49_show_all_that_was_agreed(self, caller: Caller) -> None:
        """Trial, cycle, add-ons, discounts, dimensions; what was not given is the catalogue's."""
        body = {
            "customer": "c1",
            "plan": "BUSINESS",
            "start": "2026-03-01T00:00:00Z",
            "end": "2027-03-01T00:00:00Z",
            "cycle": "calendar",
            "add_ons": [{"code": "support", "quantity": 2}],
            "discounts": ["launch"],
            "dimensions": {"site": "north"},
        }
        found = caller.post("/subscriptions", body).json()
        assert found["trial_ends_at"] == "2026-03-08T00:00:00Z"
        assert (found["period_start"], found["period_end"]) == (
            "2026-03-08T00:00:00Z",
            "2026-04-01T00:00:00Z",
        )
        assert found["ends_at"] == "2027-03-01T00:00:00Z"
        assert (found["fees"], found["cycle"], found["interval"]) == (
            "in_advance",
            "calendar",
            "month",
        )
        assert found["next_invoice_at"] == "2026-03-08T00:00:00Z"
        assert found["add_ons"] == [{"code": "support", "quantity": 2}]
        assert [(each["code"], each["invoices_left"]) for each in found["discounts"]] == [
            ("launch", 3)
        ]
        assert found["dimensions"] == {"site": "north"}

    def test_s3_125_s4_27_are_changed_step_by_step(self, caller: Caller, path: str) -> None:
        """Each change is in the answer, in the subscription and in its history."""
        steps: list[tuple[str, dict[str, Any]]] = [
            ("seats", {"seats": 5, "as_of": "2026-03-10T00:00:00Z"}),
            ("add-ons", {"add_on": "support", "as_of": "2026-03-12T00:00:00Z"}),
            ("discounts", {"discount": "loyal"}),
            ("change-plan", {"plan": "YEAR", "when": "period_end"}),
            ("pause", {"as_of": "2026-03-20T00:00:00Z"}),
            ("resume", {"as_of": "2026-03-22T00:00:00Z"}),
            ("cancel", {"when": "period_end"}),
            ("undo-cancel", {}),
        ]
        answers = [caller.post(f"{path}/{step}", body) for step, body in steps]
        assert [answer.status_code for answer in answers] == [200] * len(steps)
        found = caller.get(path)
        assert answers[-1].json() == found
        assert [
            (phase["start"][:10], phase["plan"], phase["seats"], phase["is_paused"])
            for phase in found["phases"]
        ] == [
            ("2026-03-01", "TEAM", 3, False),
            ("2026-03-10", "TEAM", 5, False),
            ("2026-03-12", "TEAM", 5, False),
            ("2026-03-20", "TEAM", 5, True),
            ("2026-03-22", "TEAM", 5, False),
            ("2026-04-01", "YEAR", 5, False),
        ]
        assert found["ends_at"] is None
        changes = caller.get(f"{path}/changes?limit=3")
        kinds = [change["kind"] for change in changes["data"]]
        rest = caller.get(f"{path}/changes?cursor={changes['next_cursor']}")
        kinds += [change["kind"] for change in rest["data"]]
        assert kinds == [
            *("created", "seats", "add_on", "discount", "plan", "paused", "resumed"),
            *("cancelled", "cancel_undone"),
        ]

    def test_have_one_status_whoever_asks(
        self, caller: Caller, books: MemoryBooks, tenant: str
    ) -> None:
        """Of a test tenant it is the one at its clock, on S1's address as on ours."""

        def clock(kind: str, at: str) -> None:
            moment = {"as_of": f"{at}T00:00:00Z"}
            books.send(tenant=tenant, command_id=f"{kind} {tenant}", kind=kind, body=moment)

        clock("StartClock", "2040-01-01")
        body = {"customer": "c1", "plan": "TEAM", "start": "2040-01-01T00:00:00Z"}
        name = caller.post("/subscriptions", body).json()["subscription"]
        clock("AdvanceClock", "2040-01-15")
        s1 = caller.client.get(
            f"/functions/v1/billing-api/subscriptions/{name}", headers=caller.headers
        ).json()
        assert caller.get(f"/subscriptions/{name}")["status"] == "active"
        assert caller.get("/subscriptions")["data"][0]["status"] == "active"
        assert s1["status"] == "active"

    def test_take_effect_once_per_key(self, caller: Caller, path: str) -> None:
        """The same wish again gives the same answer; another one under its key is a conflict."""
        body = {"seats": 5}
        answers = [caller.post(f"{path}/seats", body, key="once") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200] * 3
        assert len({answer.text for answer in answers}) == 1
        assert caller.post(f"{path}/seats", {"seats": 6}, key="once").status_code == 409
        assert [each["kind"] for each in caller.get(f"{path}/changes")["data"]] == [
            "created",
            "seats",
        ]

    @pytest.mark.parametrize(
        ("body", "seats"),
        [({"seats": 4}, 4), ({"add_on": "support"}, 3), ({"plan": "TEAM", "when": "now"}, 3)],
    )
    def test_s3_r14_put_changes_one_thing(
        self, caller: Caller, path: str, body: dict[str, Any], seats: int
    ) -> None:
        """Plan, seats or an add-on: which one, the body says."""
        answer = caller.post(path, body, method="PUT")
        assert (answer.status_code, answer.json()["seats"]) == (200, seats)

    @pytest.mark.parametrize("body", [{}, {"plan": "TEAM", "seats": 4}, {"when": "now"}])
    def test_s3_r14_put_is_one_decision(
        self, caller: Caller, path: str, body: dict[str, Any]
    ) -> None:
        """Two changes could be half refused."""
        answer = caller.post(path, body, method="PUT")
        assert (answer.status_code, answer.json()["param"]) == (400, "body")

    @pytest.mark.parametrize(
        ("step", "body", "status", "code", "param"),
        [
            ("change-plan", {"plan": "GOLD"}, 422, "plan_unknown", "plan"),
            ("change-plan", {"plan": "YEAR"}, 422, "interval_differs", "plan"),
            ("change-plan", {}, 400, "invalid_request", "body.plan"),
            ("change-plan", {"plan": "TEAM", "x": 1}, 400, "invalid_request", "body.x"),
            ("seats", {"seats": "5"}, 422, "command_invalid", "seats"),
            ("add-ons", {"add_on": "gold"}, 422, "add_on_unknown", "add_on"),
            ("discounts", {"discount": "gold"}, 422, "discount_unknown", "discount"),
            ("undo-cancel", {}, 409, "not_cancelled", None),
            ("pause", {"as_of": "2025-01-01"}, 422, "command_invalid", "as_of"),
        ],
    )
    def test_refusals_name_code_and_field(
        self,
        caller: Caller,
        path: str,
        step: str,
        body: dict[str, Any],
        status: int,
        code: str,
        param: str | None,
    ) -> None:
        """And nothing changes."""
        answer = caller.post(f"{path}/{step}", body)
        found = answer.json()
        shown = found["param"] if param is None or "." in param else found["param"].split(".")[-1]
        wanted = None if param is None else param.removeprefix("body.")
        assert (answer.status_code, found["code"]) == (status, code)
        assert (shown or "").endswith(wanted or "")
        assert [each["kind"] for each in caller.get(f"{path}/changes")["data"]] == ["created"]

    def test_of_another_tenant_are_not_there(
        self, caller: Caller, path: str, rows: Rows, client: TestClient
    ) -> None:
        """Neither to read nor to change: the answer is the same as for no subscription."""
        stranger = Caller(client, bearer(rows.api_key("stranger")))
        assert stranger.post(f"{path}/seats", {"seats": 9}).status_code == 404
        for address in (path, f"{path}/changes"):
            answer = client.get(f"{BASE}{address}", headers=stranger.headers)
            assert answer.status_code == 404
        assert caller.get(path)["seats"] == 3


class TestCustomers:
    def test_s3_21_have_terms_and_prices_of_their_own(self, caller: Caller) -> None:
        """Each is changed alone; null takes it back."""
        terms = {"due_days": 14, "tax": {"treatment": "reverse_charge", "region": "DE"}}
        assert caller.post("/customers/c1/terms", terms).status_code == 200
        price = {"key": "base", "form": "flat", "amount": "49.50"}
        override = {"plan": "TEAM", "price": "base", "document": price}
        found = caller.post("/customers/c1/overrides", override).json()
        assert found == caller.get("/customers/c1")
        assert (found["due_days"], found["tax"]["region"]) == (14, "DE")
        assert found["overrides"] == [override | {"add_on": None}]
        fee = {"key": "fee", "form": "flat", "amount": "1.50"}
        of_add_on = {"add_on": "support", "price": "fee", "document": fee}
        found = caller.post("/customers/c1/overrides", of_add_on).json()
        assert of_add_on | {"plan": None} in found["overrides"]
        caller.post("/customers/c1/overrides", {**of_add_on, "document": None})
        answer = caller.post("/customers/c1/overrides", {"price": "fee", "document": fee})
        assert answer.status_code == 400
        caller.post("/customers/c1/terms", {"due_days": None})
        caller.post("/customers/c1/overrides", {**override, "document": None})
        found = caller.get("/customers/c1")
        assert (found["due_days"], found["overrides"]) == (None, [])

    def test_keep_their_currency(self, caller: Caller) -> None:
        """It is no term that could change."""
        answer = caller.post("/customers/c1/terms", {"currency": "USD"})
        assert answer.status_code == 400


class TestPlans:
    def test_s1_48_s1_92_are_those_of_the_catalogue_in_force(self, caller: Caller) -> None:
        """With prices as the catalogue has them, and the popular one marked."""
        listed = caller.get("/plans")["data"]
        assert [each["plan"] for each in listed] == ["TEAM", "BUSINESS", "YEAR"]
        team = listed[0]
        assert team["prices"][0] == {"key": "base", "form": "flat", "amount": "62"}
        assert (team["is_popular"], team["fees"], team["interval"]) == (
            True,
            "in_arrears",
            "month",
        )
        assert (listed[1]["trial_days"], listed[1]["fees"]) == (7, "in_advance")
        assert (team["seats_max"], listed[1]["seats_max"]) == (50, 1_000_000)

    def test_are_none_before_a_catalogue(self, rows: Rows, client: TestClient) -> None:
        """An empty list, not an error."""
        assert Caller(client, bearer(rows.api_key("bare"))).get("/plans")["data"] == []
