"""S1 on the real log and the real database: credits, assets, sites and gain-share, to the cent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from cli.assets import _events, _record
from domain.canonical import Json
from tests.support.pipeline_world import AS_OF, START, TENANT
from tests.support.stigg import (
    BILLING,
    S1,
    SNAPSHOTS,
    TODAY,
    TRACK,
    Stigg,
    projected,
)


class TestCredits:
    def test_x_34_to_x_37_each_answer_holds_its_own_event(self, stigg: Stigg) -> None:
        """12, 5, 500 and 1,000 credits of a fresh PRO, one after the other."""
        subscription = stigg.subscribe("fresh", "PRO")
        assert (12, 999_988, None) == stigg.track("fresh", "LLM_token_usage", 12)
        assert (5, 999_983, None) == stigg.track("fresh", "vision_frame_batch", 1)
        assert (500, 999_483, None) == stigg.track("fresh", "optimizer_job", 1)
        assert (1_000, 998_483, None) == stigg.track("fresh", "simulator_run", 1)
        shown = stigg.allowances(subscription)["allowances"]
        (credits_,) = [each for each in shown if each["meter"] == "credits"]
        assert ("1517", "998483", None) == (
            credits_["used"],
            credits_["remaining"],
            credits_["alert"],
        )

    @pytest.mark.parametrize(
        ("tokens", "units"), [(0, 0), (1, 1), (1_000, 1), (1_001, 2), (11_001, 12), (12_000, 12)]
    )
    def test_x_38_started_thousands_of_tokens_burn_a_credit(
        self, stigg: Stigg, tokens: int, units: int
    ) -> None:
        """ceil(tokens / 1,000), each one credit."""
        customer = f"tokens-{tokens}"
        stigg.subscribe(customer, "PRO")
        body = {"tenant_id": customer, "event_type": "LLM_token_usage", "tokens": tokens}
        told = stigg.take(TRACK, body)
        assert (units, 1_000_000 - units) == (told["credits_burned"], told["remaining_credits"])

    def test_x_39_a_started_hundred_of_frames_burns_five(self, stigg: Stigg) -> None:
        """250 frames are 3 units and 15 credits."""
        stigg.subscribe("frames", "PRO")
        body = {"tenant_id": "frames", "event_type": "vision_frame_batch", "frames": 250}
        told = stigg.take(TRACK, body)
        assert (15, 999_985) == (told["credits_burned"], told["remaining_credits"])

    def test_x_40_the_last_credits_and_the_first_of_overage(self, stigg: Stigg) -> None:
        """500 left: a job takes them, a token more is OVERAGE, and its event is counted."""
        stigg.subscribe("edge", "PRO")
        stigg.track("edge", "LLM_token_usage", 999_500)
        assert (500, 0, "LOW_CREDITS") == stigg.track("edge", "optimizer_job", 1)
        assert (1, 0, "OVERAGE") == stigg.track("edge", "LLM_token_usage", 1)
        summary = stigg.get(f"{S1}/usage/summary", tenant_id="edge")
        assert (1_000_001, 1, "OVERAGE") == (
            summary["credits_used"],
            summary["overage_credits"],
            summary["alert"],
        )
        assert [999_501, 0, 500, 0] == [each["credits"] for each in summary["by_event_type"]]

    def test_x_41_an_unknown_type_is_refused_and_leaves_all_unchanged(self, stigg: Stigg) -> None:
        """Nothing is burned and nothing reaches the log."""
        stigg.subscribe("careful", "PRO")
        body = {"tenant_id": "careful", "event_type": "llm_tokens_used", "units": 1}
        refused = stigg.take(TRACK, body, status=422)
        assert "unknown_type" == refused["results"][0]["code"]
        assert (1, 999_999, None) == stigg.track("careful", "LLM_token_usage", 1)

    def test_without_a_subscription_are_not_known(self, stigg: Stigg) -> None:
        """The event is counted all the same."""
        assert (None, None, None) == stigg.track("nobody", "LLM_token_usage", 1)

    def test_c_04_a_check_says_what_would_be_left(self, stigg: Stigg) -> None:
        """S1's credits are billed beyond the allowance, so a check never says no."""
        subscription = stigg.subscribe("asking", "STARTER")
        checked = stigg.get(
            f"{BILLING}/subscriptions/{subscription}/allowances/check",
            event_type="simulator_run",
            quantity="251",
        )
        (after,) = checked["allowances"]
        assert (True, None, "251000", "OVERAGE", "1000") == (
            checked["allowed"],
            checked["refused_by"],
            checked["burned"],
            after["alert"],
            after["overage"],
        )
        stigg.get(
            f"{BILLING}/subscriptions/{subscription}/allowances/check",
            status=400,
            event_type="simulator_run",
            quantity="1e3",
        )

    def test_of_another_tenants_subscription_are_not_found(self, stigg: Stigg) -> None:
        """A foreign id answers as one that nobody has."""
        stigg.get(f"{BILLING}/subscriptions/sub_nobodys/allowances", status=404)


