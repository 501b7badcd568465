"""What the facts of one fold wish of another: charges, withdrawals, suspicions, settlements.

Policies send these when they read the facts, the sweep when it finds that a policy missed some. An
id follows from what a wish is about, and so does its body: whoever sends it, and however often,
it is the same wish, and takes effect once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, assert_never

from domain.books.facts import fields_of_fact
from domain.books.records import Command
from domain.canonical import Json, to_canonical_json
from domain.derived_ids import derived_id
from domain.emergence.facts import Detected, Ended, ProjectKey, Suspected
from domain.emergence.records import DetectionSettled, Settlement
from domain.period import from_ms, time_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from domain.books.facts import BooksFacts, Fact
    from domain.emergence.facts import EmergenceFacts, Evidence
    from domain.fields import Fields

SETTLEMENTS: dict[str, Settlement] = {
    "ChargeCaptured": Settlement.CHARGED,
    "ChargeDeclined": Settlement.DECLINED,
    "ChargeExpired": Settlement.EXPIRED,
    "ChargeRefunded": Settlement.REFUNDED,
    "ChargeUnbilled": Settlement.UNBILLED,
}
"""Fact → what became of the detection. A withdrawn charge is not among them: the fold itself asked
for it; a partial refund neither, for the tier stays paid."""


class Withdrawal(NamedTuple):
    """A detection that ended, so that its charge is to be withdrawn.

    Args:
        tenant: Whose.
        detection: The detection, which is the charge too.
        how: How it ended: a value of emergence.facts.How.
        by: Detection that took its place; else empty.
        reason: For people.
    """

    tenant: str
    detection: str
    how: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class SettledCharge:
    """A charge that the books are done with, as tables have it.

    Args:
        key: Its project.
        charge: The charge, which is the detection too.
        status: captured, delivered, declined, expired or refunded.
        captured_at_ms: When it was paid, milliseconds since 1970 UTC; 0 when it never was.
        ended_at_ms: When it was declined, expired or refunded in full; 0 for none of them.
        is_charge_told: Whether the emergence fold knows that it was paid.
    """

    key: ProjectKey
    charge: str
    status: str
    captured_at_ms: int
    ended_at_ms: int
    is_charge_told: bool


# ── of the books ────────────────────────────────────────────────────────────────────────────────


def commands_of(facts: EmergenceFacts) -> list[Command]:
    """This function will say what the books are asked after a facts record, in source order."""
    return [_command(event) for event in facts.events]


def request(event: Detected) -> Command:
    """This function will ask for a detection's charge; the charge's id is the detection's."""
    tenant = event.key.tenant
    body: dict[str, Json] = {
        "charge": event.detection,
        "customer": event.customer,
        "project": event.key.project,
        "lone_node": event.key.lone_node,
        "tier": event.code,
        "name": event.name,
        "generation": event.generation,
        "covers": [[cover.code, cover.claim] for cover in event.covers],
        "credits": event.credits,
        "price_minor": event.price_minor,
        "currency": event.currency,
        "delivers": list(event.delivers),
        "evidence": [_evidence(item) for item in event.evidence],
        "rule_version": event.rule_version,
        "rule_sha256": event.rule_sha256,
        "detected_at": time_text(from_ms(event.detected_at_ms)),
    }
    return _new(tenant, "RequestCharge", body, event.detection)


def withdrawal(ended: Withdrawal) -> Command:
    """This function will ask for the withdrawal of an ended detection's charge."""
    return _new(
        ended.tenant, "WithdrawCharge", _withdrawal_body(ended), ended.detection, ended.how
    )


def late_withdrawal(ended: Withdrawal) -> Command:
    """This function will ask for it with another id.

    The books may have answered the first one before they had the charge: the request had been
    missed. A refusal is for good, so this needs an id of its own.
    """
    return _new(
        *(ended.tenant, "WithdrawCharge", _withdrawal_body(ended)),
        *(ended.detection, ended.how, "after its request"),
    )


