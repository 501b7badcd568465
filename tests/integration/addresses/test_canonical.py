"""S3's canonical addresses over a running pipeline with S3's own catalogue."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest

from api.routes import usage_events
from cli.amending import amend
from cli.books import send
from cli.events import key_of
from domain.codes import Code
from domain.errors import Fatal
from domain.period import time_text
from projections import listed_events
from projections.counted_events import find_counted
from projections.invoicing.outcomes import await_projected
from runtime.web.keys import NewApiKey, new_api_key
from tests.support.pipeline_world import START, TENANT, Event
from tests.support.stigg import BILLING, Stigg

MONTH: dict[str, Any] = {"from": time_text(START), "to": time_text(START + timedelta(days=28))}


def organization(mesh: Stigg, **more: Any) -> str:
    """A new organisation."""
    wish = {"id": f"org-{uuid.uuid4().hex[:8]}", "currency": "USD", **more}
    return str(mesh.post(f"{BILLING}/organizations", wish)["id"])


def subscribed(mesh: Stigg, plan: str, *, customer: str = "") -> str:
    """A subscription to a plan since the first of this month, of a new organisation."""
    customer = customer or organization(mesh)
    wish = {"customer": customer, "plan": plan, "start": time_text(START)}
    return str(mesh.post(f"{BILLING}/subscriptions", wish)["subscription"])


def calls(mesh: Stigg, customer: str, *quantities: str) -> None:
    """API calls, a minute apart from the first of the month on."""
    mesh.world.send_usage(
        customer,
        [
            Event(f"call {number}", "api_call", quantity, START + timedelta(minutes=number))
            for number, quantity in enumerate(quantities)
        ],
    )


class TestOrganizations:
    def test_s3_48_s3_49_s3_50_are_our_customers(self, mesh: Stigg) -> None:
        """C-02: one account behind both names, made, read and changed at either."""
        wish = {"id": "org-1", "due_days": 14}
        made = mesh.post(f"{BILLING}/organizations", wish, key="one-wish")
        assert ("org-1", "USD", 14, None) == (
            made["id"],
            made["currency"],
            made["due_days"],
            made["grace_hours"],
        )
        assert made == mesh.post(f"{BILLING}/organizations", wish, key="one-wish")
        other = {"customer": "org-1", "due_days": 14}
        same = mesh.post(f"{BILLING}/customers", other, key="one-wish")
        assert ("org-1", 14) == (same["customer"], same["due_days"])
        changed = mesh.put(f"{BILLING}/organizations/org-1", {"grace_hours": 3})
        assert (14, 3) == (changed["due_days"], changed["grace_hours"])
        assert changed == mesh.get(f"{BILLING}/organizations/org-1")
        assert 3 == mesh.get(f"{BILLING}/customers/org-1")["grace_hours"]

    def test_without_an_id_get_one_that_follows_from_the_key(self, mesh: Stigg) -> None:
        """S3's callers know no id before."""
        first, again = (
            mesh.post(f"{BILLING}/organizations", {}, key="nameless") for _ in range(2)
        )
        assert first["id"].startswith("org_")
        assert first == again

    def test_that_are_wrong_are_refused_by_name(self, mesh: Stigg) -> None:
        """The currency stays for good; an id is taken once; a foreign one is nobody's."""
        taken = organization(mesh)
        url = f"{BILLING}/organizations"
        assert "customer_exists" == mesh.post(url, {"id": taken}, status=409)["code"]
        assert "currency" == mesh.put(f"{url}/{taken}", {"currency": "EUR"}, status=400)["param"]
        mesh.get(f"{url}/nobody", status=404)
        mesh.put(f"{url}/nobody", {"due_days": 1}, status=404)


