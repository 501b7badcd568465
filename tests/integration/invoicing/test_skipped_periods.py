"""A period that came to nothing has no invoice; what comes late for it is billed all the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from domain.canonical import Json
from domain.period import add_months
from projections.invoicing.builder import preview
from projections.invoicing.replay import replay
from projections.invoicing.replay_all import replay_all
from tests.support.pipeline_world import START, TENANT, Event, World, running_world

MONTH_END = add_months(START, months=1)
BILLED_AT = MONTH_END + timedelta(days=1)
LATER = BILLED_AT + timedelta(days=1)
CATALOGUE: Json = {
    "version": 1,
    "billing": {"zero_invoices": "skip"},
    "meters": [{"key": "calls", "event_type": "call", "aggregation": "sum", "unit": "call"}],
    "taxes": [{"code": "vat", "name": "VAT", "rate": "10"}],
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
        name="skipped_periods_test",
    ) as running:
        running.act("StartClock", as_of="2020-01-01T00:00:00Z")
        yield running


class TestSkippedPeriod:
    def test_is_billed_by_items_once_its_usage_comes(self, world: World) -> None:
        """500 calls late, then 20 more: two items, nothing twice, and every content replays."""
        world.subscribe("cus_late")
        world.bill("cus_late", as_of=BILLED_AT)
        assert world.rows("SELECT count(*) FROM invoice") == [(0,)]
        assert world.rows("SELECT kind, length(content) > 0 FROM skipped_invoice") == [
            ("period", True)
        ]
        assert world.correct("cus_late", as_of=LATER) == []

        for name, quantity, before, after in (
            ("late", "500", 0, 50_000),
            ("later", "20", 50_000, 52_000),
        ):
            world.send_usage("cus_late", [Event(name, "call", quantity)])
            (corrected,) = world.correct("cus_late", as_of=LATER)
            assert corrected.code == "", corrected.reason
            assert [(each.before, each.after) for each in corrected.changes] == [(before, after)]
            assert world.correct("cus_late", as_of=LATER) == []
            assert replay(world.settings, tenant=TENANT, name=corrected.correction).is_equal

        provisional = preview(world.settings, tenant=TENANT, subscription="sub_cus_late")
        items = [line for line in provisional.lines if line.kind == "item"]
        assert [line.net for line in items] == [50_000, 2_000]
        assert all("that came late" in line.label for line in items)
        assert provisional.totals.tax == 5_200
        rows = world.rows(
            "SELECT amount_before, amount_after FROM correction_line ORDER BY amount_after"
        )
        assert rows == [(0, 500), (500, 520)]
        made = list(replay_all(world.settings, tenant=TENANT))
        assert [each.is_equal for each in made] == [True] * 3
