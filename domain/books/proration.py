"""What a change within a period costs, or gives back: fees by their difference (ADR 0026).

An invoice charges the fees of a period whole, as they stood at its start. What a subscription owes
is the fees of each part for its days. The difference of the two is what items and account credit
have to make up for; a change moves it, and posts exactly by how much. However many changes a
period has, what was charged so adds up to what is owed.

Fees that an invoice has keep its tax, up and down: an item that asks for more of them bears it
whatever the customer has become, as account credit gives it back. An item of fees that are still
to be charged is taxed by the invoice that takes it along. What promotions paid of a fee comes back
as promotions, once less than that is owed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from domain.billing_terms import TaxMode
from domain.books import account_credit, agreement, held, items
from domain.books.billing_state import NOTHING_NOTED
from domain.books.held import Drawn
from domain.books.ledger import LedgerAccount, post_money
from domain.invoice_terms import Item, ItemKind
from domain.money import minor_unit_places, round_half_up
from domain.period import Interval, days_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from domain.books.charged import Charged, ChargedFees
    from domain.books.decision import Decision
    from domain.books.state import TenantState
    from domain.books.subscription import BillingPeriod, Phase, Subscription
    from domain.invoice_terms import GrantedDiscount, Override
    from domain.period import Period

_NOTHING = Fraction(0)


@dataclass(frozen=True, slots=True)
class Difference:
    """What a change costs in one tax category, minor units.

    Args:
        tax: Tax category.
        amount_minor: As fees have it, without the tax that comes on top; negative is less.
        charged: The fees that an invoice has of the category, where it is about those; None for
            fees that are still to be charged.
    """

    tax: str
    amount_minor: int
    charged: ChargedFees | None = None


def differences(
    state: TenantState,
    *,
    before: Subscription,
    after: Subscription,
    overrides: tuple[Override, ...] | None = None,
    published: TenantState | None = None,
) -> tuple[Difference, ...]:
    """This function will say what a change costs beyond what invoices charge on their own.

    A lifetime gives nothing back, for it has no days of which some would be left; so it is charged
    only for what lies above everything that it was charged before.

    Args:
        state: Books of the tenant.
        before: The subscription without the change.
        after: With it.
        overrides: The customer's own prices with the change; None when they stay.
        published: Books with another catalogue version, where that is the change; None else.

    Returns:
        Fees that an invoice has apart from those that are still to be charged, by tax category,
        rounded half up, sorted, without those of 0.
    """
    current = state.customers[after.customer].overrides
    new = current if overrides is None else overrides
    owed_after = _uncharged(state if published is None else published, after, new)
    places = minor_unit_places(after.currency)
    if after.interval is Interval.LIFETIME:
        owed = (
            (tax, round_half_up(amount, places=places) - _posted(after, tax))
            for (_, tax), amount in sorted(owed_after.items())
        )
        return tuple(
            Difference(tax, amount, _charged_fees(after, tax))
            for tax, amount in owed
            if amount > 0
        )
    owed_before = _uncharged(state, before, current)
    amounts = {
        place: round_half_up(
            owed_after.get(place, _NOTHING) - owed_before.get(place, _NOTHING), places=places
        )
        for place in sorted(owed_before.keys() | owed_after.keys())
    }
    return tuple(
        Difference(tax, amount, _charged_fees(before, tax) if is_charged else None)
        for (is_charged, tax), amount in amounts.items()
        if amount
    )


def _charged_fees(subscription: Subscription, tax: str) -> ChargedFees | None:
    """Return the fees of a category that an invoice has of the open period; None for none."""
    charged = subscription.charged
    if charged is None or not agreement.is_charged(subscription, subscription.open_period):
        return None
    return charged.of(tax)


def _posted(subscription: Subscription, tax: str) -> int:
    return dict(subscription.posted).get(tax, 0)


def noted(subscription: Subscription, amounts: tuple[Difference, ...]) -> Subscription:
    """This function will note on a lifetime what differences it is charged."""
    if subscription.interval is not Interval.LIFETIME or not amounts:
        return subscription
    posted = dict(subscription.posted)
    for each in amounts:
        posted[each.tax] = posted.get(each.tax, 0) + each.amount_minor
    return replace(subscription, posted=tuple(sorted(posted.items())))


def post(
    decision: Decision,
    *,
    subscription: Subscription,
    amounts: tuple[Difference, ...],
    day: datetime,
    label: str,
) -> None:
    """This function will post differences.

    What is less of charged fees is account credit. All else is an item: what is more goes on the
    next invoice; what is less of fees that are still to be charged goes on the invoice that
    charges them, below 0, taxed and paid for by promotions together with them.

    Args:
        decision: Where the facts go.
        subscription: Whose they are; with its end taken back, where that is what changed.
        amounts: What differences found.
        day: From when on the change counts.
        label: What changes, for people.
    """
    note, end = _note(subscription, day=day)
    name, command = subscription.subscription, decision.command.command_id
    for each in amounts:
        amount, charged = each.amount_minor, each.charged
        if charged is not None and amount < 0:
            # 1. What waits was asked of nobody yet: less nets against it.
            amount = -min(-amount, _waiting_minor(decision.state, subscription, each.tax))
            # 2. The rest was charged, and comes back.
            credit = decision.id_of("crd", command, name, each.tax)
            rest = amount - each.amount_minor
            _give_back(
                decision,
                subscription,
                charged,
                credit=credit,
                less_minor=rest,
                reason=f"{label}{note}",
            )
        if not amount:
            continue
        of = ("itm", command, name, each.tax)
        items.add_item(
            decision,
            Item(
                item=decision.id_of(*of) if charged else decision.id_of(*of, "to_charge"),
                customer=subscription.customer,
                subscription=name,
                kind=ItemKind.PRORATION,
                label=f"{label}{note}",
                amount_minor=amount,
                start=day,
                end=max(day, end),
                added_at=decision.moment,
                tax=each.tax,
                taxed=None if charged is None else charged.taxed,
            ),
        )


def _waiting_minor(state: TenantState, subscription: Subscription, tax: str) -> int:
    """Return what items ask for that wait, beyond what was charged of the period's fees."""
    return sum(
        item.amount_minor
        for _, item in state.billing.waiting.get(subscription.customer, ())
        if item.kind is ItemKind.PRORATION
        and item.subscription == subscription.subscription
        and item.tax == tax
        and item.taxed is not None
    )


