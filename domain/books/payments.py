"""The payment book: money that came in for invoices, and money that went back."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from domain.books.account_credit import (
    CreditKind,
    add_credit,
    amount_of,
    balance,
    require_currency,
    use_credit,
)
from domain.books.billing_state import InvoiceStatus, PaymentEntry
from domain.books.decision import Decision
from domain.books.facts import Fact, fields_of_fact, read_fact
from domain.books.invoice_checks import as_of_in
from domain.books.invoices import entry_of, invoice_in, require_new_ids
from domain.books.ledger import LedgerAccount, post_money
from domain.books.records import Command, fields_of_command
from domain.books.state import read_id
from domain.codes import Code
from domain.errors import Rejected
from domain.invoice import AMOUNT_MINOR_MAX
from domain.own_json import Int64, Minor, Name
from domain.period import time_text

if TYPE_CHECKING:
    from domain.books.billing_state import InvoiceEntry
    from domain.books.state import TenantState
    from domain.fields import Fields

OVERDUE_AFTER = timedelta(days=1)
"""An invoice can be paid on its due date to the last minute (X-72)."""


def decide_pay(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer RecordPayment.

    What is more than is open becomes account credit; what is less leaves the rest open.

    Args:
        state: Books of the tenant.
        command: {payment: pay_…, invoice, amount_minor: from 1, currency: the invoice's, method:
            for people, reference: what the payment is called elsewhere, may be absent, paid_at:
            the received time when absent, is_credit_allowed: whether more than is open is taken,
            yes when absent}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        PaymentRecorded, MoneyPosted and perhaps AccountCreditGranted.

    Raises:
        Rejected: payment_exists, invoice_unknown, invoice_void, currency_differs or
            payment_too_large.
    """
    names = (
        *("payment", "invoice", "amount_minor", "currency", "method", "reference", "paid_at"),
        "is_credit_allowed",
    )
    fields = fields_of_command(command, names=names)
    payment = read_id(fields, "payment", prefix="pay")
    if payment in state.billing.payments:
        raise Rejected(Code.PAYMENT_EXISTS, f"the payment id {payment} is taken")
    entry, amount = invoice_in(state, fields), amount_of(fields, "amount_minor")
    require_currency(entry.currency, fields)
    applied = min(amount, max(0, entry.open_minor))
    if amount > applied and not fields.boolean("is_credit_allowed", default=True):
        raise Rejected(
            Code.PAYMENT_TOO_LARGE,
            f"{applied} minor units of invoice {entry.number} are open; the rest would become "
            "account credit, which billing:admin may make",
        )
    after = structs.replace(entry, paid_minor=entry.paid_minor + applied)
    decision = Decision(state, command, received_at_ms)
    has_time = fields.values.get("paid_at") is not None
    decision.add(
        "PaymentRecorded",
        {
            "payment": payment,
            "invoice": entry.invoice,
            "customer": entry.customer,
            "currency": entry.currency,
            "amount_minor": amount,
            "method": fields.text("method"),
            "reference": fields.text("reference") if fields.values.get("reference") else "",
            "paid_at": time_text(fields.time("paid_at")) if has_time else decision.at,
            "applied_minor": applied,
            "to_credit_minor": amount - applied,
            "recorded_at": decision.at,
            "status": after.status,
            "paid_minor": after.paid_minor,
            "open_minor": after.open_minor,
        },
    )
    _post_payment(decision, entry, payment=payment, amount=amount, applied=applied)
    return decision.made()


def _post_payment(
    decision: Decision, entry: InvoiceEntry, *, payment: str, amount: int, applied: int
) -> None:
    """Post a payment, and give as account credit what is more than was open."""
    post_money(
        decision,
        kind="payment",
        customer=entry.customer,
        currency=entry.currency,
        reference=payment,
        legs=(
            (LedgerAccount.CASH, amount),
            (LedgerAccount.RECEIVABLE, -applied),
            (LedgerAccount.ACCOUNT_CREDIT, applied - amount),
        ),
    )
    if amount > applied:
        add_credit(
            decision,
            credit=decision.id_of("crd", "overpayment", payment),
            customer=entry.customer,
            amount_minor=amount - applied,
            currency=entry.currency,
            kind=CreditKind.OVERPAYMENT,
            reference=payment,
            reason="more was paid than was open",
        )


class _Said(Struct):
    """What the books keep of a payment."""

    payment: Name
    invoice: Name
    amount_minor: Minor
    to_credit_minor: Minor
    paid_minor: Int64


def apply_payment(*, state: TenantState, fact: Fact) -> None:
    """This function will count the payment for its invoice."""
    said = read_fact(_Said, fact)
    entry = entry_of(state, said.invoice)
    state.billing.payments[said.payment] = PaymentEntry(
        payment=said.payment,
        invoice=entry.invoice,
        customer=entry.customer,
        currency=entry.currency,
        amount_minor=said.amount_minor,
        to_credit_minor=said.to_credit_minor,
    )
    state.billing.invoices[entry.invoice] = structs.replace(
        entry, paid_minor=said.paid_minor, has_payments=True
    )


