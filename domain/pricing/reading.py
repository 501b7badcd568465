"""Reading the fields that price forms share."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, TypedDict

from domain.fields import is_clean_text
from domain.pricing.price import NOTHING, TAX_STANDARD, Overflow

if TYPE_CHECKING:
    from domain.fields import Fields
    from domain.pricing.price import Where

WHERE_MAX = 8
"""Dimension values that one price or one rate of a matrix may ask for; a meter with more than that
many dimensions has about as many series as events."""
PLACES_OF_DECIMALS = 18
FEE_FIELDS = ("key", "name", "form", "tax")
METERED_FIELDS = (*FEE_FIELDS, "meter", "where", "overflow", "minimum", "maximum")


class Metered(TypedDict):
    """The arguments that every metered price has."""

    key: str
    name: str
    meter: str
    where: Where
    tax: str
    overflow: Overflow
    included: Fraction
    minimum: Fraction | None
    maximum: Fraction | None


def fraction(fields: Fields, name: str, *, default: str | None = None) -> Fraction:
    """This function will read a non-negative decimal as an exact fraction."""
    return Fraction(fields.decimal(name, default=default))


def optional_fraction(fields: Fields, name: str) -> Fraction | None:
    """This function will read a decimal that may be absent."""
    return fraction(fields, name) if name in fields.values else None


def name_of(fields: Fields) -> str:
    """This function will read the name for people; empty when there is none."""
    return fields.text("name") if "name" in fields.values else ""


def tax_of(fields: Fields) -> str:
    """This function will read the tax category."""
    return fields.text("tax", default=TAX_STANDARD)


def metered(fields: Fields, *own: str) -> Metered:
    """This function will read what every metered price has.

    Args:
        fields: The price.
        own: Names of the fields that this form has beyond them.

    Raises:
        Rejected: With the place of what is wrong, unknown fields included.
    """
    fields.only((*METERED_FIELDS, *own))
    minimum, maximum = (optional_fraction(fields, name) for name in ("minimum", "maximum"))
    if minimum is not None and maximum is not None and minimum > maximum:
        raise fields.refuse("maximum", "must not lie below the minimum")
    return Metered(
        key=fields.text("key"),
        name=name_of(fields),
        meter=fields.text("meter"),
        where=where_of(fields),
        tax=tax_of(fields),
        overflow=Overflow(fields.choice("overflow", Overflow, default=Overflow.BILL)),
        included=fraction(fields, "included", default="0") if "included" in own else NOTHING,
        minimum=minimum,
        maximum=maximum,
    )


def where_of(fields: Fields) -> Where:
    """This function will read dimension values, sorted by dimension; missing counts as none."""
    values = fields.values.get("where", {})
    if not isinstance(values, Mapping) or len(values) > WHERE_MAX:
        raise fields.refuse("where", f"must be an object of at most {WHERE_MAX} dimension values")
    pairs = []
    for name, value in sorted(values.items()):
        if not is_clean_text(name) or not isinstance(value, str) or not is_clean_text(value):
            raise fields.refuse("where", "must name dimensions and their values as texts")
        pairs.append((name, value))
    return tuple(pairs)


def power_of_ten(fields: Fields, name: str) -> Fraction:
    """This function will read a rate unit such as "1000"; missing counts as 1.

    Raises:
        Rejected: When it is no power of ten: a quotient by it might have no last digit.
    """
    value = fraction(fields, name, default="1")
    if value.denominator != 1 or value.numerator not in _POWERS_OF_TEN:
        raise fields.refuse(name, 'must be a power of ten, for example "1000"')
    return value


_POWERS_OF_TEN = frozenset(10**places for places in range(PLACES_OF_DECIMALS))
