"""Random catalogues and usage for the second rater: documents, and the same as our own terms."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from domain.aggregation.window_row import WindowRow
from domain.billing_terms import (
    Credits,
    DiscountKind,
    Rounding,
    TaxMode,
    TaxRounding,
    TaxTreatment,
)
from domain.catalogue import Catalogue, parse_catalogue
from domain.credit_balance import CreditBalance
from domain.invoice_taxes import CategoryTax, LineTax, TaxTerms
from domain.invoice_terms import (
    GrantedDiscount,
    InvoiceKind,
    InvoiceTerms,
    Item,
    ItemKind,
    Segment,
)
from domain.period import HOUR_MS, Period, to_ms
from tests.support.oracle_invoice import FEES, Bill, Part
from tests.support.oracle_usage import Row

NANOS = 10**9
PLACES = {"CAD": 2, "JPY": 0, "KWD": 3}
METERS = {
    "calls": "sum",
    "bytes": "sum",
    "hits": "count",
    "assets": "max",
    "floor": "min",
    "seen": "latest",
    "payments": "sum",
}
EVENT_BOUNDS = {"rate": "2.9", "event_minimum": "0.50", "event_maximum": "20"}
BANDS = ("17.24137931", "689.655172413")
"""0.50 and 20 through 2.9 %, down to the ninth place: where a payment's share meets a bound."""
FORMS = (
    *("flat", "seats", "per_unit", "graduated", "volume", "tiered_flat", "package", "block"),
    *("percentage", "matrix", "graduated", "per_unit"),
)
COMPOSITE = "credits"
OWN_TAXES = (
    ("vat", Fraction(25), False),
    ("vat", Fraction("7.7"), True),
    ("low", Fraction(0), False),
    ("", Fraction(0), False),
)
"""Taxes of invoices that corrections belong to."""
REGIONS = ("eu", "us", "asia")
MODELS = ("small", "large")
START = datetime(2026, 3, 1, tzinfo=UTC)
OF_DAYS = 31


@dataclass(frozen=True)
class Case:
    """One random invoice: for the second rater, and for ours."""

    bill: Bill
    catalogue: Catalogue
    terms: InvoiceTerms
    rows: tuple[tuple[int, WindowRow], ...]


def random_case(seed: int) -> Case:
    """The invoice of a seed, the same every time."""
    rng = random.Random(seed)
    currency = rng.choice(sorted(PLACES))
    plans = [_plan(rng, f"plan{number}", currency) for number in range(rng.choice((1, 1, 1, 2)))]
    if len(plans) > 1 and rng.random() < 0.4:
        plans[1]["prices"] = plans[0]["prices"]  # a change of no price
    add_on = {
        "code": "boost",
        "name": "Boost",
        "currency": currency,
        "prices": [{"key": "fee", "form": "flat", "amount": _amount(rng)}, *_extras(rng)],
    }
    weights = [rng.choice(("1", "5", "0.25", "20")) for _ in range(2)]
    document: dict[str, Any] = {
        "version": 1,
        "meters": [_meter(key, aggregation) for key, aggregation in METERS.items()],
        "composites": [
            {
                "key": COMPOSITE,
                "unit": "credit",
                "of": [
                    {"meter": "calls", "weight": weights[0]},
                    {"meter": "bytes", "weight": weights[1]},
                ],
            }
        ],
        "taxes": [
            {"code": code, "name": code, "category": category, "rate": "10"}
            for category, code in (("standard", "vat"), ("reduced", "low"))
        ],
        "add_ons": [add_on],
        "plans": plans,
    }
    if rng.random() < 0.1:
        document["billing"] = {"usage_lines": False}
    catalogue = parse_catalogue(json.dumps(document))
    composites = {COMPOSITE: (("calls", Fraction(weights[0])), ("bytes", Fraction(weights[1])))}
    return _case(rng, catalogue, plans, add_on, currency=currency, composites=composites)


