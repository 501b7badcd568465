"""The refund book: credits that were taken are given back, in part or all (S0-R18)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from domain.books.approvals import require_status, transaction_of
from domain.books.charge import PAID, Charge, ChargeStatus, refund_minor
from domain.books.decision import Decision
from domain.books.facts import Fact, fields_of_fact
from domain.books.records import Command, fields_of_command
from domain.books.state import charge_of
from domain.books.wallet import Account, given
from domain.books.wallets import wallet_of
from domain.books.watch import Seen
from domain.codes import Code
from domain.emergence_rules.rules import CREDITS_MAX
from domain.errors import Rejected
from domain.money import Money
from domain.period import to_ms

if TYPE_CHECKING:
    from domain.books.state import TenantState


def decide(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer RefundCharge.

    Args:
        state: Books of the tenant.
        command: {charge, credits: how many, all that are left when absent; reason}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        ChargeRefunded, the posting into a new grant, receipt, transactions and a notice.

    Raises:
        Rejected: charge_unknown, charge_not_captured or refund_too_large.
    """
    fields = fields_of_command(command, names=("charge", "credits", "reason"))
    charge = charge_of(state, fields)
    reason = fields.text("reason")
    left = charge.credits - charge.refunded_credits
    quantity = left
    if "credits" in fields.values:
        quantity = fields.integer("credits", minimum=1, maximum=CREDITS_MAX)
    require_status(charge, PAID, code=Code.CHARGE_NOT_CAPTURED)
    if quantity > left:
        raise Rejected(
            Code.REFUND_TOO_LARGE,
            f"{left} credits of charge {charge.charge} can be given back",
            param="credits",
        )
    decision = Decision(state, command, received_at_ms)
    decision.use_wallet(charge.customer)
    refund(decision, charge, quantity=quantity, reason=reason)
    return decision.made()


def refund(decision: Decision, charge: Charge, *, quantity: int, reason: str) -> None:
    """This function will add what giving credits back gives.

    The credits go into a new grant that never expires: those they came from may be long gone, and
    nobody is to lose by a refund.

    Args:
        decision: The decision, with the customer's wallet.
        charge: A paid charge.
        quantity: Credits, at most what is left of it.
        reason: Why, for people.
    """
    amount = Money(refund_minor(charge, quantity=quantity), charge.price.currency)
    is_full = charge.refunded_credits + quantity == charge.credits
    number = str(charge.refunds + 1)
    transaction = decision.id_of("txn", charge.charge, "refund", number)
    decision.post_expired(now_ms=decision.received_at_ms)
    grant, opens = decision.refund_target(decision.id_of("grt", charge.charge, "refund", number))
    if quantity:
        legs = given(grant=grant, quantity=quantity, source=Account.SPENT)
        decision.post("refund", reference=charge.charge, legs=legs, opens=opens)
    deal = replace(
        charge.deal(kind="refund", transaction=transaction),
        quantity=quantity,
        amount=amount,
        reason=reason,
    )
    receipt = decision.receipt(deal)
    decision.add(
        "ChargeRefunded",
        {
            **charge.head(),
            "credits": quantity,
            "amount_minor": amount.amount_minor,
            "currency": amount.currency,
            "is_full": is_full,
            "reason": reason,
            "transaction": transaction,
            "receipt": receipt,
            "refunded_at": decision.at,
        },
    )
    decision.record(deal, status="completed", receipt=receipt)
    if is_full:
        whole = charge.deal(kind="charge", transaction=transaction_of(decision, charge))
        decision.record(whole, status="refunded", reason=reason)
    decision.notify(
        kind="refunded",
        charge=charge.charge,
        title=f"{charge.name}: {quantity} credits were given back",
        body=f"{reason}. {decision.wallet.available} credits are available. Receipt {receipt}.",
    )


def apply(*, state: TenantState, fact: Fact) -> None:
    """This function will count what was given back, and lower what was spent (S0-R12)."""
    fields = fields_of_fact(fact)
    charge = charge_of(state, fields)
    wallet = wallet_of(state, fields)
    amount_minor = fields.integer("amount_minor", minimum=0, maximum=charge.price.amount_minor)
    quantity = fields.integer("credits", minimum=0, maximum=charge.credits)
    is_full = fields.boolean("is_full")
    if is_full:
        # Nobody pays for it any more, so it may be charged again when it is still there.
        state.uncover(charge)
    state.charges[charge.charge] = replace(
        charge,
        status=ChargeStatus.REFUNDED if is_full else charge.status,
        refunded_credits=charge.refunded_credits + quantity,
        refunded_minor=charge.refunded_minor + amount_minor,
        refunds=charge.refunds + 1,
    )
    state.wallets[wallet.customer] = replace(wallet, spent_minor=wallet.spent_minor - amount_minor)
    state.see(charge.customer, Seen.REFUND, at_ms=to_ms(fields.time("refunded_at")))
