"""What the books keep of invoices, items, account credit, payments and credit notes.

Of an invoice only what later decisions need is kept, not its content: 20,000 subscriptions make
240,000 invoices a year, about 1 KiB each here. Amounts of lines lie in packed int64.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar, cast

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from domain.books.subscription import Subscription
    from domain.credit_balance import CreditBalance
    from domain.invoice_terms import InvoiceKind, Item


T = TypeVar("T")


class InvoiceStatus(StrEnum):
    """Where an invoice stands; void goes before paid, paid before overdue."""

    FINAL = "final"
    PAID = "paid"
    OVERDUE = "overdue"
    VOID = "void"


def packed(amounts: Iterable[int]) -> bytes:
    """This function will pack amounts of at most 64 bits; unpacked reads them back."""
    return array("q", amounts).tobytes()


def unpacked(amounts: bytes) -> list[int]:
    """This function will return the amounts that packed wrote."""
    return array("q", amounts).tolist()


class InvoiceEntry(Struct, frozen=True, gc=False, array_like=True):
    """A numbered invoice.

    Args:
        invoice: Id, inv_….
        number: Its number.
        kind: What it is for.
        seller: Key of the legal entity.
        subscription: Subscription billed; empty for items alone.
        customer: Who pays.
        currency: ISO 4217 code.
        issued_at: Issue date, an as_of.
        due_at: 00:00 UTC of the last day on which it is not overdue.
        scale: Decimal places of the lines' amounts.
        total_minor: What was to pay.
        credit_minor: Account credit that was used.
        promotion_minor: What of it was promotions.
        carry_minor: What became account credit.
        tax_minor: All taxes, minor units.
        terms_sha256: Hash of its terms, 32 bytes: a correction has the same.
        lines: Ids of its lines.
        nets: Their net amounts as invoiced, packed.
        taxes: Their taxes, packed.
        in_prices: Which of them have their tax in the price: a byte each, 1 for yes.
        credited: What promotions took off each before its tax, packed.
        effective: Net amounts after corrections, packed.
        positions: usage.events positions of the newest pin.
        items: (sequence, item) of what it took along.
        paid_minor: Payments that count for it, less their refunds.
        credited_minor: Credit notes that lowered what is to pay.
        noted_minor: All credit notes, whatever became of them.
        has_payments: Whether any payment was recorded, also one that went back.
        is_corrected: Whether a correction changed a line.
        is_void: Whether it was voided.
        is_overdue: Whether it was marked overdue.
    """

    invoice: str
    number: str
    kind: InvoiceKind
    seller: str
    subscription: str
    customer: str
    currency: str
    issued_at: datetime
    due_at: datetime
    scale: int
    total_minor: int
    credit_minor: int
    promotion_minor: int
    carry_minor: int
    tax_minor: int
    terms_sha256: bytes
    lines: tuple[str, ...]
    nets: bytes
    taxes: bytes
    in_prices: bytes
    credited: bytes
    effective: bytes
    positions: tuple[int, ...]
    items: tuple[tuple[int, Item], ...] = ()
    paid_minor: int = 0
    credited_minor: int = 0
    noted_minor: int = 0
    has_payments: bool = False
    is_corrected: bool = False
    is_void: bool = False
    is_overdue: bool = False

    @property
    def open_minor(self) -> int:
        """Return what is still to pay; below 0 when money is to go back."""
        if self.is_void:
            return 0
        return self.total_minor - self.paid_minor - self.credited_minor

    @property
    def status(self) -> InvoiceStatus:
        """Return where it stands; with nothing open it is paid, from its start when it is of 0."""
        if self.is_void:
            return InvoiceStatus.VOID
        if self.open_minor <= 0:
            return InvoiceStatus.PAID
        return InvoiceStatus.OVERDUE if self.is_overdue else InvoiceStatus.FINAL


class PaymentEntry(Struct, frozen=True, gc=False, array_like=True):
    """A payment that was recorded.

    Args:
        payment: Id, pay_….
        invoice: Invoice it is for.
        customer: Who paid.
        currency: ISO 4217 code.
        amount_minor: All of it.
        to_credit_minor: What was more than was open, and became account credit.
        refunded_minor: What went back, all together.
        refunded_credit_minor: What of that was taken from account credit.
    """

    payment: str
    invoice: str
    customer: str
    currency: str
    amount_minor: int
    to_credit_minor: int
    refunded_minor: int = 0
    refunded_credit_minor: int = 0


@dataclass(frozen=True, slots=True)
class Noted:
    """What credit notes took from a line so far, minor units.

    Args:
        amount_minor: All of it, as the line has its amount.
        tax_minor: Its tax.
        by_correction_minor: What of the amount corrections took; it is in the effective amount.
        elsewhere_minor: What was taken from lines of other invoices that correct this one.
    """

    amount_minor: int = 0
    tax_minor: int = 0
    by_correction_minor: int = 0
    elsewhere_minor: int = 0

    @property
    def given_minor(self) -> int:
        """Return what was given back for other reasons than a correction."""
        return self.amount_minor - self.by_correction_minor + self.elsewhere_minor


NOTHING_NOTED = Noted()


@dataclass(frozen=True, slots=True)
class HeldLine:
    """What was charged of a line and has not come back, in units of its invoice's scale.

    Args:
        money: Net amount that was charged in money.
        money_tax: Its tax.
        promotion: Net amount that promotions paid.
        promotion_tax: Tax that they paid as well, where they come off after it.
    """

    money: int = 0
    money_tax: int = 0
    promotion: int = 0
    promotion_tax: int = 0

    @property
    def net(self) -> int:
        """Return the net amount that can come back."""
        return max(0, self.money) + max(0, self.promotion)


@dataclass(slots=True)
class BillingState:
    """The part of a tenant's books that is about invoices and money.

    Args:
        invoices: By id; void ones stay.
        skipped: Of periods that came to nothing and have no invoice, by the id that it would have
            had; there to be corrected.
        numbers: Last number given out, by prefix and year of issue.
        waiting: Items that wait for an invoice, by customer: (sequence, item) in its order.
        waits_for: Customer by item that waits.
        items_added: Items so far; gives each its place in the order.
        ids: Every id of an item, credit, credit note, correction and refund; kept for good.
        credit: Account credit by customer; moved by postings alone.
        payments: By id.
        noted: What credit notes took from a line, in minor units, by invoice and line.
        held: How lines stand of which something came back, or was asked for again, by invoice and
            line; all others stand as they were charged (domain.books.held).
        before_renewal: Of each subscription its last invoice and itself as it was before it, so
            that a void invoice gives the period back.
        shared: Equal values that many invoices have, kept once; saves memory and says nothing.
    """

    invoices: dict[str, InvoiceEntry] = field(default_factory=dict)
    skipped: dict[str, InvoiceEntry] = field(default_factory=dict)
    numbers: dict[tuple[str, int], int] = field(default_factory=dict)
    waiting: dict[str, tuple[tuple[int, Item], ...]] = field(default_factory=dict)
    waits_for: dict[str, str] = field(default_factory=dict)
    items_added: int = 0
    ids: set[str] = field(default_factory=set)
    credit: dict[str, CreditBalance] = field(default_factory=dict)
    payments: dict[str, PaymentEntry] = field(default_factory=dict)
    noted: dict[tuple[str, str], Noted] = field(default_factory=dict)
    held: dict[tuple[str, str], HeldLine] = field(default_factory=dict)
    before_renewal: dict[str, tuple[str, Subscription]] = field(default_factory=dict)
    shared: dict[object, object] = field(default_factory=dict, compare=False)

    def found(self, invoice: str) -> InvoiceEntry | None:
        """Return an invoice, numbered or skipped; None for none."""
        return self.invoices.get(invoice) or self.skipped.get(invoice)

    def once(self, value: T) -> T:
        """Return an equal value that is kept already, or this one from now on."""
        return cast("T", self.shared.setdefault((type(value), value), value))
