"""Analytics over HTTP: S0's addresses and ours answer alike, exactly, and refuse strangers."""

from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.support.api_world import RECEIVED_AT, Rows, bearer
from tests.support.emergence_rows import BLUEPRINT, BOM, EmergenceRows

BASE = "/api/v1/billing/analytics"
AS_OF = "as_of=2026-03-15T00:00:00Z"
RANGE = "from=2026-03-01T00:00:00Z&to=2026-03-31T00:00:00Z"


@pytest.fixture
def mine(rows: Rows, tenant: str) -> EmergenceRows:
    """One customer charged twice, a yen customer once, and one who does nothing."""
    mine = EmergenceRows(rows, tenant)
    mine.customer("payer", available=20, spent_minor=50_000)
    mine.customer("yen", currency="JPY", spent_minor=500)
    mine.customer("idle")
    charge = mine.charge("payer", BLUEPRINT, status="captured")
    mine.transaction("payer", "charge", charge=charge)
    back = mine.charge("payer", BOM, status="refunded", at=RECEIVED_AT + timedelta(days=1))
    mine.transaction(
        "payer", "refund", charge=back, amount_minor=25_000, at=RECEIVED_AT + timedelta(days=2)
    )
    mine.charge("yen", ("blueprint_package", "B", 50, 500), status="captured", currency="JPY")
    mine.activity("payer", RECEIVED_AT.date(), updates=3, pulses=1)
    return mine


def _get(client: TestClient, rows: Rows, mine: EmergenceRows, path: str) -> Any:
    answer = client.get(path, headers=bearer(rows.api_key(mine.tenant)))
    assert answer.status_code == 200, answer.text
    return answer.json()


class TestMetrics:
    def test_answer_alike_at_s0s_address_and_at_ours(
        self, client: TestClient, rows: Rows, mine: EmergenceRows
    ) -> None:
        """S0-41, S0-R19."""
        ours = _get(client, rows, mine, f"{BASE}?{AS_OF}")
        assert ours == _get(client, rows, mine, f"/api/metrics?{AS_OF}")
        assert {
            "total": 3,
            "active": 1,
            "dormant": 2,
            "active_days": 30,
            "explorers": 1,
            "payers": 1,
            "conversion_percent": "100",
        } == ours["customers"]
        months = {row["currency"]: row for row in ours["revenue_this_month"]}
        assert "500.00" == months["PHP"]["revenue"]["amount"]
        assert "750.00" == months["PHP"]["charged"]["amount"]
        assert "500" == months["JPY"]["revenue"]["amount"]
        assert "best_tier" in {insight["key"] for insight in ours["insights"]}

    def test_have_no_float_and_one_present(
        self, client: TestClient, rows: Rows, mine: EmergenceRows
    ) -> None:
        found = _get(client, rows, mine, f"{BASE}?{AS_OF}&active_days=1")
        assert found["as_of"] == "2026-03-15T00:00:00Z"
        assert found["customers"]["active"] == 0

        def floats(value: Any) -> bool:
            if isinstance(value, dict):
                return any(map(floats, value.values()))
            return any(map(floats, value)) if isinstance(value, list) else type(value) is float

        assert not floats(found)


class TestTiers:
    def test_answer_alike_at_s0s_address_and_at_ours(
        self, client: TestClient, rows: Rows, mine: EmergenceRows
    ) -> None:
        """S0-42, S0-57, S0-53."""
        ours = _get(client, rows, mine, f"{BASE}/tiers")
        assert ours == _get(client, rows, mine, "/api/tier-analytics")
        ranks = [
            (row["currency"], row["rank"], row["emergence_type"], row["revenue"]["amount"])
            for row in ours["tiers"]
        ]
        assert [
            ("JPY", 1, "blueprint_package", "500"),
            ("PHP", 1, "blueprint_package", "500.00"),
            ("PHP", 2, "bom_suppliers", "0.00"),
        ] == ranks
        assert [
            {"emergence_type": "blueprint_package", "charges": 2},
            {"emergence_type": "bom_suppliers", "charges": 1},
        ] == ours["preferences"]
        alone = _get(client, rows, mine, f"{BASE}/tiers?customer=yen&{RANGE}")
        assert [{"emergence_type": "blueprint_package", "charges": 1}] == alone["preferences"]