def _command(event: Detected | Ended | Suspected) -> Command:
    tenant = event.key.tenant
    match event:
        case Detected():
            return request(event)
        case Ended():
            return withdrawal(
                Withdrawal(tenant, event.detection, event.how.value, event.by, event.reason)
            )
        case Suspected():
            body: dict[str, Json] = {
                "suspicion": event.suspicion,
                "customer": event.customer,
                "rule": event.rule,
                "detail": event.detail,
            }
            return _new(tenant, "RaiseSuspicion", body, event.suspicion)
        case _:
            assert_never(event)


def _new(tenant: str, kind: str, body: dict[str, Json], *about: str) -> Command:
    return Command(tenant, derived_id("cmd", tenant, kind, *about), kind, to_canonical_json(body))


def _withdrawal_body(ended: Withdrawal) -> dict[str, Json]:
    return {
        "charge": ended.detection,
        "how": ended.how,
        "by": ended.by,
        "reason": ended.reason,
    }


def _evidence(item: Evidence) -> dict[str, Json]:
    return {
        "tier": item.tier,
        "node": item.node,
        "partition": item.partition,
        "offset": item.offset,
        "data_sha256": item.data_sha256,
        "values": dict(item.values),
        "pulses": dict(item.pulses),
    }


# ── of the emergence fold ───────────────────────────────────────────────────────────────────────


def settlements_of(facts: BooksFacts) -> list[DetectionSettled]:
    """This function will say what a facts record of the books means for detections.

    Raises:
        Rejected: state_corrupt, for a fact that is malformed.
    """
    return [
        settled
        for outcome in facts.outcomes
        for settled in settlements_of_answer(
            outcome.facts, tenant=outcome.tenant, received_at_ms=outcome.received_at_ms
        )
    ]


def settlements_of_answer(
    facts: Iterable[Fact], *, tenant: str, received_at_ms: int
) -> list[DetectionSettled]:
    """This function will say what the answer to one command means for detections.

    Args:
        facts: The answer's facts.
        tenant: Whose books.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Raises:
        Rejected: state_corrupt, for a fact that is malformed.
    """
    return [settled for fact in facts for settled in _settlements(fact, tenant, received_at_ms)]


def settlements_of_charge(charge: SettledCharge) -> list[DetectionSettled]:
    """This function will say what the emergence fold is to hear of a charge, in order.

    A refund comes after the charge that it gives back, as the books said it.
    """
    match charge.status:
        case "captured" | "delivered":
            steps = [(Settlement.CHARGED, charge.captured_at_ms)]
        case "declined":
            steps = [(Settlement.DECLINED, charge.ended_at_ms)]
        case "expired":
            steps = [(Settlement.EXPIRED, charge.ended_at_ms)]
        case "refunded":
            steps = [
                (Settlement.CHARGED, charge.captured_at_ms),
                (Settlement.REFUNDED, charge.ended_at_ms),
            ]
        case _:
            steps = []
    return [
        DetectionSettled(*charge.key, charge.charge, status.value, at_ms)
        for status, at_ms in steps
        if not (status is Settlement.CHARGED and charge.is_charge_told)
    ]


def _settlements(fact: Fact, tenant: str, received_at_ms: int) -> Iterator[DetectionSettled]:
    how = SETTLEMENTS.get(fact.kind)
    if how is None:
        return
    fields = fields_of_fact(fact)
    if how is Settlement.REFUNDED and not fields.boolean("is_full"):
        return
    yield DetectionSettled(
        tenant=tenant,
        project=_text(fields, "project"),
        lone_node=_text(fields, "lone_node"),
        detection=fields.text("charge"),
        status=how.value,
        settled_at_ms=received_at_ms,
    )


def _text(fields: Fields, name: str) -> str:
    """Return a text that may be empty."""
    return fields.text(name) if fields.values.get(name) else ""