class TestAssets:
    def test_x_48_two_sites_are_within_pro_and_flag_starter(self, stigg: Stigg) -> None:
        """150 assets at 2 sites: PRO has 3 sites, STARTER 1; nothing is charged for sites."""
        flagged = {}
        for customer, plan in (("plant-pro", "PRO"), ("plant-starter", "STARTER")):
            subscription = stigg.subscribe(customer, plan)
            body: Json = {"tenant_id": customer, "site_breakdown": {"site1": 50, "site2": 100}}
            assert 150 == stigg.take(SNAPSHOTS, body)["asset_count"]
            flagged[plan] = projected(stigg, partial(stigg.allowances, subscription))
        assert (False, True) == (flagged["PRO"]["is_flagged"], flagged["STARTER"]["is_flagged"])
        (limit,) = flagged["STARTER"]["limits"]
        assert ("sites", "2", "1") == (limit["key"], limit["value"], limit["maximum"])
        (snapshot,) = stigg.get(f"{BILLING}/asset-snapshots", customer="plant-pro")["data"]
        assert ("150", {"site1": "50", "site2": "100"}) == (
            snapshot["asset_count"],
            snapshot["site_breakdown"],
        )

    def test_s1_r10_the_latest_snapshot_counts_and_old_sites_are_gone(self, stigg: Stigg) -> None:
        """A site that a later snapshot does not name is no part of it."""
        stigg.subscribe("moving", "PRO")
        now = datetime.now(UTC).replace(microsecond=0)
        for hours, sites in ((2, {"old": 7, "kept": 1}), (1, {"kept": 2})):
            body: Json = {
                "tenant_id": "moving",
                "site_breakdown": sites,
                "captured_at": (now - timedelta(hours=hours)).isoformat(),
            }
            stigg.take(SNAPSHOTS, body)
        shown = projected(
            stigg, lambda: stigg.get(f"{BILLING}/asset-snapshots", customer="moving")["data"]
        )
        assert [("2", {"kept": "2"}), ("8", {"kept": "1", "old": "7"})] == [
            (each["asset_count"], each["site_breakdown"]) for each in shown
        ]
        pages = stigg.get(f"{BILLING}/asset-snapshots", customer="moving", limit="1")
        assert pages["has_more"]
        (second,) = stigg.get(
            f"{BILLING}/asset-snapshots",
            customer="moving",
            limit="1",
            cursor=pages["next_cursor"],
        )["data"]
        assert "8" == second["asset_count"]

    def test_s1_80_the_nightly_job_counts_once_however_often_it_runs(self, stigg: Stigg) -> None:
        """The same file twice: one snapshot of each customer."""
        line = b'{"customer": "nightly", "site_breakdown": {"north": 4, "south": 5}}'
        night = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
        for _ in range(2):
            events = _events(line, number=1, tenant=TENANT, default=night)
            _record(stigg.world.settings, tenant=TENANT, events=list(events))
        shown = projected(
            stigg, lambda: stigg.get(f"{BILLING}/asset-snapshots", customer="nightly")["data"]
        )
        assert [("9", {"north": "4", "south": "5"})] == [
            (each["asset_count"], each["site_breakdown"]) for each in shown
        ]
        counted = stigg.get(
            f"{BILLING}/usage",
            customer="nightly",
            granularity="period",
            **{  # type: ignore[arg-type]  # names of parameters alone
                "from": f"{night - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
                "to": f"{night + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
            },
        )["data"]
        assert {"assets": 1, "sites": 1, "site_assets": 2} == {
            each["meter"]: each["events"] for each in counted
        }


