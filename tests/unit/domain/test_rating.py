"""Rating: windows to usage, usage to lines."""

from dataclasses import replace
from fractions import Fraction

import pytest

from domain.canonical import Json
from domain.codes import Code
from domain.errors import Fatal, Rejected
from domain.money import minor_text
from domain.rating import (
    Selection,
    UsageEntry,
    line_sources,
    meters_of,
    rate,
    rate_fees,
    usage_entries,
)
from tests.support import billing
from tests.support.billing import NANOS, units
from tests.support.rating import (
    ASSETS,
    CALLS,
    FEE,
    JANUARY,
    METER,
    by_id,
    catalogue_of,
    halves,
    whole,
)


def lines_of(plan: str, **usage: str) -> list[str]:
    """The rounded lines of an S1 plan, and their sum last."""
    prices = billing.s1_catalogue()
    terms = billing.terms_of(
        billing.segment(prices=prices, billed=JANUARY, plan_code=plan), prices=prices
    )
    rows = [billing.window(meter, value=quantity) for meter, quantity in usage.items()]
    amounts = [billing.minor(line) for line in billing.rated(terms, prices=prices, rows=rows)]
    return [minor_text(amount_minor=amount, currency="CAD") for amount in [*amounts, sum(amounts)]]


# name                     plan        assets  credits    base      uplift  overage  total
TABLE = """
x_42_x_61_pro              PRO         1200    1500000    9000.00   600.00  1000.00  10600.00
x_43_pro_at_allowances     PRO         1000    1000000    9000.00   0.00    0.00     9000.00
pro_one_below_allowances   PRO         999     999999     9000.00   0.00    0.00     9000.00
pro_one_over_allowances    PRO         1001    1000001    9000.00   3.00    0.00     9003.00
pro_two_credits_over       PRO         1000    1000002    9000.00   0.00    0.00     9000.00
pro_three_credits_over     PRO         1000    1000003    9000.00   0.00    0.01     9000.01
x_44_starter               STARTER     250     300000     4000.00   150.00  100.00   4250.00
x_45_enterprise            ENTERPRISE  3100    5200000    18000.00  250.00  300.00   18550.00
x_46_custom                CUSTOM      5100    10500000   25000.00  200.00  500.00   25700.00
g_08_nothing_used          PRO         0       0          9000.00   0.00    0.00     9000.00
"""
ROWS = [line.split() for line in TABLE.splitlines() if line]


class TestHybridPlans:
    @pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
    def test_s1_35_adds_base_uplift_and_overage(self, row: list[str]) -> None:
        """One line per price in plan order, each rounded once, and the sum of the lines."""
        _, plan, assets, credits_, *amounts = row
        assert amounts == lines_of(plan, assets=assets, credits=credits_)

    def test_missing_usage_has_its_line_too(self) -> None:
        """A meter that counted nothing is shown with 0, not left out."""
        assert ["9000.00", "0.00", "0.00", "9000.00"] == lines_of("PRO")


