"""The delivery book: what a charge gives, and whether it could be handed over (S0-34)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from domain.books import refunds
from domain.books.approvals import require_status
from domain.books.charge import ChargeStatus
from domain.books.decision import Decision
from domain.books.facts import Fact, fields_of_fact
from domain.books.records import Command, fields_of_command
from domain.books.state import charge_of
from domain.codes import Code
from domain.errors import Rejected
from domain.fields import is_clean_text
from domain.invoice import hash_text

if TYPE_CHECKING:
    from domain.books.state import TenantState
    from domain.canonical import Json
    from domain.fields import Fields

DELIVERABLES_MAX = 100
"""Deliverables of one charge: a page shows them all at once."""
URI_LENGTH_MAX = 1_000
"""Characters of a reference; longer ones are signed links, which expire and do not belong here."""
SIZE_BYTES_MAX = 2**50
_DELIVERABLE = ("name", "kind", "uri", "sha256", "bytes")


def decide_register(
    *, state: TenantState, command: Command, received_at_ms: int
) -> tuple[Fact, ...]:
    """This function will answer RegisterDeliverable: where something lies, and its hash.

    It may come at any time, before the approval too; readers see it after the capture only.

    Args:
        state: Books of the tenant.
        command: {charge, deliverable: {name, kind, uri, sha256: 64 hex digits, bytes}}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        DeliverableRegistered; nothing when the same content was registered under the name.

    Raises:
        Rejected: charge_unknown, deliverable_differs or deliverable_limit.
    """
    fields = fields_of_command(command, names=("charge", "deliverable"))
    charge = charge_of(state, fields)
    item = fields.object("deliverable")
    item.only(_DELIVERABLE)
    name, sha256 = item.text("name"), hash_text(item, "sha256")
    body: dict[str, Json] = {
        "name": name,
        "kind": item.text("kind"),
        "uri": _uri(item),
        "sha256": sha256,
        "bytes": item.integer("bytes", minimum=0, maximum=SIZE_BYTES_MAX),
    }
    known = dict(charge.deliverables)
    if known.get(name) == sha256:
        return ()
    if name in known:
        raise Rejected(
            Code.DELIVERABLE_DIFFERS, f"{name!r} was registered with hash {known[name]}"
        )
    if len(known) >= DELIVERABLES_MAX:
        raise Rejected(
            Code.DELIVERABLE_LIMIT, f"a charge has at most {DELIVERABLES_MAX} deliverables"
        )
    decision = Decision(state, command, received_at_ms)
    decision.add("DeliverableRegistered", {**charge.head(), **body, "at": decision.at})
    return decision.made()


def _uri(fields: Fields) -> str:
    uri = fields.document("uri")
    if not is_clean_text(uri, length_max=URI_LENGTH_MAX):
        raise fields.refuse("uri", f"must be text of 1 to {URI_LENGTH_MAX} printable characters")
    return uri


def decide_delivered(
    *, state: TenantState, command: Command, received_at_ms: int
) -> tuple[Fact, ...]:
    """This function will answer MarkDelivered.

    Args:
        state: Books of the tenant.
        command: {charge}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        ChargeDelivered and Notified; nothing when it was delivered before.

    Raises:
        Rejected: charge_unknown or charge_not_captured.
    """
    charge = charge_of(state, fields_of_command(command, names=("charge",)))
    if charge.status is ChargeStatus.DELIVERED:
        return ()
    require_status(charge, (ChargeStatus.CAPTURED,), code=Code.CHARGE_NOT_CAPTURED)
    decision = Decision(state, command, received_at_ms)
    decision.use_wallet(charge.customer)
    decision.add("ChargeDelivered", {**charge.head(), "delivered_at": decision.at})
    names = ", ".join(sorted(name for name, _ in charge.deliverables)) or "nothing registered"
    decision.notify(
        kind="delivered",
        charge=charge.charge,
        title=f"{charge.name} is delivered",
        body=f"Ready to fetch: {names}.",
    )
    return decision.made()


def decide_failed(
    *, state: TenantState, command: Command, received_at_ms: int
) -> tuple[Fact, ...]:
    """This function will answer FailDelivery: what was paid for could not be made (S0-66).

    Args:
        state: Books of the tenant.
        command: {charge, reason}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        What a refund of all that is left gives.

    Raises:
        Rejected: charge_unknown or charge_not_captured, also for one that was delivered.
    """
    fields = fields_of_command(command, names=("charge", "reason"))
    charge = charge_of(state, fields)
    reason = fields.text("reason")
    require_status(charge, (ChargeStatus.CAPTURED,), code=Code.CHARGE_NOT_CAPTURED)
    decision = Decision(state, command, received_at_ms)
    decision.use_wallet(charge.customer)
    left = charge.credits - charge.refunded_credits
    refunds.refund(decision, charge, quantity=left, reason=reason)
    return decision.made()


def apply_registered(*, state: TenantState, fact: Fact) -> None:
    """This function will keep name and hash."""
    fields = fields_of_fact(fact)
    charge = charge_of(state, fields)
    entry = (fields.text("name"), fields.text("sha256"))
    state.charges[charge.charge] = replace(charge, deliverables=(*charge.deliverables, entry))


def apply_delivered(*, state: TenantState, fact: Fact) -> None:
    """This function will mark the charge as delivered."""
    charge = charge_of(state, fields_of_fact(fact))
    state.charges[charge.charge] = replace(charge, status=ChargeStatus.DELIVERED)
