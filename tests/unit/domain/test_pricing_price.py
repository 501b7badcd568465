"""What holds for every form: bounds of a period, overflow, parts of a period."""

from fractions import Fraction

import pytest

from domain.errors import Rejected
from domain.pricing.price import WHOLE, Share
from tests.support import billing
from tests.support.billing import tiers

HALF = Share(15, 30)


class TestBounds:
    # name             quantity        amount
    TABLE = """
    nothing            0               10
    below_minimum      9               10
    just_below         9.999999999     10
    at_minimum         10              10
    just_over          10.000000001    10.000000001
    at_maximum         50              50
    just_beyond        50.000000001    50
    beyond             51              50
    """

    @pytest.mark.parametrize("row", [line.split() for line in TABLE.splitlines() if line.strip()])
    def test_a_price_keeps_its_minimum_and_maximum(self, row: list[str]) -> None:
        _, quantity, amount = row
        price = billing.price("per_unit", rate="1", minimum="10", maximum="50")
        assert Fraction(amount) == billing.cost(price, billing.used(quantity))

    def test_steps_add_up_to_the_bound(self) -> None:
        """What was used stays to be read; the last step says why the line is something else."""
        price = billing.price("per_unit", rate="1", minimum="10", maximum="50")
        for quantity, last in (
            ("3", ("up to the minimum of 10", Fraction(7))),
            ("60", ("down to the maximum of 50", Fraction(-10))),
        ):
            steps = price.charge(billing.used(quantity), share=WHOLE)
            assert last == (steps[-1].label, steps[-1].amount)
            assert Fraction(quantity) == steps[0].amount

    def test_a_maximum_below_the_minimum_is_refused(self) -> None:
        with pytest.raises(Rejected) as caught:
            billing.price("per_unit", rate="1", minimum="10", maximum="9.99")
        assert "price.maximum" == caught.value.fields["param"]


class TestOverflow:
    @pytest.mark.parametrize("overflow", ["warn", "refuse"])
    @pytest.mark.parametrize(
        ("form", "fields", "amount"),
        [
            ("per_unit", {"rate": "1"}, 0),
            ("graduated", {"tiers": tiers(("", "1"))}, 0),
            ("volume", {"tiers": tiers(("", "1"))}, 0),
            ("tiered_flat", {"tiers": tiers(("", "1"), what="amount")}, 0),
            ("package", {"amount": "9", "rate": "1"}, 9),
            ("block", {"size": "1", "amount": "1"}, 0),
        ],
    )
    def test_c_04_what_is_not_billed_costs_nothing_and_is_said(
        self, overflow: str, form: str, fields: dict[str, object], amount: int
    ) -> None:
        """Only `bill` charges above the allowance; the step says how much was over."""
        price = billing.price(form, included="10", overflow=overflow, **fields)  # type: ignore[arg-type]
        steps = price.charge(billing.used("15"), share=WHOLE)
        assert amount == sum(step.amount for step in steps)
        assert f"over 10 included, not charged: {overflow}" == steps[-1].label
        assert 5 == steps[-1].quantity

    @pytest.mark.parametrize("overflow", ["warn", "refuse"])
    def test_within_the_allowance_nothing_is_said(self, overflow: str) -> None:
        price = billing.price("per_unit", rate="1", included="10", overflow=overflow)
        (step,) = price.charge(billing.used("10"), share=WHOLE)
        assert "over 10 included" == step.label

    def test_a_matrix_says_it_of_each_value(self) -> None:
        price = billing.price(
            "matrix",
            dimensions=["model"],
            rates=[{"where": {"model": "a"}, "rate": "1"}],
            included="1",
            overflow="warn",
        )
        usage = billing.used("3", groups={(("model", "a"),): ("3", 1)})
        (step,) = price.charge(usage, share=WHOLE)
        assert (Fraction(2), Fraction(0)) == (step.quantity, step.amount)
        assert step.label.endswith("not charged: warn")


class TestShares:
    def test_what_flows_has_part_of_the_allowance(self) -> None:
        """Half a period of 100 included units includes 50."""
        price = billing.price("per_unit", rate="2", included="100")
        costs = [
            billing.cost(price, billing.used(quantity), share=HALF)
            for quantity in ("49", "50", "50.000000001", "51")
        ]
        assert [0, 0, Fraction("0.000000002"), 2] == costs

    def test_a_level_costs_part_of_the_amount(self) -> None:
        """150 units held for half a period cost half of what they cost in a whole one."""
        price = billing.price("per_unit", rate="2", included="100")
        assert 50 == billing.cost(price, billing.used("150", is_flow=False), share=HALF)

    def test_bounds_shrink_too(self) -> None:
        price = billing.price("per_unit", rate="1", minimum="10", maximum="50")
        costs = [
            billing.cost(price, billing.used(quantity), share=HALF)
            for quantity in ("0", "5", "6", "25", "26")
        ]
        assert [5, 5, 6, 25, 25] == costs

    def test_each_step_still_says_quantity_times_rate(self) -> None:
        """And which part of the period it is for."""
        price = billing.price("graduated", tiers=tiers(("10", "3"), ("", "1")))
        for is_flow in (True, False):
            for step in price.charge(billing.used("40", is_flow=is_flow), share=Share(21, 31)):
                assert step.amount == step.quantity * step.rate / step.per
                assert step.label.endswith(", 21 of 31 days")