def decide_refund(
    *, state: TenantState, command: Command, received_at_ms: int
) -> tuple[Fact, ...]:
    """This function will answer RecordRefund: money of a payment went back to the customer.

    It is taken, in this order, 1. from what the invoice owes the customer, after a credit note to
    be refunded; 2. from the money in account credit, wherever it came from: an overpayment, a
    note, a cancellation; 3. from what the payment paid, which is open again then.

    Args:
        state: Books of the tenant.
        command: {refund: rfd_…, payment, amount_minor: from 1, reason}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        RefundRecorded, MoneyPosted and perhaps AccountCreditApplied.

    Raises:
        Rejected: refund_exists, payment_unknown, invoice_void or refund_too_large.
    """
    fields = fields_of_command(command, names=("refund", "payment", "amount_minor", "reason"))
    refund, amount = read_id(fields, "refund", prefix="rfd"), amount_of(fields, "amount_minor")
    require_new_ids(state, name=refund, code=Code.REFUND_EXISTS, what="refund")
    payment = state.billing.payments.get(fields.text("payment"))
    if payment is None:
        raise Rejected(Code.PAYMENT_UNKNOWN, f"there is no payment {fields.text('payment')!r}")
    entry = state.billing.invoices[payment.invoice]
    from_credit, from_invoice = _parts(state, payment, owed=-entry.open_minor, amount=amount)
    after = structs.replace(entry, paid_minor=entry.paid_minor - from_invoice)
    decision = Decision(state, command, received_at_ms)
    decision.add(
        "RefundRecorded",
        {
            "refund": refund,
            "payment": payment.payment,
            "invoice": entry.invoice,
            "customer": entry.customer,
            "currency": entry.currency,
            "amount_minor": amount,
            "from_credit_minor": from_credit,
            "reason": fields.text("reason"),
            "recorded_at": decision.at,
            "status": after.status,
            "paid_minor": after.paid_minor,
            "refunded_minor": payment.refunded_minor + amount,
            "open_minor": after.open_minor,
        },
    )
    post_money(
        decision,
        kind="refund",
        customer=entry.customer,
        currency=entry.currency,
        reference=refund,
        legs=(
            (LedgerAccount.RECEIVABLE, from_invoice),
            (LedgerAccount.ACCOUNT_CREDIT, from_credit),
            (LedgerAccount.CASH, -amount),
        ),
    )
    use_credit(
        decision,
        invoice=entry.invoice,
        customer=entry.customer,
        currency=entry.currency,
        amount_minor=from_credit,
    )
    return decision.made()


def _parts(
    state: TenantState, payment: PaymentEntry, *, owed: int, amount: int
) -> tuple[int, int]:
    """Return what of a refund comes from account credit, and what from the invoice."""
    left = payment.amount_minor - payment.refunded_minor
    if amount > left:
        raise Rejected(
            Code.REFUND_TOO_LARGE,
            f"of {payment.payment} {left} minor units can go back",
            param="amount_minor",
        )
    applied = payment.amount_minor - payment.to_credit_minor
    applied -= payment.refunded_minor - payment.refunded_credit_minor
    first = min(amount, max(0, owed), applied)
    from_credit = min(amount - first, balance(state, payment.customer).money_minor)
    if amount - from_credit > applied:
        raise Rejected(
            Code.REFUND_TOO_LARGE,
            f"the account credit that {payment.payment} left was used: "
            f"{applied + from_credit} minor units can go back",
            param="amount_minor",
        )
    return from_credit, amount - from_credit


def apply_refund(*, state: TenantState, fact: Fact) -> None:
    """This function will count the refund against its payment and invoice."""
    fields = fields_of_fact(fact)
    entry = entry_of(state, fields.text("invoice"))
    payment = state.billing.payments[fields.text("payment")]
    from_credit = _minor(fields, "from_credit_minor")
    state.billing.payments[payment.payment] = structs.replace(
        payment,
        refunded_minor=_minor(fields, "refunded_minor"),
        refunded_credit_minor=payment.refunded_credit_minor + from_credit,
    )
    state.billing.invoices[entry.invoice] = structs.replace(
        entry, paid_minor=_minor(fields, "paid_minor")
    )
    state.billing.ids.add(fields.text("refund"))


def decide_overdue(
    *, state: TenantState, command: Command, received_at_ms: int
) -> tuple[Fact, ...]:
    """This function will answer MarkOverdue.

    Args:
        state: Books of the tenant.
        command: {invoice, as_of: RFC 3339, from the day after the due date on}.
        received_at_ms: When the command was received; what is due goes by as_of.

    Returns:
        InvoiceMarkedOverdue; nothing when it is marked already.

    Raises:
        Rejected: invoice_unknown, invoice_void, invoice_settled or not_due.
    """
    fields = fields_of_command(command, names=("invoice", "as_of"))
    entry, as_of = invoice_in(state, fields), as_of_in(fields)
    if entry.open_minor <= 0:
        raise Rejected(Code.INVOICE_SETTLED, f"nothing of invoice {entry.number} is open")
    if as_of < entry.due_at + OVERDUE_AFTER:
        raise Rejected(
            Code.NOT_DUE, f"invoice {entry.number} is due on {entry.due_at.date().isoformat()}"
        )
    if entry.is_overdue:
        return ()
    decision = Decision(state, command, received_at_ms)
    decision.add(
        "InvoiceMarkedOverdue",
        {
            "invoice": entry.invoice,
            "customer": entry.customer,
            "as_of": time_text(as_of),
            "status": InvoiceStatus.OVERDUE,
        },
    )
    return decision.made()


def apply_overdue(*, state: TenantState, fact: Fact) -> None:
    """This function will note that the invoice is overdue."""
    entry = entry_of(state, fields_of_fact(fact).text("invoice"))
    state.billing.invoices[entry.invoice] = structs.replace(entry, is_overdue=True)


def _minor(fields: Fields, name: str) -> int:
    return fields.integer(name, minimum=-AMOUNT_MINOR_MAX, maximum=AMOUNT_MINOR_MAX)
