"""What an invoice has charged in advance for a subscription's open period, and by which prices.

A change within such a period is reckoned by what was charged, not by what holds since: a discount
that ran out with the invoice, or an own price that is gone, would else give back what nobody paid.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from domain.billing_terms import DiscountKind
from domain.invoice_amounts import shares, spread, tax_part
from domain.invoice_reading import POSITION_MAX
from domain.invoice_taxes import LineTax
from domain.invoice_terms import GRANTED_MAX, GrantedDiscount, ItemKind, Override
from domain.money import minor_unit_places, round_half_up
from domain.rated import FEE_KINDS

if TYPE_CHECKING:
    from domain.canonical import Json
    from domain.fields import Fields
    from domain.invoice import InvoiceContent, Line
    from domain.invoice_terms import Item

OVERRIDES_MAX = 100
"""Own prices of one plan: as many as a customer has."""
CATEGORIES_MAX = 200
"""Tax categories of one plan's fees: one per price of the plan and of its add-ons."""


@dataclass(frozen=True, slots=True)
class ChargedFees:
    """Fees of one tax category.

    Args:
        tax: Tax category.
        fees_minor: What percentages left of them, minor units.
        off_minor: What amounts took off that.
        taxed: The tax that they bear.
        lines: Ids of the invoice's lines that charge them.
    """

    tax: str
    fees_minor: int
    off_minor: int
    taxed: LineTax
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Charged:
    """Fees of the open period as an invoice has them.

    Args:
        invoice: Invoice that charges them.
        plan: Plan whose fees they are.
        discounts: Percentages that came off.
        overrides: The customer's own prices of the plan, as they were.
        fees: What they came to, by tax category.
    """

    invoice: str
    plan: str
    discounts: tuple[GrantedDiscount, ...]
    overrides: tuple[Override, ...]
    fees: tuple[ChargedFees, ...]

    def overrides_with(self, current: tuple[Override, ...]) -> tuple[Override, ...]:
        """Return the charged plan's own prices as charged, those of other plans as they are."""
        return (*self.overrides, *(each for each in current if each.plan != self.plan))

    def of(self, tax: str) -> ChargedFees | None:
        """Return the fees of a tax category; None for no fees."""
        return next((each for each in self.fees if each.tax == tax), None)

    def off_minor(self, tax: str) -> int:
        """Return what amounts took off the fees of a tax category, minor units."""
        fees = self.of(tax)
        return 0 if fees is None else fees.off_minor

    def fees_minor(self, tax: str) -> int:
        """Return the fees of a tax category after percentages, minor units."""
        fees = self.of(tax)
        return 0 if fees is None else fees.fees_minor

    def to_json(self) -> dict[str, Json]:
        """Return it as it stands in the subscription's document."""
        return {
            "invoice": self.invoice,
            "plan": self.plan,
            "discounts": [each.to_json() for each in self.discounts],
            "overrides": [each.to_json() for each in self.overrides],
            "fees": [
                {
                    "tax": each.tax,
                    "fees_minor": each.fees_minor,
                    "off_minor": each.off_minor,
                    "taxed": each.taxed.to_json(),
                    "lines": list(each.lines),
                }
                for each in self.fees
            ],
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> Charged:
        """Read what to_json wrote."""
        return cls(
            invoice=fields.text("invoice"),
            plan=fields.text("plan"),
            discounts=tuple(
                GrantedDiscount.from_fields(item)
                for item in fields.objects("discounts", count_max=GRANTED_MAX)
            ),
            overrides=tuple(
                Override.from_fields(item)
                for item in fields.objects("overrides", count_max=OVERRIDES_MAX)
            ),
            fees=tuple(
                ChargedFees(
                    tax=item.text("tax"),
                    fees_minor=item.integer("fees_minor", minimum=0, maximum=POSITION_MAX),
                    off_minor=item.integer("off_minor", minimum=0, maximum=POSITION_MAX),
                    taxed=LineTax.from_fields(item.object("taxed")),
                    lines=item.texts("lines"),
                )
                for item in fields.objects("fees", count_max=CATEGORIES_MAX)
            ),
        )


def charged_by(content: InvoiceContent, *, invoice: str) -> Charged | None:
    """This function will return what an invoice's content charges of fees; None for no fees."""
    terms = content.terms
    if terms.fees is None:
        return None
    percent = tuple(each for each in terms.discounts if each.kind is DiscountKind.PERCENT)
    codes = {each.code for each in percent}
    fees: dict[str, int] = {}
    off: dict[str, int] = {}
    lines: dict[str, tuple[str, ...]] = {}
    asked = {
        f"item/{item.item}"
        for item in terms.items
        if item.kind is ItemKind.PRORATION
        and item.taxed is None
        and item.subscription == terms.subscription
        and terms.fees.start <= item.start < terms.fees.end
    }
    for line in content.lines:
        if line.line_id in asked:
            # What was asked for in the period before its fees were charged: no fee of its start.
            fees.setdefault(line.tax, 0)
            off.setdefault(line.tax, 0)
            lines[line.tax] = (*lines.get(line.tax, ()), line.line_id)
        if line.kind not in FEE_KINDS:
            continue
        taken = sum(amount for code, amount in line.discounts if code not in codes)
        fees[line.tax] = fees.get(line.tax, 0) + line.net + taken
        off[line.tax] = off.get(line.tax, 0) + taken
        lines[line.tax] = (*lines.get(line.tax, ()), line.line_id)
    places = minor_unit_places(terms.currency)

    def minor(amount: int) -> int:
        return round_half_up(Fraction(amount, 10**content.scale), places=places)

    return Charged(
        invoice=invoice,
        plan=terms.fees.plan,
        discounts=percent,
        overrides=tuple(each for each in terms.overrides if each.plan == terms.fees.plan),
        fees=tuple(
            ChargedFees(
                tax,
                minor(amount),
                minor(off[tax]),
                terms.taxes.tax_of(tax),
                lines[tax],
            )
            for tax, amount in sorted(fees.items())
        ),
    )


def without_days_off(content: InvoiceContent) -> tuple[list[int], list[int], list[int]]:
    """This function will return nets, taxes and promotions of lines, with days off off their fees.

    Who is given back such a fee paid no more than this for it. Promotions and the tax of such a
    row of the tax table fall on what is left of its lines.
    """
    nets = [line.net for line in content.lines]
    taxes = [line.tax_amount for line in content.lines]
    credited = [line.credited for line in content.lines]
    items_of = {f"item/{each.item}": each for each in content.terms.items}
    found = [items_of.get(line.line_id) for line in content.lines]
    off = [
        place
        for place, item in enumerate(found)
        if item is not None and item.kind is ItemKind.PRORATION and item.amount_minor < 0
    ]
    for row in sorted({content.lines[place].tax_row for place in off}):
        rows = [place for place, line in enumerate(content.lines) if line.tax_row == row]
        days = [place for place in rows if place in off]
        left = [place for place in rows if nets[place] > 0]
        for is_waiting in (False, True):
            fees = [
                place
                for place in left
                if _is_fee(content.lines[place], found[place], is_waiting=is_waiting)
            ]
            weights = [nets[place] for place in fees]
            less = -sum(nets[place] for place in days if _is_netted(found[place]) is is_waiting)
            less = min(sum(weights), less)
            for place, part in zip(fees, spread(less, over=weights), strict=True):
                nets[place] -= part
        promotion = sum(credited[place] for place in left)
        tax = sum(taxes[place] for place in (*days, *left))
        parts = spread(promotion, over=[nets[place] for place in left])
        bases = [nets[place] - part for place, part in zip(left, parts, strict=True)]
        borne = shares(tax, of=bases, part=tax_part(content.totals.taxes[row]))
        for place, part, amount in zip(left, parts, borne, strict=True):
            credited[place], taxes[place] = part, max(0, amount)
        for place in days:
            nets[place] = taxes[place] = 0
    return nets, taxes, credited


def _is_fee(line: Line, item: Item | None, *, is_waiting: bool) -> bool:
    """Say whether a line has what days come off: a fee, or an item that waited with them."""
    if item is None:
        return line.kind in FEE_KINDS and not is_waiting
    return item.kind is ItemKind.PRORATION and _is_netted(item) is is_waiting


def _is_netted(item: Item | None) -> bool:
    """Say whether an item is of a fee that an invoice before had charged."""
    return item is not None and item.taxed is not None
