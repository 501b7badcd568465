"""GET /usage: hours added up into buckets, exactly, for one tenant."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from domain.aggregation import time_weighted, unique
from projections.queries import usage, usage_question, usage_values
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


def meter(key: str, aggregation: str, **more: Any) -> dict[str, Any]:
    return {"key": key, "event_type": "e", "aggregation": aggregation, "unit": "u", **more}


def unique_sketch(*texts: str) -> bytes:
    hashes = np.array([unique.hash_of(text) for text in texts], dtype=np.uint64)
    return dict(unique.sketches_of(np.zeros(len(texts), np.int64), hashes))[0]


def step_sketch(hour: datetime, minute: int, units: int) -> bytes:
    at_ms = np.array([int(hour.timestamp()) * 1000 + minute * 60_000])
    zero, one = np.zeros(1, np.int64), np.ones(1, np.int64)
    return dict(time_weighted.sketches_of(zero, at_ms, one, one * units, zero))[0]


class TestValues:
    @pytest.mark.parametrize(
        ("aggregation", "value"),
        [("sum", "10"), ("count", "3"), ("min", "2"), ("max", "5"), ("latest", "3"),
         ("average", "3.333333333")],
    )  # fmt: skip
    def test_are_what_the_meter_says(
        self, client: TestClient, rows: Rows, tenant: str, aggregation: str, value: str
    ) -> None:
        """The same windows, read by six meters' rules."""
        rows.catalogue(tenant, meter("tokens", aggregation))
        series = rows.series(tenant)
        rows.window(tenant, series, NOON, "5", "2")
        rows.window(tenant, series, NOON + timedelta(hours=1), "3")

        (bucket,) = _ask(client, rows, tenant, granularity="day")

        assert (bucket["aggregation"], bucket["value"]) == (aggregation, value)
        assert bucket["is_estimate"] is False

    def test_of_different_users_are_counted_once_over_hours_and_customers(
        self, client: TestClient, rows: Rows, tenant: str
    ) -> None:
        """Ann of two hours and two customers is one of the day, and one of each customer."""
        rows.catalogue(tenant, meter("users", "unique", value="property:user"))
        for customer, hour, users in (
            ("c1", 0, ("ann", "bob")), ("c1", 1, ("ann",)), ("c2", 1, ("ann", "cid")),
        ):  # fmt: skip
            series = rows.series(tenant, customer=customer, meter="users")
            rows.window(tenant, series, NOON + timedelta(hours=hour), *("1" for _ in users))
            rows.sketch(tenant, series, NOON + timedelta(hours=hour), unique_sketch(*users))

        (whole,) = _ask(client, rows, tenant, granularity="day")
        split = _ask(client, rows, tenant, granularity="day", group_by="customer")

        assert (whole["value"], whole["events"]) == ("3", 5)
        assert [(each["customer"], each["value"]) for each in split] == [("c1", "2"), ("c2", "2")]

    def test_hold_on_into_buckets_without_events(
        self, client: TestClient, rows: Rows, tenant: str
    ) -> None:
        """2 from 12:30 of the day before the period on, 5 from the second day's noon on."""
        rows.catalogue(tenant, meter("disk", "time_weighted"))
        series = rows.series(tenant, meter="disk")
        for at, minute, units in ((-24, 30, 2), (24, 0, 5)):
            hour = NOON + timedelta(hours=at)
            rows.window(tenant, series, hour, str(units))
            rows.sketch(tenant, series, hour, step_sketch(hour, minute, units))

        days = _ask(client, rows, tenant, granularity="day", to="2026-03-04T00:00:00Z")

        assert [day["value"] for day in days] == ["48", str(2 * 12 + 5 * 12), "120"]
        assert [day["events"] for day in days] == [0, 1, 0]
        assert [day["latest"] for day in days] == [None, "5", None]

    def test_that_would_hold_on_into_too_many_buckets_are_refused_at_once(
        self, client: TestClient, rows: Rows, tenant: str
    ) -> None:
        """15 customers times 744 hours, from one step each: nothing of it is worked out first."""
        rows.catalogue(tenant, meter("disk", "time_weighted"))
        for number in range(15):
            series = rows.series(tenant, customer=f"c{number}", meter="disk")
            rows.sketch(tenant, series, NOON, step_sketch(NOON, 0, 1))
        span = {"from": "2026-03-01T00:00:00Z", "to": "2026-04-01T00:00:00Z"}

        answer = client.get(
            USAGE, params={**span, "group_by": "customer"}, headers=bearer(rows.api_key(tenant))
        )
        (whole,) = _ask(client, rows, tenant, granularity="period", **span)

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
        assert "10000 rows" in answer.json()["detail"]
        assert whole["value"] == str(15 * (31 * 24 - 12))

    def test_of_a_period_are_not_those_of_its_days_added_up(
        self, client: TestClient, rows: Rows, tenant: str
    ) -> None:
        """A user of two days is one user of both; the period may begin and end at any hour."""
        rows.catalogue(tenant, meter("users", "unique", value="property:user"))
        series = rows.series(tenant, meter="users")
        for day, users in ((0, ("ann", "bob")), (1, ("ann",)), (9, ("cid",))):
            rows.window(tenant, series, NOON + timedelta(days=day), *("1" for _ in users))
            rows.sketch(tenant, series, NOON + timedelta(days=day), unique_sketch(*users))
        span = {"from": "2026-03-01T11:00:00Z", "to": "2026-03-02T13:00:00Z"}

        (whole,) = _ask(client, rows, tenant, granularity="period", **span)
        days = _ask(client, rows, tenant, granularity="day", **span)

        assert (whole["start"], whole["value"], whole["sum"]) == (span["from"], "2", "3")
        assert [day["value"] for day in days] == ["2", "1"]

    def test_of_another_tenant_are_not_seen(
        self, client: TestClient, rows: Rows, tenant: str
    ) -> None:
        """The same meter of a neighbour does not change a number."""
        rows.catalogue(tenant, meter("users", "unique", value="property:user"))
        for owner, users in ((tenant, ("ann",)), (f"{tenant}-2", ("bob", "cid"))):
            series = rows.series(owner, meter="users")
            rows.window(owner, series, NOON, "1")
            rows.sketch(owner, series, NOON, unique_sketch(*users))

        (bucket,) = _ask(client, rows, tenant, granularity="day")

        assert bucket["value"] == "1"

    def test_that_rest_on_too_many_sketches_are_refused(
        self, client: TestClient, rows: Rows, tenant: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An answer never fills the memory; it says what to narrow."""
        monkeypatch.setattr(usage_values, "SKETCH_BYTES_MAX", 20)
        rows.catalogue(tenant, meter("users", "unique", value="property:user"))
        series = rows.series(tenant, meter="users")
        for hour in range(2):
            rows.window(tenant, series, NOON + timedelta(hours=hour), "1")
            rows.sketch(tenant, series, NOON + timedelta(hours=hour), unique_sketch("ann"))

        answer = client.get(USAGE, params=MARCH, headers=bearer(rows.api_key(tenant)))

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


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
            "aggregation": None,
            "value": None,
            "is_estimate": False,
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
        for module in (usage, usage_question, usage_values):
            monkeypatch.setattr(module, "USAGE_ROWS_MAX", 2)
        series = rows.series(tenant)
        for hour in range(3):
            rows.window(tenant, series, NOON + timedelta(hours=hour), "1")

        answer = client.get(USAGE, params=MARCH, headers=bearer(rows.api_key(tenant)))

        assert answer.status_code == 400
        assert answer.json()["code"] == "invalid_request"
        assert answer.json()["param"] == "from"
        assert "shorter period" in answer.json()["detail"]
