"""Voiding: an invoice that should never have been is taken back whole, and its number stays.

It is for invoices on which nothing was built yet. For the others there are credit notes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from domain.books import exclusive_meters, held, items, subscriptions
from domain.books.account_credit import CreditKind, add_credit, balance, use_credit
from domain.books.decision import Decision
from domain.books.facts import Fact, fields_of_fact
from domain.books.invoices import entry_of, invoice_in
from domain.books.ledger import LedgerAccount, post_money
from domain.books.records import Command, fields_of_command
from domain.canonical import to_canonical_json
from domain.codes import Code
from domain.errors import Rejected
from domain.period import from_ms

if TYPE_CHECKING:
    from domain.books.billing_state import InvoiceEntry
    from domain.books.state import TenantState
    from domain.books.subscription import Subscription


def decide(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer VoidInvoice.

    Args:
        state: Books of the tenant.
        command: {invoice, reason}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        InvoiceVoided; MoneyPosted the other way round; what it moves of account credit; and
        SubscriptionChanged, with which the period can be billed again.

    Raises:
        Rejected: invoice_unknown, invoice_void, or invoice_not_voidable: it was paid, credited or
            corrected; something of it came back by a change or a correction; the account credit
            that it left was used; it is not the subscription's last one; or the subscription or an
            own price was changed since; meter_taken, when another subscription prices the usage of
            the period by now.
    """
    fields = fields_of_command(command, names=("invoice", "reason"))
    entry, reason = invoice_in(state, fields), fields.text("reason")
    before = _require_voidable(state, entry)
    decision = Decision(state, command, received_at_ms)
    decision.add(
        "InvoiceVoided",
        {
            "invoice": entry.invoice,
            "customer": entry.customer,
            "reason": reason,
            "items": [item.item for _, item in entry.items],
            "credit_minor": entry.credit_minor,
            "voided_at": decision.at,
        },
    )
    _give_back(decision, entry)
    if before is not None:
        decision.facts.append(
            subscriptions.changed(
                state=state,
                subscription=before,
                change={"kind": "reopened", "invoice": entry.invoice},
                at=from_ms(received_at_ms),
            )
        )
    return decision.made()


def _require_voidable(state: TenantState, entry: InvoiceEntry) -> Subscription | None:
    """Return the subscription as it was before the invoice; None for items alone."""
    why = ""
    if entry.paid_minor or entry.has_payments:
        why = "it was paid"
    elif entry.noted_minor or entry.is_corrected or held.came_back(state, entry):
        why = "it was credited or corrected, or some of it came back"
    elif balance(state, entry.customer).money_minor < entry.carry_minor:
        why = "the account credit that it left was used"
    if why:
        raise _refusal(entry, why)
    if not entry.subscription:
        return None
    last, before = state.billing.before_renewal.get(entry.subscription, ("", None))
    if before is None or last != entry.invoice:
        raise _refusal(
            entry, "it is not the subscription's last one, or an own price changed since"
        )
    now = state.subscriptions[entry.subscription]
    renewed = fields_of_fact(
        subscriptions.renewal(state=state, subscription=before, charged=now.charged)
    )
    if to_canonical_json(renewed.object("document").values) != now.document:
        raise _refusal(entry, "the subscription or the catalogue changed since")
    exclusive_meters.require_free(state=state, subscription=before, day=before.period.start)
    return before


def _refusal(entry: InvoiceEntry, why: str) -> Rejected:
    return Rejected(
        Code.INVOICE_NOT_VOIDABLE,
        f"invoice {entry.number} cannot be voided, {why}: write a credit note",
    )


def _give_back(decision: Decision, entry: InvoiceEntry) -> None:
    """Post the invoice the other way round."""
    credit = entry.credit_minor - entry.carry_minor
    post_money(
        decision,
        kind="void",
        customer=entry.customer,
        currency=entry.currency,
        reference=entry.invoice,
        legs=(
            (LedgerAccount.RECEIVABLE, -entry.total_minor),
            (LedgerAccount.ACCOUNT_CREDIT, -credit),
            (LedgerAccount.TAX, entry.tax_minor),
            (LedgerAccount.REVENUE, entry.total_minor + credit - entry.tax_minor),
        ),
        promotion_minor=-entry.promotion_minor,
    )
    use_credit(
        decision,
        invoice=entry.invoice,
        customer=entry.customer,
        currency=entry.currency,
        amount_minor=entry.carry_minor,
    )
    if entry.credit_minor:
        add_credit(
            decision,
            credit=decision.id_of("crd", "void", entry.invoice),
            customer=entry.customer,
            amount_minor=entry.credit_minor,
            currency=entry.currency,
            kind=CreditKind.VOID,
            reference=entry.invoice,
            reason="the invoice that used it was voided",
        )


def apply(*, state: TenantState, fact: Fact) -> None:
    """This function will take the invoice back; its items wait again, in their old places."""
    entry = entry_of(state, fields_of_fact(fact).text("invoice"))
    state.billing.invoices[entry.invoice] = structs.replace(entry, is_void=True, items=())
    held.move_items(state, entry, sign=-1)
    items.let_wait(state, customer=entry.customer, items=entry.items)
    state.billing.before_renewal.pop(entry.subscription, None)