def _give_back(
    decision: Decision,
    subscription: Subscription,
    charged: ChargedFees,
    *,
    credit: str,
    less_minor: int,
    reason: str,
) -> None:
    """Draw what is less from the charged lines, and give it as account credit with its tax."""
    drawn = _drawn(decision.state, subscription, charged, less_minor)
    is_inside = charged.taxed.mode is TaxMode.INCLUSIVE
    total = sum((each for _, each in drawn), Drawn())
    tax = total.tax
    net = total.net - (tax if is_inside else 0)
    promotion = total.promotion + (0 if is_inside else total.promotion_tax)
    if net + tax <= 0:
        return
    post_money(
        decision,
        kind="credit_downgrade",
        customer=subscription.customer,
        currency=subscription.currency,
        reference=credit,
        legs=(
            (LedgerAccount.REVENUE, net),
            (LedgerAccount.TAX, tax),
            (LedgerAccount.ACCOUNT_CREDIT, -net - tax),
        ),
        promotion_minor=-promotion,
    )
    account_credit.add_credit(
        decision,
        credit=credit,
        customer=subscription.customer,
        amount_minor=net + tax,
        currency=subscription.currency,
        kind=account_credit.CreditKind.DOWNGRADE,
        reference=subscription.subscription,
        reason=reason,
        drawn=drawn,
    )


def _drawn(
    state: TenantState, subscription: Subscription, charged: ChargedFees, amount_minor: int
) -> tuple[tuple[tuple[str, str], Drawn], ...]:
    """Draw an amount from the lines of charged fees: the money of all, then their promotions."""
    by = subscription.charged
    entry = None if by is None else state.billing.found(by.invoice)
    if entry is None:
        return ()
    lines = held.Lines(state)
    stands = {line: lines.standing((entry.invoice, line)) for line in charged.lines}
    drawn: dict[str, Drawn] = {}
    for is_promotion in (False, True):
        for line, stand in stands.items():
            before = drawn.get(line, Drawn())
            left = held.less(stand, before, entry)
            if not is_promotion:
                left = replace(left, promotion=0, promotion_tax=0)
            more = held.draw(left, amount_minor, entry)
            amount_minor -= more.net
            drawn[line] = before + more
    return tuple(((entry.invoice, line), each) for line, each in drawn.items() if each.net)


