"""The subscription book: how a subscription begins, and how it goes on from period to period.

What is changed in between stands in books.changes; all three facts carry the whole subscription.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from domain.billing_terms import Cycle, Fees
from domain.books import agreement, exclusive_meters
from domain.books.facts import Fact, fact_of, read_fact
from domain.books.invoice_terms_of import next_invoice_at
from domain.books.records import Command, fields_of_command
from domain.books.state import TenantState, read_id
from domain.books.subscription import (
    ADD_ONS_MAX,
    QUANTITY_MAX,
    Phase,
    Subscription,
    SubscriptionDocument,
    with_phases,
)
from domain.codes import Code
from domain.errors import Rejected
from domain.invoice_terms import GRANTED_MAX, GrantedDiscount, dimensions_from_fields
from domain.period import (
    Interval,
    Period,
    calendar_anchor,
    cycle_period,
    from_ms,
    time_text,
)
from domain.plan import SEATS_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.books.charged import Charged
    from domain.books.customer import Customer
    from domain.canonical import Json
    from domain.catalogue import Catalogue
    from domain.fields import Fields
    from domain.plan import Plan

YEAR_MIN, YEAR_MAX = 2000, 2999
"""Years in which a subscription may start: its periods stay within what a date can hold."""
TRIAL_DAYS_MAX = 730
"""Two years; a longer trial is a plan that costs nothing."""
MIDNIGHT = time()
_FIELDS = (
    *("subscription", "customer", "plan", "start", "end", "seats", "add_ons", "trial_days"),
    *("cycle", "discounts", "dimensions"),
)


def decide(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer CreateSubscription.

    Args:
        state: Books of the tenant.
        command: {subscription: sub_…, customer, plan, start: RFC 3339 at 00:00:00 UTC of a day;
            and each of these may be absent: end (as start, after it), seats (1), add_ons:
            [{code, quantity}], trial_days (the plan's), cycle: anniversary or calendar (the
            catalogue's), discounts: [codes], dimensions: {name: value}}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        SubscriptionCreated with its first period, at the catalogue version in force.

    Raises:
        Rejected: subscription_exists, customer_unknown, plan_unknown, add_on_unknown,
            discount_unknown, currency_differs, seats_limit, meter_unsplit, meter_taken, or
            command_invalid for the rest.
    """
    fields = fields_of_command(command, names=_FIELDS)
    name = read_id(fields, "subscription", prefix="sub")
    customer_id = fields.text("customer")
    if name in state.subscriptions:
        raise Rejected(Code.SUBSCRIPTION_EXISTS, f"subscription {name} exists")
    customer = state.customers.get(customer_id)
    if customer is None:
        raise Rejected(Code.CUSTOMER_UNKNOWN, f"there is no customer {customer_id!r}")
    add_ons = read_add_ons(fields)
    catalogue = agreement.require_plan(
        state.catalogue, plan=fields.text("plan"), currency=customer.currency, add_ons=add_ons
    )
    subscription = _agreed(
        fields,
        customer=customer,
        catalogue=catalogue,
        add_ons=add_ons,
        created_at=from_ms(received_at_ms),
    )
    exclusive_meters.require_split(state=state, subscription=subscription)
    exclusive_meters.require_free(
        state=state, subscription=subscription, day=subscription.starts_at
    )
    change: Mapping[str, Json] = {"kind": "created", "plan": fields.text("plan")}
    return (
        fact_with(
            "SubscriptionCreated",
            state=state,
            subscription=subscription,
            change=change,
            at=from_ms(received_at_ms),
        ),
    )


