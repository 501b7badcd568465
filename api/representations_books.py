"""What wallets, charges, receipts, notices and suspicions look like in answers."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from api.representations import (
    TIME,
    MoneyRepresentation,
    Representation,
    to_representation_money,
)
from domain.canonical import to_canonical_json
from domain.period import time_text
from projections.queries.charges import Charge, Deliverable
from projections.queries.notifications import Notification
from projections.queries.receipts import Receipt
from projections.queries.suspicions import Suspicion
from projections.queries.wallets import Grant, Posting, Transaction, Wallet

NULL_TIME = f"{TIME}; null while it has not happened"


class CoverRepresentation(Representation):
    """One generation of one tier; no pair is ever charged twice."""

    tier: str
    generation: int


class ChargeRepresentation(Representation):
    """What the books made of a detection; its id is the detection's id."""

    charge: str
    customer: str
    project: str | None
    node: str | None = Field(description="The node that is a project of its own; else null")
    tier: str
    name: str
    generation: int
    covers: list[CoverRepresentation]
    credits: int
    price: MoneyRepresentation
    delivers: list[str]
    evidence: str = Field(description="Canonical JSON: per covered tier its node and where it is")
    rule_version: int
    rule_sha256: str
    status: str = Field(
        description="requested, approved, captured, delivered, declined, expired, withdrawn or "
        "refunded"
    )
    requested_at: str = Field(description=TIME)
    expires_at: str = Field(description=f"{TIME}; from then on it can no longer be approved")
    approved_at: str | None = Field(description=NULL_TIME)
    approved_by: str | None = Field(description="`auto` for the customer's own limit")
    captured_at: str | None = Field(description=NULL_TIME)
    delivered_at: str | None = Field(description=NULL_TIME)
    ended_at: str | None = Field(description=NULL_TIME)
    end_reason: str | None
    refunded_credits: int
    refunded: MoneyRepresentation
    transaction: str | None
    receipt: str | None = Field(description="Number of its receipt, once captured")


class DeliverableRepresentation(Representation):
    """A reference to what a charge gives; its bytes are elsewhere."""

    name: str
    kind: str
    uri: str
    sha256: str = Field(description="SHA-256 of its bytes, 64 hex digits")
    bytes: int
    registered_at: str = Field(description=TIME)


class GrantRepresentation(Representation):
    """Credits of one origin that are not used up."""

    grant: str
    kind: str
    priority: int = Field(description="Smaller burns first")
    expires_at: str | None = Field(description=f"{TIME}; null for never")
    credits: int = Field(description="What it began with")
    available: int
    held: int


class WalletRepresentation(Representation):
    """A customer's wallet."""

    customer: str
    available: int = Field(description="Credits that can be spent")
    held: int = Field(description="Credits that approved charges hold")
    total_spent: MoneyRepresentation
    auto_approval_credits: int = Field(description="Charges up to this approve themselves; 0: off")
    opened_at: str = Field(description=TIME)
    grants: list[GrantRepresentation] = Field(description="In the order in which they burn")


class LegRepresentation(Representation):
    """One line of a posting."""

    account: str
    grant: str | None
    credits: int = Field(description="By how much the account changes")


class PostingRepresentation(Representation):
    """One movement of credits; its legs add up to 0."""

    posting: str
    kind: str
    reference: str
    available: int = Field(description="Balance after it")
    held: int
    legs: list[LegRepresentation]
    booked_at: str = Field(description=TIME)


class TransactionRepresentation(Representation):
    """One deal with a customer."""

    transaction: str
    kind: str = Field(description="charge, top_up, refund or adjustment")
    customer: str
    charge: str | None
    reference: str
    credits: int
    amount: MoneyRepresentation
    status: str = Field(description="pending, completed, failed or refunded")
    receipt: str | None
    payment_reference: str | None
    code: str | None = Field(description="Why it failed")
    reason: str | None
    actor: str
    recorded_at: str = Field(description=TIME)
    changed_at: str = Field(description=TIME)


class ReceiptRepresentation(Representation):
    """One receipt."""

    receipt: str
    kind: str
    customer: str
    transaction: str
    content: str = Field(description="Canonical JSON of everything on it, byte for byte")
    content_sha256: str
    issued_at: str = Field(description=TIME)


class NotificationRepresentation(Representation):
    """One notice to a customer."""

    notification: str
    customer: str
    kind: str
    charge: str | None
    title: str
    body: str
    booked_at: str = Field(description=TIME)


class SuspicionRepresentation(Representation):
    """What looked like misuse, and what an admin made of it."""

    suspicion: str
    customer: str
    rule: str
    detail: str
    raised_at: str = Field(description=TIME)
    is_open: bool
    closed_at: str | None = Field(description=NULL_TIME)
    closed_by: str | None
    note: str | None


