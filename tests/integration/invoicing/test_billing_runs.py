"""Billing runs that never stick: what cannot be billed keeps nothing else waiting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from domain import invoice_room
from domain.canonical import Json
from domain.codes import Code
from domain.errors import Rejected
from domain.period import add_months
from projections.invoicing import builder, rails
from projections.invoicing.builder import Billed, Scope, bill, preview
from projections.invoicing.corrector import correct
from projections.invoicing.dry_run import dry_run
from projections.invoicing.replay import replay
from projections.invoicing.worker import BillingWorker
from runtime import commands
from runtime.shutdown import Shutdown
from schemas.topics import ACCOUNT_COMMANDS
from tests.integration.invoicing.test_billing_worker import NOW, START
from tests.support.pipeline_world import TENANT, Event, World, running_world

CATALOGUE: Json = {
    "version": 1,
    "billing": {"grace_hours": 0},
    "meters": [
        {"key": "seats", "event_type": "seat", "aggregation": "time_weighted", "unit": "seat"},
    ],
    "plans": [
        {
            "code": "basic",
            "name": "Basic",
            "currency": "USD",
            "prices": [
                {"key": "base", "form": "flat", "amount": "9.00"},
                {"key": "seats", "form": "per_unit", "meter": "seats", "rate": "1"},
            ],
        }
    ],
}
LINES = 2
"""Lines of an invoice of the plan; fees in advance come with the first as well."""


@pytest.fixture
def world(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with running_world(
        kafka=kafka_bootstrap,
        database_admin_url=database_admin_url,
        state_dir=tmp_path_factory.mktemp("state"),
        catalogue=CATALOGUE,
        name="billing_runs_test",
    ) as running:
        yield running


def run(world: World, **limits: int) -> list[Billed]:
    """Bill all that is due, with other limits."""
    settings = world.settings.model_copy(update=limits)
    return list(bill(settings, world.sender, Scope(TENANT, NOW)))


class TestTooLarge:
    def test_invoice_or_correction_is_left_out_and_the_others_are_made(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One of twenty items is too large for a command; its neighbours in the batch are not."""
        for name in ("cus_a", "cus_large", "cus_z"):
            world.subscribe(name, start=START)
        for number in range(20):
            world.act(
                "AddItem",
                item=f"itm_{number}",
                customer="cus_large",
                subscription="sub_cus_large",
                label="x" * 200,
                amount_minor=100,
                currency="USD",
            )
        with monkeypatch.context() as patch:
            topic = replace(ACCOUNT_COMMANDS, message_bytes_max=8_000)
            patch.setattr(commands, "ACCOUNT_COMMANDS", topic)
            wanted = {"cus_a": "", "cus_large": Code.OVERSIZED, "cus_z": ""}
            shown = dry_run(world.settings, Scope(TENANT, NOW))
            assert {each.terms.customer: each.code for each in shown} == wanted
            assert {each.terms.customer: each.code for each in run(world)} == wanted

        (made,) = run(world)
        assert (made.terms.customer, made.code) == ("cus_large", "")

        for name in ("cus_a", "cus_large"):
            world.send_usage(name, [Event("late", "seat", "5", START + timedelta(hours=30))])
        monkeypatch.setattr(commands, "ACCOUNT_COMMANDS", topic)
        corrected = {
            each.content.terms.customer: each.code
            for each in correct(world.settings, world.sender, tenant=TENANT, as_of=NOW)
        }
        assert corrected == {"cus_a": "", "cus_large": Code.OVERSIZED}


