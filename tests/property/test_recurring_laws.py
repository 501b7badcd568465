"""Recurring revenue adds up: subscriptions to plans, plans to currencies."""

from collections import Counter
from fractions import Fraction
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from domain.recurring import MONTHS_OF_A_YEAR, Recurring, by_plan, totals

PLACES = {"USD": 2, "JPY": 0, "KWD": 3}
FOUND = st.lists(
    st.builds(
        Recurring,
        plan=st.sampled_from(["free", "team", "year", 'a"b']),
        currency=st.sampled_from(sorted(PLACES)),
        annual=st.fractions(min_value=0, max_value=10**9, max_denominator=10**6),
    ),
    max_size=40,
)


@given(found=FOUND, order=st.randoms(use_true_random=False))
def test_plans_come_to_the_total_in_every_currency(found: list[Recurring], order: Random) -> None:
    """To the minor unit, in any order; each figure is at most half a unit off the exact one."""
    plans = by_plan(found)
    shuffled = [*found]
    order.shuffle(shuffled)
    assert by_plan(shuffled) == plans
    assert {each.annual.currency for each in totals(plans)} == {each.currency for each in found}
    for total in totals(plans):
        of_it = [each for each in plans if each.annual.currency == total.annual.currency]
        assert total.monthly.currency == total.annual.currency
        assert total.subscriptions == sum(each.subscriptions for each in of_it)
        assert total.monthly.amount_minor == sum(each.monthly.amount_minor for each in of_it)
        assert total.annual.amount_minor == sum(each.annual.amount_minor for each in of_it)
    for each in plans:
        exact = (
            sum(
                (
                    one.annual
                    for one in found
                    if (one.plan, one.currency) == (each.plan, each.annual.currency)
                ),
                Fraction(0),
            )
            * 10 ** PLACES[each.annual.currency]
        )
        assert abs(each.annual.amount_minor - exact) <= Fraction(1, 2)
        assert abs(each.monthly.amount_minor - exact / MONTHS_OF_A_YEAR) <= Fraction(1, 2)
    counted = Counter((one.currency, one.plan) for one in found)
    assert {(each.annual.currency, each.plan): each.subscriptions for each in plans} == counted
