"""Percentage: a share of the value, a fee per event, and bounds per event through value bands."""

from bisect import bisect_left
from collections.abc import Sequence
from fractions import Fraction

import pytest

from domain.errors import Rejected
from domain.pricing.price import WHOLE, PriceUsage
from tests.support import billing
from tests.support.billing import units

# name             rate   fee    quantity        events   amount
TABLE = """
share              2.9    0      1000            3        29
share_and_fee      2.9    0.30   1000            3        29.90
fee_alone          0      0.30   1000            3        0.90
one_billionth      2.9    0      0.000000001     1        0.000000000029
no_events          2.9    0.30   0               0        0
free_events        2.9    0.30   0               2        0.60
all_of_it          100    0      12.34           1        12.34
"""
ROWS = [line.split() for line in TABLE.splitlines() if line]
BOUNDS = ("10", "10000")
"""Where 2.9 % reach 0.29 and 290."""


def banded(values: Sequence[str], bounds: Sequence[str]) -> PriceUsage:
    """Usage of events of these values over a meter with these bands."""
    groups: dict[tuple[tuple[str, str], ...], tuple[str, int]] = {}
    for value in values:
        band = bisect_left([units(bound) for bound in bounds], units(value))
        where = (("value_band", str(band)),)
        total, events = groups.get(where, ("0", 0))
        groups[where] = (str(Fraction(total) + Fraction(value)), events + 1)
    moved = sum((Fraction(value) for value in values), Fraction(0))
    return billing.used(moved, events=len(values), groups=groups)


class TestShare:
    @pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
    def test_charges_a_share_and_a_fee_per_event(self, row: list[str]) -> None:
        _, rate, fee, quantity, events, amount = row
        price = billing.price("percentage", rate=rate, fee=fee)
        assert Fraction(amount) == billing.cost(price, billing.used(quantity, events=int(events)))


class TestBoundsPerEvent:
    PRICE = billing.price(
        "percentage",
        value_bands=BOUNDS,
        rate="2.9",
        fee="0.30",
        event_minimum="0.29",
        event_maximum="290",
    )

    @pytest.mark.parametrize(
        ("value", "share"),
        [
            ("0", "0.29"),
            ("1", "0.29"),
            ("9.999999999", "0.29"),
            ("10", "0.29"),
            ("10.000000001", "0.290000000029"),
            ("11", "0.319"),
            ("9999.999999999", "289.999999999971"),
            ("10000", "290"),
            ("10000.000000001", "290"),
            ("999999", "290"),
        ],
    )
    def test_one_event_pays_its_share_within_the_bounds(self, value: str, share: str) -> None:
        """And the fee on top, whatever the share."""
        assert Fraction(share) + Fraction("0.30") == billing.cost(
            self.PRICE, banded([value], BOUNDS)
        )

    def test_many_events_pay_what_each_would_alone(self) -> None:
        """The sum of all values would say something else."""
        values = ["1", "9.99", "10", "500", "9999", "20000", "30000"]
        alone = sum(billing.cost(self.PRICE, banded([value], BOUNDS)) for value in values)
        assert alone == billing.cost(self.PRICE, banded(values, BOUNDS))

    def test_steps_say_how_many_events_were_at_a_bound(self) -> None:
        steps = self.PRICE.charge(banded(["1", "2", "500", "20000"], BOUNDS), share=WHOLE)
        assert [
            ("2.9 percent", Fraction("14.5")),
            ("events at the minimum of 0.29", Fraction("0.58")),
            ("events at the maximum of 290", Fraction(290)),
            ("fee per event", Fraction("1.2")),
        ] == [(step.label, step.amount) for step in steps]

    @pytest.mark.parametrize("value", ["6.666666666", "6.666666667", "10", "3"])
    def test_a_bound_without_a_last_digit_is_still_exact(self, value: str) -> None:
        """0.20 ÷ 3 % is 6.666…; values have nine places, and none lies between."""
        bounds = ["6.666666666"]
        price = billing.price("percentage", value_bands=bounds, rate="3", event_minimum="0.20")
        expected = max(Fraction("0.20"), Fraction(value) * Fraction(3, 100))
        assert expected == billing.cost(price, banded([value], bounds))

    def test_works_among_bands_of_other_prices(self) -> None:
        """A meter may have more bounds than this price asks for."""
        bounds = ["5", "10", "77", "10000", "20000"]
        price = billing.price(
            "percentage",
            value_bands=bounds,
            rate="2.9",
            event_minimum="0.29",
            event_maximum="290",
        )
        values = ["1", "5", "7", "10", "60", "77", "78", "10000", "15000", "30000"]
        expected = sum(
            min(max(Fraction(value) * Fraction("0.029"), Fraction("0.29")), Fraction(290))
            for value in values
        )
        assert expected == billing.cost(price, banded(values, bounds))

    def test_a_maximum_alone_needs_its_bound_alone(self) -> None:
        price = billing.price("percentage", value_bands=["100"], rate="1", event_maximum="1")
        assert 2 == billing.cost(price, banded(["100", "5000"], ["100"]))

    @pytest.mark.parametrize("bands", [(), ("10",), ("10.000000001", "10000"), ("9999", "10000")])
    def test_missing_bounds_are_refused_with_those_to_write(self, bands: tuple[str, ...]) -> None:
        """`catalogue check` says it like this."""
        with pytest.raises(Rejected) as caught:
            billing.price(
                "percentage",
                value_bands=bands,
                rate="2.9",
                event_minimum="0.29",
                event_maximum="290",
            )
        assert 'value_bands of meter \'m\' to hold "10", "10000"' in caught.value.reason

    @pytest.mark.parametrize(
        ("fields", "place"),
        [
            ({"rate": "1", "event_minimum": "2", "event_maximum": "2"}, "price.event_maximum"),
            ({"rate": "0", "event_minimum": "2"}, "price.rate"),
        ],
    )
    def test_bounds_without_meaning_are_refused(self, fields: dict[str, str], place: str) -> None:
        with pytest.raises(Rejected) as caught:
            billing.price("percentage", **fields)
        assert place == caught.value.fields["param"]
