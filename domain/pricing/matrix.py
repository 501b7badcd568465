"""Matrix: the rate depends on the values of dimensions, for example on model and region.

Values that no rate names cost `rate`. Where there is none they cost nothing, and a step says how
much that was: values come with usage, long after the catalogue was published, and an invoice that
could not be made for a new model would hold back everything else that is on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from domain.money import exact_text
from domain.pricing.price import NOTHING, Overflow, Price, Step, priced_step
from domain.pricing.reading import (
    WHERE_MAX,
    fraction,
    metered,
    optional_fraction,
    power_of_ten,
    where_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from domain.fields import Fields
    from domain.pricing.price import PriceUsage, Where

RATES_MAX = 200
"""Rates of one matrix, each of which can be a step of the line."""
GROUPS_MAX = 5_000
"""Sets of values that a matrix may meet in one part of a period: each is an entry of the invoice's
usage, about 100 bytes. The meter's dimension_sets_max must not lie above it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix(Price):
    """A rate for each set of dimension values.

    The allowance covers units in the order of `rates`, then all others: whoever writes them
    decides what is free first.

    Args:
        dimensions: Dimensions whose values choose the rate, sorted.
        per: Units that one rate covers, a power of ten.
        rates: Values and their rate, each in the order of `dimensions`.
        other: Rate of all other values; None when they cost nothing.
    """

    form: ClassVar[str] = "matrix"

    dimensions: tuple[str, ...]
    per: Fraction
    rates: tuple[tuple[Where, Fraction], ...]
    other: Fraction | None
    _named: Mapping[Where, Fraction] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        """Index the rates by their values."""
        object.__setattr__(self, "_named", dict(self.rates))

    @property
    @override
    def reads(self) -> tuple[str, ...]:
        """Return the dimensions."""
        return self.dimensions

    @override
    def steps(self, usage: PriceUsage) -> tuple[Step, ...]:
        """Return one step for each rate that is used, and one for all other values."""
        found: dict[Where, Fraction] = {}
        others = 0
        other_value = NOTHING
        for where, quantity in usage.groups:
            if where in self._named:
                found[where] = found.get(where, NOTHING) + quantity.value
            else:
                others += 1
                other_value += quantity.value
        return tuple(self._steps(found, others, other_value)) or (
            priced_step("nothing used", quantity=NOTHING, rate=NOTHING, per=self.per),
        )

    def _steps(
        self, found: dict[Where, Fraction], others: int, other_value: Fraction
    ) -> Iterator[Step]:
        left = self.included
        for where, rate in self.rates:
            if where in found:
                charged = max(NOTHING, found[where] - left)
                left -= found[where] - charged
                yield self._step(", ".join("=".join(pair) for pair in where), charged, rate)
        if others:
            charged = max(NOTHING, other_value - left)
            label = f"other values ({others})"
            if self.other is None:
                yield self._step(f"{label}, which have no rate", charged, NOTHING)
            else:
                yield self._step(label, charged, self.other)

    def _step(self, label: str, charged: Fraction, rate: Fraction) -> Step:
        if self.included:
            label = f"{label}, over {exact_text(self.included)} included in all"
        if self.overflow is not Overflow.BILL and charged:
            label, rate = f"{label}, not charged: {self.overflow}", NOTHING
        return priced_step(label, quantity=charged, rate=rate, per=self.per)


def matrix_from_fields(fields: Fields) -> Matrix:
    """This function will read a matrix price.

    Raises:
        Rejected: With the place, when a rate does not name just the dimensions, or two rates name
            the same values.
    """
    dimensions = tuple(sorted(fields.texts("dimensions")))
    if not 1 <= len(dimensions) <= WHERE_MAX:
        raise fields.refuse("dimensions", f"must be 1 to {WHERE_MAX} different texts")
    rates: dict[Where, Fraction] = {}
    for item in fields.objects("rates", count_max=RATES_MAX):
        item.only(("where", "rate"))
        where = where_of(item)
        if tuple(name for name, _ in where) != dimensions:
            raise item.refuse("where", f"must name {' and '.join(dimensions)} and nothing else")
        if where in rates:
            raise item.refuse("where", "names values that an earlier rate names")
        rates[where] = fraction(item, "rate")
    price = Matrix(
        **metered(fields, "dimensions", "per", "included", "rates", "rate"),
        dimensions=dimensions,
        per=power_of_ten(fields, "per"),
        rates=tuple(rates.items()),
        other=optional_fraction(fields, "rate"),
    )
    if not rates and price.other is None:
        raise fields.refuse("rates", "must hold a rate where there is none for all values")
    return price
