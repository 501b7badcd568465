"""The amounts of a document in the form of EN 16931: minor units, net of tax, by tax category.

They are the content's own. Where the norm has another form, this is how one becomes the other:
- Prices with the tax inside: lines are given without it, so that they add up to the taxed base.
- Lines with six decimals (rounding: invoice): the norm has two (BR-DEC-23), so each tax's base is
  rounded and spread over its lines; what that moves the total by is the rounding amount (BT-114).
- Promotions before tax are an allowance of the whole document for each tax (BG-20); what account
  credit pays after tax is an amount paid before (BT-113), as is a total below 0 that became some.
- A correction has the tax of the line that it corrects, and so perhaps a row of its own.
- A credit note mirrors the invoice: what promotions had paid before the tax is an allowance, what
  they paid after it an amount paid before, and what is due is what comes back as money.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from api.invoice_document import CreditNoteDocument, CreditNoteLine, InvoiceDocument
from domain.billing_terms import Credits, TaxMode, TaxTreatment
from domain.invoice import InvoiceContent, Line
from domain.invoice_amounts import TaxGroup, shares
from domain.line_steps import shown_steps
from domain.money import minor_unit_places, round_half_up

NOTHING = Decimal(0)
NEAR = Fraction(99, 100)
"""How far a tax may be from its rate times its base, in units of the currency: the schematron
takes less than 1 after rounding to hundredths."""


class Category(StrEnum):
    """Categories of VAT (UNTDID 5305) that our treatments come to."""

    STANDARD = "S"
    ZERO = "Z"
    EXEMPT = "E"
    REVERSE_CHARGE = "AE"


@dataclass(frozen=True, slots=True)
class Vat:
    """A VAT category with its rate.

    Args:
        category: Category.
        rate: Percent; 0 for all but the standard one.
    """

    category: Category
    rate: Decimal


@dataclass(frozen=True, slots=True)
class FigureLine:
    """A line in minor units, without tax.

    Args:
        name: What it is.
        description: How much of it, and how the amount came about; empty for nothing to tell.
        gross: Amount before the allowances.
        allowances: (reason, amount) of each discount.
        net: gross without the allowances.
        vat: Its tax.
        start: Start of the time it is for.
        end: End of it, exclusive; the same as start where it is for no time.
    """

    name: str
    description: str
    gross: int
    allowances: tuple[tuple[str, int], ...]
    net: int
    vat: Vat
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class FigureTax:
    """A row of the tax breakdown, minor units.

    Args:
        vat: Category and rate.
        allowance: Promotions that lower the base.
        base: What is taxed.
        tax: The tax.
        adjustment: What of the base is there for the norm alone; may be below 0.
    """

    vat: Vat
    allowance: int
    base: int
    tax: int
    adjustment: int = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """All amounts of a document, minor units.

    Args:
        lines: Its lines.
        taxes: Its taxes, sorted by category and rate.
        prepaid: What was paid before, by account credit.
        due: What is to pay, or comes back as money.
    """

    lines: tuple[FigureLine, ...]
    taxes: tuple[FigureTax, ...]
    prepaid: int
    due: int

    @property
    def line_total(self) -> int:
        """Return the sum of the lines (BT-106)."""
        return sum(line.net for line in self.lines)

    @property
    def allowance_total(self) -> int:
        """Return the sum of the allowances of the whole document (BT-107)."""
        return sum(tax.allowance + max(0, -tax.adjustment) for tax in self.taxes)

    @property
    def charge_total(self) -> int:
        """Return the sum of the charges of the whole document (BT-108)."""
        return sum(max(0, tax.adjustment) for tax in self.taxes)

    @property
    def base_total(self) -> int:
        """Return the total without tax (BT-109)."""
        return sum(tax.base for tax in self.taxes)

    @property
    def tax_total(self) -> int:
        """Return all taxes (BT-110)."""
        return sum(tax.tax for tax in self.taxes)

    @property
    def grand_total(self) -> int:
        """Return the total with tax (BT-112)."""
        return self.base_total + self.tax_total

    @property
    def rounding(self) -> int:
        """Return what the amount due was rounded by (BT-114)."""
        return self.due - (self.grand_total - self.prepaid)


def invoice_figures(document: InvoiceDocument) -> Figures:
    """This function will bring an invoice's amounts into the form of EN 16931."""
    content = document.content
    by_row: dict[int, list[int]] = defaultdict(list)
    for place, line in enumerate(content.lines):
        by_row[line.tax_row].append(place)
    made: dict[int, FigureLine] = {}
    taxes: list[FigureTax] = []
    for row, group in enumerate(content.totals.taxes):
        places = by_row[row]
        tax, nets = _group(content, group, [content.lines[place] for place in places])
        taxes.append(tax)
        for place, net in zip(places, nets, strict=True):
            made[place] = _line(content, content.lines[place], net=net, vat=tax.vat)
    totals = content.totals
    before_tax = totals.promotion_minor if content.terms.credits is Credits.BEFORE_TAX else 0
    return Figures(
        lines=tuple(made[place] for place in sorted(made)),
        taxes=_fitting(_merged(taxes), document),
        prepaid=totals.credit_minor - before_tax - totals.carry_minor,
        due=totals.total_minor,
    )


