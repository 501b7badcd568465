"""Plans and add-ons: what subscriptions pay for, and prices that a customer has differently."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING

from domain.aggregation.kinds import ADDED, REPORTED
from domain.billing_terms import Fees
from domain.errors import Rejected
from domain.money import minor_unit_places
from domain.period import Interval
from domain.pricing.forms import price_from_fields
from domain.pricing.matrix import GROUPS_MAX, Matrix
from domain.pricing.percentage import Percentage, bounds_text
from domain.pricing.price import Overflow, Price

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from domain.composite import Counted
    from domain.fields import Fields
    from domain.meter import Meter
    from domain.problems import Problems

PLANS_MAX = 200
"""Plans of one catalogue."""
ADD_ONS_MAX = 100
"""Add-ons of one catalogue."""
PRICES_MAX = 100
"""Prices of one plan; bounds the lines of an invoice."""
LIMITS_MAX = 50
"""Limits of one plan."""
SEATS_MAX = 1_000_000
"""Seats of one subscription."""
LIMIT_OVERFLOWS = (Overflow.WARN, Overflow.REFUSE)
"""What going past a limit can do, the usual one first: a limit has no price to bill (C-04)."""
PLAN_DISCOUNTS_MAX = 20
"""Discounts that come with one plan."""
TRIAL_DAYS_MAX = 730
"""Days of a trial: two years."""


class Of(StrEnum):
    """Which lines a commitment looks at."""

    USAGE = "usage"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Commitment:
    """A least or a largest amount of a period.

    Args:
        amount: Major units of the plan's currency for a whole period.
        of: Usage alone, or fees and add-ons too.
    """

    amount: Fraction
    of: Of


@dataclass(frozen=True, slots=True)
class Limit:
    """How much of something a plan allows (S1-01 max_sites, S3-R10); it costs nothing.

    Args:
        key: Name of the limit.
        meter: Meter or composite that is compared with it.
        maximum: Largest quantity that is within it.
        overflow: What going past it does: warn, or refuse.
    """

    key: str
    meter: str
    maximum: Fraction
    overflow: Overflow = Overflow.WARN


@dataclass(frozen=True, slots=True)
class Plan:
    """What a subscription pays for.

    Args:
        code: Name of the plan within the catalogue.
        name: Name for people.
        currency: ISO 4217 code of all its prices.
        prices: Prices in the order of the invoice lines.
        interval: Length of its periods.
        fees: When fees are billed; None for what the catalogue says.
        trial_days: Days before the first billed period.
        minimum: Least amount of a period: what is missing becomes a line.
        maximum: Largest amount of a period: what is too much is taken off.
        discounts: Codes of the discounts that come with it, in the order in which they come off.
        is_popular: Whether lists of plans show it first (S1-R19).
        limits: What it allows.
        has_gain_share: Whether its subscribers can have gain-share (S1-26).
        seats_max: Seats that a subscription to it can have at most (S3-R4).
    """

    code: str
    name: str
    currency: str
    prices: tuple[Price, ...]
    interval: Interval = Interval.MONTH
    fees: Fees | None = None
    trial_days: int = 0
    minimum: Commitment | None = None
    maximum: Commitment | None = None
    discounts: tuple[str, ...] = ()
    is_popular: bool = False
    limits: tuple[Limit, ...] = ()
    has_gain_share: bool = False
    seats_max: int = SEATS_MAX

    def price(self, key: str) -> Price | None:
        """Return a price by key; None when there is none."""
        return next((price for price in self.prices if price.key == key), None)


@dataclass(frozen=True, slots=True)
class AddOn:
    """Something that a subscription can have besides its plan, once or several times.

    Args:
        code: Name of the add-on within the catalogue.
        name: Name for people.
        currency: ISO 4217 code of all its prices.
        prices: Prices in the order of the invoice lines.
    """

    code: str
    name: str
    currency: str
    prices: tuple[Price, ...]

    def price(self, key: str) -> Price | None:
        """Return a price by key; None when there is none."""
        return next((price for price in self.prices if price.key == key), None)


def price_over(fields: Fields, *, counted: Counted) -> Price:
    """This function will read one price and check it against what it is over.

    Args:
        fields: The price.
        counted: Meters and composites of its catalogue.

    Raises:
        Rejected: With the place, for a "/" in the key, an unknown meter, a dimension it lacks,
            a matrix over a meter with too many sets of values, and bounds per event that are no
            value bands of the meter; the latter says which to write.
    """
    price = price_from_fields(fields)
    _require_undivided(fields, "key", price.key)
    if not price.meter:
        return price
    if not counted.is_known(price.meter):
        raise fields.refuse("meter", f"is {price.meter!r}, which is no meter")
    for meter, _ in counted.parts(price.meter):
        _require_dimensions(fields, "where", (name for name, _ in price.where), meter)
        if isinstance(price, Matrix):
            _require_dimensions(fields, "dimensions", price.dimensions, meter)
            if meter.dimension_sets_max > GROUPS_MAX:
                raise fields.refuse(
                    "meter", f"is {meter.key!r}, whose dimension_sets_max is above {GROUPS_MAX}"
                )
    return _over_bands(price, fields, counted) if isinstance(price, Percentage) else price


def _require_undivided(fields: Fields, name: str, value: str) -> None:
    """Refuse a "/", which parts the names in ids of lines: two lines could have one id."""
    if "/" in value:
        raise fields.refuse(name, 'must not contain "/"')


def _require_dimensions(fields: Fields, field: str, names: Iterable[str], meter: Meter) -> None:
    for name in names:
        if name not in meter.dimensions:
            raise fields.refuse(field, f"names {name!r}, by which {meter.key!r} is not split")


def _over_bands(price: Percentage, fields: Fields, counted: Counted) -> Price:
    """Return a percentage price that knows its meter's value bands."""
    if not price.reads or price.meter in counted.refused:
        return price
    asked = "event_minimum" if price.event_minimum is not None else "event_maximum"
    if price.meter not in counted.meters:
        raise fields.refuse(asked, "needs a meter with value_bands, not a composite")
    over = price.over_bands(counted.meters[price.meter].value_bands)
    if over is None:
        raise fields.refuse(
            asked,
            f"needs value_bands of meter {price.meter!r} to hold "
            f"{bounds_text(price.bounds_nanos)}",
        )
    return over


