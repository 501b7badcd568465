"""GET /usage: hours added up into buckets, exactly, for one tenant."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from projections.queries import usage
from tests.support.api_world import Rows, bearer

USAGE = "/api/v1/billing/usage"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MARCH = {"from": "2026-03-01T00:00:00Z", "to": "2026-03-31T00:00:00Z"}


def _ask(client: TestClient, rows: Rows, tenant: str, **parameters: Any) -> list[dict[str, Any]]:
    answer = client.get(
        USAGE, params={**MARCH, **parameters}, headers=bearer(rows.api_key(tenant))
    )
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["has_more"] is False
    assert body["next_cursor"] is None
    data: list[dict[str, Any]] = body["data"]
    return data


class TestSums:
    @pytest.mark.parametrize(
        ("values", "total"),
        [
            (("0.000000001", "0.000000001", "0.000000001"), "0.000000003"),
            (("100000000000000000000", "0.000000001"), "100000000000000000000.000000001"),
            (("0.1", "0.2"), "0.3"),
            (("5", "5"), "10"),
        ],
    )
    def test_are_exact(
        self, client: TestClient, rows: Rows, tenant: str, values: tuple[str, ...], total: str
    ) -> None:
        """No digit is lost between the window and the answer."""
        for place, value in enumerate(values):
            rows.window(tenant, rows.series(tenant), NOON + timedelta(hours=place), value)

        (bucket,) = _ask(client, rows, tenant, granularity="month")

        assert bucket["sum"] == total
        assert bucket["events"] == len(values)

    def test_of_largest_windows_do_not_overflow(
        self, client: TestClient, rows: Rows, tenant: str
    ) -> None:
        """Three windows of 29 digits give one of 30."""
        largest = "99999999999999999999999999999.999999999"
        for hour in range(3):
            rows.window(tenant, rows.series(tenant), NOON + timedelta(hours=hour), largest)

        (bucket,) = _ask(client, rows, tenant, granularity="day")

        assert bucket["sum"] == "299999999999999999999999999999.999999997"


class TestBuckets:
    def test_keep_what_each_aggregate_means(
        self, client: TestClient, rows: Rows, tenant: str
    ) -> None:
        """Sums add, extremes compare, the latest is the one that occurred last."""
        series = rows.series(tenant)
        rows.window(tenant, series, NOON, "5", "1", "4", late=1)
        rows.window(tenant, series, NOON + timedelta(hours=2), "9", "2", late=2)
        rows.window(tenant, series, NOON + timedelta(hours=1), "3")

        (bucket,) = _ask(client, rows, tenant, granularity="day")

        assert bucket == {
            "start": "2026-03-01T00:00:00Z",
            "meter": "tokens",
            "customer": None,
            "group": {},
            "sum": "24",
            "min": "1",
            "max": "9",
            "latest": "2",
            "events": 6,
            "late_events": 3,
        }

    def test_take_the_later_offset_of_events_at_one_moment(
        self, client: TestClient, rows: Rows, tenant: str
    ) -> None:
        for value, offset in (("1", 7), ("2", 9), ("3", 8)):
            rows.window(
                tenant,
                rows.series(tenant),
                NOON,
                value,
                latest_occurred_ms=1000,
                latest_offset=offset,
            )

        (bucket,) = _ask(client, rows, tenant)

        assert bucket["latest"] == "2"

    def test_are_half_open_and_in_order(self, client: TestClient, rows: Rows, tenant: str) -> None:
        series = rows.series(tenant)
        for hour in (0, 1, 2, 3):
            rows.window(tenant, series, NOON + timedelta(hours=hour), str(hour))

        buckets = _ask(
            client,
            rows,
            tenant,
            **{"from": "2026-03-01T14:00:00+01:00", "to": "2026-03-01T15:00:00Z"},
        )

        assert [(bucket["start"], bucket["sum"]) for bucket in buckets] == [
            ("2026-03-01T13:00:00Z", "1"),
            ("2026-03-01T14:00:00Z", "2"),
        ]

    def test_of_months_follow_the_calendar(
        self, client: TestClient, rows: Rows, tenant: str
    ) -> None:
        series = rows.series(tenant)
        for moment in (datetime(2024, 2, 29, 23, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)):
            rows.window(tenant, series, moment, "1")

        buckets = _ask(
            client,
            rows,
            tenant,
            granularity="month",
            **{"from": "2024-01-01T00:00:00Z", "to": "2025-01-01T00:00:00Z"},
        )

        assert [bucket["start"] for bucket in buckets] == [
            "2024-02-01T00:00:00Z",
            "2024-03-01T00:00:00Z",
        ]

    def test_split_by_dimension_and_customer(
        self, client: TestClient, rows: Rows, tenant: str
    ) -> None:
        """A missing dimension is null; quotes and brackets in names are only text."""
        odd = "a'b\"]; --"
        for customer, dimensions in (
            ("c1", {"model": "m1", odd: "x"}),
            ("c1", {"model": "m2"}),
            ("c2", {"model": "m1"}),
            ("c2", {}),
        ):
            series = rows.series(tenant, customer=customer, dimensions=dimensions)
            rows.window(tenant, series, NOON, "1")

        buckets = _ask(client, rows, tenant, group_by=["model", "customer", odd])

        found = [(bucket["customer"], bucket["group"]) for bucket in buckets]
        assert found == [
            ("c1", {"model": "m1", odd: "x"}),
            ("c1", {"model": "m2", odd: None}),
            ("c2", {"model": "m1", odd: None}),
            ("c2", {"model": None, odd: None}),
        ]

    def test_are_filtered_by_customer_and_meter(
        self, client: TestClient, rows: Rows, tenant: str
    ) -> None:
        for customer, meter in (("c1", "calls"), ("c1", "tokens"), ("c2", "calls")):
            rows.window(tenant, rows.series(tenant, customer=customer, meter=meter), NOON, "1")

        buckets = _ask(client, rows, tenant, customer="c1", meter="calls")

        assert [(bucket["customer"], bucket["meter"]) for bucket in buckets] == [("c1", "calls")]

    def test_that_would_be_too_many_are_refused(
        self,
        client: TestClient,
        rows: Rows,
        tenant: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(usage, "USAGE_ROWS_MAX", 2)
        series = rows.series(tenant)
        for hour in range(3):
            rows.window(tenant, series, NOON + timedelta(hours=hour), "1")

        answer = client.get(USAGE, params=MARCH, headers=bearer(rows.api_key(tenant)))

        assert answer.status_code == 400
        assert answer.json()["code"] == "invalid_request"
        assert answer.json()["param"] == "from"
        assert "shorter period" in answer.json()["detail"]
