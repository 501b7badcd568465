"""Allowances: used, included, left and alerts of the running period, as S1 wants to be told."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from domain.allowances import (
    Alert,
    after_burn,
    allowances_of,
    burn_of,
    counts,
    is_allowed,
)
from domain.billing_terms import DiscountKind
from domain.books.subscription import Phase
from domain.canonical import Json, to_canonical_json
from domain.invoice_terms import GrantedDiscount
from domain.overrides import Override
from domain.period import Interval, Period
from tests.support.allowances import (
    NANOS,
    START,
    catalogue,
    s1,
    standing,
    subscribed,
    used,
)
from tests.support.billing import moment, units, window


class TestCreditsOfS1:
    """S1's credits: one allowance over four types of events."""

    @pytest.mark.parametrize(
        ("example", "before", "event_type", "units_", "burned", "remaining"),
        [
            ("x_34", 0, "LLM_token_usage", 12, 12, 999_988),
            ("x_35", 12, "vision_frame_batch", 1, 5, 999_983),
            ("x_36", 17, "optimizer_job", 1, 500, 999_483),
            ("x_37", 517, "simulator_run", 1, 1_000, 998_483),
            ("x_39", 0, "vision_frame_batch", 3, 15, 999_985),
        ],
    )
    def test_x_34_to_x_39_are_burned_by_the_weight_of_their_type(
        self,
        example: str,
        before: int,
        event_type: str,
        units_: int,
        burned: int,
        remaining: int,
    ) -> None:
        """Units times credits per unit, taken from what is left."""
        prices = catalogue()
        rows = [window("tokens", value=str(before))] if before else []
        allowance = used(rows)["credit_overage"]
        taken = burn_of(allowance, event_type=event_type, nanos=units_ * NANOS, catalogue=prices)
        after = after_burn(allowance, burned=taken, warning_percent=80)
        assert (Fraction(burned), (remaining, None)) == (taken, s1(after)), example

    def test_x_40_the_last_credit_is_no_overage_and_the_next_one_is(self) -> None:
        """500 left: a job takes them all, a token more is overage; nothing is ever below 0."""
        first = used([window("tokens", value="999500"), window("jobs", value="1", hours=1)])
        assert (0, Alert.LOW_CREDITS) == s1(first["credit_overage"])
        rows = [
            window("tokens", value="999500"),
            window("jobs", value="1", hours=1),
            window("tokens", value="1", hours=2),
        ]
        second = used(rows)["credit_overage"]
        assert (0, Alert.OVERAGE) == s1(second)
        assert (Fraction(1), Fraction(1_000_001)) == (second.overage, second.used)

    @pytest.mark.parametrize(
        ("tokens", "alert"),
        [
            ("799999.999999999", None),
            ("800000", Alert.LOW_CREDITS),
            ("1000000", Alert.LOW_CREDITS),
            ("1000000.000000001", Alert.OVERAGE),
        ],
    )
    def test_s1_r7_warn_from_80_percent_and_call_overage_beyond_all(
        self, tokens: str, alert: Alert | None
    ) -> None:
        """Each bound, and a billionth beside it."""
        row = replace(window("tokens"), sum_nanos=units(tokens))
        assert alert == used([row])["credit_overage"].alert

    def test_s1_38_begin_anew_with_each_period(self) -> None:
        """January's burn is not February's, before its invoice as after it."""
        rows = [window("tokens", value="1500000", at="2025-01-31")]
        versions = {1: catalogue()}
        january = standing(at="2025-01-31")
        february = standing(at="2025-02-01")
        renewed = subscribed(
            period_index=1, period=Period(moment("2025-02-01"), moment("2025-03-01"))
        )
        after_invoice = standing(renewed, at="2025-02-01")
        assert january is not None
        assert february is not None
        assert after_invoice is not None
        assert (0, Alert.OVERAGE) == s1(used(rows, found=january)["credit_overage"])
        assert (moment("2025-02-01"), moment("2025-03-01")) == (
            february.period.start,
            february.period.end,
        )
        for each in (february, after_invoice):
            allowance = allowances_of(each, rows=[], catalogues=versions)[0][1]
            assert (1_000_000, None) == s1(allowance)

    def test_of_an_event_that_no_allowance_counts_are_none(self) -> None:
        """A snapshot burns no credits, and an unknown type nothing at all (X-41)."""
        allowance = used([])["credit_overage"]
        for event_type in ("asset_snapshot", "no_such_type"):
            assert 0 == burn_of(
                allowance, event_type=event_type, nanos=NANOS, catalogue=catalogue()
            )
            assert not counts(allowance, event_type=event_type, catalogue=catalogue())


