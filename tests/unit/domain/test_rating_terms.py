"""Rating by terms: parts of a period, own prices, free units, commitments, add-ons."""

import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from domain.billing_terms import DiscountKind
from domain.canonical import Json
from domain.codes import Code
from domain.errors import Rejected
from domain.invoice_terms import GrantedDiscount
from domain.overrides import Override
from domain.rating import (
    UsageEntry,
    commitment,
    meters_of,
    rate,
)
from domain.usage.amendments import no_state
from domain.usage.customer_windows import with_state
from tests.support import billing
from tests.support.billing import NANOS
from tests.support.rating import (
    ASSETS,
    CALLS,
    FEE,
    JANUARY,
    by_id,
    catalogue_of,
    halves,
    whole,
)

NO_USAGE: Json = {"usage_lines": False}


def plan_over(code: str, price: Json, **more: Json) -> Json:
    """A plan of one price."""
    assert isinstance(price, Mapping)
    changed = {**price, **more}
    return {"code": code, "name": code, "currency": "CAD", "prices": [changed]}


class TestParts:
    def test_each_part_is_rated_by_its_own_plan(self) -> None:
        """10 days on one plan, 21 on another: allowances and rates of each, scaled by days."""
        other: Json = {
            "code": "q",
            "name": "Q",
            "currency": "CAD",
            "prices": [{**CALLS, "rate": "2", "included": "31"}],
        }
        first: Json = {
            "code": "p",
            "name": "P",
            "currency": "CAD",
            "prices": [{**CALLS, "included": "62"}],
        }
        prices = catalogue_of(plans=[first, other])
        rows = [
            billing.window("calls", value="30"),
            billing.window("calls", value="30", hours=500),
        ]
        terms = halves(prices, codes=("p", "q"))
        assert {"0/calls": 30 - 20, "1/calls": (30 - 21) * 2} == by_id(
            billing.rated(terms, prices=prices, rows=rows)
        )

    def test_levels_cost_the_days_they_were_held(self) -> None:
        """31 assets in the first 10 days, 62 in the other 21, where the price changes."""
        prices = catalogue_of(plans=[plan_over("p", ASSETS), plan_over("q", ASSETS, rate="2")])
        rows = [
            billing.window("assets", value="31"),
            billing.window("assets", value="62", hours=500),
        ]
        terms = halves(prices, codes=("p", "q"))
        assert {"0/assets": 10, "1/assets": 84} == by_id(
            billing.rated(terms, prices=prices, rows=rows)
        )

    def test_a_level_is_not_cut_where_its_price_stays(self) -> None:
        """62 assets were the last: for all 31 days, as without the change."""
        prices = catalogue_of(ASSETS)
        rows = [
            billing.window("assets", value="31"),
            billing.window("assets", value="62", hours=500),
        ]
        assert {"0/assets": 20, "1/assets": 42} == by_id(
            billing.rated(halves(prices), prices=prices, rows=rows)
        )

    @pytest.mark.parametrize("aggregation", ["latest", "max", "min"])
    def test_a_level_stands_where_its_price_changes(self, aggregation: str) -> None:
        """Reported once, in the first part: the second one bills it all the same."""
        meter = billing.meter("assets", aggregation=aggregation)
        prices = catalogue_of(
            plans=[plan_over("p", ASSETS), plan_over("q", ASSETS, rate="2")], meters=[meter]
        )
        rows = [billing.window("assets", value="31")]
        lines = by_id(billing.rated(halves(prices, codes=("p", "q")), prices=prices, rows=rows))
        assert {"0/assets": 10, "1/assets": 2 * 21} == lines

    @pytest.mark.parametrize("aggregation", ["latest", "max", "min", "sum"])
    def test_a_window_whose_events_were_taken_back_is_no_usage(self, aggregation: str) -> None:
        """It keeps its offsets; its neutral values count nowhere, and do not stand."""
        meter = billing.meter("assets", aggregation=aggregation)
        prices = catalogue_of(ASSETS, meters=[meter])
        emptied = with_state(
            replace(billing.window("assets", value="31"), events=0, sum_nanos=0),
            no_state("assets"),
        )
        left = billing.window("assets", value="62", hours=500)
        for terms in (whole(prices), halves(prices)):
            alone, both = (
                billing.rated(terms, prices=prices, rows=rows)
                for rows in ([left], [emptied, left])
            )
            assert alone == both

    def test_a_paused_part_has_no_lines(self) -> None:
        prices = catalogue_of(CALLS)
        terms = halves(prices)
        paused = replace(terms.segments[0], is_paused=True)
        terms = replace(terms, segments=(paused, terms.segments[1]))
        rows = [billing.window("calls", value="30", hours=500)]
        assert {"1/calls": 30} == by_id(billing.rated(terms, prices=prices, rows=rows))


