"""S4's own address over a running pipeline with S4's own catalogue."""

from __future__ import annotations

import uuid
from datetime import date, timedelta
from functools import partial
from typing import Any

import pytest

from tests.support.pipeline_world import START, Event
from tests.support.stigg import BILLING, Stigg

PATH = "/admin-api.php"
FIRST = START.date().isoformat()
DAYS: dict[str, Any] = {"start_date": FIRST, "end_date": FIRST}


def tenant(chat: Stigg) -> str:
    """A new tenant of S4: made at the organisations (S4-R13)."""
    wish = {"id": f"tenant-{uuid.uuid4().hex[:8]}"}
    return str(chat.post(f"{BILLING}/organizations", wish)["id"])


def ask(chat: Stigg, action: str, *, http: int = 200, **parameters: Any) -> Any:
    """A read."""
    answer = chat.api.get(PATH, params={"action": action, **parameters}, headers=chat.headers)
    assert answer.status_code == http, answer.text
    return answer.json()


def change(chat: Stigg, action: str, *, http: int = 200, key: str = "", **body: Any) -> Any:
    """A change."""
    return chat.post(f"{PATH}?action={action}", body, status=http, key=key)


def used(chat: Stigg, tenant_id: str) -> None:
    """Three messages, a plural one among them, two events of storage, in one minute each."""
    events = [("message", "1"), ("message", "1"), ("messages", "2.5"), ("storage", "4")]
    chat.world.send_usage(
        tenant_id,
        [
            Event(f"{name} {number}", name, quantity, START + timedelta(minutes=number))
            for number, (name, quantity) in enumerate([*events, ("storage", "3")])
        ],
    )


class TestUsage:
    def test_s4_58_totals_by_resource_type(self, chat: Stigg) -> None:
        """Singular and plural are one type (S4-R5); of storage the latest counts."""
        name = tenant(chat)
        used(chat, name)
        told = ask(chat, "get_usage_stats", tenant_id=name, **DAYS)
        rows = {each["resource_type"]: (each["quantity"], each["events"]) for each in told["data"]}
        assert {"message": (4.5, 3), "storage": (3, 2)} == rows
        assert (FIRST, FIRST) == (told["start_date"], told["end_date"])
        (only,) = ask(chat, "get_usage_stats", tenant_id=name, resource_type="messages", **DAYS)[
            "data"
        ]
        assert "message" == only["resource_type"]

    def test_s4_59_a_series_per_day(self, chat: Stigg) -> None:
        """One row per day with usage; without dates the last 30 days."""
        name = tenant(chat)
        used(chat, name)
        told = ask(chat, "get_usage_timeseries", tenant_id=name, **DAYS)
        rows = [(each["date"], each["resource_type"]) for each in told["data"]]
        assert [(FIRST, "message"), (FIRST, "storage")] == sorted(rows)
        thirty = ask(chat, "get_usage_timeseries", tenant_id=name)
        assert 29 == (_day(thirty["end_date"]) - _day(thirty["start_date"])).days

    def test_s4_75_s4_r1_events_page_by_page(self, chat: Stigg) -> None:
        """The pages are what GET usage/events lists."""
        name = tenant(chat)
        used(chat, name)
        page = partial(ask, chat, "list_usage_events", tenant_id=name, per_page=2, **DAYS)
        told = [page(page=number) for number in (1, 2, 3, 4)]
        assert [2, 2, 1, 0] == [len(each["data"]) for each in told]
        assert [True, True, False, False] == [each["has_more"] for each in told]
        found = [event for each in told for event in each["data"]]
        assert [1, 1, 2.5, 4, 3] == [each["quantity"] for each in found]
        assert 5 == len({each["id"] for each in found})
        assert "page" == ask(chat, "list_usage_events", http=400, tenant_id=name, page=0)["param"]

    @pytest.mark.parametrize(
        ("days", "param"),
        [
            ({"end_date": "9999-12-31"}, "end_date"),
            ({"end_date": "0001-01-01"}, "end_date"),
            ({"start_date": "2026-02-30"}, "start_date"),
            ({"start_date": "2026-01-02", "end_date": "2026-01-01"}, "end_date"),
        ],
    )
    def test_of_days_that_cannot_be_is_refused_by_name(
        self, chat: Stigg, days: dict[str, Any], param: str
    ) -> None:
        """S4-92: a clear refusal, and no server error."""
        for action in ("get_usage_stats", "get_usage_timeseries", "list_usage_events"):
            refused = ask(chat, action, http=400, tenant_id="t", **days)
            assert ("invalid_request", param) == (refused["code"], refused["param"])


