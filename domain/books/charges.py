"""The charge book, first half: a charge is asked for, turned down, or runs out of time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from domain.books import approvals, refunds
from domain.books.charge import (
    COVERS_MAX,
    GENERATION_MAX,
    OPEN,
    PAID,
    Charge,
    ChargeStatus,
    pairs_json,
    read_pairs,
)
from domain.books.decision import Decision
from domain.books.facts import Fact, NotedRefusal, fields_of_fact
from domain.books.records import Command, fields_of_command
from domain.books.state import charge_of, read_id
from domain.books.wallets import read_as_of
from domain.catalogue import VERSION_MAX
from domain.codes import Code
from domain.emergence_rules.rules import CREDITS_MAX, PRICE_MINOR_MAX
from domain.errors import Rejected
from domain.fields import TEXT_LENGTH_MAX, is_clean_text
from domain.invoice import hash_text
from domain.money import Money, minor_unit_places
from domain.period import HOUR_MS, from_ms, time_text, to_ms
from domain.wallet_terms import APPROVAL_HOURS_DEFAULT

if TYPE_CHECKING:
    from domain.books.state import TenantState
    from domain.canonical import Json
    from domain.fields import Fields

_REQUEST = (
    *("charge", "customer", "project", "lone_node", "tier", "name", "generation", "covers"),
    *("credits", "price_minor", "currency", "delivers", "evidence"),
    *("rule_version", "rule_sha256", "detected_at"),
)
_HOWS = ("reversed", "superseded")
REASON_LENGTH_MAX = 2 * TEXT_LENGTH_MAX
"""Characters of why a charge is withdrawn: a code or name of full length, and words around it."""


def decide_request(
    *, state: TenantState, command: Command, received_at_ms: int
) -> tuple[Fact, ...]:
    """This function will answer RequestCharge: the policy of the emergence fold asks for one.

    Args:
        state: Books of the tenant.
        command: {charge: emg_…, the detection's id; customer, project, lone_node, tier, name,
            generation, covers: [[tier, generation], …], credits, price_minor, currency, delivers:
            [text], evidence: [object], rule_version, rule_sha256, detected_at}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        ChargeRequested and Notified; within the customer's own limit also what an approval gives.

    Raises:
        NotedRefusal: customer_unknown, wallet_missing, currency_differs or tier_charged, with
            ChargeUnbilled, so that the emergence fold learns of it.
        Rejected: charge_exists.
    """
    fields = fields_of_command(command, names=_REQUEST)
    decision = Decision(state, command, received_at_ms)
    charge, body = _requested(decision, fields)
    if charge.charge in state.charges:
        raise Rejected(Code.CHARGE_EXISTS, f"charge {charge.charge} was requested before")
    try:
        decision.use_wallet(charge.customer)
        decision.require_currency(charge.price.currency)
        approvals.require_uncharged(state, charge, is_hold_enough=False)
    except Rejected as error:
        raise _unbilled(decision, charge, error) from error
    decision.add("ChargeRequested", body)
    if not _is_auto(decision, charge):
        _ask(decision, charge)
        return decision.made()
    approvals.approve(decision, charge, by="auto", is_captured=True)
    return decision.made()


def _requested(decision: Decision, fields: Fields) -> tuple[Charge, dict[str, Json]]:
    """Read the command into a charge, and into the fact that would make it."""
    charge = _charge(decision, fields)
    body: dict[str, Json] = {
        **charge.head(),
        "tier": charge.tier,
        "name": charge.name,
        "generation": fields.integer("generation", minimum=1, maximum=GENERATION_MAX),
        "covers": pairs_json(charge.covers),
        "credits": charge.credits,
        "price_minor": charge.price.amount_minor,
        "currency": charge.price.currency,
        "delivers": list(fields.texts("delivers")),
        "evidence": _evidence(fields),
        "rule_version": fields.integer("rule_version", minimum=1, maximum=VERSION_MAX),
        "rule_sha256": hash_text(fields, "rule_sha256"),
        "detected_at": time_text(fields.time("detected_at")),
        "requested_at": decision.at,
        "expires_at": time_text(from_ms(charge.expires_at_ms)),
        "refund_on_reversal": charge.refund_on_reversal,
    }
    return charge, body


def _evidence(fields: Fields) -> Json:
    """Read the evidence as it is; only NUL, which no table can hold, becomes U+FFFD.

    It comes from nodes of customers: refusing the charge for it would lose the charge.
    """
    items = fields.objects("evidence", count_max=COVERS_MAX)
    return [_without_nul(dict(item.values)) for item in items]


def _without_nul(value: Json) -> Json:
    match value:
        case str():
            return value.replace("\0", "\ufffd")
        case list() | tuple():
            return [_without_nul(item) for item in value]
        case dict():
            return {str(_without_nul(name)): _without_nul(item) for name, item in value.items()}
        case _:
            return value


def _charge(decision: Decision, fields: Fields) -> Charge:
    currency = fields.text("currency")
    minor_unit_places(currency)
    terms = decision.state.catalogue.wallet if decision.state.catalogue else None
    hours = terms.approval_hours if terms else APPROVAL_HOURS_DEFAULT
    return Charge(
        charge=read_id(fields, "charge", prefix="emg"),
        customer=fields.text("customer"),
        project=_text_or_empty(fields, "project"),
        lone_node=_text_or_empty(fields, "lone_node"),
        tier=fields.text("tier"),
        name=fields.text("name"),
        covers=read_pairs(fields, "covers"),
        credits=fields.integer("credits", minimum=0, maximum=CREDITS_MAX),
        price=Money(fields.integer("price_minor", minimum=0, maximum=PRICE_MINOR_MAX), currency),
        expires_at_ms=decision.received_at_ms + hours * HOUR_MS,
        refund_on_reversal=terms.refund_on_reversal if terms else True,
    )


def _text_or_empty(fields: Fields, name: str, *, length_max: int = TEXT_LENGTH_MAX) -> str:
    value = fields.values.get(name)
    if value == "":
        return ""
    if not isinstance(value, str) or not is_clean_text(value, length_max=length_max):
        raise fields.refuse(name, f"must be text of at most {length_max} characters")
    return value


def _unbilled(decision: Decision, charge: Charge, error: Rejected) -> NotedRefusal:
    """Return the refusal; a wallet that was about to be opened stays closed."""
    fresh = Decision(decision.state, decision.command, decision.received_at_ms)
    fresh.add("ChargeUnbilled", {**charge.head(), "code": error.code.value, "at": decision.at})
    return NotedRefusal(error.code, error.reason, facts=fresh.made())


def _is_auto(decision: Decision, charge: Charge) -> bool:
    """Say whether the customer's own limit approves it, and nothing stands in the way."""
    limit = decision.wallet.auto_approval_credits
    is_free = all(place not in decision.state.covered for place in charge.places)
    return limit > 0 and is_free and charge.credits <= min(limit, decision.spendable)


