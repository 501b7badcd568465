"""Recurring revenue over HTTP: JSON, and S3's metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, event

from projections.queries import recurring
from projections.queries.connection import tenant_connection
from projections.queries.recurring import AGE_MS_MAX, KeptRevenue
from runtime import postgres
from runtime.settings import Settings
from tests.support.api_world import MemoryBooks, Rows, bearer
from tests.support.stories import CATALOGUE, SEATS, plan

BASE = "/api/v1/billing"
YEAR = {**plan("YEAR", "1000", interval="year"), "currency": "EUR"}  # type: ignore[dict-item]
PLANS = [plan("TEAM", "62", also=[SEATS]), plan('BUSI"NESS', "180"), YEAR]


@pytest.fixture
def headers(rows: Rows, books: MemoryBooks, tenant: str) -> dict[str, str]:
    """A tenant with three customers: two pay CAD, of whom one cancelled, and one EUR."""

    def send(kind: str, **body: object) -> None:
        books.send(
            tenant=tenant,
            command_id=f"wish {len(books.sent)}",
            kind=kind,
            body=body,  # type: ignore[arg-type]
        )

    content = json.dumps({**CATALOGUE, "version": 1, "plans": PLANS})
    send("PublishCatalogue", content=content)
    wanted = (("a", "CAD", "TEAM", 4), ("b", "CAD", 'BUSI"NESS', 1), ("c", "EUR", "YEAR", 1))
    for customer, currency, code, seats in wanted:
        send("CreateCustomer", customer=customer, currency=currency)
        send(
            "CreateSubscription",
            subscription=f"sub_{customer}",
            customer=customer,
            plan=code,
            start="2026-03-01T00:00:00Z",
            seats=seats,
        )
    send("CreateCustomer", customer="gone", currency="CAD")
    send(
        "CreateSubscription",
        subscription="sub_gone",
        customer="gone",
        plan="TEAM",
        start="2026-03-01T00:00:00Z",
        end="2026-04-01T00:00:00Z",
    )
    return bearer(rows.api_key(tenant))


@pytest.fixture
def asked() -> Iterator[list[str]]:
    """Statements that read subscriptions to reckon recurring revenue."""
    found: list[str] = []

    def note(*arguments: Any) -> None:
        if "FROM subscription AS s" in arguments[2]:
            found.append(arguments[2])

    event.listen(Engine, "before_cursor_execute", note)
    yield found
    event.remove(Engine, "before_cursor_execute", note)


class TestKeptFigures:
    def test_ask_the_subscriptions_once_until_a_command_is_booked(
        self,
        client: TestClient,
        books: MemoryBooks,
        headers: dict[str, str],
        tenant: str,
        asked: list[str],
    ) -> None:
        """Two scrapes without a change are one reckoning; a change is seen at the next."""
        first, again = (client.get(f"{BASE}/metrics", headers=headers).text for _ in range(2))
        assert client.get(f"{BASE}/analytics/recurring", headers=headers).status_code == 200
        assert (first, 1) == (again, len(asked))

        books.send(
            tenant=tenant,
            command_id="seats",
            kind="ChangeSeats",
            body={"subscription": "sub_a", "seats": 5},
        )

        changed = client.get(f"{BASE}/metrics", headers=headers).text
        assert 'dictamesh_billing_mrr{currency="CAD"} 335.00' in changed.splitlines()
        assert 2 == len(asked)

    def test_are_reckoned_again_when_they_are_old_and_are_bounded(
        self,
        settings: Settings,
        headers: dict[str, str],
        tenant: str,
        asked: list[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """What ends with time alone has no command."""
        assert headers
        monkeypatch.setattr(recurring, "TENANTS_MAX", 3)
        now = [0]
        kept = KeptRevenue(now_ms=lambda: now[0])
        engine = postgres.new_engine(settings, role="app")
        with tenant_connection(engine, tenant=tenant) as connection:
            for moment, times in ((0, 1), (AGE_MS_MAX - 1, 1), (AGE_MS_MAX, 2)):
                now[0] = moment
                assert kept.find(connection, tenant=tenant).plans
                assert times == len(asked)
            for other in ("one", "two", "three", tenant):
                kept.find(connection, tenant=other)
        engine.dispose()
        assert 2 + 4 == len(asked)


class TestRecurringRevenue:
    """GET /analytics/recurring and /metrics."""

    def test_s3_47_is_shown_by_plan_and_currency(
        self, client: TestClient, headers: dict[str, str]
    ) -> None:
        """62 + 2 x 31 and 180 CAD a month; 1,000 EUR a year are 83.33 a month. Never mixed."""
        found = client.get(f"{BASE}/analytics/recurring", headers=headers).json()

        def shown(rows: list[dict[str, object]]) -> list[tuple[object, ...]]:
            return [
                (
                    row["plan"],
                    row["active_subscriptions"],
                    row["mrr"]["currency"],  # type: ignore[index]
                    row["mrr"]["amount"],  # type: ignore[index]
                    row["arr"]["amount"],  # type: ignore[index]
                )
                for row in rows
            ]

        assert shown(found["plans"]) == [
            ('BUSI"NESS', 1, "CAD", "180.00", "2160.00"),
            ("TEAM", 1, "CAD", "124.00", "1488.00"),
            ("YEAR", 1, "EUR", "83.33", "1000.00"),
        ]
        assert shown(found["totals"]) == [
            (None, 2, "CAD", "304.00", "3648.00"),
            (None, 1, "EUR", "83.33", "1000.00"),
        ]

    def test_s3_85_s3_86_s3_87_has_s3s_metrics(
        self, client: TestClient, headers: dict[str, str]
    ) -> None:
        """Under their exact names; a plan's code cannot break out of its label."""
        answer = client.get(f"{BASE}/metrics", headers=headers)
        assert answer.headers["content-type"].startswith("text/plain")
        samples = [line for line in answer.text.splitlines() if not line.startswith("#")]
        assert samples == [
            'dictamesh_billing_active_subscriptions{plan="BUSI\\"NESS",currency="CAD"} 1',
            'dictamesh_billing_active_subscriptions{plan="TEAM",currency="CAD"} 1',
            'dictamesh_billing_active_subscriptions{plan="YEAR",currency="EUR"} 1',
            'dictamesh_billing_mrr{currency="CAD"} 304.00',
            'dictamesh_billing_mrr{currency="EUR"} 83.33',
            'dictamesh_billing_arr{currency="CAD"} 3648.00',
            'dictamesh_billing_arr{currency="EUR"} 1000.00',
        ]

    def test_of_another_tenant_is_nobodys(
        self, client: TestClient, rows: Rows, headers: dict[str, str], tenant: str
    ) -> None:
        """A tenant without subscriptions has none, whatever others have."""
        assert headers
        other = bearer(rows.api_key(f"{tenant}-other"))
        found = client.get(f"{BASE}/analytics/recurring", headers=other).json()
        assert (found["plans"], found["totals"]) == ([], [])
        text = client.get(f"{BASE}/metrics", headers=other).text
        assert [line for line in text.splitlines() if not line.startswith("#")] == []
        for address in ("analytics/recurring", "metrics"):
            assert client.get(f"{BASE}/{address}").status_code == 401