class TestWithoutRoom:
    def test_for_all_items_takes_half_of_them_and_the_next_invoice_the_rest(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Dry run, preview and run are one; a correction in between keeps to the first half."""
        world.subscribe("cus_items", start=START)
        for number in range(8):
            world.act(
                "AddItem",
                item=f"itm_{number}",
                customer="cus_items",
                subscription="sub_cus_items",
                label="Setup",
                amount_minor=100,
                currency="USD",
            )
        settings, name = world.settings, "sub_cus_items"
        size = len(preview(settings, tenant=TENANT, subscription=name).text)
        monkeypatch.setattr(invoice_room, "CONTENT_BYTES_MAX", size)

        shown = preview(settings, tenant=TENANT, subscription=name)
        (dry,) = dry_run(settings, Scope(TENANT, NOW))
        (made,) = run(world)

        assert (made.code, made.items_left, dry.items_left) == ("", 4, 4)
        assert [item.item for item in made.terms.items] == [f"itm_{number}" for number in range(4)]
        assert dry.terms == made.terms == shown.terms
        again = replay(settings, tenant=TENANT, name=made.invoice)
        assert again.content.text == again.original.text == made.content.text
        world.send_usage("cus_items", [Event("late", "seat", "5", START + timedelta(hours=30))])
        (corrected,) = correct(settings, world.sender, tenant=TENANT, as_of=NOW)
        assert (corrected.code, len(corrected.changes)) == ("", 1)
        monkeypatch.undo()
        (rest,) = bill(settings, world.sender, Scope(TENANT, add_months(START, months=2)))
        assert [item.item for item in rest.terms.items[:4]] == ["itm_4", "itm_5", "itm_6", "itm_7"]
        assert (len(rest.terms.items), rest.items_left) == (5, 0)


class TestLimits:
    def test_of_a_run_let_each_next_run_go_on_behind(self, world: World) -> None:
        """Two invoices fit into a run: five are made in three runs, each but the last stopped."""
        for number in range(5):
            world.subscribe(f"cus_{number}", start=START)
        made: list[int] = []
        for _ in range(2):
            with pytest.raises(Rejected) as stopped:
                run(world, billing_lines_max=2 * LINES)
            assert stopped.value.code == Code.BILLING_LIMIT
            made.append(self._count(world))
        run(world, billing_lines_max=2 * LINES)

        assert [*made, self._count(world)] == [2, 4, 5]

    def test_leave_out_what_alone_is_too_much_for_a_run(self, world: World) -> None:
        """A run that began with it would stop there for ever."""
        for name in ("cus_a", "cus_dear", "cus_z"):
            world.subscribe(name, start=START)
        world.act(
            "AddItem",
            item="itm_dear",
            customer="cus_dear",
            subscription="sub_cus_dear",
            label="a machine",
            amount_minor=1_000_000,
            currency="USD",
        )
        with pytest.raises(Rejected):
            run(world, billing_total_max=100)
        assert self._count(world) == 1

        answers = {each.terms.customer: each.code for each in run(world, billing_total_max=100)}

        assert answers == {"cus_dear": Code.BILLING_LIMIT, "cus_z": ""}

    def test_of_a_batchs_text_leave_the_rest_to_the_next_batch(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Large invoices go one by one; a run makes them all."""
        monkeypatch.setattr(rails, "BATCH_CHARACTERS_MAX", 1)
        for number in range(3):
            world.subscribe(f"cus_{number}", start=START)
        assert [each.code for each in run(world)] == ["", "", ""]

    @staticmethod
    def _count(world: World) -> int:
        ((count,),) = world.rows("SELECT count(*) FROM invoice")
        return int(count)


class TestWorker:
    def test_asks_once_an_hour_for_what_is_refused(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Ten looks within an hour are one command; what is mended is billed after it."""
        world.subscribe("cus_refused", start=START)
        worker = BillingWorker(world.settings, world.sender, Shutdown())
        with monkeypatch.context() as patch:
            patch.setattr(builder, "_invoice_id", lambda _: "no invoice's id")
            for minutes in range(0, 60, 6):
                worker.look(now=NOW + timedelta(minutes=minutes))
            assert self._refusals(world) == 1
            worker.look(now=NOW + timedelta(minutes=61))
            assert self._refusals(world) == 2

        worker.look(now=NOW + timedelta(minutes=70))
        assert world.rows("SELECT count(*) FROM invoice") == [(0,)]
        worker.look(now=NOW + timedelta(minutes=122))
        assert world.rows("SELECT count(*) FROM invoice") == [(1,)]

    def test_bills_no_more_than_a_run_may_within_an_hour(self, world: World) -> None:
        """A limit is there for a person to look; looks are seconds apart."""
        for number in range(5):
            world.subscribe(f"cus_{number}", start=START)
        settings = world.settings.model_copy(update={"billing_lines_max": 2 * LINES})
        worker = BillingWorker(settings, world.sender, Shutdown())
        for minutes in range(0, 60, 6):
            worker.look(now=NOW + timedelta(minutes=minutes))
        assert world.rows("SELECT count(*) FROM invoice") == [(2,)]

        worker.look(now=NOW + timedelta(minutes=61))
        assert world.rows("SELECT count(*) FROM invoice") == [(4,)]

    def test_corrects_for_a_late_level_before_the_period(self, world: World) -> None:
        """Ten seats that came late hold on into the period: a dollar for each seat and hour."""
        world.subscribe("cus_level", start=START)
        worker = BillingWorker(world.settings, world.sender, Shutdown())
        worker.look(now=NOW)
        before = [Event("level", "seat", "10", START - timedelta(hours=5))]
        world.send_usage("cus_level", before)

        worker.look(now=NOW)
        worker.look(now=NOW)

        hours = (add_months(START, months=1) - START) // timedelta(hours=1)
        assert world.rows("SELECT amount_minor FROM invoice_item") == [(10 * hours * 100,)]
        assert world.rows("SELECT count(*) FROM correction") == [(1,)]

    @staticmethod
    def _refusals(world: World) -> int:
        ((count,),) = world.rows(
            "SELECT count(*) FROM command_outcome WHERE kind = 'FinalizeInvoice' AND code <> ''"
        )
        return int(count)