class TestSubscriptions:
    def test_s4_65_s4_64_are_created_and_read(self, chat: Stigg) -> None:
        """The first instalment of a trial; the same wish twice is one."""
        name = tenant(chat)
        wish = partial(
            change, chat, "create_subscription", http=201, key=f"begin-{name}", tenant_id=name
        )
        made = wish(plan_type="professional", billing_cycle="quarterly", start_date=FIRST)
        assert ("professional_quarterly", "quarterly", name) == (
            made["plan_type"],
            made["billing_cycle"],
            made["tenant_id"],
        )
        again = wish(plan_type="professional", billing_cycle="quarterly", start_date=FIRST)
        assert made == again == ask(chat, "get_subscription", tenant_id=name)
        assert made == ask(chat, "get_subscription", id=made["id"])
        refused = change(
            chat,
            "create_subscription",
            http=400,
            tenant_id=name,
            plan_type="free",
            billing_cycle="yearly",
        )
        assert "billing_cycle" == refused["param"]

    def test_s4_66_s4_67_are_changed_and_cancelled(self, chat: Stigg) -> None:
        """The plan now; the end with the period, and then at once: the caller chooses."""
        name = tenant(chat)
        made = change(
            chat,
            "create_subscription",
            http=201,
            tenant_id=name,
            plan_type="starter",
            start_date=FIRST,
            trial_days=0,
        )
        changed = change(chat, "update_subscription", id=made["id"], plan_type="professional")
        assert "professional" == changed["plan_type"]
        late = change(chat, "cancel_subscription", id=made["id"], at_period_end=True)
        assert (late["current_period_end"], "active") == (late["cancelled_at"], late["status"])
        other = tenant(chat)
        begun = change(
            chat,
            "create_subscription",
            http=201,
            tenant_id=other,
            plan_type="free",
            start_date=FIRST,
        )
        ended = change(chat, "cancel_subscription", id=begun["id"])
        assert ended["cancelled_at"] == ended["current_period_end"] <= late["cancelled_at"]


class TestInvoices:
    def test_s4_68_to_s4_71_are_made_listed_and_settled(self, chat: Stigg) -> None:
        """Three with line items: one paid, one cancelled, one pending."""
        name = tenant(chat)
        items = [
            {"description": "Set-up", "amount": "150.50"},
            {"description": "Training", "amount": 20},
        ]
        wish = partial(change, chat, "create_invoice", http=201, tenant_id=name)
        made = [wish(line_items=items, key=f"{name}-{number}") for number in range(3)]
        assert made[0] == wish(line_items=items, key=f"{name}-0")
        first, second, third = made
        assert (170.5, "BRL", "pending") == (first["amount"], first["currency"], first["status"])
        assert [("Set-up", 150.5), ("Training", 20)] == [
            (line["description"], line["amount"]) for line in first["line_items"]
        ]
        paid = change(chat, "update_invoice", id=first["id"], status="paid")
        assert ("paid", 0) == (paid["status"], paid["amount_open"])
        assert paid == change(chat, "update_invoice", id=first["id"], status="paid")
        void = change(chat, "update_invoice", id=second["id"], status="cancelled")
        assert "cancelled" == void["status"]
        assert void == ask(chat, "get_invoice", id=second["invoice_number"])
        (pending,) = ask(chat, "list_invoices", tenant_id=name, status="pending")["data"]
        assert third["id"] == pending["id"]
        page = partial(ask, chat, "list_invoices", tenant_id=name, per_page=2)
        pages = [page(page=number) for number in (1, 2, 3)]
        assert [(2, True), (1, False), (0, False)] == [
            (len(each["data"]), each["has_more"]) for each in pages
        ]
        listed = [each["id"] for page in pages for each in page["data"]]
        assert sorted(each["id"] for each in made) == sorted(listed)

    def test_that_are_wrong_are_refused_by_name(self, chat: Stigg) -> None:
        """Half a cent, a status that nobody can set, nobody's tenant."""
        name = tenant(chat)
        wish = partial(change, chat, "create_invoice", tenant_id=name)
        refused = wish(http=400, line_items=[{"description": "x", "amount": "0.005"}])
        assert "line_items[0].amount" == refused["param"]
        good = {"description": "y", "amount": 1}
        wish(http=400, line_items=[good, {"description": "x", "amount": "0.005"}])
        assert 1 == wish(http=201, line_items=[good])["amount"]
        setting = change(chat, "update_invoice", http=400, id="INV-1")
        assert "status" == setting["param"]
        nothing = [{"description": "x", "amount": 1}]
        change(chat, "create_invoice", http=404, tenant_id="nobody", line_items=nothing)


class TestActions:
    @pytest.mark.parametrize(
        ("action", "status", "param"),
        [("list_quotas", 400, "action"), ("", 400, "action"), ("create_invoice", 405, "method")],
    )
    def test_s4_r4_that_are_unknown_or_of_the_other_method_have_codes(
        self, chat: Stigg, action: str, status: int, param: str
    ) -> None:
        """A problem document as everywhere (S4-124); 405 says which method it takes."""
        refused = ask(chat, action, http=status)
        assert ("invalid_request", param) == (refused["code"], refused["param"])

    def test_take_their_own_parameters_alone(self, chat: Stigg) -> None:
        """A misspelt filter that is ignored would show too much."""
        refused = ask(chat, "list_invoices", http=400, tenant_id="t", state="paid")
        assert "state" == refused["param"]
        assert "tenant_id" == ask(chat, "list_invoices", http=400)["param"]
        assert "method" == change(chat, "get_invoice", http=405, id="x")["param"]


def _day(text: str) -> date:
    return date.fromisoformat(text)
