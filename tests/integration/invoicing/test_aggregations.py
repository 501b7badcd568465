"""Every aggregation from the SDK to query and invoice, replayed, traced and rebuilt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from domain.aggregation.kinds import Aggregation
from domain.canonical import Json
from domain.period import Period, add_months
from projections.invoicing.outcomes import await_projected
from projections.invoicing.replay import find_invoice, replay
from projections.invoicing.trace import trace
from projections.queries.connection import tenant_connection
from projections.queries.usage import UsageBucket, list_usage
from projections.queries.usage_question import Granularity, UsageQuestion
from projections.rebuild import rebuild
from runtime.postgres import new_engine
from tests.support.pipeline_world import START, TENANT, World, running_world
from tidegauge import Meter

LAST_MONTH = add_months(START, months=-1)
"""Billed by the test: over, and young enough for its events to be taken late."""
HOUR = timedelta(hours=1)
METERS: dict[Aggregation, dict[str, Json]] = {
    aggregation: {
        "key": aggregation.value,
        "event_type": "call",
        "aggregation": aggregation.value,
        "unit": "unit",
        **({"value": "property:user"} if aggregation is Aggregation.UNIQUE else {}),
        **({"percentile": "90"} if aggregation is Aggregation.PERCENTILE else {}),
    }
    for aggregation in Aggregation
    if aggregation is not Aggregation.LATEST
}
"""Eight: as many as one event type may feed."""
BY_PAGE: dict[str, Json] = {
    "key": "by_page",
    "event_type": "view",
    "aggregation": "sum",
    "unit": "view",
    "group_by": ["page"],
    "dimension_sets_max": 2,
}
DISKS: dict[str, Json] = {
    "key": "disks",
    "event_type": "disk",
    "aggregation": "time_weighted",
    "unit": "GBh",
    "group_by": ["disk"],
}
KEYS = [*(aggregation.value for aggregation in METERS), "by_page", "disks"]
PLANS: Json = [
    {
        "code": "basic",
        "name": "Basic",
        "currency": "USD",
        "prices": [{"key": key, "form": "per_unit", "meter": key, "rate": "0.01"} for key in KEYS],
    }
]
CATALOGUE: Json = {
    "version": 1,
    "meters": [*METERS.values(), BY_PAGE, DISKS],
    "plans": PLANS,
}
CALLS = [
    # hours after the month began, quantity, user
    (-10.0, "4", "ann"),
    (2.0, "10", "ann"),
    (2.5, "30", "bob"),
    (50.25, "20", "ann"),
    (60.0, "0", "cid"),
]
PAGES = ["/a", "/b", "/a", "/c", "/d", "/c", "/b"]


@pytest.fixture(scope="module")
def world(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with running_world(
        kafka=kafka_bootstrap,
        database_admin_url=database_admin_url,
        state_dir=tmp_path_factory.mktemp("state"),
        catalogue=CATALOGUE,
        name="aggregations_test",
    ) as running:
        running.subscribe("cus_one", start=LAST_MONTH)
        with Meter(running.settings.kafka, tenant=TENANT, backfill=True) as meter:
            for number, (hours, quantity, user) in enumerate(CALLS):
                meter.record(
                    customer="cus_one",
                    type="call",
                    quantity=Decimal(quantity),
                    occurred_at=LAST_MONTH + hours * HOUR,
                    properties={"user": user},
                    id=f"call {number}",
                )
            for number, page in enumerate(PAGES):
                meter.record(
                    customer="cus_one",
                    type="view",
                    quantity=1,
                    occurred_at=LAST_MONTH + HOUR,
                    dimensions={"page": page},
                    id=f"view {number}",
                )
                assert meter.flush(timeout=20) == 0  # their order is what the limit goes by
        await_projected(running.settings, tenant=TENANT)
        yield running


def ask(world: World, **changes: Any) -> tuple[UsageBucket, ...]:
    question = UsageQuestion(Period(LAST_MONTH, START), Granularity.MONTH, until=START)
    engine = new_engine(world.settings, role="app")
    try:
        with tenant_connection(engine, tenant=TENANT) as connection:
            return list_usage(connection, question=replace(question, **changes))
    finally:
        engine.dispose()


AREA = 4 * 2 + 10 * Decimal("0.5") + 30 * Decimal("47.75") + 20 * Decimal("9.75")
"""4 holds on from the month before; 10 from 2:00, 30 from 2:30, 20 from 50:15, 0 from 60:00."""
VALUES = {
    "sum": Decimal(60),
    "count": Decimal(4),
    "min": Decimal(0),
    "max": Decimal(30),
    "average": Decimal(15),
    "unique": Decimal(3),
    "time_weighted": AREA,
}


class TestUsage:
    def test_has_the_value_of_each_aggregation(self, world: World) -> None:
        """By hand; the percentile is 30 to one percent, and the only estimate."""
        found = {bucket.meter: bucket.value for bucket in ask(world)}
        p90 = found.pop("percentile")
        assert p90 is not None
        assert abs(Decimal(p90.nanos) / 10**9 - 30) <= Decimal("0.3")
        assert p90.is_estimate
        exact = {key: value for key, value in found.items() if key in VALUES and value}
        assert {key: Decimal(value.nanos) / 10**9 for key, value in exact.items()} == VALUES
        assert not any(value.is_estimate for value in exact.values())

    def test_of_hours_adds_up_to_that_of_the_month(self, world: World) -> None:
        """A value holds on into hours without events; the last one is 0 and holds on too."""
        hours = ask(
            world,
            granularity=Granularity.HOUR,
            meter="time_weighted",
            period=Period(LAST_MONTH, LAST_MONTH + 70 * HOUR),
        )
        assert len(hours) == 70
        assert sum(bucket.value.nanos for bucket in hours if bucket.value) == AREA * 10**9
        assert [bucket.events for bucket in hours[:4]] == [0, 0, 2, 0]
        assert hours[0].latest is None
        (whole,) = ask(
            world,
            granularity=Granularity.PERIOD,
            meter="time_weighted",
            period=Period(LAST_MONTH, LAST_MONTH + 70 * HOUR),
        )
        assert whole.value is not None
        assert whole.value.nanos == AREA * 10**9

    def test_shows_what_the_limit_put_together(self, world: World) -> None:
        """The first two pages stay apart; the others are there, under their own name."""
        pages = {
            dict(bucket.group)["page"]: bucket.sum
            for bucket in ask(world, meter="by_page", dimensions=("page",))
        }
        assert pages == {"/a": 2, "/b": 2, "__other__": 3}

    def test_notes_the_limit_without_refusing_anything(self, world: World) -> None:
        with psycopg.connect(world.settings.database_url.get_secret_value()) as connection:
            rows = connection.execute(
                "SELECT code, sum(events), min(reason) FROM tidegauge.reject GROUP BY code"
            ).fetchall()
            refused = connection.execute(
                "SELECT sum(rejected) FROM tidegauge.intake_count"
            ).fetchall()
        reason = "counted as __other__: more sets of dimensions than by_page keeps apart"
        assert rows == [("dimension_limit", 3, reason)]
        assert refused == [(0,)]


class TestInvoice:
    def test_is_replayed_and_every_line_is_traced(self, world: World) -> None:
        """Events and facts give the same bytes; every line's raw events add up to it again."""
        (billed,) = world.bill(
            "cus_one",
            as_of=START + timedelta(days=1),
            month=LAST_MONTH.astimezone(UTC).strftime("%Y-%m"),
        )
        assert billed.code == ""
        lines = {line.meter: line for line in billed.content.lines}
        for key, value in VALUES.items():
            assert Decimal(lines[key].quantity) == value, key
        assert Decimal(lines["by_page"].quantity) == len(PAGES)
        assert [key for key, line in lines.items() if line.is_estimate] == ["percentile"]
        found = find_invoice(world.settings, tenant=TENANT, name=billed.invoice)
        for source in ("events", "facts"):
            again = replay(world.settings, tenant=TENANT, name=found.number, source=source)
            assert found.text == again.content.text
        for number, line in enumerate(billed.content.lines, start=1):
            traced = trace(world.settings, tenant=TENANT, name=billed.invoice, line_number=number)
            assert traced.is_equal, line.meter