def _ask(decision: Decision, charge: Charge) -> None:
    """Tell the customer what would be charged for what, before anything is (S0-32, S0-50)."""
    delivered = decision.command
    delivers = fields_of_command(delivered, names=_REQUEST).texts("delivers")
    given = f" You get: {', '.join(delivers)}." if delivers else ""
    place = charge.project or charge.lone_node
    decision.notify(
        kind="approval_requested",
        charge=charge.charge,
        title=f"{charge.name} is ready: approve {charge.credits} credits?",
        body=f"{place}: {charge.name} costs {charge.credits} credits "
        f"({charge.price.text()} {charge.price.currency}).{given} Nothing is charged unless you "
        f"approve it before {time_text(from_ms(charge.expires_at_ms))}.",
    )


def decide_decline(
    *, state: TenantState, command: Command, received_at_ms: int
) -> tuple[Fact, ...]:
    """This function will answer DeclineCharge.

    Args:
        state: Books of the tenant.
        command: {charge, customer: who declines, checked when given; reason: may be absent}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        ChargeDeclined, and what gives held credits back.

    Raises:
        Rejected: charge_unknown, customer_differs or charge_not_open.
    """
    fields = fields_of_command(command, names=("charge", "customer", "reason"))
    charge = charge_of(state, fields)
    approvals.require_customer(charge, fields)
    approvals.require_status(charge, OPEN, code=Code.CHARGE_NOT_OPEN)
    reason = fields.text("reason", default="declined")
    decision = Decision(state, command, received_at_ms)
    decision.use_wallet(charge.customer)
    body = {"reason": reason, "declined_at": decision.at, "declined_by": command.actor}
    decision.add("ChargeDeclined", {**charge.head(), **body})
    approvals.give_back_hold(decision, charge, reason=reason)
    return decision.made()