def _agreed(
    fields: Fields,
    *,
    customer: Customer,
    catalogue: Catalogue,
    add_ons: tuple[tuple[str, int], ...],
    created_at: datetime,
) -> Subscription:
    """Return the subscription as the command and the catalogue have it."""
    plan = catalogue.plan(fields.text("plan"))
    interval, billing = plan.interval, catalogue.billing
    cycle = Cycle(fields.choice("cycle", Cycle, default=billing.cycle))
    starts_at, ends_at = _span(fields)
    trial_ends_at = _trial_end(fields, plan=plan, starts_at=starts_at)
    first = starts_at if trial_ends_at is None else trial_ends_at
    anchor = calendar_anchor(first, interval=interval) if cycle is Cycle.CALENDAR else first
    whole = cycle_period(anchor, interval=interval, moment=first)
    fees = Fees(plan.fees or billing.fees)
    if interval is Interval.LIFETIME:
        fees = Fees.IN_ADVANCE
    phase = Phase(
        start=starts_at,
        plan=plan.code,
        interval=interval,
        catalogue_version=catalogue.version,
        seats=fields.integer("seats", minimum=0, maximum=SEATS_MAX, default=1),
        add_ons=add_ons,
    )
    sold = {catalogue.version: catalogue}
    agreement.require_seats_sold((phase,), catalogues=sold, place="CreateSubscription.seats")
    subscription = Subscription(
        subscription=fields.text("subscription"),
        customer=customer.customer,
        currency=customer.currency,
        anchor=anchor,
        anchor_day=anchor.day,
        starts_at=starts_at,
        interval=interval,
        cycle=cycle,
        fees=fees,
        trial_ends_at=trial_ends_at,
        period_index=0,
        period=Period(first, whole.end),
        opening_due=fees is Fees.IN_ADVANCE,
        phases=(phase,),
        ends_at=ends_at,
        discounts=_granted(fields, plan=plan, catalogue=catalogue),
        dimensions=_dimensions(fields),
        parked_reason="",
        created_at=created_at,
    )
    return structs.replace(
        subscription,
        period=subscription.clipped(subscription.period),
        discounts_had=tuple(sorted(each.code for each in subscription.discounts)),
    )


def _span(fields: Fields) -> tuple[datetime, datetime | None]:
    """Read start and end; a month from the start of a day is a month of whole days (S1-40)."""
    starts_at = read_day(fields, "start")
    if not YEAR_MIN <= starts_at.year <= YEAR_MAX:
        raise fields.refuse("start", f"must lie in the years {YEAR_MIN} to {YEAR_MAX}")
    if fields.values.get("end") is None:
        return starts_at, None
    ends_at = read_day(fields, "end")
    if ends_at <= starts_at:
        raise fields.refuse("end", "must lie after the start")
    return starts_at, ends_at


def read_day(fields: Fields, name: str) -> datetime:
    """This function will read a time that must be the start of a day in UTC."""
    moment = fields.time(name)
    if moment.time() != MIDNIGHT:
        raise fields.refuse(name, "must lie at 00:00:00 UTC of a day")
    return moment


def _trial_end(fields: Fields, *, plan: Plan, starts_at: datetime) -> datetime | None:
    days = fields.integer("trial_days", minimum=0, maximum=TRIAL_DAYS_MAX, default=plan.trial_days)
    return starts_at + timedelta(days=days) if days else None


def read_add_ons(fields: Fields) -> tuple[tuple[str, int], ...]:
    """This function will read the field `add_ons`, sorted by code (Rejected when one repeats)."""
    add_ons = {
        item.text("code"): item.integer("quantity", minimum=1, maximum=QUANTITY_MAX, default=1)
        for item in fields.objects("add_ons", count_max=ADD_ONS_MAX)
    }
    values = fields.values.get("add_ons", ())
    if isinstance(values, list | tuple) and len(add_ons) != len(values):
        raise fields.refuse("add_ons", "must name each add-on once")
    return tuple(sorted(add_ons.items()))


def _dimensions(fields: Fields) -> tuple[tuple[str, str], ...]:
    if fields.values.get("dimensions") is None:
        return ()
    return dimensions_from_fields(fields, "dimensions")


def _granted(fields: Fields, *, plan: Plan, catalogue: Catalogue) -> tuple[GrantedDiscount, ...]:
    """Return the plan's discounts and then those of the command, each once."""
    codes = dict.fromkeys((*plan.discounts, *fields.texts("discounts")))
    if len(codes) > GRANTED_MAX:
        raise fields.refuse("discounts", f"come to more than {GRANTED_MAX}")
    return tuple(granted_discount(catalogue, code) for code in codes)


