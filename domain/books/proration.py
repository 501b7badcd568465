"""What a change of charged fees costs, or gives back: their difference (ADR 0026).

Fees that are still to be charged are charged by parts, each by what holds in it, so a change of
them posts nothing. Fees that an invoice has in advance are charged as the period was known to be.
What a subscription owes of them is the fees of each part for its days, and a change posts by
exactly how much it moves that: an item for what is more, account credit for what is less.
However many changes a period has, what was charged so adds up to what is owed.

An item bears the tax of the fees that it is of, whatever the customer has become, as account
credit gives it back. What promotions paid of a fee comes back as promotions, once less than that
is owed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from msgspec import structs

from domain.billing_terms import TaxMode
from domain.books import account_credit, agreement, held, items, subscriptions
from domain.books.billing_state import NOTHING_NOTED
from domain.books.charged import CATEGORIES_MAX, charged_by
from domain.books.held import Drawn
from domain.books.ledger import LedgerAccount, post_money
from domain.codes import Code
from domain.errors import Rejected
from domain.invoice_terms import Item, ItemKind
from domain.money import minor_unit_places, round_half_up
from domain.period import Interval, days_of

if TYPE_CHECKING:
    from datetime import datetime

    from domain.books.billing_state import InvoiceEntry
    from domain.books.charged import Charged, ChargedFees
    from domain.books.decision import Decision
    from domain.books.state import TenantState
    from domain.books.subscription import Subscription
    from domain.invoice import InvoiceContent
    from domain.overrides import Override

_NOTHING = Fraction(0)


@dataclass(frozen=True, slots=True)
class Difference:
    """What a change costs in one tax category, minor units.

    Args:
        tax: Tax category.
        amount_minor: As fees have it, without the tax that comes on top; negative is less.
        charged: The fees that an invoice has of the category; None where it has none, as of a
            period that began paused.
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
) -> tuple[Difference, ...]:
    """This function will say what a change costs beyond what invoices charge on their own.

    A lifetime gives nothing back, for it has no days of which some would be left; so it is charged
    only for what lies above everything that it was charged before.

    Args:
        state: Books of the tenant.
        before: The subscription without the change.
        after: With it.
        overrides: The customer's own prices with the change; None when they stay.

    Returns:
        By tax category, rounded half up, sorted, without those of 0; none while no invoice has
        the fees of the open period.
    """
    charged = before.charged
    if charged is None or not agreement.is_charged(before, before.open_period):
        return ()
    current = state.customers[after.customer].overrides
    owed_after = _owed(state, after, charged, current if overrides is None else overrides)
    places = minor_unit_places(after.currency)
    if after.interval is Interval.LIFETIME:
        owed = (
            (tax, round_half_up(amount, places=places) - _posted(after, tax))
            for tax, amount in sorted(owed_after.items())
        )
        return tuple(
            Difference(tax, amount, charged.of(tax)) for tax, amount in owed if amount > 0
        )
    owed_before = _owed(state, before, charged, current)
    # Rounded each: however many changes there are, they add up to what is owed in the end.
    amounts = {
        tax: round_half_up(owed_after.get(tax, _NOTHING), places=places)
        - round_half_up(owed_before.get(tax, _NOTHING), places=places)
        for tax in sorted(owed_before.keys() | owed_after.keys())
    }
    return tuple(
        Difference(tax, amount, charged.of(tax)) for tax, amount in amounts.items() if amount
    )


def charged_again(
    state: TenantState, entry: InvoiceEntry, content: InvoiceContent
) -> tuple[Subscription, Charged] | None:
    """This function will say whose open period an invoice charged the fees of, and how now.

    Args:
        state: Books of the tenant.
        entry: The invoice.
        content: Its content as a correction makes it.

    Returns:
        None when it charged no such fees, or charges the same.
    """
    subscription = state.subscriptions.get(entry.subscription)
    charged = None if subscription is None else subscription.charged
    again = charged_by(content, invoice=entry.invoice)
    if subscription is None or charged is None or again is None:
        return None
    if charged.invoice != entry.invoice or charged == again:
        return None
    return subscription, again


def note_charged(decision: Decision, entry: InvoiceEntry, content: InvoiceContent) -> None:
    """This function will note on a subscription how its open period's fees are charged now."""
    charged = charged_again(decision.state, entry, content)
    if charged is not None:
        subscription, again = charged
        decision.facts.append(
            subscriptions.changed(
                state=decision.state,
                subscription=structs.replace(subscription, charged=again),
                change={"kind": "charged_again", "invoice": entry.invoice},
                at=decision.moment,
            )
        )


