"""The wallet book: what is given, taken, allowed and past its time; and the postings of it all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from domain.books.deal import Deal
from domain.books.decision import Decision
from domain.books.facts import Fact, fields_of_fact
from domain.books.records import Command, fields_of_command
from domain.books.state import read_id
from domain.books.wallet import (
    PRIORITY_DEFAULT,
    PRIORITY_MAX,
    Account,
    Opening,
    Wallet,
    burn,
    given,
    moved,
    read_legs,
)
from domain.codes import Code
from domain.emergence_rules.rules import CREDITS_MAX
from domain.errors import Rejected
from domain.money import Money
from domain.period import to_ms

if TYPE_CHECKING:
    from domain.books.state import TenantState
    from domain.fields import Fields


def decide_grant(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer GrantCredits: an admin gives credits.

    Args:
        state: Books of the tenant.
        command: {grant: grt_…, customer, credits, reason, priority: smaller burns first, 100 when
            absent, expires_at: RFC 3339 after the received time, absent for never}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        CreditsPosted, ReceiptIssued and TransactionRecorded.

    Raises:
        Rejected: grant_exists, customer_unknown, wallet_missing, currency_differs or wallet_full.
    """
    names = ("grant", "customer", "credits", "reason", "priority", "expires_at")
    fields = fields_of_command(command, names=names)
    grant, quantity = read_id(fields, "grant", prefix="grt"), read_credits(fields)
    reason = fields.text("reason")
    opens = Opening(
        grant=grant,
        priority=fields.integer(
            "priority", minimum=0, maximum=PRIORITY_MAX, default=PRIORITY_DEFAULT
        ),
        expires_at_ms=_expiry(fields, received_at_ms=received_at_ms),
    )
    require_free(state, grant, code=Code.GRANT_EXISTS)
    decision = Decision(state, command, received_at_ms)
    decision.use_wallet(fields.text("customer"))
    legs = given(grant=grant, quantity=quantity, source=Account.ISSUED)
    decision.post("grant", reference=grant, legs=legs, opens=opens)
    _record_adjustment(
        decision, reference=grant, name="Credits given", quantity=quantity, reason=reason
    )
    return decision.made()