def _group(
    content: InvoiceContent, group: TaxGroup, lines: Sequence[Line]
) -> tuple[FigureTax, list[int]]:
    """Return a tax's row, and what each of its lines comes to without the tax."""
    unit = 10 ** (content.scale - minor_unit_places(content.terms.currency))
    is_inside = group.mode is TaxMode.INCLUSIVE
    nets = [line.net for line in lines]
    credited = sum(nets) - group.base - (group.amount if is_inside else 0)
    part = Fraction(100) / (100 + Fraction(group.rate)) if is_inside else Fraction(1)
    allowance = round_half_up(credited * part / unit, places=0)
    base = round_half_up(Fraction(group.base, unit), places=0)
    tax = round_half_up(Fraction(group.amount, unit), places=0)
    row = FigureTax(vat_of(group), allowance, base, tax)
    if unit == 1 and not is_inside:
        return row, nets
    return row, shares(base + allowance, of=nets, part=part / unit)


def vat_of(group: TaxGroup) -> Vat:
    """This function will say what VAT category a row of the tax table is."""
    match group.treatment:
        case TaxTreatment.REVERSE_CHARGE:
            return Vat(Category.REVERSE_CHARGE, NOTHING)
        case TaxTreatment.EXEMPT:
            return Vat(Category.EXEMPT, NOTHING)
        case TaxTreatment.STANDARD:
            if not group.code:
                return Vat(Category.EXEMPT, NOTHING)
            return Vat(Category.STANDARD if group.rate else Category.ZERO, group.rate)


def _line(content: InvoiceContent, line: Line, *, net: int, vat: Vat) -> FigureLine:
    names = {each.code: each.name for each in content.terms.discounts}
    is_as_billed = net == line.net and line.amount >= line.net > 0
    allowances = (
        tuple((names.get(code, code), amount) for code, amount in line.discounts)
        if is_as_billed
        else ()
    )
    return FigureLine(
        name=line.label,
        description=_description(line),
        gross=net + sum(amount for _, amount in allowances),
        allowances=allowances,
        net=net,
        vat=vat,
        start=line.start,
        end=line.end,
    )


def _description(line: Line) -> str:
    """Return how much was billed and at which rates, for people (BT-154)."""
    if line.kind == "item":
        return ""
    quantity = f"{line.quantity} {line.unit}".strip()
    rates = "; ".join(
        f"{step.label}: {step.quantity} x {step.rate}"
        + (f" per {step.per}" if step.per != "1" else "")
        for step in shown_steps(line)
    )
    return f"{quantity}: {rates}"[:DESCRIPTION_MAX] if line.meter else ""


DESCRIPTION_MAX = 1_000
"""Characters of a description: what programs that read these files show; the exports have all."""


def _merged(taxes: Iterable[FigureTax]) -> tuple[FigureTax, ...]:
    """Return one row for each category and rate, as the norm has it (BR-S-8 and others)."""
    sums: dict[Vat, tuple[int, int, int]] = defaultdict(lambda: (0, 0, 0))
    for each in taxes:
        allowance, base, tax = sums[each.vat]
        sums[each.vat] = allowance + each.allowance, base + each.base, tax + each.tax
    return tuple(
        FigureTax(vat, *sums[vat])
        for vat in sorted(sums, key=lambda vat: (vat.category, vat.rate))
    )


@dataclass(frozen=True, slots=True)
class NotedTax:
    """A tax of a credit note.

    Args:
        group: The row of the invoice's tax table; None for a line that the invoice does not have.
        row: What comes back by it, minor units.
        nets: (line, its net amount) of each line.
        prepaid: What promotions paid of it after the tax.
    """

    group: TaxGroup | None
    row: FigureTax
    nets: tuple[tuple[CreditNoteLine, int], ...]
    prepaid: int


def noted_taxes(document: CreditNoteDocument) -> tuple[NotedTax, ...]:
    """This function will say what of each tax comes back, in the order of its first line.

    It mirrors the invoice: what promotions paid before the tax lowers the base, what they paid
    after it does not.
    """
    content = document.invoice.content
    originals = {line.line_id: line for line in content.lines}
    by_group: dict[TaxGroup | None, list[CreditNoteLine]] = defaultdict(list)
    for each in document.lines:
        original = originals.get(each.line)
        by_group[None if original is None else content.tax_of(original)].append(each)
    found = [
        _noted_tax(group, lines, credits_=content.terms.credits)
        for group, lines in by_group.items()
    ]
    return _less(found, tax_total=document.tax_minor)


