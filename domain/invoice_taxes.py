"""How the lines of one invoice are taxed: the rates of a catalogue, resolved for a customer."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from domain.billing_terms import TaxMode, TaxRate, TaxTreatment
from domain.canonical import Json, decimal_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.fields import Fields

TAX_CATEGORIES_MAX = 5_000
"""Categories of one invoice: a catalogue has up to 500 rates, and items and parts of a period may
be of categories that other versions have."""


@dataclass(frozen=True, slots=True)
class CategoryTax:
    """The tax of one category for this customer.

    Args:
        category: Category of prices and items.
        code: Code of the tax.
        name: Name for people.
        rate: Percent.
        mode: Whether prices have it in them.
    """

    category: str
    code: str
    name: str
    rate: Decimal
    mode: TaxMode

    def to_json(self) -> dict[str, Json]:
        """Return it as it stands in contents."""
        return {
            "category": self.category,
            "code": self.code,
            "name": self.name,
            "rate": decimal_text(self.rate),
            "mode": self.mode,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> CategoryTax:
        """Read what to_json wrote (Rejected otherwise)."""
        fields.only(("category", "code", "name", "rate", "mode"))
        return cls(
            category=fields.text("category"),
            code=fields.text("code"),
            name=fields.text("name"),
            rate=fields.decimal("rate"),
            mode=TaxMode(fields.choice("mode", TaxMode)),
        )


@dataclass(frozen=True, slots=True)
class LineTax:
    """The tax of a line: what holds for its category and its customer together.

    Args:
        code: Code of the tax; empty for none.
        name: Name for people; empty for none.
        rate: Percent; 0 for a customer who is exempt or pays it by reverse charge.
        mode: Whether amounts have it in them.
        treatment: What holds for the customer.
    """

    code: str
    name: str
    rate: Decimal
    mode: TaxMode
    treatment: TaxTreatment

    @property
    def group(self) -> tuple[str, Decimal, str, str]:
        """Return by what lines are taxed together, and in which order."""
        return self.code, self.rate, str(self.mode), str(self.treatment)

    def to_json(self) -> dict[str, Json]:
        """Return it as it stands in contents and documents."""
        return {
            "code": self.code,
            "name": self.name,
            "rate": decimal_text(self.rate),
            "mode": self.mode,
            "treatment": self.treatment,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> LineTax:
        """Read what to_json wrote (Rejected otherwise)."""
        fields.only(("code", "name", "rate", "mode", "treatment"))
        return cls(
            code=text_or_none(fields, "code"),
            name=text_or_none(fields, "name"),
            rate=fields.decimal("rate"),
            mode=TaxMode(fields.choice("mode", TaxMode)),
            treatment=TaxTreatment(fields.choice("treatment", TaxTreatment)),
        )


@dataclass(frozen=True, slots=True)
class TaxTerms:
    """How the lines of an invoice are taxed.

    Args:
        treatment: What holds for the customer; exempt and reverse_charge are taxed with 0.
        region: Region of the customer; empty for none.
        categories: One per category that has a rate, sorted; a line of another category is free
            of tax.
    """

    treatment: TaxTreatment = TaxTreatment.STANDARD
    region: str = ""
    categories: tuple[CategoryTax, ...] = ()

    def tax_of(self, category: str) -> LineTax:
        """Return the tax of a line by its category."""
        tax = next((each for each in self.categories if each.category == category), None)
        if tax is None:
            return LineTax("", "", Decimal(0), TaxMode.EXCLUSIVE, self.treatment)
        is_taxed = self.treatment is TaxTreatment.STANDARD
        rate = tax.rate if is_taxed else Decimal(0)
        return LineTax(tax.code, tax.name, rate, tax.mode, self.treatment)

    def to_json(self) -> dict[str, Json]:
        """Return it as it stands in contents."""
        return {
            "treatment": self.treatment,
            "region": self.region,
            "categories": [each.to_json() for each in self.categories],
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> TaxTerms:
        """Read what to_json wrote (Rejected otherwise)."""
        fields.only(("treatment", "region", "categories"))
        return cls(
            treatment=TaxTreatment(fields.choice("treatment", TaxTreatment)),
            region=text_or_none(fields, "region"),
            categories=tuple(
                CategoryTax.from_fields(each)
                for each in fields.objects("categories", count_max=TAX_CATEGORIES_MAX)
            ),
        )


def resolved_taxes(*, rates: Iterable[TaxRate], treatment: TaxTreatment, region: str) -> TaxTerms:
    """This function will choose the tax of each category for one customer.

    Args:
        rates: The catalogue's taxes.
        treatment: What holds for the customer.
        region: The customer's region; empty for none.

    Returns:
        Of each category the rate of the region, or else the one without a region; no others.
    """
    chosen: dict[str, TaxRate] = {}
    for rate in rates:
        if rate.region == region or (rate.region == "" and rate.category not in chosen):
            chosen[rate.category] = rate
    return TaxTerms(
        treatment=treatment,
        region=region,
        categories=tuple(
            CategoryTax(rate.category, rate.code, rate.name, rate.rate, rate.mode)
            for _, rate in sorted(chosen.items())
        ),
    )


def text_or_none(fields: Fields, name: str) -> str:
    """This function will read a text that may be empty (Rejected for no text)."""
    return "" if fields.values.get(name) == "" else fields.text(name)
