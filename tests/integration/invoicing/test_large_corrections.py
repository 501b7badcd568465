"""A correction of an invoice of 1,500 lines on the real pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from domain.canonical import Json
from domain.invoice_terms import ITEMS_MAX
from domain.period import add_months, time_text
from projections.invoicing.builder import Billed, Scope, bill
from projections.invoicing.replay import replay
from tests.support.pipeline_world import START, TENANT, Event, World, running_world

PRICES, PARTS = 100, 15
LINES = PRICES * PARTS


def catalogue(version: int, **billing: Json) -> Json:
    """A hundred prices of a value that holds on, so that one event touches all parts."""
    return {
        "version": version,
        "billing": {"grace_hours": 0, **billing},
        "meters": [
            {"key": "desks", "event_type": "desk", "aggregation": "time_weighted", "unit": "desk"},
        ],
        "plans": [
            {
                "code": "basic",
                "name": "Basic",
                "currency": "USD",
                "prices": [
                    {
                        "key": f"price_{number:03}",
                        "form": "per_unit",
                        "meter": "desks",
                        "rate": "2.40",
                    }
                    for number in range(PRICES)
                ],
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
        catalogue=catalogue(1),
        name="large_corrections_test",
    ) as running:
        running.act("StartClock", as_of="2020-01-01T00:00:00Z")
        yield running


def billed(world: World, customer: str, *, month: int) -> Billed:
    """Bill one month, the first is 0."""
    start, end = (add_months(START, months=month + more) for more in (0, 1))
    scope = Scope(TENANT, end, month=start.strftime("%Y-%m"), customer=customer)
    (found,) = bill(world.settings, world.sender, scope)
    assert (found.code, found.reason) == ("", "")
    return found


def of_all_lines(world: World, customer: str) -> None:
    """Subscribe, use 5 desks from the start, change the seats on 14 days."""
    world.subscribe(customer)
    world.send_usage(customer, [desks("first", "5", START)])
    for part in range(1, PARTS):
        world.act(
            "ChangeSeats",
            subscription=f"sub_{customer}",
            seats=2 + part % 2,
            as_of=time_text(START + timedelta(days=part)),
        )


def desks(name: str, quantity: str, at: datetime) -> Event:
    return Event(name, "desk", quantity, at)


class TestOfManyLines:
    def test_waits_for_as_many_invoices_as_it_needs(self, world: World) -> None:
        """1,000 items and 500, in order; the first says how many are left. Together: in time."""
        of_all_lines(world, "cus_more")
        first = billed(world, "cus_more", month=0)
        assert len(first.content.lines) == LINES
        world.send_usage("cus_more", [desks("late", "7", START + timedelta(hours=1))])

        (corrected,) = world.correct("cus_more", as_of=add_months(START, months=1))
        assert (corrected.code, len(corrected.changes)) == ("", LINES)
        assert world.correct("cus_more", as_of=add_months(START, months=1)) == []
        later = [billed(world, "cus_more", month=month) for month in (1, 2)]

        assert [each.items_left for each in later] == [LINES - ITEMS_MAX, 0]
        asked = [item for each in later for item in each.terms.items]
        assert [item.refers[1] for item in asked] == [each.line for each in corrected.changes]
        total = first.content.total_minor + sum(item.amount_minor for item in asked)
        assert total == corrected.content.total_minor
        for name in (corrected.correction, later[0].invoice):
            again = replay(world.settings, tenant=TENANT, name=name)
            assert again.content.sha256 == again.original.sha256

    def test_as_a_credit_note_is_shown_whole(self, world: World) -> None:
        """The projector takes as many lines as the books write."""
        world.publish(catalogue(2, corrections="credit_note"))
        of_all_lines(world, "cus_less")
        first = billed(world, "cus_less", month=0)
        world.send_usage("cus_less", [desks("late", "3", START + timedelta(hours=1))])

        (corrected,) = world.correct("cus_less", as_of=add_months(START, months=1))

        assert (corrected.code, len(corrected.changes)) == ("", LINES)
        ((lines, amount),) = world.rows(
            "SELECT count(*), sum(amount_minor)::bigint FROM credit_note_line"
        )
        assert lines == LINES
        assert first.content.total_minor - amount == corrected.content.total_minor
