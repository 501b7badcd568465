"""The gain-share book: from baselines to the one line on the next invoice, as S1 asks for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest

from cli.catalogue_file import read_catalogue_file
from domain.books.facts import Outcome
from domain.books.fold import BooksFold
from domain.canonical import Json, sha256_hex
from domain.codes import Code
from domain.gain_share import RunStatus
from tests.support.billing import bodies
from tests.support.stories import CUSTOMER, Story

S1 = Path("deploy/catalogues/s1_stigg_reliability.yaml")
YEAR: dict[str, Json] = {"period_start": "2024-01-01", "period_end": "2024-12-31"}


class Plant(Story):
    """A customer of S1's catalogue, whose year 2024 was measured.

    Args:
        plan_code: Plan from 2025-01-01 on; empty for none.
    """

    def __init__(self, plan_code: str = "ENTERPRISE") -> None:
        content = json.loads(read_catalogue_file(S1))
        billing = {**content["billing"], "grace_hours": 0}
        super().__init__(
            *content["plans"], more={**content, "billing": billing, "discounts": [], "add_ons": []}
        )
        if plan_code:
            self.subscribe(plan_code, start="2025-01-01")

    def baseline(self, metric: str, value: str, cost: str, /, **more: Json) -> Outcome:
        """Record a baseline of 2024."""
        body = {
            "baseline": f"bas_{metric}",
            "customer": CUSTOMER,
            "metric": metric,
            "baseline_value": value,
            "cost_per_unit": cost,
            "effective_from": "2024-01-01",
            **more,
        }
        return self.sent("RecordBaseline", body)

    def measure(
        self, metric: str, value: str, /, *, on: str = "2024-06-30", **more: Json
    ) -> Outcome:
        """Record what a KPI was on a day."""
        body = {"customer": CUSTOMER, "metric": metric, "value": value, "measured_on": on, **more}
        return self.sent("RecordMeasurement", body)

    def measured(self) -> Plant:
        """Record S1's sample: 3,200,000 of savings, 2,500,000 of them by availability."""
        for metric, value, cost, actual in (
            ("availability", "86.0", "25000", "90.0"),
            ("mtbf", "400", "5000", "500"),
            ("mttr", "8", "100000", "6"),
        ):
            more: dict[str, Json] = {"multiplier": "25"} if metric == "availability" else {}
            assert self.baseline(metric, value, cost, **more).code == ""
            assert self.measure(metric, actual).code == ""
        return self

    def run(self, share_pct: str = "15.0", /, *, name: str = "gsr_1", **more: Json) -> Outcome:
        """Ask for a run over 2024."""
        body = {"run": name, "customer": CUSTOMER, **YEAR, "share_pct": share_pct, **more}
        return self.sent("RunGainShare", body, on="2025-01-10")

    def approve(self, name: str = "gsr_1", *, on: str = "2025-01-11") -> Outcome:
        """Approve a run."""
        return self.sent("ApproveGainShare", {"run": name}, on=on)

    def reject(self, name: str = "gsr_1") -> Outcome:
        """Reject a run."""
        return self.sent("RejectGainShare", {"run": name, "reason": "no"}, on="2025-01-11")

    def totals(self) -> list[str]:
        """Return what each invoice comes to."""
        return [self._money(content.totals.total_minor) for content in self.invoices]


def report_of(outcome: Outcome) -> dict[str, Json]:
    """Return the report of a run that was made."""
    assert outcome.code == "", outcome.reason
    ((kind, body),) = bodies(outcome)
    assert kind == "GainShareCalculated"
    assert sha256_hex(str(body["report"])) == body["report_sha256"]
    report: dict[str, Json] = json.loads(str(body["report"]))
    return report


