"""Laws of rating that hold for every catalogue and every usage; fractions are the judge."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from domain.aggregation.window_row import WindowRow
from domain.canonical import to_canonical_json
from domain.catalogue import Catalogue, parse_catalogue
from domain.invoice_terms import InvoiceTerms
from domain.overrides import Override
from domain.period import Period
from domain.pricing.price import WHOLE, Price, PriceUsage, Quantity, Share, amount_of
from domain.rating import RatedLine, UsageEntry, rate, usage_entries
from tests.support import billing, oracle_invoice, oracle_usage
from tests.support.billing import NANOS

JANUARY = billing.period("2025-01-01", "2025-02-01")
Json = Any

# -- prices -----------------------------------------------------------------------------------

decimals = st.decimals(min_value=0, max_value=1000, places=12)
quantities = st.fractions(min_value=0, max_value=10**7, max_denominator=1000).map(
    lambda value: Fraction(round(value * NANOS), NANOS)
)
powers_of_ten = st.sampled_from(["1", "10", "1000", "1000000"])
MODELS = ("a", "b", "c", "")
"""Values of the dimension `model`; "c" has no rate of its own in a matrix."""


def text(value: Decimal) -> str:
    return f"{value:f}"


@st.composite
def ladders(draw: st.DrawFn, *, amount: str, has_fee: bool) -> list[Json]:
    """Rising tiers, up to five."""
    bounds = sorted(
        draw(st.sets(st.decimals(min_value="0.001", max_value=10**6, places=3), max_size=4))
    )
    steps = []
    for bound in [*bounds, None]:
        step = {amount: text(draw(decimals))}
        if bound is not None:
            step["up_to"] = text(bound)
        if has_fee and draw(st.booleans()):
            step["fee"] = text(draw(decimals))
        steps.append(step)
    return steps


FORMS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "per_unit": {"rate": decimals.map(text), "per": powers_of_ten},
    "graduated": {"tiers": ladders(amount="rate", has_fee=True), "per": powers_of_ten},
    "volume": {"tiers": ladders(amount="rate", has_fee=True), "per": powers_of_ten},
    "tiered_flat": {"tiers": ladders(amount="amount", has_fee=False)},
    "package": {
        "amount": decimals.map(text),
        "rate": decimals.map(text),
        "per": powers_of_ten,
    },
    "block": {
        "amount": decimals.map(text),
        "size": st.decimals(min_value="0.5", max_value=10**4, places=3).map(text),
    },
    "percentage": {"rate": decimals.map(text), "fee": decimals.map(text)},
    "matrix": {
        "dimensions": st.just(["model"]),
        "per": powers_of_ten,
        "rate": decimals.map(text),
        "rates": st.tuples(decimals, decimals).map(
            lambda rates: [
                {"where": {"model": model}, "rate": text(rate)}
                for model, rate in zip("ab", rates, strict=True)
            ]
        ),
    },
}
"""Metered forms and the fields that are their own."""


@st.composite
def metered(draw: st.DrawFn, *, key: str = "price", meters: Sequence[str] = ("calls",)) -> Json:
    """Any metered price over one of the meters."""
    meter = draw(st.sampled_from(meters))
    # The oracle takes a percentage of one meter's events, so of a composite there is none here.
    forms = [form for form in FORMS if form != "percentage" or meter not in COMPOSITES]
    form = draw(st.sampled_from(forms))
    price: dict[str, Json] = {"key": key, "form": form, "meter": meter}
    price |= {name: draw(values) for name, values in FORMS[form].items()}
    if form not in {"matrix", "percentage"}:
        price["included"] = text(draw(decimals))
        price["overflow"] = draw(st.sampled_from(["bill", "bill", "warn", "refuse"]))
    if draw(st.booleans()):
        low, high = sorted([draw(decimals), draw(decimals)])
        price |= {"minimum": text(low), "maximum": text(high)}
    if form != "matrix" and draw(st.booleans()):
        price["where"] = {"model": draw(st.sampled_from(["a", "b"]))}
    return price


def price_of(document: Json) -> Price:
    """The price over the test meter, which is split by model."""
    own = {name: value for name, value in document.items() if name not in {"key", "form", "meter"}}
    return billing.price(document["form"], **own)


def usage(quantity: Fraction, *, is_flow: bool = True) -> PriceUsage:
    """A quantity, half of it of model "a" and half without a rate of its own."""
    half = Quantity(quantity / 2, Fraction(quantity.numerator % 7))
    groups = (((("model", "a"),), half), ((("model", "c"),), half))
    total = Quantity(quantity, half.events * 2)
    return PriceUsage(total, groups, is_flow)


class TestEveryForm:
    @given(metered(), quantities)
    def test_steps_say_quantity_times_rate_over_per(self, document: Json, used: Fraction) -> None:
        """Each line of a breakdown can be checked with a pocket calculator."""
        for step in price_of(document).charge(usage(used), share=WHOLE):
            assert step.amount == step.quantity * step.rate / step.per

    @given(metered(), quantities, st.integers(1, 30), st.booleans())
    def test_parts_of_a_period_under_even_use_add_up_to_the_whole(
        self, document: Json, used: Fraction, days: int, is_flow: bool
    ) -> None:
        """Whatever the form: what flows is split by days, a level is the same in both parts."""
        price = price_of(document)
        whole = billing.cost(price, usage(used, is_flow=is_flow))
        first, second = Share(days, 31), Share(31 - days, 31)
        parts = sum(
            billing.cost(
                price,
                usage(used, is_flow=is_flow).times(part.fraction if is_flow else Fraction(1)),
                share=part,
            )
            for part in (first, second)
        )
        assert whole == parts

    @given(metered(), quantities)
    def test_nothing_costs_less_than_nothing(self, document: Json, used: Fraction) -> None:
        """And a maximum never makes a price negative."""
        assert 0 <= billing.cost(price_of(document), usage(used))

    @given(metered(), quantities, quantities)
    def test_is_monotone_but_for_volume(
        self, document: Json, first: Fraction, second: Fraction
    ) -> None:
        """Using more never costs less, where bands do not reprice what was there."""
        assume(document["form"] not in {"volume", "tiered_flat", "percentage"})
        price = price_of(document)
        low, high = sorted([first, second])
        assert billing.cost(price, usage(low)) <= billing.cost(price, usage(high))


class TestGraduated:
    @given(ladders(amount="rate", has_fee=False), quantities, quantities)
    def test_is_additive_over_its_steps(
        self, tiers: list[Json], first: Fraction, second: Fraction
    ) -> None:
        """Using more changes only what comes on top: the ladder cut where the first use ended."""
        price = billing.price("graduated", tiers=tiers)
        cut = replace(
            price,
            included=first,
            tiers=tuple(  # type: ignore[call-arg]
                replace(tier, up_to=None if tier.up_to is None else tier.up_to - first)
                for tier in price.tiers  # type: ignore[attr-defined]
                if tier.up_to is None or tier.up_to > first
            ),
        )
        whole = billing.cost(price, usage(first + second))
        assert whole == billing.cost(price, usage(first)) + billing.cost(
            cut, usage(first + second)
        )

    @given(ladders(amount="rate", has_fee=True), quantities)
    def test_steps_hold_every_unit_once(self, tiers: list[Json], used: Fraction) -> None:
        """Fees aside, the quantities of the steps are what was used."""
        steps = billing.price("graduated", tiers=tiers).charge(usage(used), share=WHOLE)
        assert used == sum(step.quantity for step in steps if not step.label.startswith("fee"))


# -- whole invoices ---------------------------------------------------------------------------

METERS = {"calls": "sum", "assets": "latest", "peak": "max", "jobs": "count"}
COMPOSITES = {
    "mix": [("calls", "1"), ("jobs", "2.5")],
    "levels": [("assets", "3"), ("peak", "0.1")],
}


@st.composite
def plans(draw: st.DrawFn, *, code: str) -> Json:
    """A plan of up to six prices, now and then with commitments."""
    over = [*METERS, *COMPOSITES]
    prices = [
        draw(metered(key=f"price_{index}", meters=over))
        for index in range(draw(st.integers(0, 4)))
    ]
    prices.append({"key": "base", "form": "flat", "amount": text(draw(decimals))})
    prices.append(
        {"key": "seats", "form": "seats", "amount": text(draw(decimals)), "included": "2"}
    )
    plan: dict[str, Json] = {"code": code, "name": code, "currency": "USD", "prices": prices}
    if draw(st.booleans()):
        plan["minimum"] = {
            "amount": text(draw(decimals)),
            "of": draw(st.sampled_from(["usage", "all"])),
        }
    return plan


def catalogue_of(*plans_: Json, rounding: str = "line") -> Catalogue:
    document = {
        "version": 1,
        "billing": {"rounding": rounding},
        "meters": [
            {
                "key": key,
                "event_type": key,
                "aggregation": aggregation,
                "unit": "unit",
                "group_by": ["model"],
            }
            for key, aggregation in METERS.items()
        ],
        "composites": [
            {
                "key": key,
                "unit": "unit",
                "of": [{"meter": meter, "weight": weight} for meter, weight in parts],
            }
            for key, parts in COMPOSITES.items()
        ],
        "plans": list(plans_),
        "add_ons": [
            {
                "code": "care",
                "name": "Care",
                "currency": "USD",
                "prices": [{"key": "care", "form": "flat", "amount": "12.345"}],
            }
        ],
    }
    return parse_catalogue(json.dumps(document))


used_by_model = st.dictionaries(
    st.tuples(st.sampled_from(list(METERS)), st.sampled_from(MODELS)),
    st.tuples(st.integers(0, 10**6 * NANOS), st.integers(1, 999)),
    max_size=8,
)
Used = Mapping[tuple[str, str], tuple[int, int]]


def entries_of(
    number: int, used: Used, wanted: Mapping[str, set[tuple[str, ...]]]
) -> list[UsageEntry]:
    """Usage entries of the selections that prices read, from usage by meter and model."""
    found = []
    for meter, ways in wanted.items():
        mine = {model: each for (key, model), each in used.items() if key == meter}
        for way in sorted(ways):
            if way == ("*",):
                groups = {model: [each] for model, each in mine.items()}
            else:
                chosen = [each for model, each in mine.items() if not way or model == way[0]]
                groups = {way[0] if way else "": chosen} if chosen else {}
            for model, rows in groups.items():
                nanos = [each[0] for each in rows]
                is_flow = METERS[meter] in {"sum", "count"}
                found.append(
                    UsageEntry(
                        number,
                        meter,
                        (("model", model),) if way else (),
                        sum(nanos) if is_flow else max(nanos),
                        sum(each[1] for each in rows),
                    )
                )
    return list(dict.fromkeys(found))


def wanted_of(plan: Json) -> dict[str, set[tuple[str, ...]]]:
    """How each meter is read: () whole, ("a",) one model, ("*",) every model by itself."""
    wanted: dict[str, set[tuple[str, ...]]] = {}
    for price in plan["prices"]:
        for meter, _ in COMPOSITES.get(price.get("meter", ""), [(price.get("meter", ""), "1")]):
            if meter:
                way = (
                    ("*",) if price["form"] == "matrix" else tuple(price.get("where", {}).values())
                )
                wanted.setdefault(meter, set()).add(way)
    return wanted


def parts_of(prices: Catalogue, days: int, *, seats: int, add_ons: int) -> InvoiceTerms:
    """January in two parts, on plan "p" and then on plan "q"."""
    edge = billing.moment(f"2025-01-{days + 1:02}")
    first, second = (
        billing.segment(
            prices=prices,
            billed=Period(*between),
            plan_code=code,
            of_days=31,
            seats=seats,
            add_ons=(("care", add_ons),) if add_ons else (),
        )
        for code, between in (("p", (JANUARY.start, edge)), ("q", (edge, JANUARY.end)))
    )
    return billing.terms_of(first, second, prices=prices)


def oracle_part(plan: Json, used: Used, *, days: int, seats: int, add_ons: int) -> Any:
    return oracle_invoice.Part(
        plan=plan,
        days=days,
        of_days=31,
        usage=[
            oracle_usage.Row(
                meter,
                {"model": model} if model else {},
                Fraction(events if METERS[meter] == "count" else Fraction(nanos, NANOS)),
                events,
                at=place,
            )
            for place, ((meter, model), (nanos, events)) in enumerate(used.items())
        ],
        seats=seats,
        add_ons=[
            (
                {"code": "care", "prices": [{"key": "care", "form": "flat", "amount": "12.345"}]},
                add_ons,
            )
        ]
        if add_ons
        else [],
    )


def rows_of(used: Used, *, start: datetime) -> list[WindowRow]:
    """One window of each series, in the first hour, one after the other."""
    found = []
    for place, ((meter, model), (nanos, events)) in enumerate(used.items()):
        model_of = {"model": model} if model else {}
        row = billing.window(meter, at=start.date().isoformat(), dimensions=model_of)
        moment = row.latest_occurred_ms + place
        found.append(
            replace(
                row,
                events=events,
                sum_nanos=nanos,
                min_nanos=nanos,
                max_nanos=nanos,
                latest_nanos=nanos,
                latest_occurred_ms=moment,
            )
        )
    return found


def cents(lines: Sequence[RatedLine], places: int) -> dict[str, int]:
    return {line.line_id: billing.minor(line, places) for line in lines}


class TestOracle:
    @given(
        plans(code="p"),
        plans(code="q"),
        used_by_model,
        used_by_model,
        st.integers(1, 30),
        st.integers(0, 5),
        st.integers(0, 3),
        st.sampled_from([2, 6]),
    )
    def test_a_rater_written_from_the_requirements_agrees_on_every_line(
        self,
        plan: Json,
        other: Json,
        first: Used,
        second: Used,
        days: int,
        seats: int,
        add_ons: int,
        places: int,
    ) -> None:
        """0 units apart, in cents and in millionths, with the plan changed within the period."""
        prices = catalogue_of(plan, other, rounding="line" if places == 2 else "invoice")
        terms = parts_of(prices, days, seats=seats, add_ons=add_ons)
        rows = [
            (number, row)
            for number, used in enumerate((first, second))
            for row in rows_of(used, start=terms.segments[number].start)
        ]
        usage = usage_entries(terms=terms, rows=rows, catalogues={1: prices})
        lines = rate(terms=terms, usage=usage, catalogues={1: prices})
        bill = oracle_invoice.Bill(
            scale=places,
            places=2,
            aggregations=METERS,
            composites={
                key: [(meter, Fraction(weight)) for meter, weight in parts]
                for key, parts in COMPOSITES.items()
            },
            parts=[
                oracle_part(plan, first, days=days, seats=seats, add_ons=0),
                oracle_part(other, second, days=31 - days, seats=seats, add_ons=0),
            ],
            fees=[oracle_part(plan, {}, days=31, seats=seats, add_ons=add_ons)],
        )
        expected = {key: amount for key, (amount, _) in oracle_invoice.invoice(bill).lines.items()}
        assert expected == cents(lines, places)


class TestLines:
    @given(plans(code="p"), used_by_model)
    def test_an_amount_is_the_sum_of_its_steps(self, plan: Json, used: Used) -> None:
        """Not a digit is lost between the steps and the line."""
        prices = catalogue_of(plan)
        terms = billing.terms_of(
            billing.segment(prices=prices, billed=JANUARY, plan_code="p"), prices=prices
        )
        usage = entries_of(0, used, wanted_of(plan))
        for line in rate(terms=terms, usage=usage, catalogues={1: prices}):
            assert line.amount_exact == amount_of(line.steps)

    @given(plans(code="p"), used_by_model, st.randoms(use_true_random=False))
    def test_do_not_depend_on_the_order_of_usage(
        self, plan: Json, used: Used, random: Any
    ) -> None:
        prices = catalogue_of(plan)
        terms = billing.terms_of(
            billing.segment(prices=prices, billed=JANUARY, plan_code="p"), prices=prices
        )
        usage = entries_of(0, used, wanted_of(plan))
        shuffled = list(usage)
        random.shuffle(shuffled)
        assert rate(terms=terms, usage=usage, catalogues={1: prices}) == rate(
            terms=terms, usage=shuffled, catalogues={1: prices}
        )

    @given(plans(code="p"), used_by_model, st.data())
    def test_an_override_is_the_plan_with_that_price(
        self, plan: Json, used: Used, data: st.DataObject
    ) -> None:
        """S2-07: the same lines as of a plan that has it."""
        chosen = data.draw(st.sampled_from(plan["prices"]))
        over = chosen.get("meter")
        own = (
            data.draw(metered(key=chosen["key"], meters=[over]))
            if over
            else {**chosen, "amount": "7.77"}
        )
        changed = {
            **plan,
            "prices": [own if each is chosen else each for each in plan["prices"]],
        }
        lines = []
        for catalogue, overrides in (
            (catalogue_of(plan), (Override("p", chosen["key"], to_canonical_json(own)),)),
            (catalogue_of(changed), ()),
        ):
            part = billing.segment(prices=catalogue, billed=JANUARY, plan_code="p")
            terms = billing.terms_of(part, prices=catalogue, overrides=overrides)
            usage = entries_of(0, used, wanted_of(changed))
            lines.append(rate(terms=terms, usage=usage, catalogues={1: catalogue}))
        assert lines[0] == lines[1]

    @given(ladders(amount="rate", has_fee=True), quantities, quantities)
    def test_a_composite_is_the_sum_of_its_meters(
        self, tiers: list[Json], calls: Fraction, jobs: Fraction
    ) -> None:
        """Priced like one meter that had counted the weighted sum."""
        price = {"key": "p", "form": "graduated", "tiers": tiers}
        plan = {"code": "p", "name": "P", "currency": "USD"}
        lines = []
        for meter, usage in (
            ("mix", [("calls", calls), ("jobs", jobs)]),
            ("calls", [("calls", calls + jobs * Fraction("2.5"))]),
        ):
            prices = catalogue_of({**plan, "prices": [{**price, "meter": meter}]})
            terms = billing.terms_of(
                billing.segment(prices=prices, billed=JANUARY, plan_code="p"), prices=prices
            )
            entries = [UsageEntry(0, key, (), round(value * NANOS), 1) for key, value in usage]
            lines.append(rate(terms=terms, usage=entries, catalogues={1: prices})[0].amount_exact)
        assume((jobs * Fraction("2.5") * NANOS).denominator == 1)
        assert lines[0] == lines[1]