class TestAnAllowance:
    """One price's allowance."""

    def test_of_a_level_is_not_shared_out_over_a_part_of_a_period(self) -> None:
        """After an upgrade on the 22nd credits count by 10 of 31 days, assets by their level."""
        phases = [
            Phase(moment(START), "STARTER", Interval.MONTH, 1),
            Phase(moment("2025-01-22"), "PRO", Interval.MONTH, 1),
        ]
        found = standing(subscribed(phases=phases), at="2025-01-25")
        assert found is not None
        allowances = used([window("assets", at="2025-01-23", value="900")], found=found)
        assert Fraction(1_000_000 * 10, 31) == allowances["credit_overage"].included
        assert (Fraction(1000), Fraction(900)) == (
            allowances["asset_uplift"].included,
            allowances["asset_uplift"].used,
        )
        assert (moment("2025-01-22"), "PRO") == (found.segment.start, found.plan.code)

    def test_holds_the_free_units_that_were_granted(self) -> None:
        """Free units make the allowance larger; what was used stays what it is."""
        granted = GrantedDiscount(
            code="launch",
            name="Launch",
            kind=DiscountKind.FREE_UNITS,
            value=Decimal(500),
            prices=("credit_overage",),
        )
        found = standing(subscribed(discounts=(granted,)))
        allowance = used([window("tokens", value="100")], found=found)["credit_overage"]
        assert (Fraction(1_000_500), Fraction(100)) == (allowance.included, allowance.used)

    def test_is_the_customers_own_where_the_price_is(self) -> None:
        """An override replaces the plan's price and its allowance."""
        document = to_canonical_json(
            {
                "key": "credit_overage",
                "form": "per_unit",
                "meter": "credits",
                "included": "7",
                "rate": "0.0010",
            }
        )
        found = standing(overrides=(Override("PRO", "credit_overage", document),))
        assert Fraction(7) == used([], found=found)["credit_overage"].included

    def test_of_an_add_on_counts_as_often_as_it_is_had(self) -> None:
        """Three times ten logins."""
        phase = Phase(moment(START), "PRO", Interval.MONTH, 1, add_ons=(("more", 3),))
        found = standing(subscribed(phases=[phase]))
        allowance = used([window("users", value="12")], found=found)["addon:more/logins"]
        assert (Fraction(30), Fraction(18)) == (allowance.included, allowance.remaining)

    def test_of_an_add_on_has_no_free_units(self) -> None:
        """They are for the plan, whatever the keys of the add-on's prices."""
        granted = GrantedDiscount(
            "free", "Free", DiscountKind.FREE_UNITS, Decimal(500), ("logins",)
        )
        phase = Phase(moment(START), "PRO", Interval.MONTH, 1, add_ons=(("more", 1),))
        found = standing(subscribed(phases=[phase], discounts=(granted,)))
        assert Fraction(10) == used([], found=found)["addon:more/logins"].included

    def test_counts_only_usage_of_its_subscription(self) -> None:
        """Usage of another app belongs to another subscription."""
        phase = Phase(moment(START), "PRO", Interval.MONTH, 1, add_ons=(("more", 1),))
        found = standing(subscribed(phases=[phase], dimensions=(("app", "a"),)))
        rows = [
            window("users", value="4", dimensions={"app": "a"}),
            window("users", value="5", dimensions={"app": "b"}),
        ]
        assert Fraction(4) == used(rows, found=found)["addon:more/logins"].used

    @pytest.mark.parametrize(
        ("overflow", "before", "allowed", "alert"),
        [
            ("bill", "9", True, Alert.LOW_CREDITS),
            ("bill", "10", True, Alert.LOW_CREDITS),
            ("warn", "10", True, Alert.LOW_CREDITS),
            ("refuse", "9", True, Alert.LOW_CREDITS),
            ("refuse", "9.000000001", False, Alert.LOW_CREDITS),
            ("refuse", "10", False, Alert.LOW_CREDITS),
        ],
    )
    def test_c_04_refuses_only_by_its_policy(
        self, overflow: str, before: str, allowed: bool, alert: Alert
    ) -> None:
        """One more login on an allowance of ten."""
        price: Json = {
            "key": "logins",
            "form": "per_unit",
            "meter": "users",
            "included": "10",
            "rate": "1",
            "overflow": overflow,
        }
        versions = {1: catalogue(prices=[price])}
        row = replace(window("users"), sum_nanos=units(before))
        allowance = used([row], versions=versions)["logins"]
        assert (allowed, alert) == (is_allowed(allowance, burned=Fraction(1)), allowance.alert)

    @pytest.mark.parametrize(
        ("overflow", "alert"), [("bill", None), ("warn", "OVERAGE"), ("refuse", "OVERAGE")]
    )
    def test_of_nothing_is_exceeded_only_where_that_matters(
        self, overflow: str, alert: str | None
    ) -> None:
        """Usage that is simply paid for by the unit is no overage."""
        price: Json = {
            "key": "logins",
            "form": "per_unit",
            "meter": "users",
            "rate": "1",
            "overflow": overflow,
        }
        versions = {1: catalogue(prices=[price])}
        allowance = used([window("users", value="1")], versions=versions)["logins"]
        assert (alert, None) == (allowance.alert, allowance.used_percent)
