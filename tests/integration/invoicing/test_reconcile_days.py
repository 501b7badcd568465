"""Reconciliation of days that were added up: bills read them, so they prove nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time

import pytest

from domain.canonical import Json
from projections.invoicing.reconcile import Reconciled, reconcile
from projections.usage_days import last_day_over, roll_up
from runtime.postgres import connect
from tests.support.pipeline_world import TENANT, Event, World, running_world

CATALOGUE: Json = {
    "version": 1,
    "meters": [{"key": "calls", "event_type": "call", "aggregation": "sum", "unit": "call"}],
    "plans": [
        {
            "code": "basic",
            "name": "Basic",
            "currency": "USD",
            "prices": [{"key": "calls", "form": "per_unit", "meter": "calls", "rate": "1"}],
        }
    ],
}


@pytest.fixture(scope="module")
def world(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with running_world(
        kafka=kafka_bootstrap,
        database_admin_url=database_admin_url,
        state_dir=tmp_path_factory.mktemp("state"),
        catalogue=CATALOGUE,
        name="reconcile_days_test",
    ) as running:
        running.act("StartClock", as_of="2020-01-01T00:00:00Z")
        yield running


class TestAddedUpDay:
    def test_that_is_wrong_is_named_and_so_is_the_invoice_made_from_it(self, world: World) -> None:
        """7 calls, 107 in the day: the invoice, and the day, until late usage takes it away."""
        day = last_day_over()
        start = datetime.combine(day, time(), UTC)
        world.subscribe("cus_a", start=start)
        world.send_usage("cus_a", [Event("one", "call", "7", start)])
        assert [made.series for made in roll_up(world.settings, first=day, through=day)] == [1]

        def result() -> Reconciled:
            return reconcile(world.settings, tenant=TENANT, first=day, last=day)

        assert result().differences == ()
        _change(world, "UPDATE usage_day SET sum = sum + 100")
        wrong_day = (
            f"{day} calls of cus_a: added up 1 events, sum 107; its windows 1 events, sum 7"
        )
        assert result().differences == (wrong_day,)

        (billed,) = world.bill("cus_a", month=f"{day:%Y-%m}")
        assert billed.built is not None
        assert billed.built.total_minor == 10_700
        ((number,),) = world.rows("SELECT number FROM invoice")
        wrong_invoice = (
            f"invoice {number}: part 0, meter calls: invoiced 107 of 1 events, counted 7 of 1"
        )
        assert sorted(result().differences) == sorted((wrong_invoice, wrong_day))

        _change(world, "DELETE FROM usage_day")
        missing = f"{day} calls of cus_a: added up 0 events, sum 0; its windows 1 events, sum 7"
        assert sorted(result().differences) == sorted((wrong_invoice, missing))

        world.send_usage("cus_a", [Event("late", "call", "1", start)])
        (left,) = result().differences
        assert left.startswith(f"invoice {number}: ")


def _change(world: World, statement: str) -> None:
    """Change the tables as nobody would."""
    with connect(world.settings, role="owner", autocommit=True) as connection:
        connection.execute(statement.encode())
