"""Reconciliation of periods that came to nothing: their openings, and what comes late for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from domain.canonical import Json
from domain.coverage import Unbilled
from projections.invoicing.day_usage import Count
from projections.invoicing.reconcile import Reconciled, reconcile
from runtime.postgres import connect
from tests.support.pipeline_world import START, TENANT, Event, World, running_world

DAY = START.date()
INCLUDED = 10
CATALOGUE: Json = {
    "version": 1,
    "billing": {"zero_invoices": "skip"},
    "meters": [
        {"key": f"{type_}s", "event_type": type_, "aggregation": "sum", "unit": type_}
        for type_ in ("call", "look")
    ],
    "plans": [
        {
            "code": code,
            "name": code,
            "currency": "USD",
            "fees": fees,
            "prices": [
                {
                    "key": meter,
                    "form": "per_unit",
                    "meter": meter,
                    "included": str(INCLUDED),
                    "rate": "1",
                }
            ],
        }
        for code, fees, meter in (
            ("ahead", "in_advance", "calls"),
            ("free", "in_arrears", "looks"),
        )
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
        name="reconcile_skipped_test",
    ) as running:
        running.act("StartClock", as_of="2020-01-01T00:00:00Z")
        yield running


def result(world: World) -> Reconciled:
    """Reconcile the one day on which all usage lies."""
    return reconcile(world.settings, tenant=TENANT, first=DAY, last=DAY)


class TestSkippedOpening:
    def test_lies_beside_its_period_that_is_skipped_too(self, world: World) -> None:
        """Both at one moment of a clock that stands: one key would end the projector for good."""
        world.subscribe("cus_both", plan="ahead")

        billed = world.bill("cus_both")

        assert [(each.terms.kind, each.code) for each in billed] == [
            ("opening", ""),
            ("period", ""),
        ]
        rows = world.rows(
            "SELECT kind, period_index, skipped_at FROM skipped_invoice"
            " WHERE customer = 'cus_both' ORDER BY kind"
        )
        assert [kind for kind, *_ in rows] == ["opening", "period"]
        assert rows[0][1:] == rows[1][1:]
        assert result(world).differences == ()

    def test_hides_no_missing_invoice_of_its_period(self, world: World) -> None:
        """The opening came to nothing and was left out, the period did not and was invoiced."""
        world.subscribe("cus_missing", plan="ahead")
        world.send_usage("cus_missing", [Event("one", "call", f"{INCLUDED + 1}")])
        world.bill("cus_missing")
        kinds = "SELECT kind FROM {} WHERE customer = 'cus_missing'"
        assert world.rows(kinds.format("skipped_invoice")) == [("opening",)]
        assert world.rows(kinds.format("invoice")) == [("period",)]
        assert result(world).differences == ()

        with connect(world.settings, role="projector", autocommit=True) as connection:
            mark = "UPDATE invoice SET status = %s WHERE customer = 'cus_missing'"
            connection.execute(mark, ("void",))
            found = result(world)
            connection.execute(mark, ("final",))

        (difference,) = found.differences
        assert difference.startswith(f"{DAY} calls of cus_missing: 1 events, sum 11 are on no")


class TestLateUsageOfASkippedPeriod:
    def test_is_a_difference_until_it_is_corrected(self, world: World) -> None:
        """5 of 10 looks are skipped, 3 more cost nothing either, 47 more make 45 to pay."""
        world.subscribe("cus_late", plan="free")
        world.send_usage("cus_late", [Event("early", "look", "5")])
        world.bill("cus_late")
        assert looks(world) == (0, 5)

        for late, was, invoiced, skipped in ((3, 5, 0, 8), (47, 8, 55, 0)):
            world.send_usage("cus_late", [Event(f"late {late}", "look", str(late))])
            (difference,) = result(world).differences
            name = f"invoice skipped {DAY} of sub_cus_late"
            assert difference.startswith(f"{name}: part 0, meter looks: invoiced {was} of ")

            (corrected,) = world.correct("cus_late")
            assert corrected.code == "", corrected.reason

            assert result(world).differences == ()
            assert looks(world) == (invoiced, skipped)


def looks(world: World) -> tuple[int, int]:
    """Return how many looks are invoiced, and how many of a skipped period."""
    (found,) = (each for each in result(world).days if each.meter == "looks")
    skipped = dict(found.unbilled).get(Unbilled.SKIPPED, Count())
    return found.invoiced.sum_nanos // 10**9, skipped.sum_nanos // 10**9
