"""The arithmetic of an invoice: discounts, account credit and taxes, in whole units, exact.

Every amount is a whole number of 10^-scale major units. The order is that of docs/billing.md:
1. percentages, in the order given, each on what the ones before it left, rounded half up per line;
2. amounts, spread over what is left of the lines; 3. the maximum of the plan, spread the same way;
4. account credit; 5. taxes; 6. the total. Spreading is by largest remainder, so that the parts add
up to the whole; equal remainders go by the order of the lines.

Discounts are for fees, seats and usage of the plan. A minimum is what the customer committed to
pay at list prices, and add-ons and items are not the plan: none of them is discounted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from domain.billing_terms import Credits, DiscountKind, TaxMode, TaxRounding, TaxTreatment
from domain.money import minor_unit_places, round_half_up

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from domain.invoice_taxes import CategoryTax
    from domain.invoice_terms import GrantedDiscount, InvoiceTerms

DISCOUNTED = frozenset({"fee", "seats", "usage"})
"""Kinds of lines that discounts are for."""
MAXIMUM_CODE = "maximum"
"""Code under which a plan's maximum stands among the discounts of a line."""
NO_TAX = ""
"""Code of the group of lines whose category has no rate."""


@dataclass(slots=True)
class Draft:
    """A line in the making.

    Args:
        kind: Kind of the line.
        price: Key of its price; empty for an item or a minimum.
        category: Tax category.
        amount: Rounded amount before discounts.
        left: What is left of it after the discounts so far.
        discounts: (code, amount) so far; amounts are positive.
        credited: Account credit that lowers what is taxed.
        tax_code: Code of its tax; empty for none.
        tax_amount: Its part of the tax.
    """

    kind: str
    price: str
    category: str
    amount: int
    left: int = 0
    discounts: list[tuple[str, int]] = field(default_factory=list)
    credited: int = 0
    tax_code: str = NO_TAX
    tax_amount: int = 0

    def __post_init__(self) -> None:
        """Begin with all of it left."""
        self.left = self.amount

    def take(self, code: str, amount: int) -> None:
        """Take a discount off."""
        if amount:
            self.discounts.append((code, amount))
            self.left -= amount


@dataclass(frozen=True, slots=True)
class TaxGroup:
    """A row of the tax table.

    Args:
        code: Code of the tax; empty for lines without any.
        name: Name for people.
        rate: Percent; 0 for a customer who is exempt or pays it by reverse charge.
        mode: Whether the lines have it in them.
        base: What is taxed, without the tax.
        amount: The tax.
    """

    code: str
    name: str
    rate: Decimal
    mode: TaxMode
    base: int
    amount: int


@dataclass(frozen=True, slots=True)
class Totals:
    """What the lines come to.

    Args:
        subtotal: Lines after discounts.
        discount: All discounts.
        credit_minor: Account credit used, whole minor units.
        taxes: Rows of the tax table, sorted by code.
        tax: All taxes, also those in prices.
        total: What is to pay before its rounding, in whole units of the scale; may be negative.
        total_minor: What is to pay, never negative.
        carry_minor: What becomes account credit because the total was below 0.
    """

    subtotal: int
    discount: int
    credit_minor: int
    taxes: tuple[TaxGroup, ...]
    tax: int
    total: int
    total_minor: int
    carry_minor: int


