"""Laws of rating that hold for every catalogue and every usage; fractions are the judge."""

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from domain.aggregation.kinds import SKETCHED, Aggregation
from domain.aggregation.measure import Measured
from domain.aggregation.measures import measured
from domain.aggregation.window_row import WindowRow
from domain.catalogue import Catalogue, parse_catalogue
from domain.invoice import (
    parse_invoice_content,
    require_totals,
    span_of,
    window_set_digest,
)
from domain.money import minor_unit_places
from domain.period import HOUR_MS, to_ms
from domain.pricing.graduated import Graduated, Tier
from domain.pricing.price import Price
from domain.rating import rate
from tests.support import billing
from tests.support.billing import NANOS

JANUARY = billing.period("2025-01-01", "2025-02-01")
FIRST_HOUR = to_ms(JANUARY.start) // HOUR_MS

rates = st.decimals(min_value=0, max_value=1000, places=12)
quantities = st.decimals(min_value=0, max_value=10**9, places=9)
powers_of_ten = st.sampled_from(["1", "10", "1000", "1000000"])


@st.composite
def ladders(draw: st.DrawFn) -> Graduated:
    """Any graduated price of up to five tiers."""
    bounds = sorted(
        draw(st.sets(st.decimals(min_value="0.001", max_value=10**6, places=3), max_size=4))
    )
    return Graduated(
        key="price",
        meter="meter",
        per=Decimal(draw(powers_of_ten)),
        included=draw(st.decimals(min_value=0, max_value=1000, places=2)),
        tiers=tuple(Tier(bound, draw(rates)) for bound in [*bounds, None]),
    )


def exact(price: Price, quantity: Decimal) -> Fraction:
    """What a price charges, as a fraction."""
    return sum((Fraction(step.amount) for step in price.charge(quantity)), Fraction(0))


def by_hand(price: Graduated, quantity: Decimal) -> Fraction:
    """The same written from the requirement: each tier prices what lies between its bounds."""
    over = max(Fraction(0), Fraction(quantity) - Fraction(price.included))
    total, low = Fraction(0), Fraction(0)
    for tier in price.tiers:
        high = over if tier.up_to is None else Fraction(tier.up_to)
        part = max(Fraction(0), min(over, high) - low)
        total += part * Fraction(tier.rate) / Fraction(price.per)
        low = high
    return total


class TestGraduated:
    @given(ladders(), quantities)
    def test_is_what_the_requirement_says(self, price: Graduated, quantity: Decimal) -> None:
        """S2-09, computed a second time with fractions."""
        assert by_hand(price, quantity) == exact(price, quantity)

    @given(ladders(), quantities)
    def test_steps_add_up_to_what_lies_over_the_allowance(
        self, price: Graduated, quantity: Decimal
    ) -> None:
        """No unit is charged twice and none is forgotten."""
        parts = sum((Fraction(step.quantity) for step in price.charge(quantity)), Fraction(0))
        assert max(Fraction(0), Fraction(quantity) - Fraction(price.included)) == parts

    @given(ladders(), quantities, quantities)
    def test_is_additive_over_its_steps(
        self, price: Graduated, first: Decimal, second: Decimal
    ) -> None:
        """Using more changes only what comes on top: the ladder cut where the first use ended."""
        start = price.included + first
        total = first + second
        cut = replace(
            price,
            included=start,
            tiers=tuple(
                replace(tier, up_to=None if tier.up_to is None else tier.up_to - first)
                for tier in price.tiers
                if tier.up_to is None or tier.up_to > first
            ),
        )
        whole = exact(price, price.included + total)
        assert whole == exact(price, start) + exact(cut, price.included + total)

    @given(ladders(), quantities, quantities)
    def test_is_monotone(self, price: Graduated, first: Decimal, second: Decimal) -> None:
        """Using more never costs less."""
        assert exact(price, min(first, second)) <= exact(price, max(first, second))


@st.composite
def catalogues(draw: st.DrawFn) -> Catalogue:
    """A plan "p" with up to four prices of any form over two meters."""
    prices: list[Mapping[str, object]] = []
    for index in range(draw(st.integers(0, 4))):
        price: dict[str, object] = {"key": f"price_{index}"}
        form = draw(st.sampled_from(["flat", "per_unit", "graduated"]))
        price["form"] = form
        if form == "flat":
            price["amount"] = f"{draw(rates):f}"
        else:
            price["meter"] = draw(st.sampled_from(["a", "b"]))
            price["per"] = draw(powers_of_ten)
            price["included"] = f"{draw(quantities):f}"
        if form == "per_unit":
            price["rate"] = f"{draw(rates):f}"
        if form == "graduated":
            price["tiers"] = [
                {"up_to": "10.5", "rate": f"{draw(rates):f}"},
                {"rate": f"{draw(rates):f}"},
            ]
        prices.append(price)
    aggregations = st.sampled_from([item.value for item in Aggregation if item not in SKETCHED])
    return parse_catalogue(
        json.dumps(
            {
                "version": 1,
                "meters": [
                    billing.meter("a", aggregation=draw(aggregations)),
                    billing.meter("b", aggregation=draw(aggregations)),
                ],
                "plans": [
                    {
                        "code": "p",
                        "name": "P",
                        "currency": draw(st.sampled_from(["CAD", "JPY", "BHD", "CLF"])),
                        "prices": prices,
                    }
                ],
            }
        )
    )


