"""Items on the real pipeline: of subscriptions that are over, and in the order of the log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from domain.canonical import Json
from domain.codes import Code
from domain.period import time_text
from projections.invoicing.builder import Billed, Scope, bill
from projections.invoicing.dry_run import dry_run
from runtime.postgres import connect
from tests.integration.invoicing.test_late_usage import (
    BILLED_AT,
    CATALOGUE,
    LATER,
    MONTH_END,
    calls,
)
from tests.support.pipeline_world import START, TENANT, World, running_world


@pytest.fixture(scope="module")
def world(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    assert isinstance(CATALOGUE, dict)
    by_invoice: Json = {**CATALOGUE, "billing": {"rounding": "invoice"}}
    with running_world(
        kafka=kafka_bootstrap,
        database_admin_url=database_admin_url,
        state_dir=tmp_path_factory.mktemp("state"),
        catalogue=by_invoice,
        name="items_of_the_past_test",
    ) as running:
        running.act("StartClock", as_of="2020-01-01T00:00:00Z")
        yield running


class TestItemsOfSubscriptionsThatAreOver:
    def test_are_billed_on_their_own_when_no_subscription_is_to_come(self, world: World) -> None:
        """Late usage of an ended subscription, 3.00: the items invoice takes it, with an item."""
        _ended(world, "cus_over")
        world.send_usage("cus_over", [calls("late", "3")])
        world.correct("cus_over", as_of=LATER)
        _item(world, "cus_over", 700)

        billed = _bill(world, "cus_over")

        assert [(each.code, each.content.total_minor) for each in billed] == [("", 1_000)]
        assert _pending(world, "cus_over") == []

    def test_go_with_the_next_invoice_of_another_subscription(self, world: World) -> None:
        """What is left of the first subscription does not wait until the second one ends."""
        _ended(world, "cus_moved")
        world.send_usage("cus_moved", [calls("late", "3")])
        world.correct("cus_moved", as_of=LATER)
        world.act(
            "CreateSubscription",
            subscription="sub_next",
            customer="cus_moved",
            plan="basic",
            start=time_text(MONTH_END),
        )

        billed = _bill(world, "cus_moved", days=40)

        assert [(each.code, each.content.total_minor) for each in billed] == [("", 1_200)]
        assert _pending(world, "cus_moved") == []


class TestOrder:
    def test_of_items_is_that_of_the_log_when_its_times_go_back(self, world: World) -> None:
        """Books and builder list them alike although the second one bears the earlier time."""
        world.subscribe("cus_order")
        _item(world, "cus_order", 100)
        _item(world, "cus_order", 200)
        _tamper(
            world,
            "UPDATE invoice_item SET added_at = added_at - interval '1 hour'"
            " WHERE customer = 'cus_order' AND amount_minor = 200",
        )

        billed = world.bill("cus_order", as_of=BILLED_AT)

        assert [each.code for each in billed] == [""]


class TestContentThatCannotBeMade:
    def test_is_shown_with_its_code_and_keeps_nobody_else_from_being_billed(
        self, world: World
    ) -> None:
        """An amount of 10^15 cents has no room at six places: that invoice waits, others go on."""
        for customer in ("cus_a", "cus_huge", "cus_z"):
            world.subscribe(customer)
        _item(world, "cus_huge", 10**12)
        _tamper(
            world,
            "UPDATE invoice_item SET document = jsonb_set(document::jsonb, '{amount_minor}',"
            " '1000000000000000')::text WHERE customer = 'cus_huge'",
        )
        scope = Scope(TENANT, BILLED_AT, month=START.strftime("%Y-%m"))

        shown = {each.terms.customer: each.code for each in dry_run(world.settings, scope)}
        billed = {
            each.terms.customer: each.code for each in bill(world.settings, world.sender, scope)
        }

        wanted = {"cus_a": "", "cus_huge": Code.AMOUNT_LIMIT, "cus_z": ""}
        assert {name: shown.get(name) for name in wanted} == wanted
        assert {name: billed.get(name) for name in wanted} == wanted


def _ended(world: World, customer: str) -> None:
    """A subscription of the one month, which is billed."""
    world.act("CreateCustomer", customer=customer, currency="USD")
    world.act(
        "CreateSubscription",
        subscription=f"sub_{customer}",
        customer=customer,
        plan="basic",
        start=time_text(START),
        end=time_text(MONTH_END),
    )
    (billed,) = world.bill(customer, as_of=BILLED_AT)
    assert billed.code == ""


def _item(world: World, customer: str, amount_minor: int) -> None:
    world.act(
        "AddItem",
        item=f"itm_{amount_minor:032x}",
        customer=customer,
        label="Set up",
        amount_minor=amount_minor,
        currency="USD",
    )


def _bill(world: World, customer: str, *, days: int = 2) -> list[Billed]:
    scope = Scope(TENANT, MONTH_END + timedelta(days=days), customer=customer)
    return list(bill(world.settings, world.sender, scope))


def _pending(world: World, customer: str) -> list[tuple[Any, ...]]:
    return world.rows(
        "SELECT item FROM invoice_item WHERE customer = %s AND status = 'pending'", customer
    )


def _tamper(world: World, statement: str) -> None:
    """Change a table behind the projector's back."""
    with connect(world.settings, role="projector") as connection:
        connection.execute(statement.encode())
