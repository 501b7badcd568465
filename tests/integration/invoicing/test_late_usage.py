"""Late usage, corrections, money: what happens to an invoice after it is final."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from api.representations_invoices import (
    to_representation_invoice_document,
    to_representation_item,
)
from cli import billing, invoice_actions
from cli.invoice_text import explanation
from cli.main import app
from domain.canonical import Json
from domain.codes import Code
from domain.period import add_months, time_text
from domain.routing import partition_of
from projections.invoicing.builder import preview
from projections.invoicing.reconcile import reconcile
from projections.invoicing.replay import find_invoice, replay
from projections.invoicing.replay_all import replay_all
from projections.invoicing.trace import trace
from projections.queries import invoices, items
from projections.queries.connection import tenant_connection
from runtime.postgres import new_engine
from tests.support.pipeline_world import START, TENANT, Event, World, running_world

MONTH_END = add_months(START, months=1)
BILLED_AT = MONTH_END + timedelta(days=1)
LATER = BILLED_AT + timedelta(days=1)
CATALOGUE: Json = {
    "version": 1,
    "meters": [
        {"key": "calls", "event_type": "call", "aggregation": "sum", "unit": "call"},
    ],
    "plans": [
        {
            "code": "basic",
            "name": "Basic",
            "currency": "USD",
            "prices": [
                {"key": "base", "form": "flat", "amount": "9.00"},
                {
                    "key": "calls",
                    "form": "graduated",
                    "meter": "calls",
                    "tiers": [{"up_to": "100", "rate": "1"}, {"rate": "0.5"}],
                },
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
        catalogue=CATALOGUE,
        name="late_usage_test",
    ) as running:
        running.act("StartClock", as_of="2020-01-01T00:00:00Z")
        yield running


def calls(name: str, quantity: str) -> Event:
    """One event of so many calls."""
    return Event(name, "call", quantity)


class TestLateUsage:
    def test_is_corrected_over_tiers_as_if_it_had_come_in_time(self, world: World) -> None:
        """80 calls cost 80, 140 cost 120: the correction is 40, and a second run finds nothing."""
        world.subscribe("cus_tiers")
        world.send_usage("cus_tiers", [calls("first", "80")])
        (billed,) = world.bill("cus_tiers", as_of=BILLED_AT)
        world.send_usage("cus_tiers", [calls("late", "60")])

        (corrected,) = world.correct("cus_tiers", as_of=LATER)

        assert corrected.code == ""
        assert [(each.before, each.after) for each in corrected.changes] == [(8_000, 12_000)]
        assert world.correct("cus_tiers", as_of=LATER) == []
        items = world.rows(
            "SELECT kind, amount_minor, status FROM invoice_item WHERE customer = 'cus_tiers'"
        )
        assert items == [("correction", 4_000, "pending")]
        provisional = preview(world.settings, tenant=TENANT, subscription="sub_cus_tiers")
        assert [line.refers[0] for line in provisional.lines if line.kind == "item"] == [
            billed.invoice
        ]
        again = replay(world.settings, tenant=TENANT, name=corrected.correction)
        assert again.is_equal
        assert replay(world.settings, tenant=TENANT, name=billed.invoice).is_equal

    def test_is_corrected_twice(self, world: World) -> None:
        """A correction of a correction compares with what held last: 80, 120, then 130."""
        world.subscribe("cus_again")
        world.send_usage("cus_again", [calls("first", "80")])
        world.bill("cus_again", as_of=BILLED_AT)
        world.send_usage("cus_again", [calls("late", "60")])
        world.correct("cus_again", as_of=LATER)
        world.send_usage("cus_again", [calls("later", "20")])

        (corrected,) = world.correct("cus_again", as_of=LATER)

        assert [(each.before, each.after) for each in corrected.changes] == [(12_000, 13_000)]
        items = world.rows(
            "SELECT amount_minor FROM invoice_item WHERE customer = 'cus_again' ORDER BY added_at"
        )
        assert sum(amount for (amount,) in items) == 5_000

    def test_names_the_original_line_and_both_pins(self, world: World) -> None:
        """On the item, on the line that bills it, in the correction, and in words."""
        world.subscribe("cus_pins")
        world.send_usage("cus_pins", [calls("first", "80")])
        (billed,) = world.bill("cus_pins", as_of=BILLED_AT)
        world.send_usage("cus_pins", [calls("late", "60"), calls("later", "1")])
        (corrected,) = world.correct("cus_pins", as_of=LATER)
        settings = world.settings
        original = find_invoice(settings, tenant=TENANT, name=billed.invoice).content
        partition = partition_of(TENANT, "cus_pins", partitions=settings.partitions)
        before = original.pin.usage_positions[partition]
        after = corrected.content.pin.usage_positions[partition]

        next_at = add_months(BILLED_AT, months=1)
        (second,) = world.bill("cus_pins", as_of=next_at, month=_month(1))

        engine = new_engine(settings, role="app")
        with tenant_connection(engine, tenant=TENANT) as connection:
            first = invoices.find_invoice(connection, invoice=billed.invoice)
            document = invoices.find_invoice(connection, invoice=second.invoice)
            (item,) = items.list_items(
                connection, limit=10, after=None, customer="cus_pins", status=None
            ).rows
        engine.dispose()
        assert first is not None
        assert document is not None
        shown = to_representation_invoice_document(document).lines[-1].refers
        assert shown is not None
        wanted = {
            "invoice": billed.invoice,
            "number": first.invoice.number,
            "line_id": "0/calls",
            "correction": corrected.correction,
            "pin_before": {"partition": partition, "offset": before},
            "pin_after": {"partition": partition, "offset": after},
        }
        assert wanted == shown.model_dump()
        assert shown == to_representation_item(item).refers
        (correction,) = to_representation_invoice_document(first).corrections
        assert (shown.pin_before, shown.pin_after) == (correction.pin_before, correction.pin_after)
        words = "\n".join(explanation(find_invoice(settings, tenant=TENANT, name=second.invoice)))
        assert f"line 0/calls of {first.invoice.number} ({billed.invoice})" in words
        assert (
            f"made from usage.events/{partition} up to offset {before} before, "
            f"up to offset {after} now ({corrected.correction})"
        ) in words
        assert before < after
        again = find_invoice(settings, tenant=TENANT, name=corrected.correction)
        assert original.pin.usage_positions == again.pin_before

    def test_shows_in_reconciliation_until_it_is_corrected(self, world: World) -> None:
        """One unit of difference is named; after the correction there is none."""
        day = START.date()
        world.subscribe("cus_unit")
        world.send_usage("cus_unit", [calls("first", "5")])
        world.bill("cus_unit", as_of=BILLED_AT)
        world.send_usage("cus_unit", [calls("late", "1")])

        before = reconcile(world.settings, tenant=TENANT, first=day, last=day)
        world.correct("", as_of=LATER)
        after = reconcile(world.settings, tenant=TENANT, first=day, last=day)

        assert any("invoiced 5 of 1 events, counted 6 of 2" in each for each in before.differences)
        assert after.differences == ()

    def test_of_another_period_corrects_nothing(self, world: World) -> None:
        """Usage of the next month leaves the invoice of this one alone."""
        world.subscribe("cus_next", start=add_months(START, months=-1))
        world.bill("cus_next", as_of=START + timedelta(days=1), month=_month(-1))
        world.send_usage("cus_next", [calls("now", "5")])

        assert world.correct("cus_next", as_of=LATER) == []


def _month(offset: int) -> str:
    return add_months(START, months=offset).strftime("%Y-%m")


class TestMoney:
    def test_of_a_voided_invoice_is_billed_again(self, world: World) -> None:
        """The period gets another invoice with another number; its trace is whole."""
        world.subscribe("cus_void")
        world.send_usage("cus_void", [calls("first", "10")])
        (first,) = world.bill("cus_void", as_of=BILLED_AT)
        world.act("VoidInvoice", invoice=first.invoice, reason="wrong address")

        (second,) = world.bill("cus_void", as_of=BILLED_AT)

        assert second.code == ""
        rows = world.rows(
            "SELECT status, total_minor FROM invoice WHERE customer = 'cus_void' ORDER BY number"
        )
        assert rows == [("void", 1_900), ("final", 1_900)]
        assert trace(world.settings, tenant=TENANT, name=second.invoice, line_number=2).is_equal

    def test_is_paid_and_refunded(self, world: World) -> None:
        """What is too much becomes account credit, and legs of every posting add up to 0."""
        world.subscribe("cus_pays")
        (billed,) = world.bill("cus_pays", as_of=BILLED_AT)
        world.act(
            "RecordPayment",
            payment="pay_1",
            invoice=billed.invoice,
            amount_minor=1_000,
            currency="USD",
            method="wire",
            reference="R1",
            paid_at="2026-01-01T00:00:00Z",
        )
        head = world.rows(
            "SELECT status, paid_minor, open_minor FROM invoice WHERE invoice = %s", billed.invoice
        )
        credit = world.rows("SELECT balance_minor FROM account_credit WHERE customer = 'cus_pays'")
        world.act(
            "RecordRefund",
            refund="rfd_1",
            payment="pay_1",
            amount_minor=1_000,
            reason="sent twice",
        )

        assert head == [("paid", 900, 0)]
        assert credit == [(100,)]
        ((status, left),) = world.rows(
            "SELECT status, open_minor FROM invoice WHERE invoice = %s", billed.invoice
        )
        assert (status, left) != ("paid", 0)
        sums = world.rows("SELECT posting, sum(amount_minor) FROM ledger_leg GROUP BY posting")
        assert sums
        assert {total for _, total in sums} == {0}

    def test_waits_for_a_person_when_it_looks_wrong(self, world: World) -> None:
        """Three invoices of 9, then one of more than 90: parked, released, billed."""
        start = add_months(START, months=-3)
        world.subscribe("cus_odd", start=start)
        for months in (-3, -2, -1):
            moment = add_months(START, months=months + 1) + timedelta(days=1)
            (billed,) = world.bill("cus_odd", as_of=moment, month=_month(months))
            assert billed.code == ""
        world.send_usage("cus_odd", [calls("many", "100")])

        (parked,) = world.bill("cus_odd", as_of=BILLED_AT)
        assert parked.code == Code.INVOICE_PARKED
        assert world.bill("cus_odd", as_of=BILLED_AT) == []
        as_of = ("--as-of", time_text(BILLED_AT), "--no-correct")
        said = _run(world, "bill", "--customer", "cus_odd", *as_of)
        assert "0 refused or parked\n1 invoice parked before" in said
        assert "sub_cus_odd cus_odd USD 109.00: USD 109.00 before account credit" in _run(
            world, "invoice", "parked"
        )
        world.act("ReleaseInvoice", subscription="sub_cus_odd")
        (released,) = world.bill("cus_odd", as_of=BILLED_AT)

        assert (released.code, released.content.total_minor) == ("", 10_900)

    def test_does_not_wait_because_credit_paid_what_came_before(self, world: World) -> None:
        """Invoices of 9 of which credit left 0.01 are no tenth of the next one of 9."""
        start = add_months(START, months=-3)
        world.subscribe("cus_given", start=start)
        for months in (-3, -2, -1):
            world.act(
                "GrantAccountCredit",
                credit=f"crd_given_{-months}",
                customer="cus_given",
                amount_minor=899,
                currency="USD",
                reason="goodwill",
            )
            moment = add_months(START, months=months + 1) + timedelta(days=1)
            (billed,) = world.bill("cus_given", as_of=moment, month=_month(months))
            assert (billed.code, billed.content.total_minor) == ("", 1)

        (billed,) = world.bill("cus_given", as_of=BILLED_AT)
        assert (billed.code, billed.content.total_minor) == ("", 900)


def _run(world: World, *words: str) -> str:
    """Run a command of ours and return what it prints."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(billing, "load_settings", lambda _: world.settings)
        patch.setattr(invoice_actions, "load_settings", lambda _: world.settings)
        return CliRunner().invoke(app, [*words, "--tenant", TENANT]).output


class TestReplayAll:
    def test_makes_every_invoice_and_correction_again_in_one_pass(self, world: World) -> None:
        """Invoices of different pins in one fold; each the same bytes, from both sources."""
        world.subscribe("cus_pass")
        world.send_usage("cus_pass", [calls("first", "1")])
        world.bill("cus_pass", as_of=BILLED_AT)
        world.send_usage("cus_pass", [calls("late", "1")])
        world.correct("cus_pass", as_of=LATER)
        ((count,),) = world.rows(
            "SELECT (SELECT count(*) FROM invoice) + (SELECT count(*) FROM correction)"
        )

        for source in ("events", "facts"):
            found = list(replay_all(world.settings, tenant=TENANT, source=source))
            assert len(found) == count
            assert [each.original.number for each in found if not each.is_equal] == []
        assert len(list(replay_all(world.settings, tenant=TENANT, count_max=2))) <= 2
