"""Reconciliation of periods that came to nothing: their openings, and what comes late for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from domain.canonical import Json
from projections.invoicing.reconcile import Reconciled, reconcile
from tests.support.pipeline_world import START, TENANT, World, running_world

DAY = START.date()
INCLUDED = 10
CATALOGUE: Json = {
    "version": 1,
    "billing": {"zero_invoices": "skip"},
    "meters": [{"key": "calls", "event_type": "call", "aggregation": "sum", "unit": "call"}],
    "plans": [
        {
            "code": code,
            "name": code,
            "currency": "USD",
            "fees": fees,
            "prices": [
                {
                    "key": "calls",
                    "form": "per_unit",
                    "meter": "calls",
                    "included": str(INCLUDED),
                    "rate": "1",
                }
            ],
        }
        for code, fees in (("free", "in_arrears"), ("ahead", "in_advance"))
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
