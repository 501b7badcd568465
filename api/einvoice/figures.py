"""The amounts of a document in the form of EN 16931: minor units, net of tax, by tax category.

They are the content's own. Where the norm has another form, this is how one becomes the other:
- Prices with the tax inside: lines are given without it, so that they add up to the taxed base.
- Lines with six decimals (rounding: invoice): the norm has two (BR-DEC-23), so each tax's base is
  rounded and spread over its lines; what that moves the total by is the rounding amount (BT-114).
- Promotions before tax are an allowance of the whole document for each tax (BG-20); what account
  credit pays after tax is an amount paid before (BT-113), as is a total below 0 that became some.
- A correction has the tax of the line that it corrects, and so perhaps a row of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from api.invoice_document import CreditNoteDocument, CreditNoteLine, InvoiceDocument
from domain.billing_terms import Credits, TaxMode, TaxTreatment
from domain.invoice import InvoiceContent, Line
from domain.invoice_amounts import TaxGroup, shares
from domain.money import minor_unit_places, round_half_up

NOTHING = Decimal(0)


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
        allowance: Account credit that lowers the base.
        base: What is taxed.
        tax: The tax.
    """

    vat: Vat
    allowance: int
    base: int
    tax: int


@dataclass(frozen=True, slots=True)
class Figures:
    """All amounts of a document, minor units.

    Args:
        lines: Its lines.
        taxes: Its taxes, sorted by category and rate.
        prepaid: What was paid before, by account credit.
        due: What is to pay.
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
        return sum(tax.allowance for tax in self.taxes)

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
        taxes=_merged(taxes),
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
        for step in line.steps
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


def credit_note_figures(document: CreditNoteDocument) -> Figures:
    """This function will bring a credit note's amounts into the form of EN 16931."""
    content = document.invoice.content
    originals = {line.line_id: line for line in content.lines}
    lines: list[FigureLine] = []
    taxes: list[FigureTax] = []
    for each in document.lines:
        original = originals.get(each.line)
        group = None if original is None else content.tax_of(original)
        vat = Vat(Category.EXEMPT, NOTHING) if group is None else vat_of(group)
        is_inside = group is not None and group.mode is TaxMode.INCLUSIVE
        net = each.amount_minor - (each.tax_minor if is_inside else 0)
        lines.append(_noted(each, original, net=net, vat=vat, document=document))
        taxes.append(FigureTax(vat, 0, net, each.tax_minor))
    return Figures(
        lines=tuple(lines),
        taxes=_less(_merged(taxes), tax_total=document.tax_minor),
        prepaid=0,
        due=document.total_minor,
    )


def _noted(
    line: CreditNoteLine,
    original: Line | None,
    *,
    net: int,
    vat: Vat,
    document: CreditNoteDocument,
) -> FigureLine:
    label = line.label or (original.label if original is not None else line.line)
    at = document.issued_at
    return FigureLine(
        name=label,
        description=f"{document.invoice.number}, {line.line}",
        gross=net,
        allowances=(),
        net=net,
        vat=vat,
        start=original.start if original is not None else at,
        end=original.end if original is not None else at,
    )


def _less(taxes: tuple[FigureTax, ...], *, tax_total: int) -> tuple[FigureTax, ...]:
    """Take off what the books left out: the last unit of tax, where the invoice rounded down."""
    over = sum(each.tax for each in taxes) - tax_total
    rows = list(taxes)
    for place, each in enumerate(rows):
        off = min(over, each.tax)
        if off > 0:
            rows[place] = FigureTax(each.vat, each.allowance, each.base, each.tax - off)
            over -= off
    return tuple(rows)
