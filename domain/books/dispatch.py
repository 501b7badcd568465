"""Which book answers which command, and which one a fact moves; a new book is lines here."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Protocol

from domain.books import (
    account_credit,
    api_keys,
    approvals,
    baselines,
    catalogues,
    changes,
    charges,
    clocks,
    corrections,
    credit_notes,
    customers,
    deliverables,
    details,
    gain_shares,
    invoices,
    items,
    ledger,
    measurements,
    parking,
    payments,
    receipts,
    refunds,
    subscriptions,
    suspicions,
    top_ups,
    voids,
    wallets,
)
from domain.books.facts import NotedRefusal
from domain.codes import Code
from domain.errors import Fatal, Rejected

if TYPE_CHECKING:
    from domain.books.facts import Fact
    from domain.books.records import Command
    from domain.books.state import TenantState


class Decide(Protocol):
    """Turns a command into facts, or refuses it (Rejected); changes nothing."""

    def __call__(
        self, *, state: TenantState, command: Command, received_at_ms: int
    ) -> tuple[Fact, ...]:
        """Return what the command changes."""


class Apply(Protocol):
    """Moves the state by a fact; decides nothing."""

    def __call__(self, *, state: TenantState, fact: Fact) -> None:
        """Move the state."""


COMMANDS: dict[str, Decide] = {
    "PublishCatalogue": catalogues.decide,
    "CreateCustomer": customers.decide,
    "SetCustomerDetails": details.decide_set,
    "EraseCustomer": details.decide_erase,
    "ChangeCustomer": customers.decide_change,
    "SetPriceOverride": customers.decide_override,
    "CreateSubscription": subscriptions.decide,
    "ChangePlan": changes.decide_plan,
    "ChangeSeats": changes.decide_seats,
    "SetAddOn": changes.decide_add_on,
    "GrantDiscount": changes.decide_discount,
    "CancelSubscription": changes.decide_cancel,
    "UndoCancel": changes.decide_undo,
    "PauseSubscription": changes.decide_paused,
    "ResumeSubscription": changes.decide_resumed,
    "StartClock": clocks.decide_start,
    "AdvanceClock": clocks.decide_advance,
    "FinalizeInvoice": invoices.decide,
    "ParkInvoice": parking.decide_park,
    "ReleaseInvoice": parking.decide_release,
    "VoidInvoice": voids.decide,
    "CorrectInvoice": corrections.decide,
    "IssueCreditNote": credit_notes.decide,
    "RecordPayment": payments.decide_pay,
    "RecordRefund": payments.decide_refund,
    "MarkOverdue": payments.decide_overdue,
    "AddItem": items.decide_add,
    "RemoveItem": items.decide_remove,
    "GrantAccountCredit": account_credit.decide,
    "CreateApiKey": api_keys.decide_create,
    "RevokeApiKey": api_keys.decide_revoke,
    "TopUp": top_ups.decide,
    "GrantCredits": wallets.decide_grant,
    "TakeCredits": wallets.decide_take,
    "SetAutoApproval": wallets.decide_auto_approval,
    "ExpireCredits": wallets.decide_expire,
    "RequestCharge": charges.decide_request,
    "ApproveCharge": approvals.decide_approve,
    "DeclineCharge": charges.decide_decline,
    "ExpireCharge": charges.decide_expire,
    "WithdrawCharge": charges.decide_withdraw,
    "CaptureCharge": approvals.decide_capture,
    "ReleaseCharge": approvals.decide_release,
    "RefundCharge": refunds.decide,
    "RegisterDeliverable": deliverables.decide_register,
    "MarkDelivered": deliverables.decide_delivered,
    "FailDelivery": deliverables.decide_failed,
    "RaiseSuspicion": suspicions.decide_raise,
    "CloseSuspicion": suspicions.decide_close,
    "RecordBaseline": baselines.decide,
    "RecordMeasurement": measurements.decide,
    "RunGainShare": gain_shares.decide_run,
    "ApproveGainShare": gain_shares.decide_approve,
    "RejectGainShare": gain_shares.decide_reject,
}
FACTS: dict[str, Apply] = {
    "CataloguePublished": catalogues.apply,
    "CustomerCreated": customers.apply,
    "CustomerDetailsSet": details.apply_set,
    "CustomerErased": details.apply_erased,
    "CustomerChanged": customers.apply,
    "SubscriptionCreated": subscriptions.apply,
    "SubscriptionChanged": subscriptions.apply,
    "SubscriptionRenewed": subscriptions.apply,
    "ClockStarted": clocks.apply,
    "ClockAdvanced": clocks.apply,
    "InvoiceFinalized": invoices.apply_finalized,
    "InvoiceSkipped": invoices.apply_skipped,
    "InvoiceParked": parking.apply,
    "InvoiceReleased": parking.apply,
    "InvoiceVoided": voids.apply,
    "InvoiceCorrected": corrections.apply,
    "CreditNoteIssued": credit_notes.apply,
    "PaymentRecorded": payments.apply_payment,
    "RefundRecorded": payments.apply_refund,
    "InvoiceMarkedOverdue": payments.apply_overdue,
    "ItemAdded": items.apply_added,
    "ItemRemoved": items.apply_removed,
    "AccountCreditGranted": account_credit.apply_granted,
    "AccountCreditApplied": account_credit.apply_applied,
    "MoneyPosted": ledger.apply,
    "ApiKeyCreated": api_keys.apply_created,
    "ApiKeyRevoked": api_keys.apply_revoked,
    "WalletOpened": wallets.apply_opened,
    "CreditsPosted": wallets.apply_posted,
    "AutoApprovalSet": wallets.apply_auto_approval,
    "TopUpRefused": top_ups.apply_refused,
    "TransactionRecorded": wallets.apply_recorded,
    "ReceiptIssued": receipts.apply,
    "Notified": wallets.apply_recorded,
    "ChargeRequested": charges.apply_requested,
    "ChargeUnbilled": charges.apply_unbilled,
    "ChargeApproved": approvals.apply_approved,
    "ChargeFailed": approvals.apply_failed,
    "ChargeCaptured": approvals.apply_captured,
    "ChargeDeclined": charges.apply_declined,
    "ChargeExpired": charges.apply_expired,
    "ChargeWithdrawn": charges.apply_withdrawn,
    "ChargeRefunded": refunds.apply,
    "DeliverableRegistered": deliverables.apply_registered,
    "ChargeDelivered": deliverables.apply_delivered,
    "SuspicionRaised": suspicions.apply_raised,
    "SuspicionClosed": suspicions.apply_closed,
    "BaselineRecorded": baselines.apply,
    "MeasurementRecorded": measurements.apply,
    "GainShareCalculated": gain_shares.apply_calculated,
    "GainShareApproved": gain_shares.apply_approved,
    "GainShareRejected": gain_shares.apply_rejected,
}


def decide(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer a command from the books of its tenant.

    Args:
        state: Books of the command's tenant.
        command: The command.
        received_at_ms: Broker's append time, milliseconds since 1970 UTC; a test tenant's books
            take the time of its clock instead.

    Returns:
        What changes, in the order to apply it, and what is suspicious about it.

    Raises:
        Rejected: command_unknown, command_invalid, or the refusal of the book; a NotedRefusal with
            what is suspicious about it.
    """
    book = COMMANDS.get(command.kind)
    if book is None:
        raise Rejected(Code.COMMAND_UNKNOWN, f"there is no command {command.kind!r}")
    received_at_ms = state.now_ms(received_at_ms)
    raised_by = functools.partial(
        suspicions.raised_by, state=state, command=command, received_at_ms=received_at_ms
    )
    try:
        facts = book(state=state, command=command, received_at_ms=received_at_ms)
    except NotedRefusal as error:
        error.facts += raised_by(facts=error.facts)
        raise
    return facts + raised_by(facts=facts)


def apply(*, state: TenantState, fact: Fact) -> None:
    """This function will move the books of a tenant by a fact that was decided before.

    Raises:
        Fatal: state_corrupt, when the fact is unknown or malformed: it was written by a newer
            version or damaged.
    """
    try:
        _book_of(fact)(state=state, fact=fact)
    except Rejected as error:
        raise Fatal(
            Code.STATE_CORRUPT,
            f"a fact of the books cannot be applied: {error.reason}",
            next_step="Start the version that wrote account.facts, or one newer",
            tenant=state.tenant,
            kind=fact.kind,
        ) from error


def _book_of(fact: Fact) -> Apply:
    book = FACTS.get(fact.kind)
    if book is None:
        raise Rejected(Code.STATE_CORRUPT, f"there is no fact {fact.kind!r}")
    return book
