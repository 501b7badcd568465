"""What a catalogue sells, and what comes off or on top: read together, as they name each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict

from domain.billing_terms import (
    DISCOUNTS_MAX,
    TAXES_MAX,
    Discount,
    DiscountKind,
    Fees,
    TaxRate,
    category_problems,
    discount_from_fields,
    tax_from_fields,
    tax_problems,
)
from domain.codes import Code
from domain.errors import Rejected
from domain.plan import (
    ADD_ONS_MAX,
    PLANS_MAX,
    AddOn,
    Of,
    Plan,
    add_on_from_fields,
    plan_from_fields,
    repeats,
)
from domain.pricing.matrix import Matrix
from domain.pricing.percentage import Percentage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from domain.composite import Counted
    from domain.fields import Fields
    from domain.pricing.price import Price
    from domain.problems import Problems


class Sold(TypedDict):
    """What is sold, and what comes off or on top."""

    plans: tuple[Plan, ...]
    add_ons: tuple[AddOn, ...]
    taxes: tuple[TaxRate, ...]
    discounts: tuple[Discount, ...]


def read_sold(fields: Fields, *, problems: Problems, counted: Counted) -> Sold:
    """This function will read what is sold, and refuse what its parts say against each other.

    Args:
        fields: The catalogue.
        problems: Where refusals go.
        counted: What prices can be over.
    """
    taxes = problems.each(fields, "taxes", count_max=TAXES_MAX, read=tax_from_fields)
    problems.found += tax_problems(fields, taxes)
    discounts = problems.each(
        fields, "discounts", count_max=DISCOUNTS_MAX, read=discount_from_fields
    )
    problems.found += repeats(fields, "discounts", [each.code for each in discounts])
    add_ons = problems.each(
        fields,
        "add_ons",
        count_max=ADD_ONS_MAX,
        read=lambda item: add_on_from_fields(item, counted=counted, problems=problems),
    )
    problems.found += repeats(fields, "add_ons", [each.code for each in add_ons])
    plans = problems.each(
        fields,
        "plans",
        count_max=PLANS_MAX,
        read=lambda item: plan_from_fields(item, counted=counted, problems=problems),
    )
    problems.found += repeats(fields, "plans", [plan.code for plan in plans])
    sold = Sold(plans=plans, add_ons=add_ons, taxes=taxes, discounts=discounts)
    if not problems.found:
        problems.found += _sale_problems(fields, sold)
    return sold


def _sale_problems(fields: Fields, sold: Sold) -> Iterator[Rejected]:
    """Refuse unknown tax categories and discounts, and free units where they mean nothing.

    Asked only of what is right itself: a discount whose price was refused is no second mistake.
    """
    prices: dict[str, list[Price]] = {
        price.key: [] for add_on in sold["add_ons"] for price in add_on.prices
    }
    for plan in sold["plans"]:
        for price in plan.prices:
            prices.setdefault(price.key, []).append(price)
    for place, price in _places(sold):
        yield from category_problems(
            fields, f"{place}.tax", category=price.tax, taxes=sold["taxes"]
        )
    for index, discount in enumerate(sold["discounts"]):
        for key in discount.prices:
            yield from _discount_problems(
                fields, f"discounts[{index}].prices", discount, prices.get(key)
            )
    yield from _plan_problems(fields, sold)


def _plan_problems(fields: Fields, sold: Sold) -> Iterator[Rejected]:
    """Refuse discounts that nobody knows, and commitments that look at another invoice."""
    codes = {discount.code for discount in sold["discounts"]}
    billing = fields.values.get("billing")
    usual = billing.get("fees") if isinstance(billing, Mapping) else None
    for index, plan in enumerate(sold["plans"]):
        if (plan.fees or usual) == Fees.IN_ADVANCE:
            yield from _commitment_problems(fields, index, plan)
        for code in plan.discounts:
            if code not in codes:
                yield fields.refuse(
                    f"plans[{index}].discounts", f"name {code!r}, which is no discount"
                )


def _commitment_problems(fields: Fields, index: int, plan: Plan) -> Iterator[Rejected]:
    """Refuse commitments over fees that another invoice than that of the usage has."""
    for name, commitment in (("minimum", plan.minimum), ("maximum", plan.maximum)):
        if commitment is not None and commitment.of is Of.ALL:
            yield fields.refuse(
                f"plans[{index}].{name}.of",
                "must be usage where fees are in advance: those of a period are on the invoice "
                "before that of its usage",
            )


def _places(sold: Sold) -> Iterator[tuple[str, Price]]:
    offers: dict[str, tuple[Plan | AddOn, ...]] = {
        "plans": sold["plans"],
        "add_ons": sold["add_ons"],
    }
    for name, offered in offers.items():
        for index, offer in enumerate(offered):
            for number, price in enumerate(offer.prices):
                yield f"{name}[{index}].prices[{number}]", price


def _discount_problems(
    fields: Fields, place: str, discount: Discount, prices: Sequence[Price] | None
) -> Iterator[Rejected]:
    """Refuse a price that nothing has, and a plan's that has no free units."""
    if prices is None:
        yield fields.refuse(place, "name a price that no plan has")
    elif discount.kind is DiscountKind.FREE_UNITS and any(
        not price.meter or isinstance(price, Matrix | Percentage) for price in prices
    ):
        yield fields.refuse(place, "name a fee, a matrix or a percentage, which has no free units")


def useless_discounts(
    *, plans: Iterable[Plan], discounts: Iterable[Discount]
) -> Iterator[Rejected]:
    """This function will refuse discounts of prices that add-ons alone have: none is discounted.

    Who writes a catalogue asks, and the books before they publish one; a version from before stays
    readable, and such a discount takes nothing off.
    """
    keys = {price.key for plan in plans for price in plan.prices}
    for index, discount in enumerate(discounts):
        for key in discount.prices:
            if key not in keys:
                place = f"catalogue.discounts[{index}].prices"
                yield Rejected(
                    Code.CATALOGUE_INVALID,
                    f"{place} name {key!r}, which no plan has; add-ons are not discounted",
                    param=place,
                )