def _uncharged(
    state: TenantState, subscription: Subscription, overrides: tuple[Override, ...]
) -> dict[tuple[bool, str], Fraction]:
    """Return what is owed for days beyond what invoices have charged or will charge.

    By whether an invoice has the fees of the period already, and by tax category.
    Periods after the last phase add nothing: what they are charged is what they owe.
    """
    total: dict[tuple[bool, str], Fraction] = {}
    for period in subscription.periods():
        if (
            period.index > subscription.period_index
            and period.period.start > subscription.phases[-1].start
        ):
            break
        spans = _spans(state, subscription, period)
        owed = spans[-1:] if period.interval is Interval.LIFETIME else spans
        if agreement.is_charged(subscription, period):
            of = _owed_of_charged(state, subscription, period, owed, overrides)
            total |= {(True, tax): amount for tax, amount in of.items()}
            continue
        charged = ((spans[0][0], period.period),)
        for parts, sign in ((owed, 1), (charged, -1)):
            fees = _fees(state, subscription, period, parts, overrides, subscription.discounts)
            for tax, amount in fees.items():
                total[False, tax] = total.get((False, tax), _NOTHING) + sign * amount
    return total


def _owed_of_charged(
    state: TenantState,
    subscription: Subscription,
    period: BillingPeriod,
    owed: Iterable[tuple[Phase, Period]],
    overrides: tuple[Override, ...],
) -> dict[str, Fraction]:
    """Return what is owed for a period whose fees an invoice has, by what it charged them with.

    What amounts and credit notes took off stays off, as far as there is something left: less than
    nothing is never owed, so that no more comes back than was charged. Of a lifetime only the rest
    is returned.
    """
    charged = subscription.charged
    if charged is None:
        return _fees(state, subscription, period, owed, overrides, subscription.discounts)
    own = charged.overrides_with(overrides)
    fees = _fees(state, subscription, period, owed, own, charged.discounts)
    places = minor_unit_places(subscription.currency)
    if period.interval is Interval.LIFETIME:
        return {
            tax: fees.get(tax, _NOTHING) - Fraction(charged.fees_minor(tax), 10**places)
            for tax in fees
        }
    return {
        tax: max(
            _NOTHING,
            amount
            - Fraction(charged.off_minor(tax) + _noted_minor(state, charged, tax), 10**places),
        )
        for tax, amount in fees.items()
    }


def _noted_minor(state: TenantState, charged: Charged, tax: str) -> int:
    """Return what credit notes gave back of charged fees: it is not given back a second time."""
    fees = charged.of(tax)
    return sum(
        state.billing.noted.get((charged.invoice, line), NOTHING_NOTED).given_minor
        for line in (() if fees is None else fees.lines)
    )


def _spans(
    state: TenantState, subscription: Subscription, period: BillingPeriod
) -> tuple[tuple[Phase, Period], ...]:
    """Return the parts of a period, those of a later one by the version that it will have."""
    spans = agreement.spans_of(subscription, period.period)
    if period.index == subscription.period_index:
        return spans
    return tuple(
        (
            agreement.raised(
                phase,
                at=period.period.start,
                currency=subscription.currency,
                catalogues=state.catalogues,
                published_at=state.published_at,
            ),
            part,
        )
        for phase, part in spans
    )


def _fees(
    state: TenantState,
    subscription: Subscription,
    period: BillingPeriod,
    spans: Iterable[tuple[Phase, Period]],
    overrides: tuple[Override, ...],
    discounts: tuple[GrantedDiscount, ...],
) -> dict[str, Fraction]:
    """Return the fees of parts of a period by tax category."""
    total: dict[str, Fraction] = {}
    for phase, part in spans:
        segment = agreement.segment_of(
            phase, period=part, whole=period.whole, catalogues=state.catalogues
        )
        fees = agreement.fees_of(
            segment,
            catalogues=state.catalogues,
            overrides=overrides,
            discounts=discounts,
            currency=subscription.currency,
        )
        for category, amount in fees.items():
            total[category] = total.get(category, _NOTHING) + amount
    return total


def _note(subscription: Subscription, *, day: datetime) -> tuple[str, datetime]:
    """Return how much of which period is left, for people, and the period's end."""
    for period in subscription.periods():
        if period.period.end > day:
            if period.interval is Interval.LIFETIME or day <= period.whole.start:
                return "", period.period.end
            left = days_of(period.whole) - (day - period.whole.start).days
            return f", {left} of {days_of(period.whole)} days", period.period.end
    return "", day
