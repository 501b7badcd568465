"""S1's tables and views under S1's names, and what strangers see of S1."""

from __future__ import annotations

import uuid
from decimal import Decimal

import pytest

from cli.books import send
from projections.dump import dump_hash
from projections.invoicing.outcomes import await_projected
from projections.migrations.versions.v0008_gain_share import VIEWS
from projections.rebuild import rebuild
from runtime.web.keys import new_api_key
from tests.support.pipeline_world import TENANT
from tests.support.stigg import (
    BILLING,
    S1,
    SECRET,
    SNAPSHOTS,
    Stigg,
    rows,
)


class TestTables:
    def test_s1_01_to_s1_11_stand_under_their_names(self, stigg: Stigg) -> None:
        """Each view answers its tenant, and shows another one nothing."""
        subscription = stigg.subscribe("tables", "PRO")
        stigg.track("tables", "simulator_run", 1_200)
        stigg.take(SNAPSHOTS, {"tenant_id": "tables", "site_breakdown": {"a": 1100, "b": 100}})
        await_projected(stigg.world.settings, tenant=TENANT)

        assert [
            ("STARTER", 4000, 200, 250_000, Decimal("3.00"), Decimal("0.0020"), 1),
            ("PRO", 9000, 1000, 1_000_000, Decimal("3.00"), Decimal("0.0020"), 3),
            ("ENTERPRISE", 18000, 3000, 5_000_000, Decimal("2.50"), Decimal("0.0015"), 8),
            ("CUSTOM", 25000, 5000, 10_000_000, Decimal("2.00"), Decimal("0.0010"), 15),
        ] == rows(
            stigg,
            "SELECT code, base_price_cad, included_assets, included_credits, asset_uplift_cad,"
            " overage_per_credit_cad, max_sites FROM billing_plans ORDER BY base_price_cad",
        )
        mine = "WHERE tenant_id = 'tables'"
        assert [(subscription, "PRO", "active")] == rows(
            stigg, f"SELECT id, plan_code, status FROM billing_subscriptions {mine}"
        )
        assert [(1_200_000, 0, 200_000, "OVERAGE")] == rows(
            stigg,
            "SELECT credits_used, remaining_credits, overage_credits, alert"
            f" FROM v_subscription_credit_summary {mine}",
        )
        assert [(0, 1200, 2, False)] == rows(
            stigg,
            "SELECT remaining_credits, asset_count, sites, site_limit_exceeded"
            f" FROM subscription_limits {mine}",
        )
        assert [(subscription, "simulator_run", 1_200, 1_200_000, 1)] == rows(
            stigg,
            f"SELECT subscription_id, event_type, units, credits, events FROM usage_events {mine}",
        )
        assert [(1_200_000, 1)] == rows(
            stigg, f"SELECT credits_used, events FROM v_tenant_monthly_usage {mine}"
        )
        assert [(1200,)] == rows(stigg, f"SELECT asset_count FROM v_asset_latest {mine}")
        assert [(1200, {"a": 1100, "b": 100})] == rows(
            stigg, f"SELECT asset_count, site_breakdown FROM asset_snapshots {mine}"
        )

    def test_s1_04_an_invoice_is_split_into_base_assets_and_usage(self, stigg: Stigg) -> None:
        """9,000 and 200 assets and 500,000 credits: 10,600.00 CAD, pending (X-42)."""
        stigg.subscribe("split", "PRO")
        stigg.track("split", "simulator_run", 1_500)
        stigg.take(SNAPSHOTS, {"tenant_id": "split", "asset_count": 1_200})
        await_projected(stigg.world.settings, tenant=TENANT)
        (billed,) = stigg.world.bill("split")
        assert 1_060_000 == billed.content.totals.total_minor
        await_projected(stigg.world.settings, tenant=TENANT)
        expected = (Decimal("9000.00"), Decimal("600.00"), Decimal("1000.00"))
        assert [(*expected, 0, Decimal("10600.00"), "pending")] == rows(
            stigg,
            "SELECT base_cad, assets_cad, usage_cad, tax_cad, total_cad, status"
            " FROM billing_invoices WHERE tenant_id = 'split'",
        )

    @pytest.mark.parametrize("view", sorted(VIEWS))
    def test_s1_72_show_a_foreign_tenant_nothing(self, stigg: Stigg, view: str) -> None:
        """Row level security holds through every view."""
        assert [(0,)] == rows(stigg, f"SELECT count(*) FROM {view}", tenant="another")


