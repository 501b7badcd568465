"""A catalogue that bills no usage (S3-44): every proof says so, and none calls it a difference."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from domain.canonical import Json
from domain.coverage import Unbilled
from projections.invoicing.builder import preview
from projections.invoicing.reconcile import reconcile
from projections.invoicing.replay import replay
from tests.support.pipeline_world import START, TENANT, World, running_world

CATALOGUE: Json = {
    "version": 1,
    "billing": {"usage_lines": False, "credits": "not_applied"},
    "meters": [{"key": "calls", "event_type": "call", "aggregation": "sum", "unit": "call"}],
    "plans": [
        {
            "code": "basic",
            "name": "Basic",
            "currency": "USD",
            "minimum": {"amount": "500"},
            "prices": [
                {"key": "base", "form": "flat", "amount": "99"},
                {"key": "calls", "form": "per_unit", "meter": "calls", "rate": "1"},
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
        name="switches_test",
    ) as running:
        running.act("StartClock", as_of="2020-01-01T00:00:00Z")
        yield running


def test_s3_44_preview_invoice_replay_correction_and_reconcile_agree(world: World) -> None:
    """99.00 and nothing else, before and after usage that comes late; credit is not touched."""
    world.subscribe("ann")
    world.act(
        "GrantAccountCredit",
        credit="crd_1",
        customer="ann",
        amount_minor=5_000,
        currency="USD",
        reason="sorry",
    )
    world.record("ann", ["7", "8"])
    shown = preview(world.settings, tenant=TENANT, subscription="sub_ann")
    assert (9_900, ["fee/base"]) == (shown.total_minor, [each.line_id for each in shown.lines])

    assert [""] == [each.code for each in world.bill("ann")]

    world.record("ann", ["9"], region="us")
    assert not any(each.changes or each.code for each in world.correct("ann"))
    (number,) = world.rows("SELECT number FROM invoice WHERE customer = 'ann'")[0]
    again = replay(world.settings, tenant=TENANT, name=number)
    assert again.is_equal
    assert (9_900, 0) == (again.content.total_minor, again.content.totals.credit_minor)
    assert [(5_000,)] == world.rows(
        "SELECT balance_minor FROM account_credit WHERE customer = 'ann'"
    )
    found = reconcile(world.settings, tenant=TENANT, first=START.date(), last=START.date())
    assert () == found.differences
    (day,) = found.days
    assert [(Unbilled.UNPRICED, 24 * 10**9)] == [
        (reason, count.sum_nanos) for reason, count in day.unbilled
    ]