def _case(
    rng: random.Random,
    catalogue: Catalogue,
    plans: Sequence[Mapping[str, Any]],
    add_on: Mapping[str, Any],
    *,
    currency: str,
    composites: Mapping[str, Sequence[tuple[str, Fraction]]],
) -> Case:
    if len(plans) > 1 and rng.random() < 0.5:
        plans = [*plans, plans[0]]  # there and back
    seats = rng.choice((0, 1, 2, 17))
    add_ons = ((add_on, rng.choice((1, 3))),) if rng.random() < 0.3 else ()
    cuts = sorted(rng.sample(range(1, OF_DAYS), len(plans) - 1))
    bounds = [
        0,
        *cuts,
        OF_DAYS if rng.random() < 0.7 else rng.randint(max([0, *cuts]) + 1, OF_DAYS),
    ]
    parts = [
        Part(plan, bounds[n + 1] - bounds[n], OF_DAYS, _usage(rng), seats, add_ons)
        for n, plan in enumerate(plans)
    ]
    in_arrears = rng.random() < 0.5
    fees = parts if in_arrears else [Part(plans[0], bounds[-1], OF_DAYS, (), seats, add_ons)]
    items = tuple(
        (
            f"itm_{n}",
            rng.choice((0, 1, 4999, -250, -98_765)),
            rng.choice(("standard", "reduced", "none")),
        )
        for n in range(rng.choice((0, 0, 1, 2)))
    )
    own_taxes = {
        item: rng.choice(OWN_TAXES) for item, minor, _ in items if minor < 0 and rng.random() < 0.5
    }
    rounding = rng.choice(("line", "line", "invoice"))
    taxes = _taxes(rng)
    bill = Bill(
        scale=PLACES[currency] if rounding == "line" else 6,
        places=PLACES[currency],
        aggregations=METERS,
        composites=composites,
        parts=parts,
        fees=fees,
        items=items,
        own_taxes=own_taxes,
        discounts=_discounts(rng, plans),
        taxes=taxes,
        promotion_minor=rng.choice((0, 0, 5, 12_345, 10**9)),
        money_minor=rng.choice((0, 0, 5, 12_345, 10**9)),
        promotion_first=rng.random() < 0.7,
        credit_applied=rng.random() < 0.9,
        usage_billed=catalogue.billing.usage_lines,
        tax_by_line=rng.random() < 0.3,
    )
    terms = _terms(bill, catalogue, currency=currency, rounding=rounding, bounds=bounds)
    rows = tuple(
        (number, _window(row, START + timedelta(days=bounds[number])))
        for number, part in enumerate(parts)
        for row in part.usage
    )
    return Case(bill, catalogue, terms, rows)


# -- documents --------------------------------------------------------------------------------


def _meter(key: str, aggregation: str) -> dict[str, Any]:
    return {
        "key": key,
        "event_type": key,
        "aggregation": aggregation,
        "group_by": ["model", "region"],
        "unit": "unit",
    } | ({"value_bands": list(BANDS)} if key == "payments" else {})


def _rate(rng: random.Random) -> str:
    places = rng.choice((0, 2, 4, 6, 12))
    digits = rng.randrange(1, 10 ** min(6, 2 + places))
    return f"{Decimal(digits).scaleb(-places):f}"


def _amount(rng: random.Random) -> str:
    return rng.choice(("0", "0.01", "99", "499.99", "18000.005", str(rng.randrange(1, 10**5))))


def _units(rng: random.Random) -> str:
    return rng.choice(("0", "1", "100", "1000000", f"{rng.randrange(1, 10**6)}", "12.5"))


def _plan(rng: random.Random, code: str, currency: str) -> dict[str, Any]:
    plan: dict[str, Any] = {
        "code": code,
        "name": code,
        "currency": currency,
        "prices": [_price(rng, f"p{number}") for number in range(rng.randint(1, 6))],
    }
    if rng.random() < 0.25:
        plan["minimum"] = {"amount": _amount(rng), "of": rng.choice(("usage", "all"))}
    if rng.random() < 0.25:
        least = math.ceil(Fraction(plan.get("minimum", {"amount": "0"})["amount"]))
        plan["maximum"] = {
            "amount": str(least + rng.randrange(10**5)),
            "of": plan["minimum"]["of"] if "minimum" in plan else rng.choice(("usage", "all")),
        }
    return plan


def _extras(rng: random.Random) -> list[dict[str, Any]]:
    """Further prices of an add-on, sometimes with keys of the plan: no discount is for them."""
    keys = rng.sample(("p0", "p1", "own"), rng.choice((0, 1, 2)))
    return [_price(rng, key, forms=[form for form in FORMS if form != "seats"]) for key in keys]


def _price(rng: random.Random, key: str, *, forms: Sequence[str] = FORMS) -> dict[str, Any]:
    form = rng.choice(forms)
    tax = {"tax": "reduced"} if rng.random() < 0.3 else {}
    shared = {"key": key, "form": form} | tax
    if form in FEES:
        included = {"included": "1"} if form == "seats" and rng.random() < 0.5 else {}
        return shared | {"amount": _amount(rng)} | included
    plain = form in ("percentage", "matrix")
    meter = rng.choice([*METERS, *(() if plain else (COMPOSITE,))])
    where = {"where": {"region": rng.choice(REGIONS)}}
    own = {} if form == "matrix" or rng.random() < 0.7 else where
    allowance = {} if form == "percentage" else _allowance(rng)
    return shared | {"meter": meter} | own | allowance | _commitments(rng) | _form(rng, form)