class TestStrangers:
    def test_read_nothing_of_gain_share_assets_and_allowances(self, stigg: Stigg) -> None:
        """The owner sees its customer at every address; a stranger and nobody see it at none."""
        owner = stigg.subscribe(SECRET, "CUSTOM")
        stigg.take(SNAPSHOTS, {"tenant_id": SECRET, "site_breakdown": {SECRET: 1}})
        for url, body in (
            ("kpi-baselines", {"baseline_value": "1", "cost_per_unit": "1"}),
            ("kpi-measurements", {"value": "2", "measured_on": "2024-01-02"}),
        ):
            days = {} if url == "kpi-measurements" else {"effective_from": "2024-01-01"}
            common = {"customer": SECRET, "metric": "mtbf"}
            stigg.post(f"{BILLING}/{url}", {**common, **body, **days})
        period = {"period_start": "2024-01-01", "period_end": "2024-12-31"}
        run = stigg.post(
            f"{BILLING}/gainshare", {"customer": SECRET, **period, "share_pct": "15"}
        )["run"]
        await_projected(stigg.world.settings, tenant=TENANT)
        stranger = stranger_of(stigg)
        for path in (
            f"{BILLING}/subscriptions/{owner}/allowances",
            f"{BILLING}/subscriptions/{owner}/allowances/check?event_type=optimizer_job",
            f"{BILLING}/asset-snapshots?customer={SECRET}",
            f"{BILLING}/kpi-baselines?customer={SECRET}",
            f"{BILLING}/kpi-measurements?customer={SECRET}",
            f"{BILLING}/gainshare?customer={SECRET}",
            f"{BILLING}/gainshare/{run}",
            f"{BILLING}/gainshare/{run}/report",
            f"{S1}/subscriptions/{owner}",
            f"{S1}/usage/summary?tenant_id={SECRET}",
        ):
            mine = stigg.api.get(path, headers=stigg.headers)
            assert mine.status_code == 200, (path, mine.text)
            assert SECRET in mine.text or "check" in path, path
            theirs = stigg.api.get(path, headers=stranger)
            assert theirs.status_code in {200, 404}, path
            assert SECRET not in theirs.text, path
            assert "optimizer" not in theirs.text, path
            assert 401 == stigg.api.get(path).status_code, path
        for decision in ("approve", "reject"):
            refused = stigg.api.post(
                f"{BILLING}/gainshare/{run}/{decision}",
                json={},
                headers={**stranger, "Idempotency-Key": uuid.uuid4().hex},
            )
            assert 404 == refused.status_code
        assert "pending_approval" == stigg.get(f"{BILLING}/gainshare/{run}")["status"]


def stranger_of(stigg: Stigg) -> dict[str, str]:
    """Return the headers of another tenant's key."""
    key = new_api_key()
    send(
        stigg.world.settings,
        stigg.world.sender,
        tenant="strangers",
        command_id=uuid.uuid4().hex,
        kind="CreateApiKey",
        body={
            "key_id": key.key_id,
            "secret_sha256": key.secret_sha256,
            "label": "stranger",
            "scopes": [],
        },
    )
    return {"Authorization": f"Bearer {key.key}"}


def test_s1_tables_are_the_same_after_a_rebuild(stigg: Stigg) -> None:
    """G-06: baselines, measurements, runs and everything else come back from the log alone."""
    await_projected(stigg.world.settings, tenant=TENANT)
    before = dump_hash(stigg.world.settings)
    rebuild(stigg.world.settings)
    after = dump_hash(stigg.world.settings)
    assert before == after
    assert {"kpi_baseline", "kpi_measurement", "gain_share_run"} <= set(after)
