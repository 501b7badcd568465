"""What all price forms share: what they are given, the steps they give, parts of a period.

A form says what a whole period costs. Price.charge puts the rest around it, the same for all
forms: the price's own minimum and maximum, and the share of a period. Everything is an exact
fraction; no form rounds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from typing import ClassVar, TypeAlias

from domain.money import exact_text

NOTHING, ONE = Fraction(0), Fraction(1)
TAX_STANDARD = "standard"
"""Tax category of a price that names none."""

FIXED_LABELS = ("fee of the ", "up to the minimum of ", "down to the maximum of ")
"""How the labels of steps begin that no unit was counted for, beside those of other forms."""
FREE_LABEL = "free units: "
"""How the label of units begins that a discount makes free."""

Where: TypeAlias = tuple[tuple[str, str], ...]
"""(dimension, value) pairs, sorted by dimension; an empty value means windows without it."""


class Overflow(StrEnum):
    """What usage above the allowance does (C-04)."""

    BILL = "bill"
    WARN = "warn"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Share:
    """How much of a whole period of the cycle something covers.

    Args:
        days: Days covered, from 1.
        of_days: Days of the whole period, not below days.
    """

    days: int
    of_days: int

    @property
    def is_whole(self) -> bool:
        """Say whether it is the whole period."""
        return self.days == self.of_days

    @property
    def fraction(self) -> Fraction:
        """Return days over of_days."""
        return Fraction(self.days, self.of_days)

    @property
    def text(self) -> str:
        """Return it for people, for example "21 of 31 days"."""
        return f"{self.days} of {self.of_days} days"


WHOLE = Share(1, 1)


@dataclass(frozen=True, slots=True)
class Quantity:
    """How much there was.

    Args:
        value: In the unit of what is priced, never negative (G-08).
        events: Events behind it; a fraction only inside the formula of a share.
        is_estimate: Whether it is near the true one instead of equal to it.
    """

    value: Fraction
    events: Fraction = NOTHING
    is_estimate: bool = False

    def times(self, factor: Fraction) -> Quantity:
        """Return it stretched."""
        return Quantity(self.value * factor, self.events * factor, self.is_estimate)


@dataclass(frozen=True, slots=True)
class PriceUsage:
    """What a price is asked to charge.

    Args:
        total: All of it.
        groups: For a price that looks at dimensions (Price.reads), one quantity for each set of
            values that occurred, in their order.
        is_flow: Whether it adds up over time (sum, count, time_weighted) or is a level.
    """

    total: Quantity
    groups: tuple[tuple[Where, Quantity], ...] = ()
    is_flow: bool = True

    def times(self, factor: Fraction) -> PriceUsage:
        """Return it stretched."""
        groups = tuple((where, quantity.times(factor)) for where, quantity in self.groups)
        return PriceUsage(self.total.times(factor), groups, self.is_flow)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of how an amount came about: quantity times rate over per is the amount.

    Args:
        label: What was charged, for example "over 100 up to 250".
        quantity: Exact quantity of this step; of a part of a period, that part of it.
        rate: Price of one rate unit; the amount itself for a fee.
        per: How many units one rate unit holds.
        amount: Exact, unrounded amount in major units; negative only where a step brings a price
            down to its maximum.
    """

    label: str
    quantity: Fraction
    rate: Fraction
    per: Fraction
    amount: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Price(ABC):
    """One price of a plan or an add-on.

    Args:
        key: Name of the price within the plan; names its line for good.
        name: Name for people; empty when the key says enough.
        meter: Meter or composite that is priced; empty for a fee.
        where: Only usage with these dimension values is priced; empty for all.
        tax: Tax category.
        overflow: What usage above `included` does.
        included: Units of a period that cost nothing.
        minimum: Least amount of a period in major units; None for none.
        maximum: Largest amount of a period in major units; None for none.
    """

    form: ClassVar[str]

    key: str
    name: str = ""
    meter: str = ""
    where: Where = ()
    tax: str = TAX_STANDARD
    overflow: Overflow = Overflow.BILL
    included: Fraction = NOTHING
    minimum: Fraction | None = None
    maximum: Fraction | None = None

    @property
    def label(self) -> str:
        """Return the price's name for people."""
        return self.name or self.key

    @property
    def reads(self) -> tuple[str, ...]:
        """Return the dimensions by which usage comes to it in groups; empty for most forms."""
        return ()

    @abstractmethod
    def steps(self, usage: PriceUsage) -> tuple[Step, ...]:
        """Return how a whole period's usage is charged, at least one step."""

    def charge(self, usage: PriceUsage, *, share: Share) -> tuple[Step, ...]:
        """Return how usage of a part of a period is charged (docs/decisions/0026).

        With f the share: what flows costs f·charge(q ÷ f), so that allowances and bounds shrink
        with the part; a level and a fee cost f·charge(q). Parts of a period under even use so add
        up to the whole, whatever the form.

        Args:
            usage: What was used in the part.
            share: How much of the whole period the part covers.
        """
        if share.is_whole:
            return self._bounded(self.steps(usage))
        part = share.fraction
        whole = self.steps(usage.times(1 / part) if usage.is_flow else usage)
        return scaled(self._bounded(whole), factor=part, note=share.text)

    def _bounded(self, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        if self.minimum is None and self.maximum is None:
            return steps
        amount = amount_of(steps)
        if self.minimum is not None and amount < self.minimum:
            label = f"up to the minimum of {exact_text(self.minimum)}"
            return (*steps, fixed_step(label, self.minimum - amount))
        if self.maximum is not None and amount > self.maximum:
            label = f"down to the maximum of {exact_text(self.maximum)}"
            return (*steps, fixed_step(label, self.maximum - amount))
        return steps

    def _over(self, quantity: Fraction) -> Fraction:
        """Return how much lies over the allowance and is charged."""
        if self.overflow is not Overflow.BILL:
            return NOTHING
        return max(NOTHING, quantity - self.included)

    def _uncharged(self, quantity: Fraction) -> tuple[Step, ...]:
        """Return the step that says what lies over the allowance and is not charged, if any."""
        over = quantity - self.included
        if self.overflow is Overflow.BILL or over <= 0:
            return ()
        label = f"over {exact_text(self.included)} included, not charged: {self.overflow}"
        return (Step(label, over, NOTHING, ONE, NOTHING),)

    def _over_label(self) -> str:
        return f"over {exact_text(self.included)} included" if self.included else "every unit"


def amount_of(steps: tuple[Step, ...]) -> Fraction:
    """This function will add up the amounts of steps, exactly."""
    amount = NOTHING
    for step in steps:
        if step.amount:
            amount += step.amount
    return amount


def scaled(steps: tuple[Step, ...], *, factor: Fraction, note: str) -> tuple[Step, ...]:
    """This function will return a multiple of steps; their labels say of what.

    Args:
        steps: Steps of a whole.
        factor: How much of it.
        note: The same for people, for example "21 of 31 days".
    """
    return tuple(
        replace(
            step,
            label=f"{step.label}, {note}",
            quantity=step.quantity * factor,
            amount=step.amount * factor,
        )
        for step in steps
    )


def fixed_step(label: str, amount: Fraction) -> Step:
    """This function will return the step of an amount that depends on no quantity."""
    return Step(label, ONE, amount, ONE, amount)


def priced_step(label: str, *, quantity: Fraction, rate: Fraction, per: Fraction) -> Step:
    """This function will price a quantity exactly: quantity times rate over per.

    Args:
        label: What is charged.
        quantity: In the unit of what is priced.
        rate: Major units of money for each `per` units.
        per: Units that one rate covers.
    """
    if not quantity or not rate:
        return Step(label, quantity, rate, per, NOTHING)
    amount = quantity * rate
    return Step(label, quantity, rate, per, amount if per == 1 else amount / per)