def _allowance(rng: random.Random) -> dict[str, Any]:
    included = {"included": _units(rng)} if rng.random() < 0.6 else {}
    overflow = {"overflow": rng.choice(("warn", "refuse"))} if rng.random() < 0.15 else {}
    return included | overflow


def _commitments(rng: random.Random) -> dict[str, Any]:
    least = {"minimum": _amount(rng)} if rng.random() < 0.15 else {}
    if rng.random() < 0.85:
        return least
    return least | {
        "maximum": str(math.ceil(Fraction(least.get("minimum", "0"))) + rng.randrange(500))
    }


def _form(rng: random.Random, form: str) -> dict[str, Any]:
    per = {} if rng.random() < 0.5 else {"per": rng.choice(("10", "1000"))}
    bounded = {"meter": "payments"} | EVENT_BOUNDS
    plain = {"meter": rng.choice(("calls", "hits")), "rate": rng.choice(("0.1", "15"))}
    made: dict[str, dict[str, Any]] = {
        "per_unit": {"rate": _rate(rng)} | per,
        "graduated": {"tiers": _tiers(rng, "rate")} | per,
        "volume": {"tiers": _tiers(rng, "rate")} | per,
        "tiered_flat": {"tiers": _tiers(rng, "amount")},
        "package": {"amount": _amount(rng), "rate": _rate(rng)} | per,
        "block": {"size": rng.choice(("1", "7", "1000", "0.5")), "amount": _amount(rng)},
        "percentage": {"fee": rng.choice(("0", "0.30"))} | rng.choice((bounded, plain)),
        "matrix": _matrix(rng) | per,
    }
    return made[form]


def _tiers(rng: random.Random, name: str) -> list[dict[str, str]]:
    bounds = sorted(rng.sample((1, 10, 100, 250, 1000, 10**6), rng.randint(0, 3)))
    tiers = [{"up_to": str(bound), name: _rate(rng)} for bound in bounds] + [{name: _rate(rng)}]
    for tier in tiers:
        if name == "rate" and rng.random() < 0.2:
            tier["fee"] = _amount(rng)
    return tiers


def _matrix(rng: random.Random) -> dict[str, Any]:
    dimensions = rng.choice((["model"], ["region"], ["model", "region"]))
    values = {"model": MODELS, "region": REGIONS}
    places: list[dict[str, str]] = [{}]
    for name in dimensions:
        places = [place | {name: value} for place in places for value in values[name]]
    rng.shuffle(places)
    rates = [
        {"where": place, "rate": _rate(rng)} for place in places[: rng.randint(1, len(places))]
    ]
    return {"dimensions": dimensions, "rates": rates} | (
        {"rate": _rate(rng)} if rng.random() < 0.5 else {}
    )


# -- usage, discounts, taxes ------------------------------------------------------------------


def _usage(rng: random.Random) -> list[Row]:
    rows: list[Row] = []
    for meter, aggregation in METERS.items():
        for model in MODELS:
            for region in REGIONS:
                if rng.random() < 0.5:
                    nanos = rng.choice(
                        (
                            *(0, 1, NANOS, 100 * NANOS, 100 * NANOS + 1, 250 * NANOS),
                            *(rng.randrange(10**6) * NANOS, rng.randrange(10**14)),
                        )
                    )
                    events = rng.randint(1, 1000)
                    quantity = Fraction(events if aggregation == "count" else nanos)
                    quantity /= 1 if aggregation == "count" else NANOS
                    band = {"value_band": rng.choice("012")} if meter == "payments" else {}
                    dimensions = {"model": model, "region": region} | band
                    rows.append(Row(meter, dimensions, quantity, events, at=len(rows)))
    return rows


def _window(row: Row, start: datetime) -> WindowRow:
    nanos = int(row.quantity * NANOS)
    return WindowRow(
        meter=row.meter,
        dimensions=tuple(sorted(row.dimensions.items())),
        hour=to_ms(start) // HOUR_MS,
        events=row.events,
        sum_nanos=nanos,
        min_nanos=nanos,
        max_nanos=nanos,
        latest_nanos=nanos,
        latest_occurred_ms=to_ms(start) + row.at,
        latest_offset=0,
        first_offset=0,
        last_offset=0,
        key_digest=0,
        late=0,
    )