class TestTrends:
    def test_show_each_booking_on_its_day(
        self, client: TestClient, rows: Rows, mine: EmergenceRows
    ) -> None:
        found = _get(client, rows, mine, f"{BASE}/revenue?{RANGE}")["data"]
        assert [
            ("2026-03-01", "JPY", "500"),
            ("2026-03-01", "PHP", "500.00"),
            ("2026-03-02", "PHP", "250.00"),
            ("2026-03-03", "PHP", "-250.00"),
        ] == [(row["start"], row["currency"], row["revenue"]["amount"]) for row in found]
        months = _get(client, rows, mine, f"{BASE}/revenue?{RANGE}&step=month")["data"]
        assert ["500", "500.00"] == [row["revenue"]["amount"] for row in months]

    def test_show_when_customers_work(
        self, client: TestClient, rows: Rows, mine: EmergenceRows
    ) -> None:
        found = _get(client, rows, mine, f"{BASE}/activity?{RANGE}&customer=payer")["data"]
        assert {
            "day": "2026-03-01",
            "weekday": "Sunday",
            "customers": 1,
            "node_updates": 3,
            "pulses": 1,
            "transactions": 1,
        } == found[0]

    def test_list_customers_page_by_page(
        self, client: TestClient, rows: Rows, mine: EmergenceRows
    ) -> None:
        """S0-52, S0-55."""
        seen, cursor = [], ""
        while True:
            page = _get(client, rows, mine, f"{BASE}/customers?limit=1{cursor}")
            seen += [(row["customer"], row["lifetime_value"]["amount"]) for row in page["data"]]
            if not page["has_more"]:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert [("yen", "500"), ("payer", "500.00"), ("idle", "0.00")] == seen


class TestRefusals:
    @pytest.mark.parametrize(
        ("path", "param"),
        [
            ("?as_of=yesterday", "as_of"),
            ("?as_of=1970-01-01T00:00:00Z", "as_of"),
            ("?as_of=9999-12-31T00:00:00Z", "as_of"),
            ("?active_days=0", "active_days"),
            ("?active_days=3661", "active_days"),
            ("?active_days=1_0", "active_days"),
            ("?days=7", "days"),
            ("/tiers?from=2026-01-01T00:00:00Z", "to"),
            ("/tiers?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
            ("/revenue?from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
            ("/revenue?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&step=year", "step"),
            ("/activity?from=2026-01-01&to=2026-01-02T00:00:00Z", "from"),
            ("/customers?cursor=x", "cursor"),
        ],
    )
    def test_name_the_parameter(
        self, client: TestClient, rows: Rows, tenant: str, path: str, param: str
    ) -> None:
        answer = client.get(f"{BASE}{path}", headers=bearer(rows.api_key(tenant)))
        assert (400, "invalid_request") == (answer.status_code, answer.json()["code"])
        assert param == answer.json()["param"]

    @pytest.mark.parametrize("path", ["/api/metrics", "/api/tier-analytics", BASE])
    def test_of_a_missing_key(self, client: TestClient, path: str) -> None:
        assert client.get(path).status_code == 401

    def test_show_nothing_of_another_tenant(
        self, client: TestClient, rows: Rows, mine: EmergenceRows
    ) -> None:
        stranger = bearer(rows.api_key(f"{mine.tenant}-stranger"))
        found = client.get(f"/api/metrics?{AS_OF}", headers=stranger).json()
        assert (0, [], []) == (
            found["customers"]["total"],
            found["revenue_by_day"],
            found["tiers"],
        )
        assert [] == client.get(f"{BASE}/customers", headers=stranger).json()["data"]
