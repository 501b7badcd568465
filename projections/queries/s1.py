"""Plans and usage in the words of system S1, for the aliases of its addresses.

S1 has three figures of a plan: a monthly base, assets and credits. Which prices they are, the
meters say: `assets`, `credits` (the composite of its four event types) and the limit `sites`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from domain.pricing.flat import Flat
from domain.pricing.per_unit import PerUnit
from domain.quantity import NANOS_PER_UNIT

if TYPE_CHECKING:
    from domain.allowances import Allowance
    from domain.catalogue import Catalogue
    from domain.plan import Plan
    from domain.pricing.price import Price
    from projections.queries.allowances import State

ASSETS, CREDITS, SITES = "assets", "credits", "sites"
CURRENCY = "CAD"
"""S1's fields name their currency, so plans of another one are none of S1's."""


@dataclass(frozen=True, slots=True)
class S1Plan:
    """A plan as S1 lists it (S1-01); None for what the plan does not have.

    Args:
        code: Code.
        name: Name for people.
        base_price: Fees of a month, CAD.
        included_assets: Assets that cost nothing.
        included_credits: Credits of a period that cost nothing.
        asset_uplift: Price of an asset more, CAD.
        overage_per_credit: Price of a credit more, CAD.
        sites_max: Sites at most.
        is_popular: Whether it is highlighted.
        has_gain_share: Whether its subscribers can have gain-share.
    """

    code: str
    name: str
    base_price: Fraction
    included_assets: Fraction | None
    included_credits: Fraction | None
    asset_uplift: Fraction | None
    overage_per_credit: Fraction | None
    sites_max: Fraction | None
    is_popular: bool
    has_gain_share: bool


@dataclass(frozen=True, slots=True)
class TypeUsage:
    """What one event type came to in the running period.

    Args:
        event_type: Its name.
        units: Units used.
        credits: Credits that they burned.
    """

    event_type: str
    units: Fraction
    credits: Fraction


def s1_plan(plan: Plan) -> S1Plan:
    """This function will show a plan in S1's figures."""
    assets = _price_over(plan, ASSETS)
    credits_ = _price_over(plan, CREDITS)
    sites = next((limit.maximum for limit in plan.limits if limit.key == SITES), None)
    return S1Plan(
        code=plan.code,
        name=plan.name,
        base_price=sum(
            (price.amount for price in plan.prices if isinstance(price, Flat)), Fraction()
        ),
        included_assets=assets.included if assets else None,
        included_credits=credits_.included if credits_ else None,
        asset_uplift=_rate_of(assets),
        overage_per_credit=_rate_of(credits_),
        sites_max=sites,
        is_popular=plan.is_popular,
        has_gain_share=plan.has_gain_share,
    )


def _price_over(plan: Plan, meter: str) -> Price | None:
    return next((price for price in plan.prices if price.meter == meter), None)


def _rate_of(price: Price | None) -> Fraction | None:
    return price.rate / price.per if isinstance(price, PerUnit) else None


def credits_of(state: State) -> Allowance | None:
    """This function will return the allowance of credits; None where the plan has none."""
    return next((each for each in state.allowances if each.meter == CREDITS), None)


def usage_by_type(state: State, *, catalogue: Catalogue) -> tuple[TypeUsage, ...]:
    """This function will split the credits of the running period by event type (S1-52, S1-68).

    Args:
        state: The subscription's state.
        catalogue: Version that prices it.

    Returns:
        One for each type that burns credits, in the order of the composite; unused ones too.
    """
    used: dict[str, Fraction] = {}
    for entry in state.usage:
        if not entry.where:
            used[entry.meter] = Fraction(entry.nanos, NANOS_PER_UNIT)
    found = []
    for meter, weight in catalogue.counted.parts(CREDITS):
        units = used.get(meter.key, Fraction())
        found.append(TypeUsage(meter.event_type, units, units * weight))
    return tuple(found)
