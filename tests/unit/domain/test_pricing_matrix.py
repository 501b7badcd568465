"""Matrix: the values of dimensions choose the rate."""

from fractions import Fraction

import pytest

from domain.canonical import Json
from domain.errors import Rejected
from domain.pricing.price import WHOLE, Price, PriceUsage
from tests.support import billing

RATES: list[Json] = [
    {"where": {"model": "large", "region": "eu"}, "rate": "3"},
    {"where": {"model": "small", "region": "eu"}, "rate": "1"},
]


def by(*groups: tuple[str, str, str], is_flow: bool = True) -> PriceUsage:
    """Usage of (model, region, quantity)."""
    found: dict[tuple[tuple[str, str], ...], tuple[str, int]] = {
        (("model", model), ("region", region)): (quantity, 1) for model, region, quantity in groups
    }
    total = sum((Fraction(quantity) for *_, quantity in groups), Fraction(0))
    return billing.used(total, groups=found, is_flow=is_flow)


def matrix(**fields: Json) -> Price:
    return billing.price("matrix", dimensions=["region", "model"], rates=RATES, **fields)


class TestMatrix:
    def test_each_set_of_values_has_its_rate(self) -> None:
        """And its step, in the order of the catalogue."""
        usage = by(("small", "eu", "10"), ("large", "eu", "2"))
        steps = matrix().charge(usage, share=WHOLE)
        assert [
            ("model=large, region=eu", Fraction(6)),
            ("model=small, region=eu", Fraction(10)),
        ] == [(step.label, step.amount) for step in steps]

    def test_other_values_have_the_rate_of_all_others(self) -> None:
        """One step for all of them, however many."""
        usage = by(("large", "us", "4"), ("new", "eu", "5"), ("", "", "1"))
        (step,) = matrix(rate="0.5").charge(usage, share=WHOLE)
        assert ("other values (3)", Fraction(10), Fraction(5)) == (
            step.label,
            step.quantity,
            step.amount,
        )

    def test_without_such_a_rate_they_cost_nothing_and_the_line_says_so(self) -> None:
        """A new model must not hold back the invoice of everything else."""
        usage = by(("large", "eu", "1"), ("new", "eu", "5"))
        steps = matrix().charge(usage, share=WHOLE)
        assert [
            ("model=large, region=eu", Fraction(1), Fraction(3)),
            ("other values (1), which have no rate", Fraction(5), Fraction(0)),
        ] == [(step.label, step.quantity, step.amount) for step in steps]

    # name         large   small   other   amount
    TABLE = """
    nothing        0       0       0       0
    within         3       2       0       0
    bound          5       0       0       0
    just_over      5.000000001 0   0       0.000000003
    one_over       6       0       0       3
    spills_over    3       4       0       2
    to_others      1       1       4       0.5
    all_over       10      10      10      30
    """

    @pytest.mark.parametrize("row", [line.split() for line in TABLE.splitlines() if line.strip()])
    def test_the_allowance_covers_rates_in_their_order(self, row: list[str]) -> None:
        """5 units: of large ones first, then small ones, then all others."""
        _, large, small, other, amount = row
        usage = by(("large", "eu", large), ("small", "eu", small), ("x", "eu", other))
        assert Fraction(amount) == billing.cost(matrix(included="5", rate="0.5"), usage)

    @pytest.mark.parametrize(
        ("fields", "place"),
        [
            ({"rates": [{"where": {"model": "a"}, "rate": "1"}]}, "price.rates[0].where"),
            ({"rates": [RATES[0], RATES[0]]}, "price.rates[1].where"),
            ({"rates": []}, "price.rates"),
            ({"dimensions": ["model", "size"], "rate": "1", "rates": []}, "price.dimensions"),
            ({"dimensions": []}, "price.dimensions"),
            ({"where": {"size": "1"}}, "price.where"),
        ],
    )
    def test_what_means_nothing_is_refused(self, fields: dict[str, Json], place: str) -> None:
        given: dict[str, Json] = {"dimensions": ["region", "model"], "rates": RATES}
        with pytest.raises(Rejected) as caught:
            billing.price("matrix", **(given | fields))
        assert place == caught.value.fields["param"]
