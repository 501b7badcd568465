"""The suspicion book: what looks like misuse, once per rule, customer and span (S0-60)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from domain.books.decision import Decision
from domain.books.facts import Fact, fields_of_fact
from domain.books.records import Command, fields_of_command
from domain.books.state import read_id
from domain.books.watch import Seen, Suspicion, Watch
from domain.codes import Code
from domain.errors import Rejected
from domain.fields import is_clean_text
from domain.period import HOUR_MS, to_ms
from domain.suspicions import AmountMismatch, FailedAttempts, RefundRatio, ScoreJump, Velocity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.books.state import TenantState
    from domain.fields import Fields
    from domain.suspicions import SuspicionRule

NOTE_LENGTH_MAX = 1_000
"""Characters of a note or detail."""
_SEEN = {
    "ChargeFailed": Seen.FAILURE,
    "TopUpRefused": Seen.FAILURE,
    "ChargeCaptured": Seen.CAPTURE,
    "ChargeRefunded": Seen.REFUND,
}
"""Facts that rules look at."""


def raised_by(
    *, state: TenantState, command: Command, received_at_ms: int, facts: Iterable[Fact]
) -> tuple[Fact, ...]:
    """This function will say what the facts of a command make suspicious.

    Args:
        state: Books of the tenant before the facts.
        command: Command that they answer.
        received_at_ms: When it was received, milliseconds since 1970 UTC.
        facts: What was decided, or what a refusal leaves on record.

    Returns:
        A SuspicionRaised per rule that they meet, unless it spoke of the customer within its span.
    """
    rules = state.catalogue.suspicions if state.catalogue is not None else ()
    seen = [
        (fact.kind, fields_of_fact(fact).text("customer")) for fact in facts if fact.kind in _SEEN
    ]
    if not rules or not seen:
        return ()
    decision = Decision(state, command, received_at_ms)
    # A command is about one customer.
    customer = seen[0][1]
    kinds = [kind for kind, _ in seen]
    watch = state.watches.get(customer, Watch())
    for kind in kinds:
        watch = watch.with_seen(_SEEN[kind], at_ms=received_at_ms)
    for rule in rules:
        if _is_silent(watch, rule, now_ms=received_at_ms):
            continue
        detail = _met(rule, watch, kinds, now_ms=received_at_ms)
        if detail:
            suspicion = decision.id_of("sus", customer, rule.key, command.command_id)
            _raise(decision, suspicion, customer=customer, rule=rule.key, detail=detail)
    return decision.made()


def _is_silent(watch: Watch, rule: SuspicionRule, *, now_ms: int) -> bool:
    """Say whether the rule spoke of the customer within its span."""
    last_ms = watch.raised_at_ms.get(rule.key)
    return last_ms is not None and last_ms > now_ms - rule.within_hours * HOUR_MS


def _met(rule: SuspicionRule, watch: Watch, kinds: list[str], *, now_ms: int) -> str:
    """Return what is suspicious about the last thing that happened; empty for nothing."""
    since_ms = now_ms - rule.within_hours * HOUR_MS
    span = f"within {rule.within_hours} hours"
    match rule:
        case FailedAttempts(attempts=attempts):
            count = watch.count(Seen.FAILURE, after_ms=since_ms)
            is_met = Seen.FAILURE in map(_SEEN.get, kinds) and count >= attempts
            return f"{count} failed attempts {span}" if is_met else ""
        case AmountMismatch():
            is_met = "TopUpRefused" in kinds
            return "a top-up with an amount that is not on the price list" if is_met else ""
        case RefundRatio():
            return _refund_ratio(rule, watch, kinds, since_ms=since_ms)
        case Velocity(charges=charges):
            count = watch.count(Seen.CAPTURE, after_ms=since_ms)
            is_met = "ChargeCaptured" in kinds and count >= charges
            return f"{count} charges {span}" if is_met else ""
        case ScoreJump():
            return ""


def _refund_ratio(rule: RefundRatio, watch: Watch, kinds: list[str], *, since_ms: int) -> str:
    refunds = watch.count(Seen.REFUND, after_ms=since_ms)
    charges = watch.count(Seen.CAPTURE, after_ms=since_ms)
    is_met = (
        "ChargeRefunded" in kinds
        and charges >= rule.charges_min
        and 100 * refunds >= rule.percent * charges
    )
    if not is_met:
        return ""
    return f"{refunds} refunds of {charges} charges within {rule.within_hours} hours"


def _raise(decision: Decision, suspicion: str, *, customer: str, rule: str, detail: str) -> None:
    decision.add(
        "SuspicionRaised",
        {
            "suspicion": suspicion,
            "customer": customer,
            "rule": rule,
            "detail": detail,
            "raised_at": decision.at,
        },
    )


def decide_raise(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer RaiseSuspicion: the emergence fold saw something.

    Args:
        state: Books of the tenant.
        command: {suspicion: sus_…, customer, rule: key of a rule, detail}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        SuspicionRaised; nothing when the rule spoke of the customer within its span.

    Raises:
        Rejected: suspicion_exists or customer_unknown.
    """
    fields = fields_of_command(command, names=("suspicion", "customer", "rule", "detail"))
    suspicion = read_id(fields, "suspicion", prefix="sus")
    customer, key = fields.text("customer"), fields.text("rule")
    detail = _long_text(fields, "detail")
    if suspicion in state.suspicions:
        raise Rejected(Code.SUSPICION_EXISTS, f"suspicion {suspicion} was raised before")
    if customer not in state.customers:
        raise Rejected(Code.CUSTOMER_UNKNOWN, f"there is no customer {customer!r}")
    rules = state.catalogue.suspicions if state.catalogue is not None else ()
    watch = state.watches.get(customer, Watch())
    known = [rule for rule in rules if rule.key == key]
    if any(_is_silent(watch, rule, now_ms=received_at_ms) for rule in known):
        return ()
    decision = Decision(state, command, received_at_ms)
    _raise(decision, suspicion, customer=customer, rule=key, detail=detail)
    return decision.made()


