"""Usage is billed once: two live subscriptions of a customer never price the same windows."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from domain.books import agreement
from domain.codes import Code
from domain.errors import Rejected
from domain.period import LIFETIME_END, Period

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from domain.books.state import TenantState
    from domain.books.subscription import Phase, Subscription
    from domain.catalogue import Catalogue

    _Metered = tuple[Period, frozenset[str]]


def require_free(*, state: TenantState, subscription: Subscription, day: datetime) -> None:
    """This function will refuse a subscription whose usage another one bills as well, or has.

    A dimension that both choose by, with different values, keeps them apart; different dimensions
    do not, for a window may have both values. A customer's own prices change nothing here: each
    is over the meter of the price it replaces.

    Args:
        state: Books of the tenant.
        subscription: As it would be.
        day: From when on it is looked at.

    Raises:
        Rejected: meter_taken.
    """
    others = _others(state, subscription)
    if not others:
        return
    versions = state.catalogues
    wanted = tuple(_metered(subscription, versions, day=day))
    for other in others:
        taken = (*_billed(other), *_metered(other, versions, day=day))
        common = _common(wanted, taken)
        if common:
            raise Rejected(
                Code.METER_TAKEN,
                f"subscription {other.subscription} prices or has billed meter {common!r} of the "
                "customer; give them different dimensions, or end one before the other",
            )


def require_split(*, state: TenantState, subscription: Subscription) -> None:
    """This function will refuse dimensions that a meter of the subscription does not have.

    No window of such a meter would belong to it, so its usage would be billed by nobody.

    Raises:
        Rejected: meter_unsplit.
    """
    wanted = frozenset(name for name, _ in subscription.dimensions)
    for phase in subscription.phases if wanted else ():
        catalogue = state.catalogues[phase.catalogue_version]
        for key in sorted(agreement.metered_by(phase, catalogue=catalogue)):
            missing = wanted - catalogue.meter(key).dimensions
            if missing:
                raise Rejected(
                    Code.METER_UNSPLIT,
                    f"meter {key!r} of plan {phase.plan!r} is not split by {min(missing)!r}, by "
                    "which the subscription chooses; add it to the meter's group_by",
                )


def require_apart(*, state: TenantState, catalogue: Catalogue) -> None:
    """This function will refuse a catalogue by which two subscriptions would price one meter.

    Each goes over to the new version with its own period, so a meter that moves from one plan to
    another must first be gone from the one, and be in the other a period later.

    Raises:
        Rejected: plan_in_use.
    """
    versions = {**state.catalogues, catalogue.version: catalogue}
    for _, names in sorted(state.subscriptions_of.items()):
        if len(names) == 1:
            continue
        for name in names:
            subscription = state.subscriptions[name]
            if subscription.is_over:
                continue
            wanted = tuple(_metered(subscription, versions, day=subscription.period.start))
            for other in _others(state, subscription):
                taken = tuple(_metered(other, versions, day=subscription.period.start))
                common = _common(wanted, taken)
                if common:
                    raise Rejected(
                        Code.PLAN_IN_USE,
                        f"catalogue.plans: {name} and {other.subscription} of one customer would "
                        f"both price meter {common!r}, and its usage would be billed twice",
                        param="catalogue.plans",
                    )


def _others(state: TenantState, subscription: Subscription) -> list[Subscription]:
    """Return the customer's other subscriptions that may price the same windows."""
    own = state.subscriptions_of.get(subscription.customer, ())
    others = (state.subscriptions[name] for name in own if name != subscription.subscription)
    return [other for other in others if not _are_apart(other, subscription)]


def _are_apart(one: Subscription, other: Subscription) -> bool:
    """Say whether no window can belong to both."""
    values = dict(one.dimensions)
    return any(values.get(name, value) != value for name, value in other.dimensions)


def _common(wanted: Iterable[_Metered], taken: Iterable[_Metered]) -> str:
    """Return the first meter that both have at one time; empty for none."""
    for (span, meters), (taken_span, taken_meters) in itertools.product(wanted, taken):
        common = meters & taken_meters
        if common and taken_span.start < span.end and span.start < taken_span.end:
            return min(common)
    return ""


def _billed(subscription: Subscription) -> Iterator[_Metered]:
    """Return which meters its invoices have, from the start of billing to the last time of each.

    It keeps no more of what is over, so of a subscription that went to a plan without a meter and
    back again this is too much rather than too little.
    """
    start = subscription.trial_ends_at or subscription.starts_at
    for meter, until in subscription.billed_meters:
        yield Period(start, until), frozenset({meter})


def _metered(
    subscription: Subscription, versions: Mapping[int, Catalogue], *, day: datetime
) -> Iterator[_Metered]:
    """Return which meters a subscription prices when, from a day on.

    A period to come takes a newer version, so the meters of the newer ones count as well.
    """
    end = LIFETIME_END if subscription.ends_at is None else subscription.ends_at
    start = max(day, subscription.phases[0].start)
    if subscription.is_over or start >= end:
        return
    for phase, part in agreement.spans_of(subscription, Period(start, end)):
        meters: set[str] = set()
        for version, catalogue in versions.items():
            is_newer = version > phase.catalogue_version and _sells(catalogue, phase)
            if version == phase.catalogue_version or is_newer:
                meters |= agreement.metered_by(phase, catalogue=catalogue)
        yield part, frozenset(meters)


def _sells(catalogue: Catalogue, phase: Phase) -> bool:
    plans = {plan.code for plan in catalogue.plans}
    add_ons = {add_on.code for add_on in catalogue.add_ons}
    return phase.plan in plans and add_ons.issuperset(code for code, _ in phase.add_ons)