_PLAN_FIELDS = (
    *("code", "name", "currency", "prices", "interval", "fees", "trial_days", "minimum"),
    *("maximum", "discounts", "is_popular", "limits", "has_gain_share"),
    "seats_max",
)


def plan_from_fields(fields: Fields, *, counted: Counted, problems: Problems) -> Plan:
    """This function will read one plan; mistakes of its prices and limits go to `problems`.

    Raises:
        Rejected: With the place of another mistake.
    """
    problems.attempt(lambda: fields.only(_PLAN_FIELDS))
    prices = _prices(fields, counted=counted, problems=problems)
    limits = problems.each(
        fields, "limits", count_max=LIMITS_MAX, read=lambda item: _limit(item, counted=counted)
    )
    problems.found += repeats(fields, "limits", [limit.key for limit in limits])
    discounts = fields.texts("discounts")
    if len(discounts) > PLAN_DISCOUNTS_MAX:
        raise fields.refuse("discounts", f"must be at most {PLAN_DISCOUNTS_MAX} different texts")
    plan = Plan(
        code=fields.text("code"),
        name=fields.text("name"),
        currency=currency_of(fields),
        prices=prices,
        interval=Interval(fields.choice("interval", Interval, default=Interval.MONTH)),
        fees=Fees(fields.choice("fees", Fees)) if "fees" in fields.values else None,
        trial_days=fields.integer("trial_days", minimum=0, maximum=TRIAL_DAYS_MAX, default=0),
        minimum=_commitment(fields, "minimum"),
        maximum=_commitment(fields, "maximum"),
        discounts=discounts,
        is_popular=fields.boolean("is_popular", default=False),
        limits=limits,
        has_gain_share=fields.boolean("has_gain_share", default=False),
        seats_max=fields.integer("seats_max", minimum=1, maximum=SEATS_MAX, default=SEATS_MAX),
    )
    if plan.minimum and plan.maximum and plan.minimum.amount > plan.maximum.amount:
        raise fields.refuse("maximum", "must not lie below the minimum")
    return _lifetime(plan, fields) if plan.interval is Interval.LIFETIME else plan