class TestARun:
    """RunGainShare."""

    def test_x_49_finds_savings_and_fee_and_waits_for_approval(self) -> None:
        """3,200,000.00 at 15.0 percent are 480,000.00."""
        plant = Plant().measured()
        report = report_of(plant.run())
        assert (320_000_000, 48_000_000, "15.0") == (
            report["savings_minor"],
            report["fee_minor"],
            report["share_pct"],
        )
        assert RunStatus.PENDING is plant.state.gain_share.runs["gsr_1"].status

    def test_x_50_shows_baseline_actual_improvement_and_savings_of_each_kpi(self) -> None:
        """86.0 to 90.0 at 25,000 counted 25 times are 2,500,000.00."""
        breakdown = report_of(Plant().measured().run())["breakdown"]
        (first, *_) = cast("list[dict[str, Json]]", breakdown)
        assert ("86", "90", "4", 250_000_000) == tuple(
            first[name] for name in ("baseline", "actual", "improvement", "savings_minor")
        )

    @pytest.mark.parametrize(("share", "fee"), [("10", 32_000_000), ("20", 64_000_000)])
    def test_x_52_takes_10_and_20_percent(self, share: str, fee: int) -> None:
        """The bounds belong to the range."""
        assert fee == report_of(Plant().measured().run(share))["fee_minor"]

    @pytest.mark.parametrize("share", ["9.99", "20.01"])
    def test_x_52_refuses_what_lies_beside(self, share: str) -> None:
        """Nothing is left of the attempt."""
        plant = Plant().measured()
        assert Code.SHARE_OUT_OF_RANGE == plant.run(share).code
        assert not plant.state.gain_share.runs

    @pytest.mark.parametrize(
        ("plan_code", "code"),
        [
            ("STARTER", Code.GAIN_SHARE_NOT_OFFERED),
            ("PRO", Code.GAIN_SHARE_NOT_OFFERED),
            ("", Code.GAIN_SHARE_NOT_OFFERED),
            ("ENTERPRISE", ""),
            ("CUSTOM", ""),
        ],
    )
    def test_s1_r13_is_for_enterprise_and_custom_plans(self, plan_code: str, code: str) -> None:
        """A plan says whether its subscribers can have it."""
        assert code == Plant(plan_code).measured().run().code

    def test_s1_r13_ends_with_the_subscription(self) -> None:
        """Whoever left has no run."""
        plant = Plant().measured()
        plant.change("CancelSubscription", on="2025-01-05", when="now")
        assert Code.GAIN_SHARE_NOT_OFFERED == plant.run().code

    @pytest.mark.parametrize(
        ("more", "code"),
        [
            ({"customer": "nobody"}, Code.CUSTOMER_UNKNOWN),
            ({"period_end": "2023-12-31"}, Code.COMMAND_INVALID),
            ({"period_end": "2025-01-01"}, Code.COMMAND_INVALID),
            ({"period_start": "2024-02-30"}, Code.COMMAND_INVALID),
            ({"period_start": "2024-1-1"}, Code.COMMAND_INVALID),
            ({"share_pct": "fifteen"}, Code.COMMAND_INVALID),
            ({"run": "run_1"}, Code.COMMAND_INVALID),
            ({"savings_minor": 1}, Code.COMMAND_INVALID),
        ],
    )
    def test_is_refused_with_what_is_wrong(self, more: dict[str, Json], code: Code) -> None:
        """A period has 1 to 366 days, days are days of the calendar."""
        assert code == Plant().measured().run("15.0", **more).code  # type: ignore[arg-type]  # fields of the body

    def test_of_a_leap_year_has_all_its_days(self) -> None:
        """2024 has 366, and one day is a period as well."""
        plant = Plant().measured()
        assert "" == plant.run().code
        assert "" == plant.run(name="gsr_2", period_end="2024-01-01").code

    def test_is_made_once_under_its_id(self) -> None:
        """The id is taken."""
        plant = Plant().measured()
        plant.run()
        assert Code.GAIN_SHARE_EXISTS == plant.run("10").code

    def test_s1_113_keeps_what_it_was_made_with(self) -> None:
        """A later measurement changes later runs alone."""
        plant = Plant().measured()
        before = report_of(plant.run())
        plant.measure("availability", "99")
        after = report_of(plant.run(name="gsr_2"))
        assert before["savings_minor"] != after["savings_minor"]
        assert 48_000_000 == plant.state.gain_share.runs["gsr_1"].fee_minor

    def test_of_a_catalogue_without_gain_share_is_refused(self) -> None:
        """Nobody agreed on a share."""
        plant = Plant().measured()
        content = json.loads(read_catalogue_file(S1))
        more = {**content, "gain_share": None, "discounts": [], "add_ons": []}
        del more["gain_share"]
        plant.publish(2, *content["plans"], more=more, on="2025-01-02")
        assert Code.GAIN_SHARE_NOT_OFFERED == plant.run().code