def decide_take(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer TakeCredits: an admin takes credits, never below 0.

    Args:
        state: Books of the tenant.
        command: {adjustment: adj_…, customer, credits, reason}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        CreditsPosted, ReceiptIssued and TransactionRecorded.

    Raises:
        Rejected: adjustment_exists, customer_unknown, wallet_missing, currency_differs or
            insufficient_credits; credits that an approved charge holds cannot be taken.
    """
    fields = fields_of_command(command, names=("adjustment", "customer", "credits", "reason"))
    adjustment, quantity = read_id(fields, "adjustment", prefix="adj"), read_credits(fields)
    reason = fields.text("reason")
    require_free(state, adjustment, code=Code.ADJUSTMENT_EXISTS)
    decision = Decision(state, command, received_at_ms)
    decision.use_wallet(fields.text("customer"))
    taken = burn(decision.wallet, quantity=quantity, now_ms=received_at_ms)
    legs = moved(taken, source=Account.AVAILABLE, target=Account.ADJUSTED)
    decision.post("adjustment", reference=adjustment, legs=legs)
    _record_adjustment(
        decision, reference=adjustment, name="Credits taken", quantity=-quantity, reason=reason
    )
    return decision.made()


def decide_auto_approval(
    *, state: TenantState, command: Command, received_at_ms: int
) -> tuple[Fact, ...]:
    """This function will answer SetAutoApproval: which charges need no asking.

    Args:
        state: Books of the tenant.
        command: {customer, limit_credits: up to which a charge is approved by itself; 0 for none}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        AutoApprovalSet; nothing when it is set so. Charges that wait are not touched.

    Raises:
        Rejected: customer_unknown, wallet_missing or currency_differs.
    """
    fields = fields_of_command(command, names=("customer", "limit_credits"))
    limit = fields.integer("limit_credits", minimum=0, maximum=CREDITS_MAX)
    decision = Decision(state, command, received_at_ms)
    decision.use_wallet(fields.text("customer"))
    if decision.wallet.auto_approval_credits != limit:
        customer = decision.wallet.customer
        decision.add("AutoApprovalSet", {"customer": customer, "limit_credits": limit})
    return decision.made()


def decide_expire(
    *, state: TenantState, command: Command, received_at_ms: int
) -> tuple[Fact, ...]:
    """This function will answer ExpireCredits: what is past its time is posted away.

    Decisions treat such credits as gone in any case; this makes the balance say so.

    Args:
        state: Books of the tenant.
        command: {customer, as_of: RFC 3339, not after the received time}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        CreditsPosted for the grants that were over at as_of; nothing when there are none.

    Raises:
        Rejected: customer_unknown, wallet_missing, currency_differs, or not_due for an as_of that
            has not come.
    """
    fields = fields_of_command(command, names=("customer", "as_of"))
    as_of_ms = read_as_of(fields, received_at_ms=received_at_ms)
    decision = Decision(state, command, received_at_ms)
    decision.use_wallet(fields.text("customer"))
    decision.post_expired(now_ms=as_of_ms)
    return decision.made()


def read_credits(fields: Fields) -> int:
    """This function will read a quantity of credits, at least 1."""
    return fields.integer("credits", minimum=1, maximum=CREDITS_MAX)


def read_as_of(fields: Fields, *, received_at_ms: int) -> int:
    """This function will read the moment that counts as now, which must have come.

    Raises:
        Rejected: not_due, when it lies after the received time: the broker's clock is the judge.
    """
    as_of_ms = to_ms(fields.time("as_of"))
    if as_of_ms > received_at_ms:
        raise Rejected(Code.NOT_DUE, "as_of lies after the time at which this was received")
    return as_of_ms


def require_free(state: TenantState, entry: str, *, code: Code) -> None:
    """This function will refuse the id of a top-up, grant or adjustment that was booked."""
    if entry in state.entry_ids:
        raise Rejected(code, f"{entry} was booked before")


def _expiry(fields: Fields, *, received_at_ms: int) -> int | None:
    if "expires_at" not in fields.values:
        return None
    expires_at_ms = to_ms(fields.time("expires_at"))
    if expires_at_ms <= received_at_ms:
        raise fields.refuse("expires_at", "must lie in the future")
    return expires_at_ms


def _record_adjustment(
    decision: Decision, *, reference: str, name: str, quantity: int, reason: str
) -> None:
    """Add the receipt and the transaction of what an admin changed; no money moves."""
    deal = Deal(
        kind="adjustment",
        transaction=decision.id_of("txn", reference),
        reference=reference,
        name=name,
        quantity=quantity,
        amount=Money(0, decision.wallet.currency),
        reason=reason,
    )
    decision.record(deal, status="completed", receipt=decision.receipt(deal))


def apply_opened(*, state: TenantState, fact: Fact) -> None:
    """This function will open a wallet."""
    fields = fields_of_fact(fact)
    wallet = Wallet(fields.text("customer"), fields.text("currency"))
    state.wallets[wallet.customer] = wallet


def apply_auto_approval(*, state: TenantState, fact: Fact) -> None:
    """This function will set up to which charge a customer need not be asked."""
    fields = fields_of_fact(fact)
    limit = fields.integer("limit_credits", minimum=0, maximum=CREDITS_MAX)
    wallet = wallet_of(state, fields)
    state.wallets[wallet.customer] = replace(wallet, auto_approval_credits=limit)


def apply_posted(*, state: TenantState, fact: Fact) -> None:
    """This function will move credits, and take the id of what brought or took them."""
    fields = fields_of_fact(fact)
    wallet = wallet_of(state, fields)
    opens = _opening(fields)
    state.wallets[wallet.customer] = wallet.after(read_legs(fields), opens=opens)
    if opens is not None:
        state.entry_ids.add(opens.grant)
    if fields.text("kind") in _ENTRIES:
        state.entry_ids.add(fields.text("reference"))


_ENTRIES = frozenset({"top_up", "grant", "adjustment"})


def apply_recorded(*, state: TenantState, fact: Fact) -> None:
    """This function will change nothing: transactions and notices are for people to read."""


def wallet_of(state: TenantState, fields: Fields) -> Wallet:
    """This function will return the wallet that a fact is about (Rejected when there is none)."""
    wallet = state.wallets.get(fields.text("customer"))
    if wallet is None:
        raise fields.refuse("customer", "has no wallet")
    return wallet


def _opening(fields: Fields) -> Opening | None:
    if fields.values.get("opens") is None:
        return None
    opens = fields.object("opens")
    is_kept = opens.values.get("expires_at") is None
    return Opening(
        grant=opens.text("grant"),
        priority=opens.integer("priority", minimum=0, maximum=PRIORITY_MAX),
        expires_at_ms=None if is_kept else to_ms(opens.time("expires_at")),
    )
