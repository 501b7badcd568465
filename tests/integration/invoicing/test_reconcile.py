"""Reconciliation: every unit that is counted is on one invoice, or there is a reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import reconciling
from cli.main import app
from domain.canonical import Json
from domain.codes import Code
from domain.coverage import Unbilled
from domain.errors import Fatal
from domain.period import time_text
from projections.invoicing.day_usage import Count
from projections.invoicing.reconcile import Reconciled, reconcile
from runtime.metrics import RECONCILE_MISMATCHES
from runtime.postgres import connect
from tests.support.pipeline_world import START, TENANT, Event, World, running_world

DAY = START.date()
CATALOGUE: Json = {
    "version": 1,
    "billing": {"zero_invoices": "skip"},
    "meters": [
        {"key": "calls", "event_type": "call", "aggregation": "sum", "unit": "call"},
        {"key": "looks", "event_type": "look", "aggregation": "count", "unit": "look"},
    ],
    "plans": [
        {
            "code": code,
            "name": code,
            "currency": "USD",
            "prices": [
                {
                    "key": "calls",
                    "form": "per_unit",
                    "meter": "calls",
                    "included": included,
                    "rate": "1",
                }
            ],
        }
        for code, included in (("basic", "0"), ("free", "1000"))
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
        name="reconcile_test",
    ) as running:
        running.act("StartClock", as_of="2020-01-01T00:00:00Z")
        running.subscribe("cus_billed")
        running.subscribe("cus_skipped", plan="free")
        running.subscribe("cus_open")
        _subscribe_on_trial(running, "cus_trial")
        for number, customer in enumerate(
            ("cus_billed", "cus_skipped", "cus_open", "cus_trial", "cus_nobody"), start=1
        ):
            running.send_usage(customer, [Event("call", "call", str(number))])
        running.send_usage("cus_billed", [Event("look", "look", "1")])
        for customer in ("cus_billed", "cus_skipped"):
            assert [each.code for each in running.bill(customer)] == [""]
        yield running


def _subscribe_on_trial(world: World, customer: str) -> None:
    world.act("CreateCustomer", customer=customer, currency="USD")
    world.act(
        "CreateSubscription",
        subscription=f"sub_{customer}",
        customer=customer,
        plan="basic",
        start=f"{START:%Y-%m-%dT%H:%M:%SZ}",
        trial_days=10,
    )


def result(world: World) -> Reconciled:
    """Reconcile the one day on which all usage lies."""
    return reconcile(world.settings, tenant=TENANT, first=DAY, last=DAY)


def sums(counts: tuple[tuple[Unbilled, Count], ...]) -> dict[Unbilled, int]:
    """Whole units by reason."""
    return {reason: count.sum_nanos // 10**9 for reason, count in counts}


class TestReconcile:
    def test_accounts_for_every_unit(self, world: World) -> None:
        """15 calls: one is invoiced, the others have a reason each; a look has no price."""
        found = result(world)

        assert found.differences == ()
        calls, looks = found.days
        assert calls.accepted == calls.counted
        assert calls.invoiced.sum_nanos == 10**9
        assert sums(calls.unbilled) == {
            Unbilled.SKIPPED: 2,
            Unbilled.OPEN: 3,
            Unbilled.TRIAL: 4,
            Unbilled.NO_SUBSCRIPTION: 5,
        }
        whole = calls.invoiced
        for _, count in calls.unbilled:
            whole = whole.plus(count)
        assert whole == calls.counted
        assert sums(looks.unbilled) == {Unbilled.UNPRICED: 1}

    def test_names_usage_on_two_invoices(self, world: World) -> None:
        """A second invoice of the same period, which the books would never number."""
        with _changed(
            world,
            "INSERT INTO invoice SELECT (jsonb_populate_record(i, jsonb_build_object("
            "'invoice', 'inv_twice', 'number', 'INV-TWICE'))).* FROM invoice i",
            "UPDATE invoice SET status = 'void' WHERE invoice = 'inv_twice'",
        ):
            found = result(world)

        assert found.count == 1
        calls, looks = found.days
        assert (calls.doubled.events, calls.is_equal, looks.is_equal) == (1, False, True)
        assert "cus_billed: 1 events, sum 1 are on 2 invoices: INV-" in found.differences[0]
        assert RECONCILE_MISMATCHES.labels(TENANT)._value.get() == 1

    def test_names_usage_on_no_invoice_and_ends_with_an_error(
        self, world: World, tmp_path: Path
    ) -> None:
        """Its period was invoiced, and the invoice is not there: calls and looks; a metric too."""
        metric = tmp_path / "reconcile.prom"
        with _changed(
            world,
            "UPDATE invoice SET status = 'void' WHERE invoice <> 'inv_twice'",
            "UPDATE invoice SET status = 'final' WHERE invoice <> 'inv_twice'",
        ):
            found = result(world)
            with pytest.raises(Fatal) as failed:
                _run(world, "--metric-file", str(metric))

        assert f'tidegauge_reconcile_mismatches{{tenant="{TENANT}"}} 2.0' in metric.read_text()
        assert any("cus_billed: 1 events, sum 1 are on no invoice" in x for x in found.differences)
        assert not found.days[0].is_equal
        assert failed.value.code == Code.RECONCILE_DIFFERS
        assert "accepted = counted = rated = invoiced" in _run(world)

    def test_without_days_goes_by_the_tenants_clock(self, world: World) -> None:
        """Where it stands in 2020 there is nothing to compare, and that is what is said."""
        assert _run(world, days=()).endswith("\nnothing to compare\n")

        world.act("AdvanceClock", as_of=time_text(START + timedelta(days=1)))

        assert "accepted = counted = rated = invoiced" in _run(world, days=())


@contextmanager
def _changed(world: World, there: str, back: str) -> Iterator[None]:
    """Change the tables for a while, as no projector would."""
    with connect(world.settings, role="projector", autocommit=True) as connection:
        connection.execute(there.encode())
        try:
            yield
        finally:
            connection.execute(back.encode())


def _run(world: World, *more: str, days: tuple[str, ...] = ("--day", DAY.isoformat())) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconciling, "load_settings", lambda _: world.settings)
        words = ["reconcile", *days, "--tenant", TENANT, *more]
        done = CliRunner().invoke(app, words)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output
