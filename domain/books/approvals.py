"""The charge book, second half: credits are held, captured, or given back before a capture."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from domain.books.charge import OPEN, Charge, ChargeStatus
from domain.books.decision import Decision
from domain.books.facts import Fact, NotedRefusal, fields_of_fact
from domain.books.records import Command, fields_of_command
from domain.books.state import charge_of
from domain.books.wallet import BALANCE_MAX, GRANTS_MAX, Account, burn, moved
from domain.books.wallets import wallet_of
from domain.books.watch import Seen
from domain.codes import Code
from domain.errors import Rejected
from domain.period import from_ms, time_text, to_ms

if TYPE_CHECKING:
    from collections.abc import Collection

    from domain.books.deal import Deal
    from domain.books.state import TenantState
    from domain.books.wallet import Hold
    from domain.canonical import Json
    from domain.fields import Fields

_WHY = {
    ChargeStatus.REQUESTED: "waits for approval",
    ChargeStatus.APPROVED: "was approved before and holds its credits",
    ChargeStatus.CAPTURED: "was billed before",
    ChargeStatus.DELIVERED: "was billed and delivered before",
    ChargeStatus.DECLINED: "was declined",
    ChargeStatus.EXPIRED: "was not approved in time",
    ChargeStatus.WITHDRAWN: "was withdrawn, for its emergence was reversed or became a bundle",
    ChargeStatus.REFUNDED: "was billed and given back",
}


def decide_approve(
    *, state: TenantState, command: Command, received_at_ms: int
) -> tuple[Fact, ...]:
    """This function will answer ApproveCharge (S0-32, S0-33).

    Args:
        state: Books of the tenant.
        command: {charge, customer: who approves, checked when given; capture: whether the credits
            are taken at once, true when absent; otherwise they are held}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        ChargeApproved and the posting of the hold; with capture also ChargeCaptured, its posting,
        receipt, transaction and notice; without it a pending transaction.

    Raises:
        NotedRefusal: insufficient_credits, with ChargeFailed and a failed transaction (S0-35). The
            charge stays open: it may be approved after a top-up.
        Rejected: charge_unknown, customer_differs, charge_not_open, approval_expired or
            tier_charged.
    """
    fields = fields_of_command(command, names=("charge", "customer", "capture"))
    is_captured = fields.boolean("capture", default=True)
    charge = charge_of(state, fields)
    require_customer(charge, fields)
    require_status(charge, (ChargeStatus.REQUESTED,), code=Code.CHARGE_NOT_OPEN)
    if received_at_ms >= charge.expires_at_ms:
        raise Rejected(
            Code.APPROVAL_EXPIRED,
            f"charge {charge.charge} could be approved before "
            f"{time_text(from_ms(charge.expires_at_ms))}",
        )
    require_uncharged(state, charge, is_hold_enough=True)
    decision = Decision(state, command, received_at_ms)
    decision.use_wallet(charge.customer)
    try:
        approve(decision, charge, by=command.actor or "customer", is_captured=is_captured)
    except Rejected as error:
        if error.code is not Code.INSUFFICIENT_CREDITS:
            raise
        raise _failed(decision, charge, error) from error
    return decision.made()


def approve(decision: Decision, charge: Charge, *, by: str, is_captured: bool) -> None:
    """This function will add what an approval gives.

    Raises:
        Rejected: insufficient_credits.
    """
    hold = burn(decision.wallet, quantity=charge.credits, now_ms=decision.received_at_ms)
    decision.add(
        "ChargeApproved",
        {
            **charge.head(),
            "hold": _hold_json(hold),
            "approved_at": decision.at,
            "approved_by": by,
        },
    )
    legs = moved(hold, source=Account.AVAILABLE, target=Account.HELD)
    decision.post("hold", reference=charge.charge, legs=legs)
    if is_captured:
        capture(decision, replace(charge, hold=hold))
    else:
        decision.record(_deal(decision, charge), status="pending")


def capture(decision: Decision, charge: Charge) -> None:
    """This function will add what taking held credits gives."""
    legs = moved(charge.hold, source=Account.HELD, target=Account.SPENT)
    deal = _deal(decision, charge)
    decision.post("capture", reference=charge.charge, legs=legs)
    receipt = decision.receipt(deal)
    decision.add(
        "ChargeCaptured",
        {
            **charge.head(),
            "credits": charge.credits,
            "price_minor": charge.price.amount_minor,
            "currency": charge.price.currency,
            "transaction": deal.transaction,
            "receipt": receipt,
            "captured_at": decision.at,
        },
    )
    decision.record(deal, status="completed", receipt=receipt)
    decision.notify(
        kind="charged",
        charge=charge.charge,
        title=f"{charge.name}: {charge.credits} credits were charged",
        body=f"{decision.wallet.available} credits are left. Receipt {receipt}.",
    )


def give_back_hold(decision: Decision, charge: Charge, *, reason: str) -> None:
    """This function will add what gives held credits back to the grants they came from."""
    if charge.status is not ChargeStatus.APPROVED:
        return
    legs = moved(charge.hold, source=Account.HELD, target=Account.AVAILABLE)
    decision.post("release", reference=charge.charge, legs=legs)
    decision.record(_deal(decision, charge), status="failed", reason=reason)


def decide_capture(
    *, state: TenantState, command: Command, received_at_ms: int
) -> tuple[Fact, ...]:
    """This function will answer CaptureCharge: held credits are taken.

    Args:
        state: Books of the tenant.
        command: {charge}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        ChargeCaptured, its posting, receipt, transaction and notice.

    Raises:
        Rejected: charge_unknown or charge_not_held.
    """
    charge = charge_of(state, fields_of_command(command, names=("charge",)))
    require_status(charge, (ChargeStatus.APPROVED,), code=Code.CHARGE_NOT_HELD)
    decision = Decision(state, command, received_at_ms)
    decision.use_wallet(charge.customer)
    capture(decision, charge)
    return decision.made()


def decide_release(
    *, state: TenantState, command: Command, received_at_ms: int
) -> tuple[Fact, ...]:
    """This function will answer ReleaseCharge: an operator gives held credits back.

    The charge ends as declined, so that the emergence fold hears of it.

    Args:
        state: Books of the tenant.
        command: {charge, reason: may be absent}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        ChargeDeclined, the posting of the release and a failed transaction.

    Raises:
        Rejected: charge_unknown or charge_not_held.
    """
    fields = fields_of_command(command, names=("charge", "reason"))
    charge = charge_of(state, fields)
    require_status(charge, (ChargeStatus.APPROVED,), code=Code.CHARGE_NOT_HELD)
    reason = fields.text("reason", default="released")
    decision = Decision(state, command, received_at_ms)
    decision.use_wallet(charge.customer)
    body = {"reason": reason, "declined_at": decision.at, "declined_by": command.actor}
    decision.add("ChargeDeclined", {**charge.head(), **body})
    give_back_hold(decision, charge, reason=reason)
    return decision.made()


def require_customer(charge: Charge, fields: Fields) -> None:
    """This function will refuse a customer who does not own the charge (customer_differs)."""
    if "customer" in fields.values and fields.text("customer") != charge.customer:
        raise Rejected(
            Code.CUSTOMER_DIFFERS, f"charge {charge.charge} belongs to another customer"
        )


def require_status(charge: Charge, allowed: Collection[ChargeStatus], *, code: Code) -> None:
    """This function will refuse what the charge's status does not allow, and say which it is."""
    if charge.status not in allowed:
        raise Rejected(code, f"charge {charge.charge} {_WHY[charge.status]}")