class TestOverrides:
    def test_s2_07_replace_one_price_of_one_plan(self) -> None:
        """Another form, the same line id; other plans keep theirs."""
        prices = catalogue_of(FEE, CALLS)
        blocks = {"key": "calls", "form": "block", "meter": "calls", "size": "10", "amount": "3"}
        volume = json.dumps(blocks)
        rows = [billing.window("calls", value="11")]
        own = whole(prices, overrides=(Override("p", "calls", volume),))
        elsewhere = whole(prices, overrides=(Override("q", "calls", volume),))
        assert {"fee/fee": 31, "0/calls": 6} == by_id(billing.rated(own, prices=prices, rows=rows))
        assert {"fee/fee": 31, "0/calls": 11} == by_id(
            billing.rated(elsewhere, prices=prices, rows=rows)
        )

    def test_one_over_a_meter_of_a_later_version_waits_for_it(self) -> None:
        """An invoice of a period that began before is still made, with the plan's price."""
        prices = catalogue_of(CALLS)
        own = whole(
            prices,
            overrides=(
                Override("p", "calls", json.dumps({**CALLS, "meter": "later", "rate": "9"})),
            ),
        )
        rows = [billing.window("calls", value="11")]
        assert {"0/calls": 11} == by_id(billing.rated(own, prices=prices, rows=rows))


class TestFreeUnits:
    DISCOUNT = GrantedDiscount(
        code="free",
        name="Free",
        kind=DiscountKind.FREE_UNITS,
        value=Decimal(31),
        prices=("calls",),
    )

    @pytest.mark.parametrize(("used", "cost"), [("30", 0), ("31", 0), ("32", 1), ("41", 10)])
    def test_come_off_before_rating(self, used: str, cost: int) -> None:
        """The quantity of the line stays what was used; a step says what was free."""
        prices = catalogue_of(CALLS)
        terms = whole(prices, discounts=(self.DISCOUNT,))
        (line,) = billing.rated(terms, prices=prices, rows=[billing.window("calls", value=used)])
        assert (Fraction(cost), used) == (line.amount_exact, line.quantity)
        assert ("free units: Free", Fraction(min(int(used), 31))) == (
            line.steps[0].label,
            line.steps[0].quantity,
        )

    def test_a_part_of_a_period_has_a_part_of_them(self) -> None:
        prices = catalogue_of(CALLS)
        terms = replace(halves(prices), discounts=(self.DISCOUNT,))
        rows = [
            billing.window("calls", value="15"),
            billing.window("calls", value="15", hours=500),
        ]
        assert {"0/calls": 5, "1/calls": 0} == by_id(
            billing.rated(terms, prices=prices, rows=rows)
        )

    def test_are_for_the_plan_and_given_once(self) -> None:
        """An add-on with a price of that key charges all that was used."""
        pack: Json = {"code": "pack", "name": "Pack", "currency": "CAD", "prices": [CALLS]}
        prices = catalogue_of(CALLS, add_ons=[pack])
        part = billing.segment(
            prices=prices, billed=JANUARY, plan_code="p", add_ons=(("pack", 1),)
        )
        terms = billing.terms_of(part, prices=prices, discounts=(self.DISCOUNT,))
        rows = [billing.window("calls", value="40")]
        lines = billing.rated(terms, prices=prices, rows=rows)
        assert {"0/calls": 9, "0/addon:pack/calls": 40} == by_id(lines)


class TestCommitments:
    @pytest.mark.parametrize(
        ("used", "missing"), [("0", "50"), ("49.99", "0.01"), ("50", "0"), ("50.01", "0")]
    )
    def test_a_minimum_makes_up_what_lacks(self, used: str, missing: str) -> None:
        """Usage counts, fees do not."""
        prices = catalogue_of(FEE, CALLS, plan={"minimum": {"amount": "50", "of": "usage"}})
        rows = [billing.window("calls", value=used)]
        line = billing.rated(whole(prices), prices=prices, rows=rows)[-1]
        assert ("minimum", Fraction(missing)) == (line.line_id, line.amount_exact)
        assert "up to the minimum of 50" == line.steps[0].label

    def test_of_all_counts_fees_too(self) -> None:
        prices = catalogue_of(FEE, CALLS, plan={"minimum": {"amount": "50", "of": "all"}})
        rows = [billing.window("calls", value="10")]
        assert 9 == billing.rated(whole(prices), prices=prices, rows=rows)[-1].amount_exact

    def test_is_made_of_rounded_lines(self) -> None:
        """Two lines of 0.004 are 0.00 each, so a minimum of 0.01 lacks a whole cent."""
        prices = catalogue_of(
            {**CALLS, "rate": "0.004"},
            {**CALLS, "key": "again", "rate": "0.004"},
            plan={"minimum": {"amount": "0.01", "of": "usage"}},
        )
        rows = [billing.window("calls", value="1")]
        line = billing.rated(whole(prices), prices=prices, rows=rows)[-1]
        assert Fraction("0.01") == line.amount_exact

    def test_parts_have_their_plans_commitments_by_their_days(self) -> None:
        """Only the part with the plan that has one counts and commits."""
        committed: Json = {
            "code": "q",
            "name": "Q",
            "currency": "CAD",
            "prices": [CALLS],
            "minimum": {"amount": "62", "of": "usage"},
            "maximum": {"amount": "310", "of": "all"},
        }
        free: Json = {"code": "p", "name": "P", "currency": "CAD", "prices": [CALLS]}
        prices = catalogue_of(plans=[free, committed])
        terms = halves(prices, codes=("p", "q"))
        rows = [
            billing.window("calls", value="100"),
            billing.window("calls", value="2", hours=500),
        ]
        lines = billing.rated(terms, prices=prices, rows=rows)
        assert {"0/calls": 100, "1/calls": 2, "minimum": 40} == by_id(lines)
        bound = commitment(terms=terms, catalogues={1: prices}, which="maximum")
        assert bound is not None
        assert 210 == bound.amount
        assert [False, True, False] == [bound.counts(line) for line in lines]

    def test_a_paused_part_commits_to_nothing(self) -> None:
        prices = catalogue_of(CALLS, plan={"minimum": {"amount": "31", "of": "usage"}})
        terms = halves(prices)
        paused = replace(terms.segments[0], is_paused=True)
        terms = replace(terms, segments=(paused, terms.segments[1]))
        assert {"1/calls": 0, "minimum": 21} == by_id(billing.rated(terms, prices=prices))

    def test_none_without_usage_to_bill(self) -> None:
        """An opening invoice has fees alone."""
        prices = catalogue_of(FEE, plan={"minimum": {"amount": "50", "of": "usage"}})
        lines = billing.rated(whole(prices, segments=()), prices=prices)
        assert {"fee/fee": 31} == by_id(lines)


