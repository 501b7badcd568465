"""The arithmetic of an invoice: discounts, account credit and taxes, in whole units, exact.

Every amount is a whole number of 10^-scale major units. The order is that of docs/billing.md:
1. percentages, in the order given, each on what the ones before it left, rounded half up per line;
2. amounts, spread over what is left of the lines; 3. the maximum of the plan, spread the same way;
4. promotions; 5. taxes; 6. money that the customer has here; 7. the total. By the catalogue's
policy promotions may come off after the taxes as well, or neither comes off; money never comes off
before them, for it has its tax in it. Spreading is by largest remainder, so that the parts add up
to the whole; equal remainders go by the order of the lines.

Discounts are for fees, seats and usage of the plan: a minimum, add-ons with their usage, and items
are not discounted (domain.rated).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from domain.billing_terms import Credits, DiscountKind, TaxMode, TaxRounding
from domain.money import minor_unit_places, round_half_up

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

    from domain.billing_terms import TaxTreatment
    from domain.invoice_taxes import LineTax
    from domain.invoice_terms import GrantedDiscount, InvoiceTerms

MAXIMUM_CODE = "maximum"
"""Code under which a plan's maximum stands among the discounts of a line."""


@dataclass(slots=True)
class Draft:
    """A line in the making.

    Args:
        is_discounted: Whether discounts are for it.
        price: Key of its price; empty for an item or a minimum.
        tax: Its tax.
        amount: Rounded amount before discounts.
        left: What is left of it after the discounts so far.
        discounts: (code, amount) so far; amounts are positive.
        corrects: (invoice, line) that it corrects; ("", "") for none.
        credited: Promotions that lower what is taxed.
        tax_row: Its row of the tax table, from 0.
        tax_amount: Its part of the tax.
    """

    is_discounted: bool
    price: str
    tax: LineTax
    amount: int
    corrects: tuple[str, str] = ("", "")
    left: int = 0
    discounts: list[tuple[str, int]] = field(default_factory=list)
    credited: int = 0
    tax_row: int = 0
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
        treatment: What held for the customer when the lines were sold.
        base: What is taxed, without the tax.
        amount: The tax.
    """

    code: str
    name: str
    rate: Decimal
    mode: TaxMode
    treatment: TaxTreatment
    base: int
    amount: int


@dataclass(frozen=True, slots=True)
class Totals:
    """What the lines come to.

    Args:
        subtotal: Lines after discounts.
        discount: All discounts.
        credit_minor: Account credit used, whole minor units.
        promotion_minor: What of it was promotions.
        taxes: Rows of the tax table, sorted by code, rate, mode and treatment.
        tax: All taxes, also those in prices.
        total: What is to pay before its rounding, in whole units of the scale; may be negative.
        total_minor: What is to pay, never negative.
        carry_minor: What becomes account credit because the total was below 0.
    """

    subtotal: int
    discount: int
    credit_minor: int
    promotion_minor: int
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
        if draft.is_discounted
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
    groups = _grouped(drafts)
    before_tax = _promotion_before_tax(groups, terms=terms, minor=minor)
    rows, total = _taxed(groups, terms=terms, before_tax=before_tax * minor)
    rounded = round_half_up(Fraction(total, minor), places=0)
    after_tax = money = 0
    if terms.credits is Credits.AFTER_TAX:
        after_tax = max(0, min(terms.credit.promotion_minor, rounded))
    if terms.credits is not Credits.NOT_APPLIED:
        money = max(0, min(terms.credit.money_minor, rounded - after_tax))
    to_pay = rounded - after_tax - money
    return Totals(
        subtotal=sum(draft.left for draft in drafts),
        discount=sum(amount for draft in drafts for _, amount in draft.discounts),
        credit_minor=before_tax + after_tax + money,
        promotion_minor=before_tax + after_tax,
        taxes=rows,
        tax=sum(each.amount for each in rows),
        total=total - (after_tax + money) * minor,
        total_minor=max(0, to_pay),
        carry_minor=max(0, -to_pay),
    )


def _taxed(
    groups: Sequence[Sequence[Draft]], *, terms: InvoiceTerms, before_tax: int
) -> tuple[tuple[TaxGroup, ...], int]:
    """Take a promotion off before the taxes; return their table, and the total with them."""
    _credit(groups, amount=before_tax)
    rows = tuple(_row(group, rounding=terms.tax_rounding) for group in groups)
    added = sum(each.amount for each in rows if each.mode is TaxMode.EXCLUSIVE)
    return rows, sum(draft.left for group in groups for draft in group) - before_tax + added


def _promotion_before_tax(
    groups: Sequence[Sequence[Draft]], *, terms: InvoiceTerms, minor: int
) -> int:
    """Return how much of the promotions comes off before tax, minor units.

    Never so much that the total falls below 0: where a correction gives back more tax than the
    other lines bear, the promotion would come back as money.
    """
    subtotal = sum(draft.left for group in groups for draft in group)
    most = min(terms.credit.promotion_minor, subtotal // minor)
    if terms.credits is not Credits.BEFORE_TAX or most <= 0:
        return 0

    def is_too_much(promotion: int) -> bool:
        _, total = _taxed(groups, terms=terms, before_tax=promotion * minor)
        return round_half_up(Fraction(total, minor), places=0) < 0

    if all(draft.left >= 0 for group in groups for draft in group) or not is_too_much(most):
        return most
    # The total falls as the promotion rises: halve what lies between, at most 60 times.
    fits, exceeds = 0, most
    while exceeds - fits > 1:
        middle = (fits + exceeds) // 2
        fits, exceeds = (fits, middle) if is_too_much(middle) else (middle, exceeds)
    return fits


def _grouped(drafts: Sequence[Draft]) -> list[list[Draft]]:
    """Return the lines by tax, in the order of the tax table; those without a tax first."""
    groups: dict[tuple[str, Decimal, str, str], list[Draft]] = {}
    for draft in drafts:
        groups.setdefault(draft.tax.group, []).append(draft)
    found = [groups[key] for key in sorted(groups)]
    for number, group in enumerate(found):
        for draft in group:
            draft.tax_row = number
    return found


def _credit(groups: Sequence[Sequence[Draft]], *, amount: int) -> None:
    """Spread a promotion over the taxes, and within each over its lines."""
    bases = [max(0, sum(draft.left for draft in group)) for group in groups]
    for group, part in zip(groups, spread(amount, over=bases), strict=True):
        lefts = netted(
            [draft.left for draft in group],
            of=[
                draft.corrects if draft.corrects[0] else (str(place), "")
                for place, draft in enumerate(group)
            ],
        )
        for draft, credited in zip(group, spread(part, over=lefts), strict=True):
            draft.credited = credited


def whole_parts(changes: list[int], *, whole: int, unit: int) -> list[int]:
    """This function will divide minor units over changes of a finer scale.

    Args:
        changes: Amounts of either sign, in units of which `unit` are a minor unit.
        whole: Their sum in minor units, rounded up or down, so that it comes out.
        unit: Units of a minor unit.

    Returns:
        Minor units: each change rounded down, those with the largest remainders up.
    """
    parts = [change // unit for change in changes]
    order = sorted(range(len(changes)), key=lambda index: (-(changes[index] % unit), index))
    for index in order[: whole - sum(parts)]:
        parts[index] += 1
    return parts


def netted(values: Sequence[int], *, of: Sequence[tuple[str, str]]) -> list[int]:
    """This function will return what is left of values once those of one name are added up.

    Args:
        values: Amounts of either sign.
        of: The name of each.

    Returns:
        Nothing where the values of a name come to nothing or less, else their sum spread over
        those of them that are positive.
    """
    places: dict[tuple[str, str], list[int]] = {}
    for place, name in enumerate(of):
        places.setdefault(name, []).append(place)
    found = [0] * len(values)
    for mine in places.values():
        rest = max(0, sum(values[place] for place in mine))
        parts = spread(rest, over=[max(0, values[place]) for place in mine])
        for place, part in zip(mine, parts, strict=True):
            found[place] = part
    return found


def _row(group: Sequence[Draft], *, rounding: TaxRounding) -> TaxGroup:
    """Tax the lines of one tax and say what each bears of it."""
    tax = group[0].tax
    bases = [draft.left - draft.credited for draft in group]
    part = tax_part(tax)
    if rounding is TaxRounding.LINE:
        parts = [round_half_up(base * part, places=0) for base in bases]
    else:
        parts = shares(round_half_up(sum(bases) * part, places=0), of=bases, part=part)
    for draft, amount in zip(group, parts, strict=True):
        draft.tax_amount = amount
    amount = sum(parts)
    return TaxGroup(
        code=tax.code,
        name=tax.name,
        rate=tax.rate,
        mode=tax.mode,
        treatment=tax.treatment,
        base=sum(bases) - (amount if tax.mode is TaxMode.INCLUSIVE else 0),
        amount=amount,
    )


def tax_part(tax: LineTax | TaxGroup) -> Fraction:
    """This function will say how much of a line's amount its tax is."""
    rate = Fraction(tax.rate)
    return rate / (100 if tax.mode is TaxMode.EXCLUSIVE else 100 + rate)


def shares(amount: int, *, of: Sequence[int], part: Fraction) -> list[int]:
    """This function will say how much of an amount falls on each of some values, of either sign.

    They go by the part and never by the values' sum, which may be next to nothing where one value
    gives back what another one asks for: what its rounding makes of it says nothing of either.

    Args:
        amount: That part of all values together, rounded; it may be a few units from it.
        of: The values.
        part: How much of a value it is, for example its tax.

    Returns:
        Differences of the part of the values so far, rounded half up, and on the largest value
        what is left: they add up to the amount, and each is next to its own share. When all
        values are 0, so are the shares.
    """
    found: list[int] = []
    so_far = given = 0
    for value in of:
        so_far += value
        upto = round_half_up(so_far * part, places=0)
        found.append(upto - given)
        given = upto
    largest = max(range(len(of)), key=lambda place: abs(of[place]), default=0)
    if any(of):
        found[largest] += amount - given
    return found