def require_uncharged(state: TenantState, charge: Charge, *, is_hold_enough: bool) -> None:
    """This function will refuse what another charge stands for (tier_charged).

    Args:
        state: Books of the tenant.
        charge: The charge in question.
        is_hold_enough: Whether another charge that only holds its credits is in the way. It is for
            an approval; a request may wait beside it, for the hold may be given back.
    """
    for place in charge.places:
        other = state.covered.get(place)
        if other is None or other == charge.charge:
            continue
        if is_hold_enough or state.charges[other].status not in OPEN:
            *_, tier, generation = place
            raise Rejected(
                Code.TIER_CHARGED, f"{tier} (generation {generation}) is charged by {other}"
            )


def transaction_of(decision: Decision, charge: Charge) -> str:
    """This function will return the id of a charge's transaction."""
    return decision.id_of("txn", charge.charge)


def _deal(decision: Decision, charge: Charge) -> Deal:
    return charge.deal(kind="charge", transaction=transaction_of(decision, charge))


def _failed(decision: Decision, charge: Charge, error: Rejected) -> NotedRefusal:
    """Return the refusal, with a failed transaction that says why (S0-35)."""
    fresh = Decision(decision.state, decision.command, decision.received_at_ms)
    fresh.use_wallet(charge.customer)
    transaction = fresh.id_of("txn", charge.charge, decision.command.command_id)
    fresh.add(
        "ChargeFailed",
        {
            **charge.head(),
            "code": error.code.value,
            "credits": charge.credits,
            "available": fresh.spendable,
            "transaction": transaction,
            "at": fresh.at,
        },
    )
    deal = charge.deal(kind="charge", transaction=transaction)
    fresh.record(deal, status="failed", code=error.code, reason=error.reason)
    return NotedRefusal(error.code, error.reason, facts=fresh.made())


def _hold_json(hold: Hold) -> Json:
    return [[grant, credits_] for grant, credits_ in hold]


def _read_hold(fields: Fields) -> Hold:
    value = fields.values.get("hold")
    if not isinstance(value, list | tuple) or len(value) > GRANTS_MAX + 1:
        raise fields.refuse("hold", "must be a list of [grant, credits]")
    pairs = []
    for item in value:
        match item:
            case [str(grant), int(credits_)] if 0 < credits_ <= BALANCE_MAX:
                pairs.append((grant, credits_))
            case _:
                raise fields.refuse("hold", "must be a list of [grant, credits]")
    return tuple(pairs)


def apply_approved(*, state: TenantState, fact: Fact) -> None:
    """This function will mark the charge as approved, and what it stands for as taken."""
    fields = fields_of_fact(fact)
    charge = charge_of(state, fields)
    for place in charge.places:
        state.covered[place] = charge.charge
    state.charges[charge.charge] = replace(
        charge, status=ChargeStatus.APPROVED, hold=_read_hold(fields)
    )


def apply_captured(*, state: TenantState, fact: Fact) -> None:
    """This function will mark the charge as paid, and add its price to what was spent."""
    fields = fields_of_fact(fact)
    charge = charge_of(state, fields)
    wallet = wallet_of(state, fields)
    state.charges[charge.charge] = replace(charge, status=ChargeStatus.CAPTURED, hold=())
    state.wallets[wallet.customer] = replace(
        wallet, spent_minor=wallet.spent_minor + charge.price.amount_minor
    )
    state.see(charge.customer, Seen.CAPTURE, at_ms=to_ms(fields.time("captured_at")))


def apply_failed(*, state: TenantState, fact: Fact) -> None:
    """This function will remember a failed attempt; the charge stays as it was."""
    fields = fields_of_fact(fact)
    state.see(fields.text("customer"), Seen.FAILURE, at_ms=to_ms(fields.time("at")))