class TestPayments:
    def test_s3_57_pay_an_invoice(self, mesh: Stigg) -> None:
        """By its number, in two parts: 99.00 and 10 % are 108.90."""
        customer = organization(mesh)
        subscribed(mesh, "starter", customer=customer)
        mesh.world.bill(customer)
        (invoice,) = mesh.get(f"{BILLING}/invoices", customer=customer)["data"]
        assert 10_890 == invoice["open"]["amount_minor"]
        wish = {"invoice": invoice["number"], "amount_minor": 10_000, "method": "wire"}
        paid = mesh.post(f"{BILLING}/payments", wish, key="first-part")
        assert paid == mesh.post(f"{BILLING}/payments", wish, key="first-part")
        assert paid == mesh.get(f"{BILLING}/payments/{paid['payment']}")
        assert invoice["invoice"] == paid["invoice"]
        rest = {"invoice": invoice["invoice"], "amount_minor": 890, "method": "wire"}
        mesh.post(f"{BILLING}/payments", rest)
        assert "paid" == mesh.get(f"{BILLING}/invoices/{invoice['invoice']}")["status"]
        unknown = {**rest, "invoice": "INV-1999-000001"}
        mesh.post(f"{BILLING}/payments", unknown, status=404)
        refused = mesh.post(f"{BILLING}/payments", {"amount_minor": 1}, status=400)
        assert "body.invoice" in refused["detail"]


class TestInvoiceStatus:
    def test_s4_30_is_paid_by_saying_so(self, mesh: Stigg) -> None:
        """What is open is recorded as paid, once; nothing else is set, and not by everybody."""
        customer = organization(mesh)
        subscribed(mesh, "starter", customer=customer)
        mesh.world.bill(customer)
        (invoice,) = mesh.get(f"{BILLING}/invoices", customer=customer)["data"]
        url = f"{BILLING}/invoices/{invoice['number']}"
        assert "status" == mesh.put(url, {"status": "overdue"}, status=400)["param"]
        assert "scope_missing" == mesh.put(url, {"status": "void"}, status=403)["code"]
        paid = mesh.put(url, {"status": "paid", "method": "wire"})
        assert ("paid", 10_890) == (paid["status"], paid["paid"]["amount_minor"])
        assert paid == mesh.put(url, {"status": "paid"})
        (payment,) = mesh.get(f"{BILLING}/payments", invoice=invoice["invoice"])["data"]
        assert "wire" == payment["method"]


class TestUsage:
    def test_s3_60_of_the_running_period_is_shown_with_what_is_left(self, mesh: Stigg) -> None:
        """Priced or not: queries have no price (S3-R9)."""
        customer = organization(mesh)
        subscription = subscribed(mesh, "starter", customer=customer)
        calls(mesh, customer, "700000")
        mesh.world.send_usage(customer, [Event("query", "query", "7", START)])
        (shown,) = mesh.get(f"{BILLING}/usage/current", customer=customer)["data"]
        used = {each["meter"]: each["value"] for each in shown["usage"]}
        left = {each["meter"]: each["remaining"] for each in shown["allowances"]}
        assert {"api_calls": "700000", "query_units": "7"} == used
        assert ("300000", subscription) == (left["api_calls"], shown["subscription"])
        assert time_text(START) == shown["period_start"] == shown["usage_start"]
        idle = organization(mesh)
        assert [] == mesh.get(f"{BILLING}/usage/current", customer=idle)["data"]
        mesh.get(f"{BILLING}/usage/current", customer="nobody", status=404)
        mesh.get(f"{BILLING}/usage/current", status=400)

    def test_s3_61_of_past_periods_is_that_of_their_windows(self, mesh: Stigg) -> None:
        """Two months that were invoiced, the newest first: page by page, in full."""
        customer = organization(mesh)
        subscribed(mesh, "free", customer=customer)
        calls(mesh, customer, "20000", "30000")
        following = (START + timedelta(days=32)).strftime("%Y-%m")
        for month, days in (("", 40), (following, 64)):
            mesh.world.bill(customer, as_of=START + timedelta(days=days), month=month)
        first = mesh.get(f"{BILLING}/usage/history", customer=customer, limit=1)
        assert (1, True) == (len(first["data"]), first["has_more"])
        assert [] == first["data"][0]["usage"]
        second = mesh.get(
            f"{BILLING}/usage/history", customer=customer, cursor=first["next_cursor"]
        )
        (month,) = second["data"]
        assert (time_text(START), False) == (month["period_start"], second["has_more"])
        (used,) = month["usage"]
        assert ("api_calls", "50000", 2) == (used["meter"], used["value"], used["events"])


class TestLimits:
    def test_s3_r10_answers_with_a_code_and_the_limit(self, mesh: Stigg) -> None:
        """Starter has 5 adapters, and Enterprise no end of them."""
        told = []
        for plan, count in (("starter", 5), ("starter", 6), ("enterprise", 10**6)):
            checked = mesh.get(
                f"{BILLING}/subscriptions/{subscribed(mesh, plan)}/allowances/check",
                event_type="adapter_count",
                quantity=str(count),
            )
            told.append((checked["allowed"], checked["code"], checked["refused_by"]))
        assert [
            (True, None, None),
            (False, "limit_exceeded", "adapters"),
            (True, None, None),
        ] == told