class TestADecision:
    """ApproveGainShare and RejectGainShare."""

    def test_x_53_an_approved_fee_is_on_the_next_invoice_and_no_other(self) -> None:
        """18,000 and 480,000 make 498,000.00; the invoice after it is 18,000.00."""
        plant = Plant().measured()
        plant.run()
        assert "" == plant.approve().code
        plant.bill("2025-03-01")
        assert ["498000.00", "18000.00"] == plant.totals()
        (line,) = [line for line in plant.invoices[0].lines if line.kind == "item"]
        assert "Gain-share 2024-01-01 to 2024-12-31: 15.0 % of 3200000.00" == line.label

    def test_x_53_a_rejected_fee_is_on_none(self) -> None:
        """18,000.00 at once."""
        plant = Plant().measured()
        plant.run()
        assert "" == plant.reject().code
        plant.bill("2025-03-01")
        assert ["18000.00", "18000.00"] == plant.totals()

    def test_a_fee_waits_while_nobody_decides(self) -> None:
        """Pending is not approved."""
        plant = Plant().measured()
        plant.run()
        plant.bill("2025-02-01")
        plant.approve(on="2025-02-10")
        plant.bill("2025-03-01")
        assert ["18000.00", "498000.00"] == plant.totals()

    @pytest.mark.parametrize("second", ["approve", "reject"])
    @pytest.mark.parametrize("first", ["approve", "reject"])
    def test_of_two_the_first_counts(self, first: str, second: str) -> None:
        """The other is refused, and adds no fee."""
        plant = Plant().measured()
        plant.run()
        assert "" == getattr(plant, first)().code
        refused = getattr(plant, second)()
        assert (Code.GAIN_SHARE_DECIDED, ()) == (refused.code, refused.facts)
        plant.bill("2025-03-01")
        assert sorted(["498000.00" if first == "approve" else "18000.00", "18000.00"]) == sorted(
            plant.totals()
        )

    def test_that_is_sent_again_adds_no_second_fee(self) -> None:
        """A retry finds its first answer."""
        plant = Plant().measured()
        plant.run()
        body: dict[str, Json] = {"run": "gsr_1"}
        first = plant.books.send("ApproveGainShare", body, command_id="wish")
        again = plant.books.send("ApproveGainShare", body, command_id="wish")
        assert ("", "", True, ()) == (first.code, again.code, again.repeat, again.facts)
        plant.bill("2025-03-01")
        assert ["498000.00", "18000.00"] == plant.totals()

    def test_of_a_void_invoice_lets_the_fee_come_back_once(self) -> None:
        """The item is free again and goes onto the invoice that replaces it."""
        plant = Plant().measured()
        plant.run()
        plant.approve()
        plant.bill("2025-02-01")
        plant.accepted("VoidInvoice", {"invoice": "inv_1", "reason": "wrong address"})
        plant.bill("2025-03-01")
        assert ["498000.00", "498000.00", "18000.00"] == plant.totals()

    def test_of_days_that_were_approved_before_is_refused(self) -> None:
        """The same savings are shared once, also by runs that overlap in one day."""
        plant = Plant().measured()
        plant.run(name="gsr_1")
        plant.run(name="gsr_2", period_start="2024-12-31")
        assert "" == plant.approve("gsr_1").code
        assert Code.GAIN_SHARE_OVERLAPS == plant.approve("gsr_2").code
        assert Code.GAIN_SHARE_OVERLAPS == plant.run(name="gsr_3").code
        assert (
            "" == plant.run(name="gsr_4", period_start="2025-01-01", period_end="2025-01-09").code
        )

    def test_that_rejects_lets_the_savings_be_calculated_again(self) -> None:
        """Only what was approved is closed."""
        plant = Plant().measured()
        plant.run()
        plant.reject()
        plant.run("10", name="gsr_2")
        assert "" == plant.approve("gsr_2").code

    def test_of_no_savings_adds_no_item(self) -> None:
        """A fee of 0 is approved and billed nowhere."""
        plant = Plant()
        plant.run()
        approved = plant.approve()
        assert [("GainShareApproved", "")] == [
            (kind, body["item"]) for kind, body in bodies(approved)
        ]

    def test_of_an_unknown_run_is_refused(self) -> None:
        """There is nothing to decide."""
        assert Code.GAIN_SHARE_UNKNOWN == Plant().approve("gsr_9").code
        assert Code.GAIN_SHARE_UNKNOWN == Plant().reject("gsr_9").code