def _lifetime(plan: Plan, fields: Fields) -> Plan:
    """Return a lifetime plan: one period without end, so its fees come first and are all."""
    if plan.fees is Fees.IN_ARREARS:
        raise fields.refuse("fees", "must be in_advance for a lifetime, which has no end")
    if any(price.meter for price in plan.prices) or plan.minimum or plan.maximum:
        raise fields.refuse("interval", "is lifetime: such a plan has fees alone")
    return plan


def add_on_from_fields(fields: Fields, *, counted: Counted, problems: Problems) -> AddOn:
    """This function will read one add-on; mistakes of its prices go to `problems`.

    Raises:
        Rejected: With the place of another mistake.
    """
    problems.attempt(lambda: fields.only(("code", "name", "currency", "prices")))
    prices = _prices(fields, counted=counted, problems=problems)
    if any(price.form == "seats" for price in prices):
        raise fields.refuse("prices", "hold seats: an add-on has none, its quantity counts")
    code = fields.text("code")
    _require_undivided(fields, "code", code)
    return AddOn(
        code=code,
        name=fields.text("name"),
        currency=currency_of(fields),
        prices=prices,
    )


def _prices(fields: Fields, *, counted: Counted, problems: Problems) -> tuple[Price, ...]:
    prices = problems.each(
        fields,
        "prices",
        count_max=PRICES_MAX,
        read=lambda item: price_over(item, counted=counted),
    )
    problems.found += repeats(fields, "prices", [price.key for price in prices])
    return prices


def can_refuse(parts: Sequence[tuple[Meter, Fraction]]) -> bool:
    """This function will say whether it can be foreseen what a use makes of what is compared.

    Args:
        parts: The meters behind it and their weights.

    Returns:
        True for sums of quantities and counts of events, and for one level whose latest or largest
        quantity counts.
    """
    kinds = {meter.aggregation for meter, _ in parts}
    if any(meter.value_property for meter, _ in parts):
        return False
    return kinds <= ADDED or (kinds <= REPORTED and len(parts) == 1)


def _limit(fields: Fields, *, counted: Counted) -> Limit:
    fields.only(("key", "meter", "maximum", "overflow"))
    meter = fields.text("meter")
    if not counted.is_known(meter):
        raise fields.refuse("meter", f"is {meter!r}, which is no meter")
    overflow = Overflow(fields.choice("overflow", LIMIT_OVERFLOWS, default=LIMIT_OVERFLOWS[0]))
    if overflow is Overflow.REFUSE and not can_refuse(counted.parts(meter)):
        raise fields.refuse(
            "overflow",
            "is refuse, for which a use must be foreseen: sums of quantities and counts of "
            "events can, and one meter whose latest or largest quantity counts",
        )
    return Limit(
        key=fields.text("key"),
        meter=meter,
        maximum=Fraction(fields.decimal("maximum")),
        overflow=overflow,
    )


def _commitment(fields: Fields, name: str) -> Commitment | None:
    if name not in fields.values:
        return None
    given = fields.object(name)
    given.only(("amount", "of"))
    return Commitment(
        amount=Fraction(given.decimal("amount")),
        of=Of(given.choice("of", Of, default=Of.USAGE)),
    )


def currency_of(fields: Fields) -> str:
    """This function will read a currency (Rejected when it is no ISO 4217 code)."""
    currency = fields.text("currency")
    try:
        minor_unit_places(currency)
    except Rejected as error:
        raise fields.refuse("currency", "is no ISO 4217 code") from error
    return currency


def repeats(fields: Fields, name: str, keys: list[str]) -> Iterator[Rejected]:
    """This function will refuse a list that holds a key twice."""
    for key, count in Counter(keys).items():
        if count > 1:
            yield fields.refuse(name, f"holds {key!r} twice")
