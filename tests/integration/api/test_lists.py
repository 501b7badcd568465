"""Lists: pages put together are the whole list, and every value is shown exactly."""

import hashlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from fastapi.testclient import TestClient
from psycopg.types.json import Jsonb

from tests.support.api_world import RECEIVED_AT, Rows, bearer

BASE = "/api/v1/billing"


def _all_pages(
    client: TestClient, path: str, headers: dict[str, str], **parameters: Any
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        asked = parameters | ({"cursor": cursor} if cursor else {})
        answer = client.get(BASE + path, params=asked, headers=headers)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert page["has_more"] == (page["next_cursor"] is not None)
        assert len(page["data"]) <= parameters["limit"]
        found += page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


class TestPages:
    """Seven rows, of which some have equal sort keys, in pages of every size."""

    @pytest.fixture
    def headers(self, rows: Rows, tenant: str) -> dict[str, str]:
        for index in range(7):
            rows.customer(tenant, f"customer-{index}-ä/%")
            rows.subscription(tenant, f"sub_{index}", customer="c")
            moment = RECEIVED_AT + timedelta(hours=index // 3, microseconds=index // 5)
            rows.invoice(tenant, f"inv_{index}", issued_at=moment, customer="c")
            rows.reject(
                tenant, offset=index // 2, event_index=index % 2 - 1, received_at=moment, code="x"
            )
        return bearer(rows.api_key(tenant))

    @pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 200])
    @pytest.mark.parametrize("path", ["/customers", "/subscriptions", "/invoices", "/rejects"])
    def test_put_together_are_the_whole_list(
        self, client: TestClient, headers: dict[str, str], path: str, limit: int
    ) -> None:
        whole = client.get(BASE + path, headers=headers).json()["data"]

        paged = _all_pages(client, path, headers, limit=limit)

        assert len(whole) == 7
        assert paged == whole

    def test_show_the_newest_invoice_first(
        self, client: TestClient, headers: dict[str, str]
    ) -> None:
        found = [item["invoice"] for item in _all_pages(client, "/invoices", headers, limit=2)]
        assert found == [f"inv_{index}" for index in reversed(range(7))]

    def test_keep_their_filter(self, client: TestClient, rows: Rows, tenant: str) -> None:
        for index in range(4):
            rows.invoice(tenant, f"inv_{index}", customer=f"c{index % 2}")
            rows.subscription(tenant, f"sub_{index}", customer=f"c{index % 2}")
            rows.reject(tenant, offset=index, code=("future", "too_late")[index % 2])
        headers = bearer(rows.api_key(tenant))

        invoices = _all_pages(client, "/invoices", headers, limit=1, customer="c1")
        subscriptions = _all_pages(client, "/subscriptions", headers, limit=1, customer="c1")
        rejects = _all_pages(client, "/rejects", headers, limit=1, code="too_late")

        assert [item["invoice"] for item in invoices] == ["inv_3", "inv_1"]
        assert [item["subscription"] for item in subscriptions] == ["sub_1", "sub_3"]
        assert [item["source_offset"] for item in rejects] == [3, 1]
        assert _all_pages(client, "/invoices", headers, limit=9, subscription="sub_9") == []

    def test_of_another_list_are_refused(
        self, client: TestClient, headers: dict[str, str]
    ) -> None:
        cursor = client.get(f"{BASE}/customers?limit=1", headers=headers).json()["next_cursor"]

        answer = client.get(f"{BASE}/subscriptions", params={"cursor": cursor}, headers=headers)

        assert (answer.status_code, answer.json()["param"]) == (400, "cursor")


class TestInvoice:
    def test_shows_lines_and_content_exactly(
        self, client: TestClient, rows: Rows, tenant: str
    ) -> None:
        content = '{"lines":[],"note":"ä\\u0000"}'
        rows.invoice(tenant, "inv_1", total_minor=-5, content=content, currency="BHD")
        steps = [{"label": "first", "quantity": "0.000000001", "rate": "0.0020"}]
        rows.invoice_line(tenant, "inv_1", 1, quantity=Decimal("1E+20"), amount=Decimal("-0.006"))
        rows.invoice_line(
            tenant,
            "inv_1",
            2,
            meter="tokens",
            amount_unrounded=Decimal("0.000000000001"),
            amount=Decimal("0.001"),
            discounts=Jsonb([{"code": "launch", "amount": 1}]),
            steps=Jsonb(steps),
        )

        answer = client.get(f"{BASE}/invoices/inv_1", headers=bearer(rows.api_key(tenant)))

        found = answer.json()
        first, second = found["lines"]
        assert found["total"] == {"amount_minor": -5, "currency": "BHD", "amount": "-0.005"}
        assert first["quantity"] == "100000000000000000000"
        assert first["meter"] is None
        assert second["meter"] == "tokens"
        assert second["amount_unrounded"] == "0.000000000001"
        assert second["steps"] == steps
        assert (first["amount"], second["discounts"]) == (
            "-0.006",
            [{"code": "launch", "amount": "0.01"}],
        )
        assert found["content"] == content
        assert hashlib.sha256(found["content"].encode()).hexdigest() == (
            hashlib.sha256(content.encode()).hexdigest()
        )
        assert answer.headers["cache-control"] == "no-store"


class TestIntake:
    def test_adds_up_hours_and_partitions(
        self, client: TestClient, rows: Rows, tenant: str
    ) -> None:
        hour = datetime(2026, 3, 1, 12, tzinfo=UTC)
        rows.intake(tenant, hour, received=10, accepted=6, duplicates=2, conflicts=1, rejected=1)
        rows.intake(tenant, hour, partition=1, received=5, accepted=5)
        rows.intake(tenant, hour + timedelta(hours=1), received=100, accepted=97, rejected=3)
        rows.reject(tenant, offset=1, code="conflict", received_at=hour)
        rows.reject(tenant, offset=2, code="future", received_at=hour + timedelta(minutes=59))
        rows.reject(
            tenant, offset=3, code="future", events=3, received_at=hour + timedelta(hours=1)
        )
        rows.reject(tenant, offset=3, code="command_invalid", topic="account.commands")
        headers = bearer(rows.api_key(tenant))

        whole = client.get(f"{BASE}/intake", headers=headers).json()
        noon = client.get(
            f"{BASE}/intake?from=2026-03-01T12:00:00Z&to=2026-03-01T13:00:00Z", headers=headers
        ).json()

        assert whole["received"] == 115
        assert whole["events_by_code"] == {"conflict": 1, "future": 4}
        assert noon == {
            "received": 15,
            "accepted": 11,
            "duplicates": 2,
            "conflicts": 1,
            "rejected": 1,
            "events_by_code": {"conflict": 1, "future": 1},
        }

    def test_of_nothing_is_zero(self, client: TestClient, rows: Rows, tenant: str) -> None:
        found = client.get(f"{BASE}/intake", headers=bearer(rows.api_key(tenant))).json()
        assert found["received"] == 0
        assert found["events_by_code"] == {}