def decide_close(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer CloseSuspicion: an admin looked at it.

    Args:
        state: Books of the tenant.
        command: {suspicion, note: what was found}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        SuspicionClosed with the actor; nothing when it is closed.

    Raises:
        Rejected: suspicion_unknown.
    """
    fields = fields_of_command(command, names=("suspicion", "note"))
    suspicion = state.suspicions.get(fields.text("suspicion"))
    note = _long_text(fields, "note")
    if suspicion is None:
        raise Rejected(Code.SUSPICION_UNKNOWN, "there is no such suspicion")
    if not suspicion.is_open:
        return ()
    decision = Decision(state, command, received_at_ms)
    decision.add(
        "SuspicionClosed",
        {
            "suspicion": suspicion.suspicion,
            "customer": suspicion.customer,
            "note": note,
            "closed_by": command.actor,
            "closed_at": decision.at,
        },
    )
    return decision.made()


def _long_text(fields: Fields, name: str) -> str:
    text = fields.document(name)
    if not is_clean_text(text, length_max=NOTE_LENGTH_MAX):
        raise fields.refuse(name, f"must be text of 1 to {NOTE_LENGTH_MAX} printable characters")
    return text


def apply_raised(*, state: TenantState, fact: Fact) -> None:
    """This function will add the suspicion, and silence its rule for its span."""
    fields = fields_of_fact(fact)
    customer, rule = fields.text("customer"), fields.text("rule")
    suspicion = Suspicion(fields.text("suspicion"), customer, rule, is_open=True)
    state.suspicions[suspicion.suspicion] = suspicion
    watch = state.watches.get(customer, Watch())
    at_ms = to_ms(fields.time("raised_at"))
    state.watches[customer] = watch.with_raised(rule, at_ms=at_ms)


def apply_closed(*, state: TenantState, fact: Fact) -> None:
    """This function will close the suspicion."""
    suspicion = state.suspicions[fields_of_fact(fact).text("suspicion")]
    state.suspicions[suspicion.suspicion] = replace(suspicion, is_open=False)