def granted_discount(catalogue: Catalogue, code: str) -> GrantedDiscount:
    """This function will return a discount of the catalogue as a subscription gets it.

    Raises:
        Rejected: discount_unknown.
    """
    discount = catalogue.discount(code)
    return GrantedDiscount(
        code=code,
        name=discount.name,
        kind=discount.kind,
        value=discount.value,
        prices=discount.prices,
        periods_left=discount.periods,
    )


def renewal(*, state: TenantState, subscription: Subscription, charged: Charged | None) -> Fact:
    """This function will move a subscription on after an invoice.

    After the opening invoice the period stays and its fees are no longer due. After any other the
    next period is open, at the catalogue version that was in force at its start (G-07); a
    subscription that ends with the period is over.

    Args:
        state: Books of the tenant.
        subscription: As it was invoiced.
        charged: Fees that the invoice has in advance, for the period that is open afterwards.

    Returns:
        SubscriptionRenewed.
    """
    renewed = structs.replace(
        _renewed(state, subscription),
        charged=charged if subscription.fees is Fees.IN_ADVANCE else None,
        billed_meters=_billed_meters(state, subscription),
    )
    discounts = _discounts(state, subscription, renewed)
    had = {*subscription.discounts_had, *(each.code for each in discounts)}
    change: Mapping[str, Json] = {
        "kind": "opened" if subscription.opening_due else "renewed",
        "period_index": renewed.period_index,
    }
    return fact_with(
        "SubscriptionRenewed",
        state=state,
        subscription=structs.replace(
            renewed, discounts=discounts, discounts_had=tuple(sorted(had))
        ),
        change=change,
        at=renewed.period.start,
    )


def _billed_meters(
    state: TenantState, subscription: Subscription
) -> tuple[tuple[str, datetime], ...]:
    """Return until when each meter was billed, with the period that is billed now."""
    if subscription.opening_due:
        return subscription.billed_meters
    until = dict(subscription.billed_meters)
    for phase, part in agreement.spans_of(subscription, subscription.period):
        catalogue = state.catalogues[phase.catalogue_version]
        until |= dict.fromkeys(agreement.metered_by(phase, catalogue=catalogue), part.end)
    return tuple(sorted(until.items()))


def _renewed(state: TenantState, subscription: Subscription) -> Subscription:
    if subscription.opening_due:
        return structs.replace(subscription, opening_due=False)
    following = subscription.following()
    if following is None:  # what follows the end is no period; its start says that all is billed
        start = subscription.period.end
        whole = cycle_period(
            subscription.anchor,
            interval=subscription.interval,
            moment=start,
            anchor_day=subscription.anchor_day,
        )
        phases = (structs.replace(subscription.phase_at(start), start=start),)
        return structs.replace(
            subscription,
            period_index=subscription.period_index + 1,
            period=Period(start, whole.end),
            phases=phases,
            # Should the end be taken back, the fees in advance of this period are to be billed.
            opening_due=subscription.fees is Fees.IN_ADVANCE,
        )
    start = following.period.start
    first = agreement.phase_from(
        start,
        subscription=subscription,
        catalogues=state.catalogues,
        published_at=state.published_at,
    )
    later = tuple(
        agreement.raised(
            phase,
            at=start,
            currency=subscription.currency,
            catalogues=state.catalogues,
            published_at=state.published_at,
        )
        if phase.start < following.whole.end
        else phase
        for phase in subscription.phases
        if phase.start > start
    )
    return with_phases(
        structs.replace(
            subscription,
            anchor=following.anchor,
            interval=following.interval,
            period_index=following.index,
            period=following.period,
        ),
        (structs.replace(first, start=start), *later),
    )


