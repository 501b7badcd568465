"""Changes of a subscription: plan, seats, add-ons, discounts, end, pause.

Every change counts from 00:00 UTC of a day: that of as_of, or the end of the period it lies in.
It says what holds from that day on, so a later change overrules what was planned for after it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import structs

from domain.books import agreement, exclusive_meters, proration, subscriptions
from domain.books.decision import Decision
from domain.books.invoice_checks import as_of_in
from domain.books.records import Command, fields_of_command
from domain.books.subscription import (
    ADD_ONS_MAX,
    PHASES_MAX,
    QUANTITY_MAX,
    Phase,
    Subscription,
    with_phases,
)
from domain.codes import Code
from domain.errors import Rejected
from domain.invoice_terms import GRANTED_MAX
from domain.period import Interval, Period, ceil_day, floor_day, from_ms, time_text
from domain.plan import SEATS_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from domain.books.facts import Fact
    from domain.books.state import TenantState
    from domain.canonical import Json
    from domain.catalogue import Catalogue
    from domain.fields import Fields

NOW, PERIOD_END = "now", "period_end"
WHEN = (NOW, PERIOD_END)
AHEAD_DAYS_MAX = 400
"""How far beyond the open period a change may lie: a year and a month, so that the periods between
are few."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A change as it was asked for.

    Args:
        fields: The command's fields.
        decision: Where its facts go.
        subscription: The subscription as it is.
        as_of: When the change is made; the books' own time where the command says none.
        when: now or period_end.
    """

    fields: Fields
    decision: Decision
    subscription: Subscription
    as_of: datetime
    when: str

    @property
    def state(self) -> TenantState:
        """Return the books."""
        return self.decision.state


def _asked(
    state: TenantState, command: Command, received_at_ms: int, *, names: tuple[str, ...]
) -> _Asked:
    fields = fields_of_command(command, names=("subscription", "as_of", *names))
    subscription = subscriptions.subscription_of(state, fields)
    has_time = fields.values.get("as_of") is not None
    return _Asked(
        fields=fields,
        decision=Decision(state, command, received_at_ms),
        subscription=subscription,
        as_of=as_of_in(fields) if has_time else from_ms(received_at_ms),
        when=fields.choice("when", WHEN, default=NOW) if "when" in names else NOW,
    )


def decide_plan(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer ChangePlan: an upgrade or a downgrade.

    Args:
        state: Books of the tenant.
        command: {subscription, plan, when: now or period_end (now), as_of: RFC 3339, the received
            time when absent}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        SubscriptionChanged, and what the difference of the fees comes to; nothing when the plan
        holds and goes on: it keeps its version (G-07). Another is that of the catalogue in force.

    Raises:
        Rejected: plan_unknown, currency_differs, interval_differs, meter_taken, seats_limit; of
            every change subscription_unknown, subscription_ended, period_invoiced, change_limit.
    """
    asked = _asked(state, command, received_at_ms, names=("plan", "when"))
    subscription, code = asked.subscription, asked.fields.text("plan")
    day = _day(asked)
    held = _held(asked, day)
    catalogue = agreement.require_plan(
        state.catalogue, plan=code, currency=subscription.currency, add_ons=held.add_ons
    )
    _require_interval(asked, held=held, catalogue=catalogue, code=code)
    interval = catalogue.plan(code).interval
    kept = agreement.kept_version(subscription, plan=code, day=day)

    def edit(phase: Phase) -> Phase:
        version = catalogue.version
        if kept is not None and state.catalogues[kept].has_add_ons(phase.add_ons):
            version = kept
        return structs.replace(phase, plan=code, interval=interval, catalogue_version=version)

    return _phases_changed(
        asked,
        day=day,
        edit=edit,
        change={"kind": "plan", "plan": code, "before": held.plan},
        label=f"Plan {held.plan} to {code}",
    )


def _require_interval(asked: _Asked, *, held: Phase, catalogue: Catalogue, code: str) -> None:
    """Refuse a plan whose periods have another length, unless it begins with a period."""
    interval = catalogue.plan(code).interval
    if interval is held.interval:
        return
    if Interval.LIFETIME in (interval, held.interval):
        raise Rejected(
            Code.INTERVAL_DIFFERS,
            f"from {held.interval} to {interval} there is no change; "
            "cancel this subscription and create another",
        )
    if asked.when == NOW:
        raise Rejected(
            Code.INTERVAL_DIFFERS,
            f"plan {code!r} is billed by the {interval}, not by the {held.interval}; "
            f"ask for it with when = {PERIOD_END}",
        )


