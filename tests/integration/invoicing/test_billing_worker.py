"""The billing worker: due periods, late usage and overdue invoices without being asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from cli import billing
from cli.main import app
from domain.canonical import Json, to_canonical_json
from domain.codes import Code
from domain.errors import Rejected
from domain.period import time_text
from projections.invoicing.builder import Scope, bill
from projections.invoicing.worker import BillingWorker
from projections.usage_days import DAYS_BACK
from runtime.postgres import connect
from runtime.shutdown import Shutdown
from tests.integration.invoicing.test_late_usage import CATALOGUE, calls
from tests.support.pipeline_world import TENANT, World, running_world

NOW = datetime.now(UTC).replace(microsecond=0)
START = (NOW - timedelta(days=33)).replace(hour=0, minute=0, second=0)
"""Start of a month that was over, its grace too, a day ago at the latest."""


@pytest.fixture
def world(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with running_world(
        kafka=kafka_bootstrap,
        database_admin_url=database_admin_url,
        state_dir=tmp_path_factory.mktemp("state"),
        catalogue=CATALOGUE,
        name="billing_worker_test",
    ) as running:
        yield running


class TestWorker:
    def test_bills_corrects_and_marks_what_is_due(self, world: World) -> None:
        """One look bills, one after late usage corrects, one after the due date marks."""
        worker = BillingWorker(world.settings, world.sender, Shutdown())
        world.subscribe("cus_auto", start=START)

        worker.look(now=NOW)
        worker.look(now=NOW)
        assert world.rows("SELECT status, total_minor FROM invoice") == [("final", 900)]
        ((rolled,),) = world.rows("SELECT count(DISTINCT day) FROM usage_day_made")
        assert rolled == DAYS_BACK

        late = calls("late", "3")
        world.send_usage(
            "cus_auto", [type(late)(late.name, late.type, "3", START + timedelta(hours=30))]
        )
        worker.look(now=NOW)
        assert world.rows("SELECT amount_minor FROM invoice_item") == [(300,)]

        worker.look(now=NOW + timedelta(days=40))
        (first, *_) = world.rows("SELECT invoice FROM invoice ORDER BY issued_at")
        deadline = NOW + timedelta(days=40)
        worker.look(now=deadline)
        ((status,),) = world.rows("SELECT status FROM invoice WHERE invoice = %s", *first)
        assert status == "overdue"

    def test_leaves_tenants_with_a_clock_alone(self, world: World) -> None:
        """A test tenant's time is moved by its clock."""
        world.act("StartClock", as_of="2020-01-01T00:00:00Z")
        world.subscribe("cus_clock", start=START)

        BillingWorker(world.settings, world.sender, Shutdown()).look(now=NOW)

        assert world.rows("SELECT count(*) FROM invoice") == [(0,)]

    def test_bills_the_tenants_behind_a_page_that_cannot_be_billed(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A page of one tenant, the first one's for ever due: the second look takes the next."""
        monkeypatch.setattr("projections.invoicing.worker.TENANTS_MAX", 1)
        world.subscribe("cus_second", start=START)
        _copy_tenant(world, "aaa stuck", terms={})
        _copy_tenant(world, "aab by hand", terms={"auto_invoice": False})
        worker = BillingWorker(world.settings, world.sender, Shutdown())

        worker.look(now=NOW)
        assert world.rows("SELECT count(*) FROM invoice") == [(0,)]
        worker.look(now=NOW)

        assert world.rows("SELECT count(*) FROM invoice") == [(1,)]

    def test_corrects_an_invoice_made_ahead_once_its_period_is_over(self, world: World) -> None:
        """Usage that came in time for its day, but after the invoice, is no late usage."""
        now = datetime.now(UTC).replace(microsecond=0)
        start = now.replace(hour=0, minute=0, second=0)
        world.subscribe("cus_ahead", start=start)
        ahead = start + timedelta(days=33)
        (billed,) = bill(world.settings, world.sender, Scope(TENANT, ahead))
        assert billed.code == ""
        call = calls("in time", "3")
        world.send_usage("cus_ahead", [replace(call, occurred_at=now)])
        worker = BillingWorker(world.settings, world.sender, Shutdown())

        worker.look(now=now)
        assert world.rows("SELECT amount_minor FROM invoice_item") == []
        worker.look(now=ahead)

        assert world.rows("SELECT amount_minor FROM invoice_item") == [(300,)]


class TestNamesThatNobodyHas:
    @pytest.mark.parametrize("command", [("bill",), ("bill", "--dry-run"), ("correct",)])
    @pytest.mark.parametrize("name", ["--customer", "--tenant"])
    def test_are_refused(self, world: World, command: tuple[str, ...], name: str) -> None:
        """A typo on a billing day: a run over nobody would end well."""
        world.subscribe("cus_there", start=START)
        with pytest.raises(Rejected, match="nobody") as refused:
            _run(world, *command, name, "nobody")
        assert refused.value.code == Code.CUSTOMER_UNKNOWN


class TestAheadOfTheClock:
    def test_a_live_tenant_is_billed_only_when_it_is_meant(self, world: World) -> None:
        """Refused and nothing sent; with --ahead billed, and it says what that means."""
        start = NOW.replace(hour=0, minute=0, second=0)
        world.subscribe("cus_early", start=start)
        words = ["bill", "--no-correct", "--as-of", time_text(start + timedelta(days=33))]

        with pytest.raises(Rejected, match="still to come") as refused:
            _run(world, *words)
        assert refused.value.code == Code.INVALID_REQUEST
        assert world.rows("SELECT count(*) FROM invoice") == [(0,)]
        assert "would bill USD 9.00" in _run(world, *words, "--dry-run")
        shown = _run(world, *words, "--ahead")

        assert "will be corrections" in shown
        assert "1 invoice finalised" in shown

    def test_a_test_tenant_is_billed_without_more_words(self, world: World) -> None:
        """Its time is its clock's, and that runs ahead."""
        world.act("StartClock", as_of="2020-01-01T00:00:00Z")
        world.subscribe("cus_test", start=START)
        ahead = time_text(NOW + timedelta(days=1))

        assert "1 invoice finalised" in _run(world, "bill", "--no-correct", "--as-of", ahead)


def _run(world: World, *words: str) -> str:
    """Run a command of ours and return what it prints."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(billing, "load_settings", lambda _: world.settings)
        done = CliRunner().invoke(app, [words[0], "--tenant", TENANT, *words[1:]])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def _copy_tenant(world: World, tenant: str, *, terms: Json) -> None:
    """Give another tenant the same due subscription in the tables, which its books know not of."""
    with connect(world.settings, role="projector") as connection:
        for table in ("customer", "subscription", "catalogue"):
            columns = [
                name
                for (name,) in connection.execute(
                    "SELECT column_name FROM information_schema.columns"
                    " WHERE table_name = %s AND table_schema = ANY(current_schemas(false))",
                    (table,),
                )
                if name != "tenant"
            ]
            names = ", ".join(columns)
            connection.execute(
                f"INSERT INTO {table} (tenant, {names}) SELECT %s, {names} FROM {table}"
                " WHERE tenant = %s".encode(),
                (tenant, TENANT),
            )
        connection.execute(
            "UPDATE catalogue SET content ="
            " jsonb_set(content::jsonb, '{billing}', %s::jsonb)::text WHERE tenant = %s",
            (to_canonical_json(terms), tenant),
        )