class TestUsage:
    def test_windows_of_a_selection_become_one_quantity(self) -> None:
        """Hours add up; each selection of dimension values is an entry of its own."""
        prices = catalogue_of(CALLS, {**CALLS, "key": "eu", "where": {"region": "eu"}})
        rows = [
            billing.window("calls", value="2", hours=1, dimensions={"region": "eu"}),
            billing.window("calls", value="3", hours=5, dimensions={"region": "eu"}),
            billing.window("calls", value="4", hours=5, dimensions={"region": "us"}),
        ]
        entries = usage_entries(
            terms=whole(prices), rows=[(0, row) for row in rows], catalogues={1: prices}
        )
        assert [
            UsageEntry(0, "calls", (), units("9"), 3),
            UsageEntry(0, "calls", (("region", "eu"),), units("5"), 2),
        ] == list(entries)

    def test_a_matrix_reads_every_set_of_values(self) -> None:
        """A window without a dimension has the empty value."""
        matrix: Json = {
            "key": "m",
            "form": "matrix",
            "meter": "calls",
            "dimensions": ["model"],
            "rates": [{"where": {"model": "a"}, "rate": "2"}],
            "rate": "1",
        }
        prices = catalogue_of(matrix)
        rows = [
            billing.window("calls", value="2", dimensions={"model": "a", "region": "eu"}),
            billing.window("calls", value="3", dimensions={"model": "a", "region": "us"}),
            billing.window("calls", value="4", dimensions={"region": "us"}),
        ]
        terms = whole(prices)
        entries = usage_entries(
            terms=terms, rows=[(0, row) for row in rows], catalogues={1: prices}
        )
        assert [("", 4), ("a", 5)] == [
            (entry.where[0][1], entry.nanos // NANOS) for entry in entries
        ]
        assert 14 == rate(terms=terms, usage=entries, catalogues={1: prices})[-1].amount_exact

    def test_a_matrix_within_a_selection_reads_that_alone(self) -> None:
        """`where` and the dimensions of a matrix hold together."""
        matrix: Json = {
            "key": "m",
            "form": "matrix",
            "meter": "calls",
            "where": {"region": "eu"},
            "dimensions": ["model"],
            "rates": [{"where": {"model": "a"}, "rate": "2"}],
        }
        wide: Json = {
            "key": "w",
            "form": "matrix",
            "meter": "calls",
            "dimensions": ["model", "region"],
            "rates": [],
            "rate": "1",
        }
        prices = catalogue_of(matrix, wide)
        rows = [
            billing.window("calls", value="2", dimensions={"model": "a", "region": "eu"}),
            billing.window("calls", value="3", dimensions={"model": "a", "region": "us"}),
        ]
        assert {
            "0/m": 4,
            "0/w": 5,
        } == by_id(billing.rated(whole(prices), prices=prices, rows=rows))

    def test_only_windows_with_the_subscription_s_dimensions_count(self) -> None:
        """Two subscriptions of one customer share a meter by them."""
        prices = catalogue_of(CALLS)
        terms = whole(prices, dimensions=(("region", "eu"),))
        rows = [
            (0, billing.window("calls", value="2", dimensions={"region": "eu"})),
            (0, billing.window("calls", value="3", dimensions={"region": "us"})),
            (0, billing.window("calls", value="4")),
        ]
        (entry,) = usage_entries(terms=terms, rows=rows, catalogues={1: prices})
        assert units("2") == entry.nanos

    @pytest.mark.parametrize("hours", [-1, 31 * 24])
    def test_a_window_outside_its_part_is_a_defect(self, hours: int) -> None:
        prices = catalogue_of(CALLS)
        row = billing.window("calls", hours=hours)
        with pytest.raises(Fatal) as caught:
            usage_entries(terms=whole(prices), rows=[(0, row)], catalogues={1: prices})
        assert Code.STATE_CORRUPT is caught.value.code

    def test_says_which_meters_each_part_reads(self) -> None:
        """A composite is read by its meters; a paused part reads none."""
        prices = catalogue_of(
            {**CALLS, "meter": "sum"},
            composites=[
                {
                    "key": "sum",
                    "unit": "unit",
                    "of": [{"meter": "calls", "weight": "1"}, {"meter": "other", "weight": "2"}],
                }
            ],
        )
        terms = halves(prices)
        paused = replace(terms.segments[1], is_paused=True)
        terms = replace(terms, segments=(terms.segments[0], paused))
        assert (frozenset({"calls", "other"}), frozenset()) == meters_of(
            terms=terms, catalogues={1: prices}
        )
        assert (Selection(0, "calls", ()), Selection(0, "other", ())) == line_sources(
            terms=terms, catalogues={1: prices}, line_id="0/calls"
        )
        for line_id in ("fee/calls", "1/calls", "2/calls", "minimum", "item/itm_1", "0/nothing"):
            assert () == line_sources(terms=terms, catalogues={1: prices}, line_id=line_id)

    def test_usage_that_no_price_reads_is_refused(self) -> None:
        """What stands on an invoice is charged by it."""
        prices = catalogue_of(CALLS)
        with pytest.raises(Rejected) as caught:
            rate(
                terms=whole(prices),
                usage=[UsageEntry(0, "other", (), 1, 1)],
                catalogues={1: prices},
            )
        assert Code.BAD_VALUE is caught.value.code

    def test_g_08_negative_quantity_is_a_defect(self) -> None:
        """The usage fold refuses negative events, so a negative sum stops the builder."""
        prices = catalogue_of(CALLS)
        with pytest.raises(Fatal) as caught:
            rate(
                terms=whole(prices),
                usage=[UsageEntry(0, "calls", (), -1, 1)],
                catalogues={1: prices},
            )
        assert Code.STATE_CORRUPT is caught.value.code


class TestLine:
    def test_g_04_keeps_the_unrounded_amount(self) -> None:
        """1,000,003 credits cost 0.006 exactly and 0.01 on the invoice."""
        prices = billing.s1_catalogue()
        terms = billing.terms_of(billing.segment(prices=prices, billed=JANUARY), prices=prices)
        rows = [billing.window("credits", value="1000003")]
        line = billing.rated(terms, prices=prices, rows=rows)[2]
        assert (Fraction("0.006"), 1) == (line.amount_exact, billing.minor(line))

    def test_says_what_was_billed(self) -> None:
        """A metered line names price, form, meter, unit, quantity and the time it is for."""
        prices = catalogue_of(FEE, {**ASSETS, "name": "Machines"})
        line = billing.rated(
            whole(prices), prices=prices, rows=[billing.window("assets", value="1200.5")]
        )[1]
        assert ("0/assets", "usage", "Machines", "assets", "per_unit", "assets", "unit") == (
            line.line_id,
            line.kind,
            line.label,
            line.price,
            line.form,
            line.meter,
            line.unit,
        )
        assert ("1200.5", JANUARY.start, JANUARY.end) == (line.quantity, line.start, line.end)

    def test_fee_is_one_of_itself(self) -> None:
        """A fee has no meter and no unit, and the quantity 1."""
        line = billing.rated(whole(catalogue_of(FEE)), prices=catalogue_of(FEE))[0]
        assert ("fee/fee", "fee", "", "", "1") == (
            line.line_id,
            line.kind,
            line.meter,
            line.unit,
            line.quantity,
        )

    def test_an_estimate_is_marked(self) -> None:
        prices = catalogue_of(CALLS)
        usage = [UsageEntry(0, "calls", (), NANOS, 1, is_estimate=True)]
        (line,) = rate(terms=whole(prices), usage=usage, catalogues={1: prices})
        assert line.is_estimate


class TestFees:
    def test_seats_and_add_ons_are_fees(self) -> None:
        """Plan first, then add-ons, as often as there are of them."""
        prices = catalogue_of(
            FEE,
            {"key": "seats", "form": "seats", "amount": "10", "included": "1"},
            add_ons=[
                {
                    "code": "care",
                    "name": "Care",
                    "currency": "CAD",
                    "prices": [{"key": "care", "form": "flat", "amount": "5"}],
                }
            ],
        )
        part = billing.segment(
            prices=prices, billed=JANUARY, plan_code="p", seats=4, add_ons=(("care", 3),)
        )
        lines = billing.rated(billing.terms_of(part, prices=prices), prices=prices)
        assert {"fee/fee": 31, "fee/seats": 30, "fee/addon:care/care": 15} == by_id(lines)
        assert ["fee", "seats", "add_on"] == [line.kind for line in lines]
        assert ["1", "4", "3"] == [line.quantity for line in lines]

    @pytest.mark.parametrize(("days", "amount"), [(31, "31"), (21, "21"), (1, "1")])
    def test_a_part_of_a_period_costs_its_days(self, days: int, amount: str) -> None:
        prices = catalogue_of(FEE)
        part = replace(
            billing.segment(prices=prices, billed=JANUARY, plan_code="p"), days=days, of_days=31
        )
        (line,) = rate_fees(segment=part, catalogues={1: prices}, overrides=(), currency="CAD")
        assert Fraction(amount) == line.amount_exact

    def test_a_paused_period_has_none(self) -> None:
        prices = catalogue_of(FEE, CALLS)
        part = billing.segment(prices=prices, billed=JANUARY, plan_code="p", is_paused=True)
        assert () == rate_fees(segment=part, catalogues={1: prices}, overrides=(), currency="CAD")
        assert () == billing.rated(billing.terms_of(part, prices=prices), prices=prices)

    def test_another_currency_is_refused(self) -> None:
        prices = catalogue_of(FEE)
        part = billing.segment(prices=prices, billed=JANUARY, plan_code="p")
        with pytest.raises(Rejected) as caught:
            rate_fees(segment=part, catalogues={1: prices}, overrides=(), currency="USD")
        assert Code.CURRENCY_DIFFERS is caught.value.code


CREDITS: Json = {
    "key": "credits",
    "unit": "credit",
    "of": [{"meter": "calls", "weight": "1"}, {"meter": "other", "weight": "500"}],
}


class TestComposites:
    def test_s1_30_add_weighted_meters_up_under_one_allowance(self) -> None:
        """600 calls and 2 others are 1,600 credits: 600 above 1,000."""
        prices = catalogue_of(
            {**CALLS, "meter": "credits", "included": "1000", "rate": "0.01"},
            composites=[CREDITS],
        )
        rows = [billing.window("calls", value="600"), billing.window("other", value="2")]
        (line,) = billing.rated(whole(prices), prices=prices, rows=rows)
        assert (Fraction(6), "1600", "credits", "credit") == (
            line.amount_exact,
            line.quantity,
            line.meter,
            line.unit,
        )

    def test_count_by_dimension_like_meters(self) -> None:
        """Values of a composite's meters meet in one group."""
        meters: Json = [
            {**METER, "key": key, "event_type": key, "group_by": ["model"]} for key in "ab"
        ]
        prices = catalogue_of(
            {
                "key": "m",
                "form": "matrix",
                "meter": "ab",
                "dimensions": ["model"],
                "rates": [{"where": {"model": "x"}, "rate": "1"}],
            },
            meters=meters,
            composites=[
                {
                    "key": "ab",
                    "unit": "unit",
                    "of": [{"meter": "a", "weight": "1"}, {"meter": "b", "weight": "0.5"}],
                }
            ],
        )
        rows = [
            billing.window("a", value="3", dimensions={"model": "x"}),
            billing.window("b", value="4", dimensions={"model": "x"}),
            billing.window("b", value="4", dimensions={"model": "y"}),
        ]
        (line,) = billing.rated(whole(prices), prices=prices, rows=rows)
        assert (Fraction(5), "7") == (line.amount_exact, line.quantity)