def _discounts(
    state: TenantState, before: Subscription, after: Subscription
) -> tuple[GrantedDiscount, ...]:
    """Return what is left of the discounts after one more invoice.

    With a period that begins on another plan, that plan's discounts take the place of the old
    one's; those that were granted to the subscription itself stay. A discount for a number of
    invoices is granted once for good, one without such a number whenever its plan is on.
    """
    left = tuple(
        replace(discount, periods_left=max(0, discount.periods_left - 1))
        for discount in before.discounts
        if discount.periods_left != 1
    )
    old, new = before.phases[0], after.phase_at(after.period.start)
    if old.plan == new.plan:
        return left
    leaving = set(state.catalogues[old.catalogue_version].plan(old.plan).discounts)
    catalogue = state.catalogues[new.catalogue_version]
    coming = catalogue.plan(new.plan).discounts
    kept = tuple(each for each in left if each.code not in leaving or each.code in coming)
    has, had = {each.code for each in left}, before.discounts_had
    added = (granted_discount(catalogue, code) for code in coming if code not in has)
    # What is for a number of invoices is granted once, whoever goes away and comes back.
    fresh = (each for each in added if not each.periods_left or each.code not in had)
    return (*kept, *fresh)[:GRANTED_MAX]


def changed(
    *,
    state: TenantState,
    subscription: Subscription,
    change: Mapping[str, Json],
    at: datetime,
) -> Fact:
    """This function will write a subscription that something has changed.

    Args:
        state: Books of the tenant.
        subscription: As it is from now on.
        change: {kind, …}: what happened, for its history.
        at: When it was decided.

    Returns:
        SubscriptionChanged.
    """
    return fact_with(
        "SubscriptionChanged", state=state, subscription=subscription, change=change, at=at
    )


def fact_with(
    kind: str,
    *,
    state: TenantState,
    subscription: Subscription,
    change: Mapping[str, Json],
    at: datetime,
) -> Fact:
    """This function will make one of the three facts of a subscription.

    Returns:
        {document, change, next_invoice_at or null, status, changed_at}.
    """
    return _fact_for(
        kind,
        state=state,
        customer=state.customers[subscription.customer],
        subscription=subscription,
        change=change,
        at=at,
    )


def regraced(*, state: TenantState, customer: Customer, at: datetime) -> tuple[Fact, ...]:
    """This function will move the next invoices of a customer whose grace changes.

    Args:
        state: Books of the tenant.
        customer: The customer with the grace that holds from now on.
        at: When it was decided.

    Returns:
        SubscriptionChanged of each subscription that is not over.
    """
    own = (state.subscriptions[name] for name in state.subscriptions_of.get(customer.customer, ()))
    return tuple(
        _fact_for(
            "SubscriptionChanged",
            state=state,
            customer=customer,
            subscription=subscription,
            change={"kind": "grace"},
            at=at,
        )
        for subscription in own
        if not subscription.is_over
    )


def _fact_for(
    kind: str,
    *,
    state: TenantState,
    customer: Customer,
    subscription: Subscription,
    change: Mapping[str, Json],
    at: datetime,
) -> Fact:
    first = subscription.phase_at(subscription.period.start)
    moment = next_invoice_at(
        subscription=subscription,
        customer=customer,
        billing=state.catalogues[first.catalogue_version].billing,
    )
    return fact_of(
        kind,
        {
            "document": subscription.to_json(),
            "change": change,
            "next_invoice_at": None if moment is None else time_text(moment),
            "status": subscription.status_at(at),
            "changed_at": time_text(at),
        },
    )


class _Said(Struct):
    """What the books keep of a fact of a subscription."""

    document: SubscriptionDocument


def apply(*, state: TenantState, fact: Fact) -> None:
    """This function will add a subscription or put it in the place of what it was."""
    said = read_fact(_Said, fact)
    state.put_subscription(said.document.value())


def subscription_of(state: TenantState, fields: Fields) -> Subscription:
    """This function will return the subscription that a command names.

    Raises:
        Rejected: subscription_unknown.
    """
    name = fields.text("subscription")
    subscription = state.subscriptions.get(name)
    if subscription is None:
        raise Rejected(Code.SUBSCRIPTION_UNKNOWN, f"there is no subscription {name!r}")
    return subscription