def decide_seats(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer ChangeSeats.

    Args:
        state: Books of the tenant.
        command: {subscription, seats, when, as_of}, as ChangePlan.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        SubscriptionChanged and the difference of the fees; nothing when there is none.

    Raises:
        Rejected: seats_limit, and as every change.
    """
    asked = _asked(state, command, received_at_ms, names=("seats", "when"))
    seats = asked.fields.integer("seats", minimum=0, maximum=SEATS_MAX)
    day = _day(asked)
    before = _held(asked, day).seats
    return _phases_changed(
        asked,
        day=day,
        edit=lambda phase: structs.replace(phase, seats=seats),
        change={"kind": "seats", "seats": seats, "before": before},
        label=f"Seats {before} to {seats}",
    )


def decide_add_on(
    *, state: TenantState, command: Command, received_at_ms: int
) -> tuple[Fact, ...]:
    """This function will answer SetAddOn: buy, change or drop an add-on.

    Args:
        state: Books of the tenant.
        command: {subscription, add_on, quantity: 0 drops it, when, as_of}, as ChangePlan.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        SubscriptionChanged and the difference of the fees; nothing when there is none.

    Raises:
        Rejected: add_on_unknown in the subscription's catalogue version, currency_differs,
            meter_taken, and as every change.
    """
    asked = _asked(state, command, received_at_ms, names=("add_on", "quantity", "when"))
    code = asked.fields.text("add_on")
    quantity = asked.fields.integer("quantity", minimum=0, maximum=QUANTITY_MAX, default=1)
    day = _day(asked)
    before = dict(_held(asked, day).add_ons).get(code, 0)

    def edit(phase: Phase) -> Phase:
        add_ons = {**dict(phase.add_ons), code: quantity}
        kept = tuple((name, count) for name, count in sorted(add_ons.items()) if count)
        if len(kept) > ADD_ONS_MAX:
            raise Rejected(Code.CHANGE_LIMIT, f"a subscription has at most {ADD_ONS_MAX} add-ons")
        agreement.require_plan(
            state.catalogues[phase.catalogue_version],
            plan=phase.plan,
            currency=asked.subscription.currency,
            add_ons=((code, 1),),
        )
        return structs.replace(phase, add_ons=kept)

    return _phases_changed(
        asked,
        day=day,
        edit=edit,
        change={"kind": "add_on", "add_on": code, "quantity": quantity, "before": before},
        label=f"Add-on {code}: {before} to {quantity}",
    )


def decide_pause(
    *, state: TenantState, command: Command, received_at_ms: int, is_paused: bool
) -> tuple[Fact, ...]:
    """This function will answer PauseSubscription and ResumeSubscription.

    Args:
        state: Books of the tenant.
        command: {subscription, as_of}, as ChangePlan.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.
        is_paused: Which of the two it is.

    Returns:
        SubscriptionChanged and the difference of the fees; nothing when it is so already. While a
        subscription is paused it has no fees, and usage is counted and not billed.

    Raises:
        Rejected: interval_differs for a lifetime, and as every change.
    """
    asked = _asked(state, command, received_at_ms, names=())
    kind = "paused" if is_paused else "resumed"
    if is_paused and asked.subscription.interval is Interval.LIFETIME:
        raise Rejected(
            Code.INTERVAL_DIFFERS,
            "a lifetime is paid once and gives nothing back: it cannot be paused",
        )
    return _phases_changed(
        asked,
        day=_day(asked),
        edit=lambda phase: structs.replace(phase, is_paused=is_paused),
        change={"kind": kind},
        label=f"Subscription {kind}",
    )


decide_paused = functools.partial(decide_pause, is_paused=True)
decide_resumed = functools.partial(decide_pause, is_paused=False)


def decide_discount(
    *, state: TenantState, command: Command, received_at_ms: int
) -> tuple[Fact, ...]:
    """This function will answer GrantDiscount.

    Args:
        state: Books of the tenant.
        command: {subscription, discount: code of the catalogue in force}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        SubscriptionChanged; the discount counts from the next invoice on, after those before it.

    Raises:
        Rejected: discount_unknown, discount_granted, change_limit, subscription_unknown or
            subscription_ended.
    """
    fields = fields_of_command(command, names=("subscription", "discount"))
    subscription = subscriptions.subscription_of(state, fields)
    code, at = fields.text("discount"), from_ms(received_at_ms)
    if subscription.is_over:
        raise _ended(subscription)
    if state.catalogue is None:
        raise Rejected(Code.DISCOUNT_UNKNOWN, "no catalogue was published")
    discount = subscriptions.granted_discount(state.catalogue, code)
    if any(each.code == code for each in subscription.discounts):
        raise Rejected(
            Code.DISCOUNT_GRANTED, f"{subscription.subscription} has discount {code!r} already"
        )
    if len(subscription.discounts) >= GRANTED_MAX:
        raise Rejected(
            Code.CHANGE_LIMIT, f"a subscription has at most {GRANTED_MAX} discounts at a time"
        )
    after = structs.replace(
        subscription,
        discounts=(*subscription.discounts, discount),
        discounts_had=tuple(sorted({*subscription.discounts_had, code})),
    )
    change: Mapping[str, Json] = {"kind": "discount", "discount": code}
    decision = Decision(state, command, received_at_ms)
    decision.facts.append(
        subscriptions.changed(state=state, subscription=after, change=change, at=at)
    )
    return decision.made()


def decide_cancel(
    *, state: TenantState, command: Command, received_at_ms: int
) -> tuple[Fact, ...]:
    """This function will answer CancelSubscription.

    Args:
        state: Books of the tenant.
        command: {subscription, when: now or period_end (now), as_of}. Now is the end of the day:
            what was used on it is billed.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        SubscriptionChanged, and account credit for fees that were paid in advance for the days
        after the end; nothing when it ends then already.

    Raises:
        Rejected: As every change.
    """
    asked = _asked(state, command, received_at_ms, names=("when",))
    subscription = asked.subscription
    _require_open(asked, floor_day(asked.as_of))
    if asked.when == PERIOD_END:
        end = _boundary(asked, max(floor_day(asked.as_of), subscription.starts_at))
    else:
        end = max(ceil_day(asked.as_of), subscription.starts_at)
    return _ended_at(asked, end=end, change={"kind": "cancelled", "ends_at": time_text(end)})


def decide_undo(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer UndoCancel: the subscription goes on as if never cancelled.

    Args:
        state: Books of the tenant.
        command: {subscription, as_of}, before the end.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        SubscriptionChanged, and an item for fees that were given back.

    Raises:
        Rejected: not_cancelled, subscription_ended, meter_taken, or subscription_unknown.
    """
    asked = _asked(state, command, received_at_ms, names=())
    subscription = asked.subscription
    if subscription.ends_at is None:
        raise Rejected(
            Code.NOT_CANCELLED, f"{subscription.subscription} has no end that could be taken back"
        )
    if asked.as_of >= subscription.ends_at:
        raise _ended(subscription)
    return _ended_at(asked, end=None, change={"kind": "cancel_undone"})


def _ended_at(
    asked: _Asked, *, end: datetime | None, change: Mapping[str, Json]
) -> tuple[Fact, ...]:
    """Give a subscription another end, or none."""
    before = asked.subscription
    if end == before.ends_at:
        return ()
    whole = Period(before.period.start, before.open_period.whole.end)
    after = structs.replace(before, ends_at=end)
    after = structs.replace(after, period=after.clipped(whole))
    day = min(each for each in (end, before.ends_at) if each is not None)
    if end is None or (before.ends_at is not None and end > before.ends_at):
        exclusive_meters.require_free(state=asked.state, subscription=after, day=day)
    label = "Subscription goes on" if end is None else f"Subscription ends on {end.date()}"
    return _decided(asked, after=after, day=day, change=change, label=label)


def _phases_changed(
    asked: _Asked,
    *,
    day: datetime,
    edit: Callable[[Phase], Phase],
    change: Mapping[str, Json],
    label: str,
) -> tuple[Fact, ...]:
    """Change what holds from a day on."""
    before = asked.subscription
    place = f"{asked.fields.place}.{change['kind']}"
    earlier = tuple(phase for phase in before.phases if phase.start < day)
    later = tuple(phase for phase in before.phases if phase.start > day)
    held = (_held(asked, day), *later)
    edited, had = tuple(map(edit, held)), (*earlier[-1:], *held)
    agreement.require_seats_sold(edited, had, catalogues=asked.state.catalogues, place=place)
    after = with_phases(before, (*earlier, *edited))
    if after.phases == before.phases:
        return ()
    if len(after.phases) > PHASES_MAX:
        raise Rejected(
            Code.CHANGE_LIMIT,
            f"{before.subscription} has {PHASES_MAX} changes since its last invoice",
        )
    exclusive_meters.require_split(state=asked.state, subscription=after)
    exclusive_meters.require_free(state=asked.state, subscription=after, day=day)
    return _decided(
        asked, after=after, day=day, change={**change, "starts": time_text(day)}, label=label
    )


def _decided(
    asked: _Asked,
    *,
    after: Subscription,
    day: datetime,
    change: Mapping[str, Json],
    label: str,
) -> tuple[Fact, ...]:
    decision, before = asked.decision, asked.subscription
    amounts = proration.differences(asked.state, before=before, after=after)
    after = proration.noted(after, amounts)
    decision.facts.append(
        subscriptions.changed(
            state=asked.state, subscription=after, change=change, at=decision.moment
        )
    )
    longer = after if after.ends_at is None else before
    proration.post(decision, subscription=longer, amounts=amounts, day=day, label=label)
    return decision.made()


def _held(asked: _Asked, day: datetime) -> Phase:
    """Return what holds on a day, by the catalogue version that its period has or will have."""
    subscription = asked.subscription
    for period in subscription.periods():
        if period.period.contains(day) and period.index > subscription.period_index:
            phase = agreement.raised(
                subscription.phase_at(day),
                at=period.period.start,
                currency=subscription.currency,
                catalogues=asked.state.catalogues,
                published_at=asked.state.published_at,
            )
            return structs.replace(phase, start=day)
        if period.period.end > day:
            break
    return structs.replace(subscription.phase_at(day), start=day)


def _day(asked: _Asked) -> datetime:
    """Return the day from which a change counts: that of as_of, or the end of its period.

    Raises:
        Rejected: subscription_ended, period_invoiced, or command_invalid for a day too far ahead.
    """
    subscription = asked.subscription
    day = max(floor_day(asked.as_of), subscription.starts_at)
    _require_open(asked, day)
    if asked.when == PERIOD_END:
        day = _boundary(asked, day)
    if subscription.ends_at is not None and day >= subscription.ends_at:
        raise _ended(subscription)
    return day


def _require_open(asked: _Asked, day: datetime) -> None:
    """Refuse a day that was invoiced, that lies after the end, or too far ahead."""
    subscription = asked.subscription
    if subscription.ends_at is not None and day >= subscription.ends_at:
        raise _ended(subscription)
    if subscription.period_index and day < subscription.period.start:
        raise Rejected(
            Code.PERIOD_INVOICED,
            f"the open period starts at {time_text(subscription.period.start)}; "
            "what lies before it has its invoice",
        )
    if day - subscription.period.end > timedelta(days=AHEAD_DAYS_MAX):
        raise asked.fields.refuse(
            "as_of", f"must lie at most {AHEAD_DAYS_MAX} days after the open period"
        )


def _boundary(asked: _Asked, day: datetime) -> datetime:
    """Return the end of the period that a day lies in; of a trial its own end."""
    subscription = asked.subscription
    if day < subscription.period.start:
        return subscription.period.start
    for period in subscription.periods():
        if period.interval is Interval.LIFETIME:
            raise asked.fields.refuse("when", "must be now: a lifetime has no end of a period")
        if period.whole.end > day:
            return period.whole.end
    raise _ended(subscription)


def _ended(subscription: Subscription) -> Rejected:
    end = subscription.ends_at
    return Rejected(
        Code.SUBSCRIPTION_ENDED,
        f"{subscription.subscription} ends at {time_text(end) if end else 'its last invoice'}",
    )