class TestPlans:
    def test_s1_48_are_listed_with_their_figures(self, stigg: Stigg) -> None:
        """S1-13 … S1-16, in the catalogue's order."""
        plans = stigg.get(f"{S1}/plans")
        assert [
            ("STARTER", 4000, 200, 250_000, 1),
            ("PRO", 9000, 1000, 1_000_000, 3),
            ("ENTERPRISE", 18000, 3000, 5_000_000, 8),
            ("CUSTOM", 25000, 5000, 10_000_000, 15),
        ] == [
            (
                plan["code"],
                plan["base_price_cad"],
                plan["included_assets"],
                plan["included_credits"],
                plan["max_sites"],
            )
            for plan in plans
        ]
        assert ["PRO"] == [plan["code"] for plan in plans if plan["is_popular"]]
        assert (3, 0.002) == (plans[1]["asset_uplift_cad"], plans[1]["overage_per_credit_cad"])

    def test_s1_49_a_subscription_has_its_first_month(self, stigg: Stigg) -> None:
        """Active, from the day at 00:00 UTC to the same day of the next month."""
        subscription = stigg.subscribe("monthly", "PRO")
        shown = stigg.get(f"{S1}/subscriptions/{subscription}")
        end = (START + timedelta(days=32)).replace(day=1)
        assert ("active", "PRO", f"{START:%Y-%m-%dT00:00:00Z}", f"{end:%Y-%m-%dT00:00:00Z}") == (
            shown["status"],
            shown["plan_code"],
            shown["current_period_start"],
            shown["current_period_end"],
        )
        stigg.get(f"{S1}/subscriptions/sub_nobodys", status=404)

    def test_s1_24_of_an_unknown_plan_is_refused(self, stigg: Stigg) -> None:
        """And makes no customer."""
        body = {"tenant_id": "lost", "plan_code": "GOLD", "start_date": TODAY}
        stigg.post(f"{S1}/subscriptions", body, status=404)
        stigg.get(f"{BILLING}/customers/lost", status=404)