def _discounts(rng: random.Random, plans: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    keys = sorted({price["key"] for plan in plans for price in plan["prices"]})
    found = []
    for number in range(rng.choice((0, 0, 1, 2, 3))):
        kind = rng.choice(("percent", "amount", "free_units"))
        value = rng.choice(("20", "33.333", "100", "0.5"))
        prices = rng.sample(keys, rng.randint(0, len(keys))) if rng.random() < 0.5 else []
        if kind == "free_units":
            prices = [rng.choice(keys)]
            if any(
                _is_plain(price)
                for plan in plans
                for price in plan["prices"]
                if price["key"] in prices
            ):
                continue
        found.append({"code": f"d{number}", "kind": kind, "value": value, "prices": prices})
    return found


def _is_plain(price: Mapping[str, Any]) -> bool:
    """Whether free units mean nothing to a price, or are not for it."""
    return price["form"] in ("flat", "seats", "percentage", "matrix")


def _taxes(rng: random.Random) -> dict[str, tuple[str, Fraction, bool]]:
    taxes = {}
    if rng.random() < 0.8:
        taxes["standard"] = ("vat", Fraction(rng.choice(("10", "19", "7.7"))), rng.random() < 0.3)
    if rng.random() < 0.6:
        taxes["reduced"] = ("low", Fraction(rng.choice(("5", "2.5"))), rng.random() < 0.3)
    return taxes


# -- as ours ----------------------------------------------------------------------------------


def _credits(bill: Bill) -> Credits:
    if not bill.credit_applied:
        return Credits.NOT_APPLIED
    return Credits.BEFORE_TAX if bill.promotion_first else Credits.AFTER_TAX


def _percent(rate: Fraction) -> Decimal:
    return Decimal(rate.numerator) / Decimal(rate.denominator)


def _own_tax(own: tuple[str, Fraction, bool] | None) -> LineTax | None:
    if own is None:
        return None
    code, rate, is_inclusive = own
    mode = TaxMode.INCLUSIVE if is_inclusive else TaxMode.EXCLUSIVE
    return LineTax(code, code, _percent(rate), mode, TaxTreatment.STANDARD)


def _segment(catalogue: Catalogue, part: Part, first: int, last: int) -> Segment:
    return Segment(
        start=START + timedelta(days=first),
        end=START + timedelta(days=last),
        plan=part.plan["code"],
        catalogue_version=catalogue.version,
        catalogue_sha256=catalogue.sha256,
        days=part.days,
        of_days=part.of_days,
        seats=part.seats,
        add_ons=tuple((add_on["code"], quantity) for add_on, quantity in part.add_ons),
    )


def _placed(
    catalogue: Catalogue, parts: Sequence[Part], bounds: Sequence[int]
) -> tuple[Segment, ...]:
    """Parts at their days; a single one takes them all."""
    if len(parts) == 1:
        return (_segment(catalogue, parts[0], 0, bounds[-1]),)
    return tuple(
        _segment(catalogue, part, bounds[n], bounds[n + 1]) for n, part in enumerate(parts)
    )


def _terms(
    bill: Bill, catalogue: Catalogue, *, currency: str, rounding: str, bounds: Sequence[int]
) -> InvoiceTerms:
    end = START + timedelta(days=bounds[-1])
    return InvoiceTerms(
        kind=InvoiceKind.PERIOD,
        tenant="tenant",
        subscription="sub_1",
        customer="customer",
        seller="default",
        currency=currency,
        period=Period(START, end),
        period_index=0,
        segments=_placed(catalogue, bill.parts, bounds),
        fees=_placed(catalogue, bill.fees, bounds),
        overrides=(),
        discounts=tuple(
            GrantedDiscount(
                code=each["code"],
                name=each["code"],
                kind=DiscountKind(each["kind"]),
                value=Decimal(each["value"]),
                prices=tuple(each["prices"]),
            )
            for each in bill.discounts
        ),
        items=tuple(
            Item(
                item=item,
                customer="customer",
                subscription="",
                kind=ItemKind.CORRECTION if minor < 0 else ItemKind.ONE_OFF,
                label=item,
                amount_minor=minor,
                start=START,
                end=START,
                added_at=START,
                tax=category,
                taxed=_own_tax(bill.own_taxes.get(item)),
            )
            for item, minor, category in bill.items
        ),
        taxes=TaxTerms(
            treatment=TaxTreatment.STANDARD,
            categories=tuple(
                CategoryTax(
                    category=category,
                    code=code,
                    name=code,
                    rate=_percent(rate),
                    mode=TaxMode.INCLUSIVE if is_inclusive else TaxMode.EXCLUSIVE,
                )
                for category, (code, rate, is_inclusive) in sorted(bill.taxes.items())
            ),
        ),
        credit=CreditBalance(bill.promotion_minor, bill.money_minor),
        dimensions=(),
        rounding=Rounding(rounding),
        credits=_credits(bill),
        tax_rounding=TaxRounding.LINE if bill.tax_by_line else TaxRounding.GROUP,
        due_days=30,
    )