def recharged(state: TenantState, *, subscription: Subscription, again: Charged) -> dict[str, int]:
    """This function will say how much more is owed once an invoice charges its fees otherwise.

    A correction moves amounts that come off between usage and fees; of days that were given back
    it charges nothing.

    Args:
        state: Books of the tenant.
        subscription: With what the invoice charged so far.
        again: What it charges with the correction.

    Returns:
        Minor units by tax category; below 0 is less.
    """
    charged = subscription.charged
    if charged is None:
        return {}
    overrides = state.customers[subscription.customer].overrides
    before = _owed(state, subscription, charged, overrides)
    after = _owed(state, subscription, again, overrides)
    places = minor_unit_places(subscription.currency)
    return {
        tax: round_half_up(after.get(tax, _NOTHING) - before.get(tax, _NOTHING), places=places)
        for tax in before.keys() | after.keys()
    }


def _posted(subscription: Subscription, tax: str) -> int:
    return dict(subscription.posted).get(tax, 0)


def noted(subscription: Subscription, amounts: tuple[Difference, ...]) -> Subscription:
    """This function will note on a lifetime what differences it is charged.

    Raises:
        Rejected: change_limit, for more tax categories than a subscription keeps.
    """
    if subscription.interval is not Interval.LIFETIME or not amounts:
        return subscription
    posted = dict(subscription.posted)
    for each in amounts:
        posted[each.tax] = posted.get(each.tax, 0) + each.amount_minor
    if len(posted) > CATEGORIES_MAX:
        raise Rejected(
            Code.CHANGE_LIMIT, f"fees of a lifetime are of at most {CATEGORIES_MAX} tax categories"
        )
    return structs.replace(subscription, posted=tuple(sorted(posted.items())))


def post(
    decision: Decision,
    *,
    subscription: Subscription,
    amounts: tuple[Difference, ...],
    day: datetime,
    label: str,
) -> None:
    """This function will post differences: more is an item, less is account credit.

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
        if each.amount_minor < 0:
            # 1. What waits was asked of nobody yet: less nets against it.
            rest = _take_waiting(decision, subscription, each)
            # 2. The rest was charged, and comes back.
            credit = decision.id_of("crd", command, name, each.tax)
            if rest and each.charged is not None:
                reason = f"{label}{note}"
                _give_back(
                    decision,
                    subscription,
                    each.charged,
                    credit=credit,
                    less_minor=rest,
                    reason=reason,
                )
            continue
        items.add_item(
            decision,
            Item(
                item=decision.id_of("itm", command, name, each.tax),
                customer=subscription.customer,
                subscription=name,
                kind=ItemKind.PRORATION,
                label=f"{label}{note}",
                amount_minor=each.amount_minor,
                start=day,
                end=max(day, end),
                added_at=decision.moment,
                tax=each.tax,
                taxed=None if each.charged is None else each.charged.taxed,
            ),
        )


def _take_waiting(decision: Decision, subscription: Subscription, less: Difference) -> int:
    """Take items that wait off, of changes and corrections; return what is left to give back."""
    by, charged = subscription.charged, less.charged
    lines = {(by.invoice, line) for line in charged.lines} if by and charged else set()
    waiting = decision.state.billing.waiting.get(subscription.customer, ())
    mine = [
        item
        for _, item in waiting
        if item.refers in lines
        or (
            item.kind is ItemKind.PRORATION
            and item.subscription == subscription.subscription
            and item.tax == less.tax
        )
    ]
    reason = "less is owed since"
    return -items.netted(decision, mine, amount=less.amount_minor, reason=reason)


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


def _owed(
    state: TenantState,
    subscription: Subscription,
    charged: Charged,
    overrides: tuple[Override, ...],
) -> dict[str, Fraction]:
    """Return what is owed for the open period, by tax category, by what it was charged with.

    What amounts and credit notes took off stays off, as far as there is something left: less than
    nothing is never owed, so that no more comes back than was charged. Of a lifetime only the rest
    is returned. A subscription that ends where the period begins owes nothing of it.
    """
    period = next(iter(subscription.periods()), None)
    if period is None or period.index != subscription.period_index:
        return {}
    fees: dict[str, Fraction] = {}
    parts = agreement.fee_parts(
        period,
        subscription=subscription,
        catalogues=state.catalogues,
        published_at=state.published_at,
    )
    for part in parts[-1:] if period.interval is Interval.LIFETIME else parts:
        for tax, amount in agreement.fees_of(
            part,
            catalogues=state.catalogues,
            overrides=charged.overrides_with(overrides),
            discounts=charged.discounts,
            currency=subscription.currency,
        ).items():
            fees[tax] = fees.get(tax, _NOTHING) + amount
    places = minor_unit_places(subscription.currency)
    if period.interval is Interval.LIFETIME:
        return {
            tax: amount - Fraction(charged.fees_minor(tax), 10**places)
            for tax, amount in fees.items()
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


def _note(subscription: Subscription, *, day: datetime) -> tuple[str, datetime]:
    """Return how much of which period is left, for people, and the period's end."""
    for period in subscription.periods():
        if period.period.end > day:
            if period.interval is Interval.LIFETIME or day <= period.whole.start:
                return "", period.period.end
            left = days_of(period.whole) - (day - period.whole.start).days
            return f", {left} of {days_of(period.whole)} days", period.period.end
    return "", day