def record(world: World, customer: str, *events: tuple[str, str, float, int]) -> None:
    """Send events one by one: type, dimension value, hours after the month began, quantity."""
    dimension = {"view": "page", "disk": "disk"}
    with Meter(world.settings.kafka, tenant=TENANT, backfill=True) as meter:
        for kind, value, hours, quantity in events:
            meter.record(
                customer=customer,
                type=kind,
                quantity=quantity,
                occurred_at=LAST_MONTH + hours * HOUR,
                dimensions={dimension[kind]: value},
            )
            assert meter.flush(timeout=20) == 0
    await_projected(world.settings, tenant=TENANT)


def billed_line(world: World, customer: str, meter: str) -> tuple[str, int, Decimal]:
    (billed,) = world.bill(
        customer,
        as_of=START + timedelta(days=1),
        month=LAST_MONTH.astimezone(UTC).strftime("%Y-%m"),
    )
    lines = list(billed.content.lines)
    number = [line.meter for line in lines].index(meter)
    return billed.invoice, number + 1, Decimal(lines[number].quantity)


class TestTrace:
    def test_of_gauges_goes_back_to_where_each_value_began(self, world: World) -> None:
        """Three disks whose last values lie in different hours before the period."""
        world.subscribe("cus_disks", start=LAST_MONTH)
        record(
            world, "cus_disks",
            ("disk", "a", -20, 100), ("disk", "b", -20, 50), ("disk", "c", -20, 10),
            ("disk", "b", -10, 60), ("disk", "c", 1, 0),
        )  # fmt: skip

        invoice, number, quantity = billed_line(world, "cus_disks", "disks")

        assert quantity == 160 * ((START - LAST_MONTH) // HOUR) + 10
        traced = trace(world.settings, tenant=TENANT, name=invoice, line_number=number)
        assert traced.is_equal
        # What comes later, even to hours before the period, is not this invoice's.
        record(world, "cus_disks", ("disk", "a", -15, 70), ("disk", "a", 3, 1))
        traced = trace(world.settings, tenant=TENANT, name=invoice, line_number=number)
        assert traced.is_equal
        for source in ("events", "facts"):
            again = replay(world.settings, tenant=TENANT, name=invoice, source=source)
            assert again.content.sha256 == again.original.sha256

    def test_knows_what_was_counted_before_a_limit_was_raised(self, world: World) -> None:
        """One page has events among the others and, after the raise, apart from them."""
        world.subscribe("cus_pages", start=LAST_MONTH)
        pages = [f"/new-{number}" for number in range(4)]
        record(world, "cus_pages", *(("view", page, 5, 1) for page in pages))
        raised: Json = {"plans": PLANS, "version": 2, "meters": [
            *METERS.values(), {**BY_PAGE, "dimension_sets_max": 10}, DISKS
        ]}  # fmt: skip
        world.publish(raised)
        record(world, "cus_pages", *(("view", page, 5, 10) for page in pages))

        invoice, number, quantity = billed_line(world, "cus_pages", "by_page")

        assert quantity == 44
        traced = trace(world.settings, tenant=TENANT, name=invoice, line_number=number)
        assert traced.is_equal
        assert traced.events == 8
        assert {dict(row.dimensions)["page"] for row in traced.windows} == {*pages, "__other__"}


class TestRebuild:
    def test_gives_the_same_sketches(self, world: World) -> None:
        """Dropped and made again from the log, byte for byte."""

        def sketches() -> list[tuple[object, ...]]:
            with psycopg.connect(world.settings.database_url.get_secret_value()) as connection:
                return connection.execute(
                    "SELECT * FROM tidegauge.usage_sketch ORDER BY tenant, series, hour"
                ).fetchall()

        before = sketches()
        rebuild(world.settings)
        await_projected(world.settings, tenant=TENANT)
        assert before == sketches()
        assert len(before) > 3 * 4