class TestUsageThatIsNotBilled:
    """S3-44: `usage_lines: false` of the catalogue."""

    def test_s3_44_leaves_fees_and_items_alone(self) -> None:
        """No usage line, no minimum over usage; nothing is read either."""
        minimum: Json = {"amount": "50", "of": "all"}
        prices = catalogue_of(FEE, CALLS, plan={"minimum": minimum}, billing=NO_USAGE)
        terms = whole(prices)
        rows = [billing.window("calls", value="100")]
        assert {"fee/fee": 31} == by_id(billing.rated(terms, prices=prices, rows=rows))
        assert (frozenset(),) == meters_of(terms=terms, catalogues={1: prices})

    def test_s3_44_a_content_or_correction_that_has_usage_is_refused(self) -> None:
        """Books and builder read prices the same way, so none of them can add it."""
        prices = catalogue_of(FEE, CALLS, billing=NO_USAGE)
        with pytest.raises(Rejected) as caught:
            rate(
                terms=whole(prices),
                usage=[UsageEntry(0, "calls", (), NANOS, 1)],
                catalogues={1: prices},
            )
        assert caught.value.code is Code.BAD_VALUE

    def test_a_maximum_caps_the_fees_all_the_same(self) -> None:
        maximum: Json = {"amount": "20", "of": "all"}
        prices = catalogue_of(FEE, CALLS, plan={"maximum": maximum}, billing=NO_USAGE)
        bound = commitment(terms=whole(prices), catalogues={1: prices}, which="maximum")
        assert bound is not None
        assert (Fraction(20), True) == (bound.amount, bound.has_fees)


class TestAddOnUsage:
    def test_n_of_an_add_on_are_n_times_its_terms(self) -> None:
        """Twice a package of 10 for 5.00 is 20 for 10.00."""
        prices = catalogue_of(
            add_ons=[
                {
                    "code": "pack",
                    "name": "Pack",
                    "currency": "CAD",
                    "prices": [
                        {
                            "key": "calls",
                            "form": "package",
                            "meter": "calls",
                            "amount": "5",
                            "included": "10",
                            "rate": "1",
                        }
                    ],
                }
            ]
        )
        part = billing.segment(
            prices=prices, billed=JANUARY, plan_code="p", add_ons=(("pack", 2),)
        )
        terms = billing.terms_of(part, prices=prices)
        rows = [billing.window("calls", value="23")]
        (line,) = billing.rated(terms, prices=prices, rows=rows)
        assert ("0/addon:pack/calls", Fraction(13), "23", "Pack") == (
            line.line_id,
            line.amount_exact,
            line.quantity,
            line.label,
        )


class TestLimits:
    @pytest.mark.parametrize("per", ["1", "100000000000000000"])
    def test_the_largest_numbers_that_pass_the_checks_stay_exact(self, per: str) -> None:
        """Longest rates, bounds and quantity: arithmetic that lost a digit would show here."""
        longest = "999999999999999999.999999999999999999"
        price: Json = {
            "key": "k",
            "form": "graduated",
            "meter": "calls",
            "per": per,
            "included": "0.000000000000000001",
            "tiers": [
                *({"up_to": f"{bound}.{'1' * 18}", "rate": longest} for bound in range(1, 50)),
                {"rate": longest},
            ],
        }
        prices = catalogue_of(price)
        nanos = 10**49 - 1
        (line,) = rate(
            terms=whole(prices),
            usage=[UsageEntry(0, "calls", (), nanos, 1)],
            catalogues={1: prices},
        )
        charged = Fraction(nanos, NANOS) - Fraction("0.000000000000000001")
        assert line.amount_exact == charged * Fraction(longest) / int(per)