values = st.integers(0, 10**9 * NANOS)


@st.composite
def windows(draw: st.DrawFn) -> WindowRow:
    """Any window of January."""
    hour = FIRST_HOUR + draw(st.integers(0, 743))
    dimensions = draw(
        st.sampled_from([{}, {"x": "1"}, {"x": "é"}, {"y": "1"}, {"x": "1", "y": ""}])
    )
    return WindowRow(
        meter=draw(st.sampled_from(["a", "b", "c"])),
        dimensions=tuple(sorted(dimensions.items())),
        hour=hour,
        events=draw(st.integers(1, 10**6)),
        sum_nanos=draw(values),
        min_nanos=draw(values),
        max_nanos=draw(values),
        latest_nanos=draw(values),
        latest_occurred_ms=hour * HOUR_MS + draw(st.integers(0, HOUR_MS - 1)),
        latest_offset=draw(st.integers(0, 9)),
        first_offset=draw(st.integers(0, 9)),
        last_offset=draw(st.integers(10, 19)),
        key_digest=draw(st.integers(0, 2**128 - 1)),
        late=draw(st.integers(0, 9)),
    )


window_sets = st.lists(
    windows(), max_size=8, unique_by=lambda row: (row.meter, row.dimensions, row.hour)
)


class TestLines:
    @given(catalogues(), values, values)
    def test_g_04_rounding_stays_within_half_a_minor_unit(
        self, catalogue: Catalogue, first: int, second: int
    ) -> None:
        """A line is never further from its exact amount, and a tie goes up."""
        plan = catalogue.plan("p")
        scale = 10 ** minor_unit_places(plan.currency)
        for line in rate(
            usage={"a": Measured(first), "b": Measured(second)}, plan=plan, catalogue=catalogue
        ):
            error = line.amount_minor - Fraction(line.amount_unrounded) * scale
            assert -Fraction(1, 2) < error <= Fraction(1, 2)

    @given(catalogues(), values, values)
    def test_unrounded_amount_is_the_sum_of_the_steps(
        self, catalogue: Catalogue, first: int, second: int
    ) -> None:
        """Not a digit is lost between the steps and the line."""
        plan = catalogue.plan("p")
        for line in rate(
            usage={"a": Measured(first), "b": Measured(second)}, plan=plan, catalogue=catalogue
        ):
            steps = sum((Fraction(step.amount) for step in line.steps), Fraction(0))
            assert Fraction(line.amount_unrounded) == steps


class TestInvoice:
    @given(catalogues(), window_sets, st.data())
    def test_does_not_depend_on_the_order_of_rows(
        self, catalogue: Catalogue, rows: list[WindowRow], data: st.DataObject
    ) -> None:
        """Same rows, same bytes, same hash."""
        shuffled = data.draw(st.permutations(rows))
        first, second = (
            billing.content_of(plan_code="p", prices=catalogue, billed=JANUARY, rows=order)
            for order in (rows, shuffled)
        )
        assert first.text == second.text

    @given(catalogues(), window_sets)
    def test_lines_sum_to_the_total_and_text_reads_back(
        self, catalogue: Catalogue, rows: list[WindowRow]
    ) -> None:
        """What is built passes every check, survives its own text and bills its windows."""
        content = billing.content_of(plan_code="p", prices=catalogue, billed=JANUARY, rows=rows)
        require_totals(content)
        assert content.total_minor == sum(line.amount_minor for line in content.lines)
        assert content == parse_invoice_content(content.text)
        for line in content.lines:
            if line.meter:
                quantity = measured(
                    catalogue.meter(line.meter).measure,
                    windows=[row for row in rows if row.meter == line.meter],
                    span=span_of(JANUARY),
                )
                assert Fraction(line.quantity) == Fraction(quantity.nanos, NANOS)


class TestWindowSetDigest:
    @given(window_sets, st.data())
    def test_does_not_depend_on_the_order(
        self, rows: list[WindowRow], data: st.DataObject
    ) -> None:
        """A set has no order."""
        shuffled = data.draw(st.permutations(rows))
        assert window_set_digest(rows) == window_set_digest(shuffled)

    @given(window_sets.filter(bool), st.data())
    def test_is_sensitive_to_any_change(self, rows: list[WindowRow], data: st.DataObject) -> None:
        """One number of one window changed, or one window gone."""
        index = data.draw(st.integers(0, len(rows) - 1))
        numbers = [field.name for field in fields(WindowRow) if field.type == "int"]
        name = data.draw(st.sampled_from(numbers))
        row = rows[index]
        changed = replace(row, **{name: getattr(row, name) + 10**6})
        other = [*rows[:index], changed, *rows[index + 1 :]]
        assert window_set_digest(rows) != window_set_digest(other)
        assert window_set_digest(rows) != window_set_digest(rows[:index] + rows[index + 1 :])

    @given(st.text(max_size=4), st.text(max_size=4), st.text(max_size=4), st.text(max_size=4))
    def test_never_takes_one_series_for_another(
        self, meter: str, name: str, value: str, other: str
    ) -> None:
        """Texts with quotes, brackets or line feeds cannot imitate the form around them."""
        one = billing.window(meter, dimensions={name: value})
        two = billing.window(meter + other, dimensions={name: value})
        three = billing.window(meter, dimensions={name: value + other})
        same = {window_set_digest([row]) for row in (one, two, three)}
        assert len(same) == (3 if other else 1)
