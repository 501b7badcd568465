"""What answers about what goes back to customers look like: credit notes, account credit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from api.representations import (
    TIME,
    MoneyRepresentation,
    Representation,
    to_representation_money,
)
from domain.period import time_text

if TYPE_CHECKING:
    from projections.queries.credit_notes import CreditNote
    from projections.queries.ledger import AccountCredit


class DrawnRepresentation(Representation):
    """What a line of a credit note comes back as: money first, then what promotions had paid."""

    money: MoneyRepresentation = Field(description="What of the amount comes back as money")
    money_tax: MoneyRepresentation = Field(description="The tax of that")
    promotion: MoneyRepresentation = Field(description="What of the amount promotions had paid")
    promotion_tax: MoneyRepresentation = Field(
        description="What of the tax they had paid as well; 0 where they came off before the tax"
    )


class CreditNoteLineRepresentation(Representation):
    """One line of a credit note."""

    line_id: str
    label: str
    amount: MoneyRepresentation = Field(description="As the invoice's line has it")
    tax: MoneyRepresentation
    drawn: DrawnRepresentation


class CreditNoteRepresentation(Representation):
    """What was taken back of an invoice."""

    credit_note: str
    number: str
    invoice: str
    customer: str
    net: MoneyRepresentation
    tax: MoneyRepresentation
    total: MoneyRepresentation
    promotion: MoneyRepresentation = Field(
        description="What of the total comes back as promotions; the rest is money"
    )
    to: str = Field(description="account_credit or refund: where what was paid goes")
    reason: str
    issued_at: str = Field(description=TIME)
    lines: list[CreditNoteLineRepresentation]


class CreditEntryRepresentation(Representation):
    """What came to a customer's account credit, or was drawn from it."""

    entry: str
    kind: str
    amount: MoneyRepresentation = Field(description="Below 0 when an invoice drew on it")
    balance: MoneyRepresentation
    reference: str
    reason: str
    booked_at: str = Field(description=TIME)


class AccountCreditRepresentation(Representation):
    """A customer's account credit, the newest entries first."""

    customer: str
    balance: MoneyRepresentation
    promotion: MoneyRepresentation = Field(
        description="What of the balance was given for nothing; no refund pays it out"
    )
    money: MoneyRepresentation = Field(
        description="What of the balance was paid, with its tax in it"
    )
    entries: list[CreditEntryRepresentation]


def to_representation_credit_note(note: CreditNote) -> CreditNoteRepresentation:
    """This function will show a credit note."""
    return CreditNoteRepresentation(
        credit_note=note.credit_note,
        number=note.number,
        invoice=note.invoice,
        customer=note.customer,
        net=to_representation_money(note.net),
        tax=to_representation_money(note.tax),
        total=to_representation_money(note.total),
        promotion=to_representation_money(note.promotion),
        to=note.paid_to,
        reason=note.reason,
        issued_at=time_text(note.issued_at),
        lines=[
            CreditNoteLineRepresentation(
                line_id=line.line,
                label=line.label,
                amount=to_representation_money(line.amount),
                tax=to_representation_money(line.tax),
                drawn=DrawnRepresentation(
                    money=to_representation_money(line.money),
                    money_tax=to_representation_money(line.money_tax),
                    promotion=to_representation_money(line.promotion),
                    promotion_tax=to_representation_money(line.promotion_tax),
                ),
            )
            for line in note.lines
        ],
    )


def to_representation_credit(customer: str, credit: AccountCredit) -> AccountCreditRepresentation:
    """This function will show a customer's account credit."""
    return AccountCreditRepresentation(
        customer=customer,
        balance=to_representation_money(credit.balance),
        promotion=to_representation_money(credit.promotion),
        money=to_representation_money(credit.money),
        entries=[
            CreditEntryRepresentation(
                entry=entry.entry,
                kind=entry.kind,
                amount=to_representation_money(entry.amount),
                balance=to_representation_money(entry.balance),
                reference=entry.reference,
                reason=entry.reason,
                booked_at=time_text(entry.booked_at),
            )
            for entry in credit.entries
        ],
    )