def listed(mesh: Stigg, customer: str, *, limit: int, **more: Any) -> list[dict[str, Any]]:
    """All events of this month, page by page."""
    found: list[dict[str, Any]] = []
    wanted: dict[str, Any] = {"customer": customer, "limit": limit, **MONTH, **more}
    while True:
        page = mesh.get(f"{BILLING}/usage/events", **wanted)
        assert len(page["data"]) <= limit
        found += page["data"]
        if not page["has_more"]:
            assert page["next_cursor"] is None
            return found
        wanted["cursor"] = page["next_cursor"]


class TestEvents:
    @pytest.mark.parametrize("limit", [1, 3, 200])
    def test_s4_20_page_by_page_are_all_that_was_counted_once_each(
        self, mesh: Stigg, limit: int
    ) -> None:
        """Sent twice, conflicting, of others, voided: the list is the usage, whatever the page."""
        customer, other = organization(mesh), organization(mesh)
        calls(mesh, customer, "1", "2.5", "4", "8")
        calls(mesh, other, "1000")
        calls(mesh, customer, "1", "2.5", "4", "8", "16")
        calls(mesh, customer, "999")
        twice = Event("call 5", "api_call", "32", START + timedelta(minutes=5))
        mesh.world.send_usage(customer, [twice, twice])
        events = listed(mesh, customer, limit=limit)
        assert ["1", "2.5", "4", "8", "16", "32"] == [each["quantity"] for each in events]
        assert 6 == len({each["id"] for each in events})
        times = [time_text(START + timedelta(minutes=number)) for number in range(6)]
        assert times == [each["occurred_at"] for each in events]
        (bucket,) = mesh.get(f"{BILLING}/usage", customer=customer, granularity="period", **MONTH)[
            "data"
        ]
        assert ("63.5", 6) == (bucket["sum"], bucket["events"])

    def test_of_a_page_that_has_looked_at_enough_come_with_the_next_ones(
        self, mesh: Stigg, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Short pages, and no event is lost or shown twice between them."""
        customer = organization(mesh)
        calls(mesh, customer, "1", "2")
        calls(mesh, customer, "1", "2", "4")
        monkeypatch.setattr(listed_events, "LOOKED_MAX", 1)
        first = mesh.get(f"{BILLING}/usage/events", customer=customer, **MONTH)
        assert len(first["data"]) < 3
        assert first["has_more"]
        events = listed(mesh, customer, limit=50)
        assert ["1", "2", "4"] == [each["quantity"] for each in events]

    @pytest.mark.parametrize("code", [Code.LOG_TRUNCATED, Code.ARCHIVE_GAP])
    def test_that_nobody_has_any_more_are_gone_and_the_archive_is_named(
        self, mesh: Stigg, monkeypatch: pytest.MonkeyPatch, code: Code
    ) -> None:
        """410 with the code; a defect stays one."""

        def refuse(*_: object, **__: object) -> None:
            raise Fatal(code, "usage.events/0 starts at offset 7", next_step="read the archive")

        customer = organization(mesh)
        monkeypatch.setattr(usage_events, "list_events", refuse)
        refused = mesh.get(f"{BILLING}/usage/events", status=410, customer=customer, **MONTH)
        assert (code, "from") == (refused["code"], refused["param"])
        assert "docs/archive.md" in refused["detail"]

    def test_are_half_open_and_of_one_type_under_all_its_names(self, mesh: Stigg) -> None:
        """The end does not belong to it; an alias means its type."""
        customer = organization(mesh)
        calls(mesh, customer, "1", "2", "3")
        properties = (("tokens", "12"),)
        query = Event("q", "query", "5", START, properties=properties)
        mesh.world.send_usage(customer, [query])
        inner: dict[str, Any] = {
            "from": time_text(START),
            "to": time_text(START + timedelta(minutes=2)),
        }
        kept = listed(mesh, customer, limit=10, type="API calls", **inner)
        assert ["1", "2"] == [each["quantity"] for each in kept]
        (only,) = listed(mesh, customer, limit=10, type="query_processing")
        assert ("query", {"tokens": "12"}, False) == (
            only["type"],
            only["properties"],
            only["is_amended"],
        )

    def test_that_were_voided_say_so(self, mesh: Stigg) -> None:
        """They stay on the log, and so on the list."""
        customer = organization(mesh)
        calls(mesh, customer, "1", "2")
        key = key_of(f"{customer} call 0", source="")
        found = find_counted(mesh.world.settings, tenant=TENANT, customer=customer, key=key)
        assert found is not None
        amended = found.amended(event_id="call 0", replacement=None, reason="r", actor="t")
        amend(mesh.world.settings, found, amended)
        shown = listed(mesh, customer, limit=10)
        assert [("1", True), ("2", False)] == [
            (each["quantity"], each["is_amended"]) for each in shown
        ]

    def test_of_too_long_a_time_or_nobody_are_refused_or_none(self, mesh: Stigg) -> None:
        """31 days at most; a foreign customer is nobody, and has none."""
        nobody: dict[str, Any] = {"customer": "nobody", **MONTH}
        assert [] == mesh.get(f"{BILLING}/usage/events", **nobody)["data"]
        late = time_text(START + timedelta(days=31, seconds=1))
        refused = mesh.get(f"{BILLING}/usage/events", status=400, **{**nobody, "to": late})
        assert ("invalid_request", "from") == (refused["code"], refused["param"])
        mesh.get(f"{BILLING}/usage/events", status=400, cursor="WyJ4Il0", **nobody)


class TestStrangers:
    def test_find_nothing_at_the_new_addresses(self, mesh: Stigg) -> None:
        """A foreign customer is nobody, and a foreign invoice is none (S4-89)."""
        customer = organization(mesh)
        subscription = subscribed(mesh, "starter", customer=customer)
        calls(mesh, customer, "7")
        stranger = Stigg(mesh.world, mesh.api, mesh.gateway, key_of_tenant(mesh, "stranger"))
        assert mesh.get(f"{BILLING}/usage/current", customer=customer)["data"]
        mesh.world.bill(customer)
        (invoice,) = mesh.get(f"{BILLING}/invoices", customer=customer)["data"]
        assert mesh.get(f"{BILLING}/usage/history", customer=customer)["data"]
        for name in ("current", "history"):
            stranger.get(f"{BILLING}/usage/{name}", customer=customer, status=404)
        stranger.get(f"{BILLING}/organizations/{customer}", status=404)
        stranger.put(f"{BILLING}/organizations/{customer}", {"due_days": 1}, status=404)
        stranger.put(f"{BILLING}/invoices/{invoice['invoice']}", {"status": "paid"}, status=404)
        pays = {"invoice": invoice["number"], "amount_minor": 1, "method": "wire"}
        stranger.post(f"{BILLING}/payments", pays, status=404)
        assert [] == listed(stranger, customer, limit=5)
        days = {"start_date": START.date().isoformat(), "end_date": START.date().isoformat()}
        for action in ("get_usage_stats", "get_usage_timeseries", "list_usage_events"):
            asked: dict[str, Any] = {"action": action, "tenant_id": customer, **days}
            assert mesh.get("/admin-api.php", **asked)["data"]
            assert [] == stranger.get("/admin-api.php", **asked)["data"]
        asked = {"action": "list_invoices", "tenant_id": customer}
        assert 1 == len(mesh.get("/admin-api.php", **asked)["data"])
        assert [] == stranger.get("/admin-api.php", **asked)["data"]
        for action, name in (
            ("get_subscription", subscription),
            ("get_invoice", invoice["number"]),
        ):
            assert mesh.get("/admin-api.php", action=action, id=name)["id"]
            stranger.get("/admin-api.php", action=action, id=name, status=404)
        assert 401 == mesh.api.get("/admin-api.php", params=asked).status_code


def key_of_tenant(mesh: Stigg, tenant: str) -> NewApiKey:
    """A key of another tenant."""
    key = new_api_key()
    send(
        mesh.world.settings,
        mesh.world.sender,
        tenant=tenant,
        command_id=f"key of {tenant}",
        kind="CreateApiKey",
        body={
            "key_id": key.key_id,
            "secret_sha256": key.secret_sha256,
            "label": "test",
            "scopes": [],
        },
    )
    await_projected(mesh.world.settings, tenant=tenant)
    return key
