"""Bad input at every address: the field that its sender can mend is named, and nothing is done."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.commands import CommandGate
from api.routes import credit_notes, payments, s1, s4_changes
from domain.codes import Code
from runtime.settings import Settings
from runtime.web.problems import refusal
from tests.contract.test_api import ADMIN_KEY, _backend
from tests.contract.test_money_requests import BooksLog
from tests.support.api_world import bearer
from tests.support.stories import CALLS, Story, plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api.backend import Backend
    from domain.canonical import Json

OWN = "/api/v1/billing"
SUBSCRIPTION = f"{OWN}/subscriptions/sub_1"
OVERRIDE = f"{OWN}/customers/acme/overrides"
TIERS = {"key": "calls", "form": "graduated", "meter": "calls"}


def _tiers(*tiers: dict[str, str]) -> dict[str, Any]:
    document = {**TIERS, "tiers": list(tiers)}
    return {"plan": "PRO", "price": "calls", "document": document}


def _price(**more: str) -> dict[str, Any]:
    price = {"key": "calls", "form": "per_unit", "meter": "calls", "rate": "1", **more}
    return {"plan": "PRO", "price": "calls", "document": price}


def _subscribed(**more: Any) -> dict[str, Any]:
    return {"customer": "acme", "plan": "PRO", "start": "2025-03-01T00:00:00Z", **more}


BAD_INPUT = [
    # Prices: overlaps, gaps, rates below 0, meters that nobody counts.
    (OVERRIDE, _price(rate="-1"), 422, "command_invalid", "document.rate"),
    (OVERRIDE, _price(meter="none"), 422, "command_invalid", "document.meter"),
    (
        OVERRIDE,
        _tiers(
            {"up_to": "10", "rate": "1"},
            {"up_to": "5", "rate": "1"},
            {"rate": "1"},
        ),
        422,
        "command_invalid",
        "document.tiers[1].up_to",
    ),
    (
        OVERRIDE,
        _tiers({"up_to": "10", "rate": "-1"}, {"rate": "1"}),
        422,
        "command_invalid",
        "document.tiers[0].rate",
    ),
    (OVERRIDE, _tiers({"up_to": "10", "rate": "1"}), 422, "command_invalid", "document.tiers"),
    (OVERRIDE, {**_price(), "price": "none"}, 422, "price_unknown", "price"),
    # Another customer's, and another tenant's, are not there.
    (f"{OWN}/customers/other/overrides", _price(), 404, "customer_unknown", "customer"),
    # Currencies: of a plan, an add-on, an item, account credit.
    (f"{SUBSCRIPTION}/change-plan", {"plan": "DOLLARS"}, 422, "currency_differs", "plan"),
    (f"{SUBSCRIPTION}/add-ons", {"add_on": "dollars"}, 422, "currency_differs", "add_on"),
    (f"{OWN}/subscriptions", _subscribed(plan="DOLLARS"), 422, "currency_differs", "plan"),
    (
        f"{OWN}/subscriptions",
        _subscribed(add_ons=[{"code": "dollars", "quantity": 1}]),
        422,
        "currency_differs",
        "add_ons",
    ),
    (
        f"{OWN}/items",
        {"customer": "acme", "label": "x", "amount_minor": 1, "currency": "USD"},
        422,
        "currency_differs",
        "currency",
    ),
    (
        f"{OWN}/customers/acme/account-credit",
        {"amount_minor": 1, "currency": "USD", "reason": "x"},
        422,
        "currency_differs",
        "currency",
    ),
    # Times: an end before the start, a day that is invoiced.
    (
        f"{OWN}/subscriptions",
        _subscribed(end="2025-02-01T00:00:00Z"),
        422,
        "command_invalid",
        "end",
    ),
    (
        f"{SUBSCRIPTION}/change-plan",
        {"plan": "MORE", "as_of": "2025-01-10T00:00:00Z"},
        409,
        "period_invoiced",
        "as_of",
    ),
    # Money back.
    (
        f"{OWN}/payments/pay_1/refunds",
        {"amount_minor": 10**8, "reason": "x"},
        422,
        "refund_too_large",
        "amount_minor",
    ),
    (
        f"{OWN}/invoices/inv_1/credit-notes",
        {"lines": [{"line_id": "none", "amount_minor": 1}], "reason": "x"},
        422,
        "line_unknown",
        "lines[0].line_id",
    ),
    (
        f"{OWN}/invoices/inv_1/credit-notes",
        {"lines": [{"line_id": "fee/base", "amount_minor": 10**8}], "reason": "x"},
        422,
        "credit_note_too_large",
        "lines[0].amount_minor",
    ),
    # S1's, S3's and S4's words.
    (
        "/functions/v1/billing-api/subscriptions",
        {"tenant_id": "acme", "plan_code": "DOLLARS", "start_date": "2025-03-01"},
        422,
        "currency_differs",
        "plan_code",
    ),
    (
        "/functions/v1/billing-api/subscriptions",
        {"tenant_id": "nobody", "plan_code": "PRO", "start_date": "2025-03-01"},
        404,
        "customer_unknown",
        "tenant_id",
    ),
    (
        "/functions/v1/billing-api/subscriptions",
        {"tenant_id": "acme", "plan_code": "PRO", "start_date": "1999-03-01"},
        422,
        "command_invalid",
        "start_date",
    ),
    (f"{OWN}/organizations", {"id": "acme", "currency": "CAD"}, 409, "customer_exists", "id"),
    (
        "/admin-api.php?action=create_subscription",
        {"tenant_id": "acme", "plan_type": "none", "start_date": "2025-03-01"},
        422,
        "plan_unknown",
        "plan_type",
    ),
    (
        "/admin-api.php?action=create_subscription",
        {"tenant_id": "nobody", "plan_type": "PRO", "start_date": "2025-03-01"},
        404,
        "customer_unknown",
        "tenant_id",
    ),
    (
        "/admin-api.php?action=update_subscription",
        {"id": "sub_1", "plan_type": "DOLLARS"},
        422,
        "currency_differs",
        "plan_type",
    ),
    (
        "/admin-api.php?action=cancel_subscription",
        {"id": "sub_2"},
        404,
        "subscription_unknown",
        "id",
    ),
]


@pytest.fixture(scope="module")
def log() -> BooksLog:
    fee: Json = {"key": "fee", "form": "flat", "amount": "62"}
    dollars: Json = {"code": "dollars", "name": "D", "currency": "USD", "prices": [fee]}
    story = Story(
        plan("PRO", "9000", also=[CALLS]),
        plan("MORE", "9500"),
        plan("DOLLARS", "9000", currency="USD"),
        more={"add_ons": [dollars]},
    )
    story.subscribe("PRO", start="2025-01-01")
    story.bill("2025-02-02")
    story.accepted(
        "RecordPayment",
        {
            "payment": "pay_1",
            "invoice": "inv_1",
            "amount_minor": 100,
            "currency": "CAD",
            "method": "wire",
        },
        on="2025-02-03",
    )
    return BooksLog(story)


@pytest.fixture
def client(log: BooksLog, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """An API before these books; what it would read of the tables is told here."""

    def make_backend(settings: Settings) -> Backend:
        gate = CommandGate(sender=log, find=log.find, timeout_ms=1_000)
        return replace(_backend(settings), commands=gate)

    async def there(*_: object, **__: object) -> None:
        return None

    found = SimpleNamespace(invoice="inv_1", total=SimpleNamespace(currency="CAD"))
    for module in (payments, credit_notes):
        monkeypatch.setattr(module, "find_invoice", lambda *_: found)
    monkeypatch.setattr(s1, "_await_customer", there)
    monkeypatch.setattr(s4_changes, "tenant_connection", lambda *_, **__: nullcontext())
    monkeypatch.setattr(s4_changes, "find_subscription", lambda *_, **__: None)
    monkeypatch.setattr(s4_changes, "tenant_now", lambda _: datetime(2025, 2, 10, tzinfo=UTC))
    settings = Settings.model_validate({"database_url": "postgresql://nobody@127.0.0.1:1/none"})
    with TestClient(
        create_app(settings, make_backend=make_backend), raise_server_exceptions=False
    ) as client:
        yield client


class TestBadInput:
    """What the books refuse, at the addresses."""

    @pytest.mark.parametrize(("path", "body", "status", "code", "param"), BAD_INPUT)
    def test_names_the_field_and_changes_nothing(
        self,
        client: TestClient,
        log: BooksLog,
        path: str,
        body: dict[str, Any],
        status: int,
        code: str,
        param: str,
    ) -> None:
        key = hashlib.sha256(f"{path}{body}".encode()).hexdigest()
        answer = client.post(
            path, json=body, headers={**bearer(ADMIN_KEY), "Idempotency-Key": key}
        )
        found = answer.json()
        assert (status, code, param) == (answer.status_code, found["code"], found["param"]), found
        assert () == log.outcomes[-1].facts


class TestRefusal:
    """problems.refusal of what no address sends, and of what it cannot mend."""

    @pytest.mark.parametrize(
        ("code", "reason", "asked", "param"),
        [
            (Code.PLAN_IN_USE, "catalogue.plans: sub_1 is on plan 'A'", {}, "catalogue.plans"),
            (
                Code.CATALOGUE_INVALID,
                "catalogue.plans[0].prices[1].tiers must end",
                {},
                "catalogue.plans[0].prices[1].tiers",
            ),
            (Code.COMMAND_INVALID, "CreateCustomer.currency must be text", {}, "currency"),
            (Code.CURRENCY_DIFFERS, "SetAddOn.add_ons: x", {"add_on": "x"}, "add_on"),
            (Code.PERIOD_INVOICED, "the open period starts later", {"when": "now"}, ""),
            (Code.CUSTOMER_UNKNOWN, "there is no customer 'Ann.plan '", {}, ""),
            (Code.IDEMPOTENCY_CONFLICT, "used before", {}, "Idempotency-Key"),
        ],
    )
    def test_names_what_the_command_has(
        self, code: Code, reason: str, asked: dict[str, str], param: str
    ) -> None:
        assert param == refusal(code, reason, asked=asked).param
