"""What allowances, limits and asset snapshots look like in answers."""

from __future__ import annotations

from fractions import Fraction

from pydantic import Field

from api.representations import DECIMAL, TIME, Representation, UsageRepresentation
from domain.allowances import Allowance
from domain.codes import Code
from domain.money import exact_text
from domain.period import time_text
from domain.plan_limits import LimitUse
from projections.queries.allowances import State
from projections.queries.assets import AssetSnapshot


class AllowanceRepresentation(Representation):
    """One price's allowance in the part of the period that runs."""

    price: str = Field(description="Key of the price, or addon:CODE/KEY; as its invoice line")
    label: str
    meter: str = Field(description="Meter or composite that is counted")
    unit: str
    included: str = Field(description=f"{DECIMAL}; units that cost nothing")
    used: str = Field(description=DECIMAL)
    remaining: str = Field(description=f"{DECIMAL}; never negative")
    overage: str = Field(description=f"{DECIMAL}; used beyond what is included")
    used_percent: int | None = Field(description="Rounded down; null without an allowance")
    alert: str | None = Field(description="LOW_CREDITS, OVERAGE, or null")
    overflow: str = Field(description="bill, warn or refuse what is used beyond")
    is_estimate: bool


class LimitRepresentation(Representation):
    """A limit of the plan; going past it is shown and never charged."""

    key: str
    meter: str
    maximum: str = Field(description=DECIMAL)
    value: str = Field(description=f"{DECIMAL}; where the meter stands")
    overflow: str = Field(description="warn, or refuse what goes past it")
    is_exceeded: bool


class AllowancesRepresentation(Representation):
    """What a subscription has used and has left; provisional while its period runs."""

    subscription: str
    customer: str
    plan: str
    status: str = Field(description="trialing, active or paused")
    at: str = Field(description=f"The moment it is said for; {TIME}")
    period_start: str = Field(description=TIME)
    period_end: str = Field(description=TIME)
    part_start: str = Field(
        description=f"Since when the plan, seats and version hold; {TIME}. Allowances count from "
        "here"
    )
    part_end: str = Field(description=TIME)
    allowances: list[AllowanceRepresentation]
    limits: list[LimitRepresentation]
    is_flagged: bool = Field(description="Whether a limit is exceeded (S1-R11)")


class CurrentUsageRepresentation(AllowancesRepresentation):
    """What is used in the period that runs, priced or not, and what is left of allowances."""

    usage_start: str = Field(
        description=f"From when usage is added up: the period's start, or five years ago; {TIME}"
    )
    usage: list[UsageRepresentation] = Field(
        description="Each meter of the customer over the period, whichever subscription bills it"
    )


class CheckRepresentation(Representation):
    """Whether a use may happen, as the policies of the plan's prices and limits say."""

    allowed: bool
    code: str | None = Field(
        description="allowance_exceeded or limit_exceeded; null when it is allowed"
    )
    refused_by: str | None = Field(
        description="The price, or else the limit, that refuses; null when none does"
    )
    burned: str | None = Field(
        description=f"{DECIMAL}; units of the first allowance that counts the type; null for none"
    )
    allowances: list[AllowanceRepresentation] = Field(description="As they would stand after it")


class AssetSnapshotRepresentation(Representation):
    """The last snapshot of an hour."""

    customer: str
    asset_count: str = Field(description=DECIMAL)
    site_breakdown: dict[str, str] = Field(
        description="Assets by site; empty when the snapshot named none"
    )
    captured_at: str = Field(description=TIME)


def to_representation_allowance(allowance: Allowance) -> AllowanceRepresentation:
    """This function will show an allowance."""
    return AllowanceRepresentation(
        price=allowance.name,
        label=allowance.label,
        meter=allowance.meter,
        unit=allowance.unit,
        included=exact_text(allowance.included),
        used=exact_text(allowance.used),
        remaining=exact_text(allowance.remaining),
        overage=exact_text(allowance.overage),
        used_percent=allowance.used_percent,
        alert=allowance.alert,
        overflow=allowance.overflow,
        is_estimate=allowance.is_estimate,
    )


def _limit(limit: LimitUse) -> LimitRepresentation:
    return LimitRepresentation(
        key=limit.key,
        meter=limit.meter,
        maximum=exact_text(limit.maximum),
        value=exact_text(limit.value),
        overflow=limit.overflow,
        is_exceeded=limit.is_exceeded,
    )


def to_representation_allowances(state: State, *, at: str) -> AllowancesRepresentation:
    """This function will show a subscription's allowances at a moment."""
    standing = state.standing
    return AllowancesRepresentation(
        subscription=standing.subscription,
        customer=state.customer,
        plan=standing.segment.plan,
        status=standing.status,
        at=at,
        period_start=time_text(standing.period.start),
        period_end=time_text(standing.period.end),
        part_start=time_text(standing.segment.start),
        part_end=time_text(standing.segment.end),
        allowances=[to_representation_allowance(each) for each in state.allowances],
        limits=[_limit(each) for each in state.limits],
        is_flagged=any(each.is_exceeded for each in state.limits),
    )


def to_representation_check(
    *,
    refused: tuple[Code, str] | None,
    burned: Fraction | None,
    allowances: tuple[Allowance, ...],
) -> CheckRepresentation:
    """This function will show the answer to a check, refused with what code and by what."""
    return CheckRepresentation(
        allowed=refused is None,
        code=refused and refused[0],
        refused_by=refused and refused[1],
        burned=None if burned is None else exact_text(burned),
        allowances=[to_representation_allowance(each) for each in allowances],
    )


def to_representation_snapshot(snapshot: AssetSnapshot) -> AssetSnapshotRepresentation:
    """This function will show an asset snapshot."""
    return AssetSnapshotRepresentation(
        customer=snapshot.customer,
        asset_count=exact_text(Fraction(snapshot.asset_count)),
        site_breakdown={site: exact_text(Fraction(n)) for site, n in snapshot.sites},
        captured_at=time_text(snapshot.captured_at),
    )