def to_representation_charge(charge: Charge) -> ChargeRepresentation:
    """This function will show a charge."""
    return ChargeRepresentation(
        charge=charge.charge,
        customer=charge.customer,
        project=charge.project or None,
        node=charge.lone_node or None,
        tier=charge.tier,
        name=charge.name,
        generation=charge.generation,
        covers=[CoverRepresentation(tier=tier, generation=count) for tier, count in charge.covers],
        credits=charge.credits,
        price=to_representation_money(charge.price),
        delivers=list(charge.delivers),
        evidence=to_canonical_json([dict(item) for item in charge.evidence]),
        rule_version=charge.rule_version,
        rule_sha256=charge.rule_sha256,
        status=charge.status,
        requested_at=time_text(charge.requested_at),
        expires_at=time_text(charge.expires_at),
        approved_at=time_or_none(charge.approved_at),
        approved_by=charge.approved_by or None,
        captured_at=time_or_none(charge.captured_at),
        delivered_at=time_or_none(charge.delivered_at),
        ended_at=time_or_none(charge.ended_at),
        end_reason=charge.end_reason or None,
        refunded_credits=charge.refunded_credits,
        refunded=to_representation_money(charge.refunded),
        transaction=charge.transaction or None,
        receipt=charge.receipt or None,
    )


def time_or_none(moment: datetime | None) -> str | None:
    """This function will show a time that may not have come."""
    return None if moment is None else time_text(moment)


def to_representation_deliverable(deliverable: Deliverable) -> DeliverableRepresentation:
    """This function will show a deliverable."""
    return DeliverableRepresentation(
        name=deliverable.name,
        kind=deliverable.kind,
        uri=deliverable.uri,
        sha256=deliverable.sha256,
        bytes=deliverable.size_bytes,
        registered_at=time_text(deliverable.registered_at),
    )


def to_representation_wallet(wallet: Wallet) -> WalletRepresentation:
    """This function will show a wallet."""
    return WalletRepresentation(
        customer=wallet.customer,
        available=wallet.available,
        held=wallet.held,
        total_spent=to_representation_money(wallet.total_spent),
        auto_approval_credits=wallet.auto_approval_credits,
        opened_at=time_text(wallet.opened_at),
        grants=[_grant(grant) for grant in wallet.grants],
    )


def _grant(grant: Grant) -> GrantRepresentation:
    return GrantRepresentation(
        grant=grant.grant,
        kind=grant.kind,
        priority=grant.priority,
        expires_at=time_or_none(grant.expires_at),
        credits=grant.credits,
        available=grant.available,
        held=grant.held,
    )


def to_representation_posting(posting: Posting) -> PostingRepresentation:
    """This function will show a posting."""
    return PostingRepresentation(
        posting=posting.posting,
        kind=posting.kind,
        reference=posting.reference,
        available=posting.available,
        held=posting.held,
        legs=[
            LegRepresentation(account=leg.account, grant=leg.grant or None, credits=leg.credits)
            for leg in posting.legs
        ],
        booked_at=time_text(posting.booked_at),
    )


def to_representation_transaction(transaction: Transaction) -> TransactionRepresentation:
    """This function will show a transaction."""
    return TransactionRepresentation(
        transaction=transaction.transaction,
        kind=transaction.kind,
        customer=transaction.customer,
        charge=transaction.charge or None,
        reference=transaction.reference,
        credits=transaction.credits,
        amount=to_representation_money(transaction.amount),
        status=transaction.status,
        receipt=transaction.receipt or None,
        payment_reference=transaction.payment_reference or None,
        code=transaction.code or None,
        reason=transaction.reason or None,
        actor=transaction.actor,
        recorded_at=time_text(transaction.recorded_at),
        changed_at=time_text(transaction.changed_at),
    )


def to_representation_receipt(receipt: Receipt) -> ReceiptRepresentation:
    """This function will show a receipt."""
    return ReceiptRepresentation(
        receipt=receipt.receipt,
        kind=receipt.kind,
        customer=receipt.customer,
        transaction=receipt.transaction,
        content=receipt.content,
        content_sha256=receipt.content_sha256,
        issued_at=time_text(receipt.issued_at),
    )


def to_representation_notification(notification: Notification) -> NotificationRepresentation:
    """This function will show a notice."""
    return NotificationRepresentation(
        notification=notification.notification,
        customer=notification.customer,
        kind=notification.kind,
        charge=notification.charge or None,
        title=notification.title,
        body=notification.body,
        booked_at=time_text(notification.booked_at),
    )


def to_representation_suspicion(suspicion: Suspicion) -> SuspicionRepresentation:
    """This function will show a suspicion."""
    return SuspicionRepresentation(
        suspicion=suspicion.suspicion,
        customer=suspicion.customer,
        rule=suspicion.rule,
        detail=suspicion.detail,
        raised_at=time_text(suspicion.raised_at),
        is_open=suspicion.is_open,
        closed_at=time_or_none(suspicion.closed_at),
        closed_by=suspicion.closed_by or None,
        note=suspicion.note or None,
    )