def spread(amount: int, *, over: Sequence[int]) -> list[int]:
    """This function will divide a whole amount in proportion, by largest remainder.

    Args:
        amount: What to divide, from 0.
        over: Weights, none negative; they are all 0 only when amount is.

    Returns:
        One part per weight; together they are the amount, and none is more than its weight when
        the amount is not more than all weights together.
    """
    total = sum(over)
    if total == 0:
        return [0] * len(over)
    parts = [amount * weight // total for weight in over]
    short = amount - sum(parts)
    if short:
        order = sorted(
            range(len(over)), key=lambda index: (-(amount * over[index] % total), index)
        )
        for index in order[:short]:
            parts[index] += 1
    return parts


def settle(
    drafts: Sequence[Draft],
    *,
    terms: InvoiceTerms,
    maximum: Fraction | None,
    is_capped: Callable[[int], bool],
) -> Totals:
    """This function will take discounts and credit off the lines, tax them and add them up.

    Args:
        drafts: The lines, in order; they are moved to their final amounts.
        terms: Discounts, taxes, credit and policies.
        maximum: Most that the plan costs in the period, major units; None for no such bound.
        is_capped: Whether a line, by its place, counts towards the maximum.

    Returns:
        What the lines come to.
    """
    scale = terms.scale
    for discount in terms.discounts:
        if discount.kind is DiscountKind.PERCENT:
            _take_percent(drafts, discount)
    for discount in terms.discounts:
        if discount.kind is DiscountKind.AMOUNT:
            most = round_half_up(Fraction(discount.value), places=scale)
            _take_amount(_discounted(drafts, discount), code=discount.code, most=most)
    if maximum is not None:
        capped = [draft for index, draft in enumerate(drafts) if is_capped(index)]
        over = sum(draft.left for draft in capped) - round_half_up(maximum, places=scale)
        _take_amount(capped, code=MAXIMUM_CODE, most=over)
    return _added_up(drafts, terms=terms, scale=scale)


def _discounted(drafts: Sequence[Draft], discount: GrantedDiscount) -> list[Draft]:
    """Return the lines that a discount is for and that have something left."""
    return [
        draft
        for draft in drafts
        if draft.kind in DISCOUNTED
        and draft.left > 0
        and (not discount.prices or draft.price in discount.prices)
    ]


def _take_percent(drafts: Sequence[Draft], discount: GrantedDiscount) -> None:
    part = Fraction(discount.value) / 100
    for draft in _discounted(drafts, discount):
        draft.take(discount.code, round_half_up(draft.left * part, places=0))


def _take_amount(drafts: Sequence[Draft], *, code: str, most: int) -> None:
    """Take an amount off lines, but not more than is left of them."""
    with_rest = [draft for draft in drafts if draft.left > 0]
    amount = min(most, sum(draft.left for draft in with_rest))
    if amount <= 0:
        return
    parts = spread(amount, over=[draft.left for draft in with_rest])
    for draft, part in zip(with_rest, parts, strict=True):
        draft.take(code, part)


def _added_up(drafts: Sequence[Draft], *, terms: InvoiceTerms, scale: int) -> Totals:
    minor = 10 ** (scale - minor_unit_places(terms.currency))
    subtotal = sum(draft.left for draft in drafts)
    groups = _grouped(drafts, terms=terms)
    credit_minor = 0
    if terms.credits is Credits.BEFORE_TAX:
        credit_minor = max(0, min(terms.credit_available_minor, subtotal // minor))
        _credit(groups, amount=credit_minor * minor)
    taxes = tuple(
        _taxed(tax, group, terms=terms) for tax, group in groups if group or tax is not None
    )
    added = sum(each.amount for each in taxes if each.mode is TaxMode.EXCLUSIVE)
    total = subtotal - credit_minor * minor + added
    rounded = round_half_up(Fraction(total, minor), places=0)
    if terms.credits is Credits.AFTER_TAX:
        credit_minor = max(0, min(terms.credit_available_minor, rounded))
        total -= credit_minor * minor
        rounded -= credit_minor
    return Totals(
        subtotal=subtotal,
        discount=sum(amount for draft in drafts for _, amount in draft.discounts),
        credit_minor=credit_minor,
        taxes=taxes,
        tax=sum(each.amount for each in taxes),
        total=total,
        total_minor=max(0, rounded),
        carry_minor=max(0, -rounded),
    )


def _grouped(
    drafts: Sequence[Draft], *, terms: InvoiceTerms
) -> list[tuple[CategoryTax | None, list[Draft]]]:
    """Return the lines by tax, sorted by its code; those without a tax first."""
    by_category = {each.category: each for each in terms.taxes.categories}
    groups: dict[str, tuple[CategoryTax | None, list[Draft]]] = {}
    for draft in drafts:
        tax = by_category.get(draft.category)
        draft.tax_code = NO_TAX if tax is None else tax.code
        groups.setdefault(draft.tax_code, (tax, []))[1].append(draft)
    return [groups[code] for code in sorted(groups)]


def _credit(groups: Sequence[tuple[CategoryTax | None, list[Draft]]], *, amount: int) -> None:
    """Spread account credit over the taxes, and within each over its lines."""
    if not amount:
        return
    bases = [max(0, sum(draft.left for draft in group)) for _, group in groups]
    for (_, group), part in zip(groups, spread(amount, over=bases), strict=True):
        parts = spread(part, over=[max(0, draft.left) for draft in group])
        for draft, credited in zip(group, parts, strict=True):
            draft.credited = credited


def _taxed(tax: CategoryTax | None, group: Sequence[Draft], *, terms: InvoiceTerms) -> TaxGroup:
    """Tax the lines of one tax and say what each bears of it."""
    bases = [draft.left - draft.credited for draft in group]
    mode = TaxMode.EXCLUSIVE if tax is None else tax.mode
    rate = Decimal(0)
    if tax is not None and terms.taxes.treatment is TaxTreatment.STANDARD:
        rate = tax.rate
    part = Fraction(rate) / (100 if mode is TaxMode.EXCLUSIVE else 100 + Fraction(rate))
    if terms.tax_rounding is TaxRounding.LINE:
        parts = [round_half_up(base * part, places=0) for base in bases]
    else:
        parts = shares(round_half_up(sum(bases) * part, places=0), of=bases)
    for draft, amount in zip(group, parts, strict=True):
        draft.tax_amount = amount
    amount = sum(parts)
    return TaxGroup(
        code=NO_TAX if tax is None else tax.code,
        name="" if tax is None else tax.name,
        rate=rate,
        mode=mode,
        base=sum(bases) - (amount if mode is TaxMode.INCLUSIVE else 0),
        amount=amount,
    )


def shares(amount: int, *, of: Sequence[int]) -> list[int]:
    """This function will say how much of an amount falls on each of some values, of either sign.

    Args:
        amount: The tax of all values together, of their sign; 0 when they add up to 0.
        of: The values.

    Returns:
        Differences of amount times values so far over all values, rounded half up: they add up to
        the amount, and each is near its own share.
    """
    total = sum(of)
    if total == 0:
        return [0] * len(of)
    found: list[int] = []
    so_far = given = 0
    for value in of:
        so_far += value
        upto = round_half_up(Fraction(amount * so_far, total), places=0)
        found.append(upto - given)
        given = upto
    return found