def decide_expire(
    *, state: TenantState, command: Command, received_at_ms: int
) -> tuple[Fact, ...]:
    """This function will answer ExpireCharge: nobody approved, or nobody captured, in time.

    Args:
        state: Books of the tenant.
        command: {charge, as_of: RFC 3339, not after the received time}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        ChargeExpired, what gives held credits back, and Notified; nothing when the charge is no
        longer open, so a scheduler may send it twice.

    Raises:
        Rejected: charge_unknown, or not_due before its time.
    """
    fields = fields_of_command(command, names=("charge", "as_of"))
    as_of_ms = read_as_of(fields, received_at_ms=received_at_ms)
    charge = charge_of(state, fields)
    if charge.status not in OPEN:
        return ()
    if as_of_ms < charge.expires_at_ms:
        raise Rejected(
            Code.NOT_DUE,
            f"charge {charge.charge} may wait until {time_text(from_ms(charge.expires_at_ms))}",
        )
    decision = Decision(state, command, received_at_ms)
    decision.use_wallet(charge.customer)
    decision.add("ChargeExpired", {**charge.head(), "expired_at": decision.at})
    approvals.give_back_hold(decision, charge, reason="not captured in time")
    decision.notify(
        kind="charge_expired",
        charge=charge.charge,
        title=f"{charge.name} was not approved in time",
        body=f"Nothing was charged for {charge.name} of {charge.project or charge.lone_node}.",
    )
    return decision.made()


def decide_withdraw(
    *, state: TenantState, command: Command, received_at_ms: int
) -> tuple[Fact, ...]:
    """This function will answer WithdrawCharge: its detection was reversed or superseded.

    Args:
        state: Books of the tenant.
        command: {charge, how: reversed or superseded, by: the detection that took its place or
            empty, reason}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        Of an open charge ChargeWithdrawn and what gives held credits back. Of a paid one that was
        reversed what a full refund gives, where the catalogue refunded reversals when it was
        requested. Otherwise nothing.

    Raises:
        Rejected: charge_unknown.
    """
    fields = fields_of_command(command, names=("charge", "how", "by", "reason"))
    charge = charge_of(state, fields)
    how, by = fields.choice("how", _HOWS), _text_or_empty(fields, "by")
    reason = _text_or_empty(fields, "reason", length_max=REASON_LENGTH_MAX) or how
    decision = Decision(state, command, received_at_ms)
    decision.use_wallet(charge.customer)
    if charge.status in OPEN:
        body = {"how": how, "by": by, "reason": reason, "withdrawn_at": decision.at}
        decision.add("ChargeWithdrawn", {**charge.head(), **body})
        approvals.give_back_hold(decision, charge, reason=reason)
        decision.notify(
            kind="charge_withdrawn",
            charge=charge.charge,
            title=f"{charge.name} is no longer offered",
            body=f"Nothing was charged: {reason}.",
        )
    elif charge.status in PAID and how == "reversed" and charge.refund_on_reversal:
        left = charge.credits - charge.refunded_credits
        refunds.refund(decision, charge, quantity=left, reason=reason)
    return decision.made()


def apply_requested(*, state: TenantState, fact: Fact) -> None:
    """This function will add the charge."""
    fields = fields_of_fact(fact)
    charge = Charge(
        charge=fields.text("charge"),
        customer=fields.text("customer"),
        project=_text_or_empty(fields, "project"),
        lone_node=_text_or_empty(fields, "lone_node"),
        tier=fields.text("tier"),
        name=fields.text("name"),
        covers=read_pairs(fields, "covers"),
        credits=fields.integer("credits", minimum=0, maximum=CREDITS_MAX),
        price=Money(
            fields.integer("price_minor", minimum=0, maximum=PRICE_MINOR_MAX),
            fields.text("currency"),
        ),
        expires_at_ms=to_ms(fields.time("expires_at")),
        refund_on_reversal=fields.boolean("refund_on_reversal"),
    )
    state.charges[charge.charge] = charge


def apply_unbilled(*, state: TenantState, fact: Fact) -> None:
    """This function will change nothing: the books keep no charge that nobody can pay."""


def _apply_end(state: TenantState, fact: Fact, status: ChargeStatus) -> None:
    charge = charge_of(state, fields_of_fact(fact))
    state.uncover(charge)
    state.charges[charge.charge] = replace(charge, status=status, hold=())


def apply_declined(*, state: TenantState, fact: Fact) -> None:
    """This function will end a charge that was turned down."""
    _apply_end(state, fact, ChargeStatus.DECLINED)


def apply_expired(*, state: TenantState, fact: Fact) -> None:
    """This function will end a charge whose time is over."""
    _apply_end(state, fact, ChargeStatus.EXPIRED)


def apply_withdrawn(*, state: TenantState, fact: Fact) -> None:
    """This function will end a charge whose detection ended."""
    _apply_end(state, fact, ChargeStatus.WITHDRAWN)
