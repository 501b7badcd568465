"""Percentage: a share of the value that was moved, and a fee per event.

With a least or a largest amount per event the sum of all values is not enough: it must be known
how much lay in events below the one bound and above the other. The meter's value bands tell: a
bound of theirs lies where the percentage reaches the amount. `event_minimum` ÷ rate often has no
last digit; values have nine places, so the bound is the last value of nine places that is not
above it: the band below a bound holds it, and the next value lies above the true quotient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from domain.meter import VALUE_BAND
from domain.money import exact_text
from domain.pricing.price import NOTHING, ONE, Price, Quantity, Step, priced_step
from domain.pricing.reading import fraction, metered, optional_fraction
from domain.quantity import NANOS_PER_UNIT, nanos_text

if TYPE_CHECKING:
    from domain.fields import Fields
    from domain.pricing.price import PriceUsage

HUNDRED = Fraction(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentage(Price):
    """A share of the quantity, which is an amount of money or of anything else.

    Args:
        rate: Percent.
        fee: Major units of money for each event, on top.
        event_minimum: Least share of one event in major units; None for none.
        event_maximum: Largest share of one event in major units; None for none.
        bands_low: Value bands whose events pay event_minimum: those before this one.
        bands_high: Value bands whose events pay event_maximum: this one and those after it.
    """

    form: ClassVar[str] = "percentage"

    rate: Fraction
    fee: Fraction
    event_minimum: Fraction | None
    event_maximum: Fraction | None
    bands_low: int = 0
    bands_high: int = 0

    @property
    @override
    def reads(self) -> tuple[str, ...]:
        """Return the value band where events have bounds."""
        return (VALUE_BAND,) if self.bounds_nanos else ()

    @property
    def bounds_nanos(self) -> tuple[int, ...]:
        """Return where the meter's value bands must have bounds, in billionths, rising."""
        if not self.rate:
            return ()
        asked = (self.event_minimum, self.event_maximum)
        return tuple(
            math.floor(amount * HUNDRED / self.rate * NANOS_PER_UNIT)
            for amount in asked
            if amount is not None
        )

    def over_bands(self, bounds_nanos: tuple[int, ...]) -> Percentage | None:
        """Return the price knowing its meter's value bands; None when a bound is missing."""
        if not set(self.bounds_nanos) <= set(bounds_nanos):
            return None
        mine = list(self.bounds_nanos)
        low = bounds_nanos.index(mine[0]) + 1 if mine and self.event_minimum is not None else 0
        high = len(bounds_nanos) + 1
        if mine and self.event_maximum is not None:
            high = bounds_nanos.index(mine[-1]) + 1
        return replace(self, bands_low=low, bands_high=high)

    @override
    def steps(self, usage: PriceUsage) -> tuple[Step, ...]:
        """Return the share, the events that pay a bound instead, and the fees of all events."""
        steps = self._banded(usage) if self.reads else (self._share(usage.total.value),)
        if not self.fee:
            return steps
        fee = priced_step("fee per event", quantity=usage.total.events, rate=self.fee, per=ONE)
        return (*steps, fee)

    def _share(self, value: Fraction) -> Step:
        label = f"{exact_text(self.rate)} percent"
        return priced_step(label, quantity=value, rate=self.rate, per=HUNDRED)

    def _banded(self, usage: PriceUsage) -> tuple[Step, ...]:
        low = middle = high = Quantity(NOTHING)
        for where, quantity in usage.groups:
            number = int(where[0][1] or "0")
            if number < self.bands_low:
                low = _both(low, quantity)
            elif number >= self.bands_high:
                high = _both(high, quantity)
            else:
                middle = _both(middle, quantity)
        steps = [self._share(middle.value)]
        for events, amount, label in (
            (low.events, self.event_minimum, "events at the minimum of"),
            (high.events, self.event_maximum, "events at the maximum of"),
        ):
            if events and amount is not None:
                text = f"{label} {exact_text(amount)}"
                steps.append(priced_step(text, quantity=events, rate=amount, per=ONE))
        return tuple(steps)


def _both(first: Quantity, second: Quantity) -> Quantity:
    return Quantity(first.value + second.value, first.events + second.events)


def percentage_from_fields(fields: Fields) -> Percentage:
    """This function will read a percentage price (Rejected with the place otherwise)."""
    low, high = (optional_fraction(fields, name) for name in ("event_minimum", "event_maximum"))
    price = Percentage(
        **metered(fields, "rate", "fee", "event_minimum", "event_maximum"),
        rate=fraction(fields, "rate"),
        fee=fraction(fields, "fee", default="0"),
        event_minimum=low,
        event_maximum=high,
    )
    if low is not None and high is not None and low >= high:
        raise fields.refuse("event_maximum", "must lie above event_minimum")
    if not price.rate and (low is not None or high is not None):
        raise fields.refuse("rate", "must be above 0 where events have a minimum or a maximum")
    return price


def bounds_text(bounds_nanos: tuple[int, ...]) -> str:
    """This function will write bounds as a catalogue has them."""
    return ", ".join(f'"{nanos_text(bound)}"' for bound in bounds_nanos)