class TestABaseline:
    """RecordBaseline."""

    def test_s1_57_is_recorded_as_it_is_sent(self) -> None:
        """S1's sample, with the multiplier that counts once."""
        ((kind, body),) = bodies(Plant().baseline("availability", "86.0", "25000"))
        assert kind == "BaselineRecorded"
        assert ("86", "25000", "1", "2024-01-01") == tuple(
            body[name]
            for name in ("baseline_value", "cost_per_unit", "multiplier", "effective_from")
        )

    @pytest.mark.parametrize(
        ("more", "code"),
        [
            ({"metric": "energy"}, Code.KPI_UNKNOWN),
            ({"customer": "nobody"}, Code.CUSTOMER_UNKNOWN),
            ({"baseline_value": "-1"}, Code.COMMAND_INVALID),
            ({"cost_per_unit": "1e5"}, Code.COMMAND_INVALID),
            ({"effective_from": "2024-01-01T00:00:00Z"}, Code.COMMAND_INVALID),
            ({"baseline": "base_1"}, Code.COMMAND_INVALID),
        ],
    )
    def test_is_refused_with_what_is_wrong(self, more: dict[str, Json], code: Code) -> None:
        """Nothing is left of it."""
        plant = Plant()
        assert code == plant.baseline("availability", "86.0", "25000", **more).code
        assert not plant.state.gain_share.baselines

    def test_is_recorded_once_under_its_id(self) -> None:
        """Another one needs another id."""
        plant = Plant()
        plant.baseline("availability", "86", "25000")
        assert Code.BASELINE_EXISTS == plant.baseline("availability", "87", "25000").code


class TestAMeasurement:
    """RecordMeasurement."""

    def test_of_a_day_again_with_the_same_value_changes_nothing(self) -> None:
        """90 and 90.0 are one value."""
        plant = Plant()
        assert 1 == len(plant.measure("availability", "90").facts)
        repeated = plant.measure("availability", "90.0")
        assert ("", ()) == (repeated.code, repeated.facts)

    def test_of_a_day_again_replaces_the_value(self) -> None:
        """A correction counts from then on."""
        plant = Plant()
        plant.measure("availability", "90")
        plant.measure("availability", "91")
        (days,) = plant.state.gain_share.measurements.values()
        assert ["91"] == [str(value) for value in days.values()]

    def test_of_an_unknown_kpi_is_refused_with_those_there_are(self) -> None:
        """A misspelt name would measure nothing."""
        refused = Plant().measure("availibility", "90")
        assert Code.KPI_UNKNOWN == refused.code
        assert "availability, mtbf, mttr, inventory, overtime" in refused.reason


def test_books_that_are_restored_decide_as_before() -> None:
    """Baselines, measurements and runs come back from the facts alone."""
    plant = Plant().measured()
    plant.run()
    plant.run(name="gsr_2")
    plant.approve()
    restored = BooksFold(partition=0, partitions=1)
    for facts in plant.books.facts:
        restored.restore(facts)
    was = plant.state.gain_share
    plant.books.fold = restored
    assert was == plant.state.gain_share
    assert Code.GAIN_SHARE_OVERLAPS == plant.approve("gsr_2").code
