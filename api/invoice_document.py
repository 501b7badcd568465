"""What a document says besides an invoice's content: numbers, dates, who sells and who buys."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from domain.billing_terms import Seller
from domain.invoice import InvoiceContent


class DocumentStatus(StrEnum):
    """Where the invoice of a document stands."""

    DRAFT = "draft"
    FINAL = "final"
    PAID = "paid"
    OVERDUE = "overdue"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class BuyerDetails:
    """Who buys, as far as it may be shown; texts are empty where nothing is known.

    Args:
        customer: The customer's id, which stands where there is no name.
        name: Name of a person or a firm.
        address: Lines of the address, without city and country.
        city: City.
        region: State or province.
        postal_code: Postal code.
        country: ISO 3166-1 alpha-2 code.
        tax_id: VAT or other tax number.
        email: Address for mail.
    """

    customer: str
    name: str = ""
    address: tuple[str, ...] = ()
    city: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = ""
    tax_id: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class InvoiceDocument:
    """An invoice, or the preview of one, ready to be shown.

    Args:
        invoice: Its id; empty for a preview.
        number: Its number; empty for a preview.
        status: Where it stands.
        issued_at: Date of issue, UTC; of a preview the moment it is for.
        due_at: When it is due, UTC.
        content: What it says.
        seller: The legal entity that bills.
        buyer: Who pays.
        paid_minor: What was paid of it, minor units.
        credited_minor: What credit notes took off what is open, minor units.
        open_minor: What is still to pay, minor units.
        void_reason: Why it is void; empty when it is not.
        numbers: Numbers of other invoices, by id, that its lines refer to.
    """

    invoice: str
    number: str
    status: DocumentStatus
    issued_at: datetime
    due_at: datetime
    content: InvoiceContent
    seller: Seller
    buyer: BuyerDetails
    paid_minor: int = 0
    credited_minor: int = 0
    open_minor: int = 0
    void_reason: str = ""
    numbers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CreditNoteLine:
    """A line of a credit note.

    Args:
        line: Id of the invoice's line.
        label: What it is, for people; empty for the label of the invoice's line.
        amount_minor: What is credited, minor units, with the tax where the line has it inside.
        tax_minor: Its tax.
        promotion_minor: What of the amount promotions had paid; the rest is money.
        promotion_tax_minor: What of the tax they had paid as well; 0 where they came off before.
    """

    line: str
    label: str
    amount_minor: int
    tax_minor: int
    promotion_minor: int
    promotion_tax_minor: int

    @property
    def money_minor(self) -> int:
        """Return what of the amount comes back as money."""
        return self.amount_minor - self.promotion_minor

    @property
    def money_tax_minor(self) -> int:
        """Return the tax of that."""
        return self.tax_minor - self.promotion_tax_minor


@dataclass(frozen=True, slots=True)
class CreditNoteDocument:
    """A credit note ready to be shown.

    Args:
        credit_note: Its id.
        number: Its number.
        issued_at: Date of issue, UTC.
        reason: Why it was issued.
        lines: What is credited.
        net_minor: Sum without tax, minor units.
        tax_minor: Tax, minor units.
        promotion_minor: What of the total comes back as promotions.
        total_minor: Sum with tax, minor units.
        to_receivable_minor: What it took off the open amount of the invoice.
        to_credit_minor: What became account credit, promotions and money.
        invoice: The invoice that it is about; its buyer is the one of the credit note.
    """

    credit_note: str
    number: str
    issued_at: datetime
    reason: str
    lines: tuple[CreditNoteLine, ...]
    net_minor: int
    tax_minor: int
    promotion_minor: int
    total_minor: int
    to_receivable_minor: int
    to_credit_minor: int
    invoice: InvoiceDocument

    @property
    def money_minor(self) -> int:
        """Return what of the total comes back as money, with its tax."""
        return self.total_minor - self.promotion_minor
