"""Projects account.facts: the books and the answers to commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.books.facts import fields_of_fact
from domain.codes import Code
from domain.errors import Fatal, Rejected
from domain.period import from_ms
from projections.books import (
    api_keys,
    catalogues,
    charges,
    clocks,
    corrections,
    credit_notes,
    customer_details,
    customers,
    gain_shares,
    invoices,
    items,
    ledger,
    outcomes,
    payments,
    records,
    subscriptions,
    wallets,
)
from projections.books.rows import Booking, Project
from projections.position import NO_HOUR
from projections.rejects import write_rejects
from schemas.command_wire import from_wire_books_facts
from schemas.topics import ACCOUNT_COMMANDS, ACCOUNT_FACTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

    from domain.books.facts import BooksFacts, Outcome
    from projections.position import Position
    from projections.span import Span

PROJECTIONS: dict[str, Project] = {
    "CataloguePublished": catalogues.project_published,
    "CustomerCreated": customers.project_created,
    "CustomerDetailsSet": customer_details.project_set,
    "CustomerErased": customer_details.project_erased,
    "CustomerChanged": customers.project_changed,
    "SubscriptionCreated": subscriptions.project,
    "SubscriptionChanged": subscriptions.project,
    "SubscriptionRenewed": subscriptions.project,
    "ClockStarted": clocks.project_started,
    "ClockAdvanced": clocks.project_advanced,
    "InvoiceFinalized": invoices.project_finalized,
    "InvoiceSkipped": invoices.project_skipped,
    "InvoiceParked": invoices.project_parked,
    "InvoiceReleased": invoices.project_released,
    "InvoiceVoided": invoices.project_voided,
    "InvoiceMarkedOverdue": invoices.project_overdue,
    "InvoiceCorrected": corrections.project_corrected,
    "CreditNoteIssued": credit_notes.project_issued,
    "ItemAdded": items.project_added,
    "ItemRemoved": items.project_removed,
    "MoneyPosted": ledger.project_posted,
    "AccountCreditGranted": ledger.project_granted,
    "AccountCreditApplied": ledger.project_applied,
    "PaymentRecorded": payments.project_recorded,
    "RefundRecorded": payments.project_refunded,
    "ApiKeyCreated": api_keys.project_created,
    "ApiKeyRevoked": api_keys.project_revoked,
    "WalletOpened": wallets.project_opened,
    "CreditsPosted": wallets.project_posted,
    "AutoApprovalSet": wallets.project_auto_approval,
    "TransactionRecorded": wallets.project_transaction,
    "ReceiptIssued": records.project_receipt,
    "Notified": records.project_notice,
    "SuspicionRaised": records.project_suspicion,
    "SuspicionClosed": records.project_suspicion_closed,
    "BaselineRecorded": gain_shares.project_baseline,
    "MeasurementRecorded": gain_shares.project_measurement,
    "GainShareCalculated": gain_shares.project_calculated,
    "GainShareApproved": gain_shares.project_approved,
    "GainShareRejected": gain_shares.project_rejected,
    "ChargeRequested": charges.project_requested,
    "ChargeApproved": charges.project_approved,
    "ChargeCaptured": charges.project_captured,
    "ChargeDelivered": charges.project_delivered,
    "ChargeDeclined": charges.project_declined,
    "ChargeExpired": charges.project_expired,
    "ChargeWithdrawn": charges.project_withdrawn,
    "ChargeRefunded": charges.project_refunded,
    "DeliverableRegistered": charges.project_deliverable,
    # What these say stands in the answer to their command, and in a failed transaction.
    "ChargeFailed": records.project_nothing,
    "ChargeUnbilled": records.project_nothing,
    "TopUpRefused": records.project_nothing,
}
"""Fact → what puts it into tables. A fact that nobody projects stops the projector: leaving it
out in silence would make the tables wrong for good."""


class AccountBinding:
    """Gives the engine what is special about the books."""

    topic = ACCOUNT_FACTS
    is_eager = True

    def decode(self, value: bytes | None) -> BooksFacts:
        """Read a facts record (Rejected when it is none)."""
        return from_wire_books_facts(value)

    def load_of(self, facts: BooksFacts) -> int:
        """Return about how many rows a record touches."""
        return sum(3 + len(each.facts) for each in facts.outcomes) + len(facts.rejects) + 1

    def hour_high_of(self, facts: BooksFacts) -> int:  # noqa: ARG002 -- the protocol's form
        """Return that the books have no windows."""
        return NO_HOUR

    def prepare(self, connection: psycopg.Connection) -> None:
        """Need nothing of a new connection."""

    def forget(self, positions: Mapping[int, Position]) -> None:
        """Have nothing to forget."""

    def write(
        self, connection: psycopg.Connection, spans: Mapping[int, Span[BooksFacts]]
    ) -> dict[str, int]:
        """Write spans, command by command in their order."""
        each = [(number, facts) for number, span in spans.items() for facts in span.facts]
        rows = {"command_outcome": 0}
        # Statements go out without waiting for each one's answer.
        with connection.pipeline():
            for partition, facts in each:
                for outcome in facts.outcomes:
                    outcomes.project_outcome(connection, outcome, partition=partition)
                    rows["command_outcome"] += 1
                    _project_facts(connection, outcome)
        rows["reject"] = write_rejects(
            connection,
            ((number, reject) for number, facts in each for reject in facts.rejects),
            topic=ACCOUNT_COMMANDS.name,
        )
        return rows


def _project_facts(connection: psycopg.Connection, outcome: Outcome) -> None:
    booked_at = from_ms(outcome.received_at_ms)
    for index, fact in enumerate(outcome.facts):
        project = PROJECTIONS.get(fact.kind)
        if project is None:
            raise Fatal(
                Code.STATE_CORRUPT,
                f"nothing projects the fact {fact.kind}",
                next_step="The fold that wrote it is newer: update the projector",
                offset=outcome.offset,
            )
        try:
            fields = fields_of_fact(fact)
            booking = Booking(outcome.tenant, fields, booked_at, outcome.offset, index)
            project(connection, booking)
        except Rejected as error:
            raise Fatal(
                Code.STATE_CORRUPT,
                f"the fact {fact.kind} of command offset {outcome.offset} is malformed: "
                f"{error.reason}",
                next_step="The fold that wrote it is newer, or the log is damaged: update the "
                "projector, or restore the topic",
                offset=outcome.offset,
            ) from error
