"""Rating: windows to quantities, quantities to lines."""

from fractions import Fraction

import pytest

from domain.aggregation.measure import Measured
from domain.canonical import Json
from domain.catalogue import parse_catalogue
from domain.codes import Code
from domain.errors import Fatal
from domain.money import minor_text
from domain.rating import rate
from tests.support import billing
from tests.support.billing import NANOS, units


def lines_of(plan: str, **usage: str) -> list[str]:
    """The rounded lines of an S1 plan, and their sum last."""
    catalogue = billing.s1_catalogue()
    lines = rate(
        usage={meter: Measured(units(quantity)) for meter, quantity in usage.items()},
        plan=catalogue.plan(plan),
        catalogue=catalogue,
    )
    amounts = [line.amount_minor for line in lines]
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
        assert lines_of("PRO") == ["9000.00", "0.00", "0.00", "9000.00"]


class TestLine:
    def test_g_04_keeps_the_unrounded_amount(self) -> None:
        """1,000,003 credits cost 0.006 exactly and 0.01 on the invoice."""
        catalogue = billing.s1_catalogue()
        line = rate(
            usage={"credits": Measured(1_000_003 * NANOS)},
            plan=catalogue.plan("PRO"),
            catalogue=catalogue,
        )[2]
        assert (line.amount_unrounded, line.amount_minor) == ("0.006", 1)

    def test_g_04_rounds_once_per_line_not_once_per_invoice(self) -> None:
        """Two lines of 0.005 are 0.01 each; the invoice is their sum, 0.02."""
        price = {"form": "flat", "amount": "0.005"}
        content = billing.document(
            1,
            meters=[],
            plans=[
                billing.plan("p", currency="CAD", prices=[price | {"key": key} for key in "ab"])
            ],
        )
        catalogue = parse_catalogue(content)
        lines = rate(usage={}, plan=catalogue.plan("p"), catalogue=catalogue)
        assert [line.amount_minor for line in lines] == [1, 1]

    def test_g_04_rounds_the_sum_of_the_steps_not_each_step(self) -> None:
        """Two tiers of 0.004 make a line of 0.008, which is 0.01."""
        tiers = [{"up_to": "1", "rate": "0.004"}, {"rate": "0.004"}]
        content = billing.document(
            1,
            meters=[billing.meter("m")],
            plans=[
                billing.plan(
                    "p",
                    currency="CAD",
                    prices=[{"key": "k", "form": "graduated", "meter": "m", "tiers": tiers}],
                )
            ],
        )
        catalogue = parse_catalogue(content)
        (line,) = rate(
            usage={"m": Measured(2 * NANOS)}, plan=catalogue.plan("p"), catalogue=catalogue
        )
        assert (len(line.steps), line.amount_unrounded, line.amount_minor) == (2, "0.008", 1)

    def test_says_what_was_billed(self) -> None:
        """A metered line names price, form, meter, unit and quantity."""
        catalogue = billing.s1_catalogue()
        line = rate(
            usage={"assets": Measured(units("1200.5"))},
            plan=catalogue.plan("PRO"),
            catalogue=catalogue,
        )[1]
        assert (line.price, line.form, line.meter, line.unit, line.quantity) == (
            "asset_uplift",
            "per_unit",
            "assets",
            "asset",
            "1200.5",
        )

    def test_fee_is_one_of_itself(self) -> None:
        """A fee has no meter and no unit, and the quantity 1."""
        catalogue = billing.s1_catalogue()
        line = rate(usage={}, plan=catalogue.plan("PRO"), catalogue=catalogue)[0]
        assert (line.meter, line.unit, line.quantity) == ("", "", "1")

    def test_g_08_negative_quantity_is_a_defect(self) -> None:
        """The usage fold refuses negative events, so a negative sum stops the builder."""
        catalogue = billing.s1_catalogue()
        with pytest.raises(Fatal) as caught:
            rate(usage={"credits": Measured(-1)}, plan=catalogue.plan("PRO"), catalogue=catalogue)
        assert caught.value.code is Code.STATE_CORRUPT


class TestLimits:
    @pytest.mark.parametrize("per", ["1", "100000000000000000"])
    def test_the_largest_numbers_that_pass_the_checks_stay_exact(self, per: str) -> None:
        """Longest rates, bounds and quantity: arithmetic that lost a digit would raise here."""
        longest = "999999999999999999.999999999999999999"
        price: Json = {
            "key": "k",
            "form": "graduated",
            "meter": "m",
            "per": per,
            "included": "0.000000000000000001",
            "tiers": [
                *({"up_to": f"{bound}.{'1' * 18}", "rate": longest} for bound in range(1, 50)),
                {"rate": longest},
            ],
        }
        content = billing.document(
            1,
            meters=[billing.meter("m")],
            plans=[billing.plan("p", currency="CAD", prices=[price])],
        )
        catalogue = parse_catalogue(content)
        nanos = 10**49 - 1
        (line,) = rate(usage={"m": Measured(nanos)}, plan=catalogue.plan("p"), catalogue=catalogue)
        charged = Fraction(nanos, NANOS) - Fraction("0.000000000000000001")
        assert Fraction(line.amount_unrounded) == charged * Fraction(longest) / int(per)