def _noted_tax(
    group: TaxGroup | None, lines: Sequence[CreditNoteLine], *, credits_: Credits
) -> NotedTax:
    is_inside = group is not None and group.mode is TaxMode.INCLUSIVE
    rate = Fraction(0 if group is None else group.rate)
    promotion = sum(line.promotion_minor for line in lines)
    promotion_tax = sum(line.promotion_tax_minor for line in lines)
    untaxed = promotion - _taxed_promotion(
        promotion,
        promotion_tax,
        part=rate / (100 + rate if is_inside else 100),
        slack=len(lines),
        credits_=credits_,
    )
    tax = sum(line.tax_minor for line in lines)
    amounts = [line.amount_minor for line in lines]
    base = sum(amounts) - untaxed - (tax if is_inside else 0)
    allowance = round_half_up(untaxed * 100 / (100 + rate), places=0) if is_inside else untaxed
    part = 100 / (100 + rate)
    nets = shares(base + allowance, of=amounts, part=part) if is_inside else amounts
    vat = Vat(Category.EXEMPT, NOTHING) if group is None else vat_of(group)
    return NotedTax(
        group=group,
        row=FigureTax(vat, allowance, base, tax),
        nets=tuple(zip(lines, nets, strict=True)),
        prepaid=promotion - untaxed + (0 if is_inside else promotion_tax),
    )


def _taxed_promotion(
    promotion: int, tax: int, *, part: Fraction, slack: int, credits_: Credits
) -> int:
    """Return how much of what promotions paid they paid after the tax.

    The tax that they paid says it: a line can have been paid by either kind, on its invoice and
    on one that corrects it. Where they come off after the tax, each line's is rounded down.
    """
    if credits_ is Credits.AFTER_TAX and promotion * part - tax <= slack:
        return promotion
    return min(promotion, round_half_up(tax / part, places=0)) if tax else 0


def credit_note_figures(document: CreditNoteDocument) -> Figures:
    """This function will bring a credit note's amounts into the form of EN 16931.

    What is due is what comes back as money: promotions come back as promotions.
    """
    originals = {line.line_id: line for line in document.invoice.content.lines}
    taxes = noted_taxes(document)
    made = {
        line.line: _noted(line, originals.get(line.line), net=net, vat=tax.row.vat, of=document)
        for tax in taxes
        for line, net in tax.nets
    }
    return Figures(
        lines=tuple(made[line.line] for line in document.lines),
        taxes=_fitting(_merged(tax.row for tax in taxes), document.invoice),
        prepaid=sum(tax.prepaid for tax in taxes),
        due=document.money_minor,
    )


def _noted(
    line: CreditNoteLine, original: Line | None, *, net: int, vat: Vat, of: CreditNoteDocument
) -> FigureLine:
    label = line.label or (original.label if original is not None else line.line)
    return FigureLine(
        name=label,
        description=f"{of.invoice.number}, {line.line}",
        gross=net,
        allowances=(),
        net=net,
        vat=vat,
        start=original.start if original is not None else of.issued_at,
        end=original.end if original is not None else of.issued_at,
    )


def _less(taxes: Sequence[NotedTax], *, tax_total: int) -> tuple[NotedTax, ...]:
    """Take off what the books left out: the last unit of tax, where the invoice rounded down."""
    over = sum(each.row.tax for each in taxes) - tax_total
    found = []
    for each in taxes:
        off = max(0, min(over, each.row.tax))
        found.append(replace(each, row=replace(each.row, tax=each.row.tax - off)))
        over -= off
    return tuple(found)


def _fitting(taxes: Iterable[FigureTax], invoice: InvoiceDocument) -> tuple[FigureTax, ...]:
    """Move a base whose tax is too far from its rate for the norm (BR-CO-17, BR-S-9).

    The schematron takes less than one unit of the currency either way. Taxes that are rounded line
    by line go beyond that, with three lines of yen or hundreds of cents. The tax is what the books
    say, so the base becomes that of the tax; the amount due is rounded by the difference.
    """
    one = 10 ** minor_unit_places(invoice.content.terms.currency)
    return tuple(_fitted(each, one=one) for each in taxes)


def _fitted(tax: FigureTax, *, one: int) -> FigureTax:
    part = Fraction(tax.vat.rate) / 100
    if not part or abs(abs(tax.tax) - abs(tax.base) * part) < one * NEAR:
        return tax
    base = round_half_up(tax.tax / part, places=0)
    return replace(tax, base=base, adjustment=base - tax.base)
