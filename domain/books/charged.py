"""What an invoice has charged in advance for a subscription's open period, and by which prices.

A change within such a period is reckoned by what was charged, not by what holds since: a discount
that ran out with the invoice, or an own price that is gone, would else give back what nobody paid.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from domain.billing_terms import DiscountKind
from domain.invoice_taxes import LineTax
from domain.invoice_terms import GrantedDiscount, overrides_for
from domain.money import minor_unit_places, round_half_up
from domain.overrides import Override
from domain.rated import FEE_KINDS

if TYPE_CHECKING:
    from domain.canonical import Json
    from domain.invoice import InvoiceContent

OVERRIDES_MAX = 100
"""Own prices of the plans and add-ons of one period: as many as a customer has."""
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
        plans: Plans whose fees they are, sorted.
        discounts: Percentages that came off.
        overrides: The customer's own prices of these plans and add-ons, as they were.
        fees: What they came to, by tax category.
        add_ons: Add-ons whose fees they are, sorted.
    """

    invoice: str
    plans: tuple[str, ...]
    discounts: tuple[GrantedDiscount, ...]
    overrides: tuple[Override, ...]
    fees: tuple[ChargedFees, ...]
    add_ons: tuple[str, ...] = ()

    def overrides_with(self, current: tuple[Override, ...]) -> tuple[Override, ...]:
        """Return own prices of what was charged as charged, those of anything else as they are."""
        others = (each for each in current if not each.is_of(self.plans, self.add_ons))
        return (*self.overrides, *others)

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
            "plans": list(self.plans),
            "add_ons": list(self.add_ons),
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


def charged_by(content: InvoiceContent, *, invoice: str) -> Charged | None:
    """This function will return what an invoice's content charges of fees; None for no fees."""
    terms = content.terms
    if not terms.fees:
        return None
    percent = tuple(each for each in terms.discounts if each.kind is DiscountKind.PERCENT)
    codes = {each.code for each in percent}
    fees: dict[str, int] = {}
    off: dict[str, int] = {}
    lines: dict[str, tuple[str, ...]] = {}
    for line in content.lines:
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
        plans=tuple(sorted({part.plan for part in terms.fees})),
        add_ons=tuple(sorted({code for part in terms.fees for code, _ in part.add_ons})),
        discounts=percent,
        overrides=overrides_for(terms.overrides, parts=terms.fees),
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