class TestGainShare:
    def test_x_49_to_x_53_from_the_baseline_to_the_invoice(self, stigg: Stigg) -> None:
        """480,000.00 of 3,200,000.00 is approved and stands on one invoice of 498,000.00."""
        stigg.subscribe("works", "ENTERPRISE")
        for metric, value, cost, multiplier, actual in (
            ("availability", 86.0, 25000, 25, "90.0"),
            ("mtbf", 400, 5000, 1, "500"),
            ("mttr", 8, 100000, 1, "6"),
        ):
            stigg.post(
                "/rest/v1/kpi_baselines",
                {
                    "tenant_id": "works",
                    "metric": metric,
                    "baseline_value": value,
                    "cost_per_unit": cost,
                    "multiplier": multiplier,
                    "effective_from": "2024-01-01",
                },
            )
            measurement = {
                "customer": "works",
                "metric": metric,
                "value": actual,
                "measured_on": "2024-06-30",
            }
            stigg.post(f"{BILLING}/kpi-measurements", measurement)
        run = stigg.post(
            "/functions/v1/billing-gainshare",
            {
                "tenant_id": "works",
                "period_start": "2024-01-01",
                "period_end": "2024-12-31",
                "share_pct": 15.0,
            },
        )
        assert (3_200_000, 480_000, 15, "pending_approval") == (
            run["calculated_savings_cad"],
            run["fee_cad"],
            run["share_pct"],
            run["status"],
        )
        assert {"baseline": 86, "actual": 90, "improvement": 4, "savings": 2_500_000} == run[
            "savings_breakdown"
        ]["availability"]
        name = run["gainshare_run_id"]

        self.proves_itself(stigg, name)
        approved = stigg.post(f"{BILLING}/gainshare/{name}/approve", {}, status=200, key="yes")
        assert approved == stigg.post(
            f"{BILLING}/gainshare/{name}/approve", {}, status=200, key="yes"
        )
        stigg.post(f"{BILLING}/gainshare/{name}/reject", {}, status=409)

        billed = stigg.world.bill("works")
        assert [49_800_000] == [each.content.totals.total_minor for each in billed]
        following = stigg.world.bill(
            "works", as_of=AS_OF + timedelta(days=31), month=f"{START + timedelta(days=32):%Y-%m}"
        )
        assert [1_800_000] == [each.content.totals.total_minor for each in following]

    def proves_itself(self, stigg: Stigg, name: str) -> None:
        """The report has its measurements, also after one of them was corrected."""
        later = {
            "customer": "works",
            "metric": "mttr",
            "value": "5",
            "measured_on": "2024-06-30",
        }
        stigg.post(f"{BILLING}/kpi-measurements", later)
        report = stigg.get(f"{BILLING}/gainshare/{name}/report")
        assert report["is_proven"]
        assert ["90", "500", "6"] == [each["value"] for each in report["measurements"]]
        (now,) = stigg.get(f"{BILLING}/kpi-measurements", customer="works", metric="mttr")["data"]
        assert "5" == now["value"]

    @pytest.mark.parametrize("share", ["9.99", "20.01"])
    def test_x_52_a_share_beside_the_range_is_refused(self, stigg: Stigg, share: str) -> None:
        """With the field that is wrong."""
        stigg.subscribe(f"greedy-{share}", "CUSTOM")
        body = {
            "customer": f"greedy-{share}",
            "period_start": "2024-01-01",
            "period_end": "2024-12-31",
            "share_pct": share,
        }
        refused = stigg.post(f"{BILLING}/gainshare", body, status=422)
        assert ("share_out_of_range", "share_pct") == (refused["code"], refused["param"])

    def test_s1_r13_pro_has_none(self, stigg: Stigg) -> None:
        """Enterprise and custom plans alone."""
        stigg.subscribe("modest", "PRO")
        body = {
            "customer": "modest",
            "period_start": "2024-01-01",
            "period_end": "2024-12-31",
            "share_pct": "15",
        }
        assert (
            "gain_share_not_offered"
            == stigg.post(f"{BILLING}/gainshare", body, status=422)["code"]
        )


class TestTheInvoice:
    def test_s1_53_is_made_once_its_period_is_over(self, stigg: Stigg) -> None:
        """Not before its end and grace; then 9,000.00 CAD, and the next period is not over."""
        running = stigg.subscribe("running", "PRO")
        url = "/functions/v1/billing-invoice"
        refused = stigg.post(url, {"subscription_id": running}, status=422)
        assert "period_not_over" == refused["code"]
        stigg.post(url, {"subscription_id": "sub_nobodys"}, status=404)

        start = (START - timedelta(days=40)).date().isoformat()
        body = {"tenant_id": "done", "plan_code": "PRO", "start_date": start}
        done = stigg.post(f"{S1}/subscriptions", body)["subscription_id"]
        made = stigg.post(url, {"subscription_id": done})
        assert (9000, None) == (made["total_cad"], made["stripe_hosted_url"])
        shown = stigg.get(f"{BILLING}/invoices/{made['invoice_id']}")
        assert "9000.00" == shown["total"]["amount"]
