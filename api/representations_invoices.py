"""What answers about invoices look like: heads, lines, taxes, corrections, previews, payments."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from pydantic import Field

from api.representations import (
    DECIMAL,
    TIME,
    MoneyRepresentation,
    Representation,
    to_representation_money,
)
from domain.canonical import decimal_text
from domain.invoice import item_of
from domain.money import Money
from domain.period import time_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from domain.invoice import InvoiceContent, Line
    from projections.queries.corrections import Corrected, Correction, Pins
    from projections.queries.invoices import (
        Invoice,
        InvoiceDocument,
        InvoiceLine,
        InvoiceTax,
    )
    from projections.queries.items import Item
    from projections.queries.payments import Payment


class InvoiceRepresentation(Representation):
    """One invoice without its lines."""

    invoice: str
    number: str = Field(description="For people; without gaps per seller, prefix and year")
    kind: str = Field(description="period, opening (fees in advance) or items")
    status: str = Field(description="final, paid, overdue or void")
    seller: str = Field(description="Legal entity that bills, as the catalogue names it")
    subscription: str | None = Field(description="Null for items alone")
    customer: str
    subtotal: MoneyRepresentation
    discount: MoneyRepresentation
    credit: MoneyRepresentation = Field(description="Account credit that was used")
    tax: MoneyRepresentation
    total: MoneyRepresentation
    carried: MoneyRepresentation = Field(description="Below 0, so it became account credit")
    paid: MoneyRepresentation
    credited: MoneyRepresentation = Field(description="Taken back by credit notes")
    open: MoneyRepresentation
    period_start: str | None = Field(description=f"{TIME}; null for items alone")
    period_end: str | None = Field(description=f"{TIME}; null for items alone")
    issued_at: str = Field(description=TIME)
    due_at: str = Field(description=TIME)
    voided_at: str | None = Field(description=TIME)
    void_reason: str | None
    content_sha256: str = Field(description="SHA-256 of content, 64 hex digits")


class DiscountRepresentation(Representation):
    """What a discount took off a line."""

    code: str
    amount: str = Field(description=DECIMAL)


class PinRepresentation(Representation):
    """What usage was taken in: the customer's, up to an offset."""

    partition: int = Field(description="The customer's partition of usage.events")
    offset: int = Field(description="Offset in it, up to which usage was counted")


class RefersRepresentation(Representation):
    """The line that a correction is about."""

    invoice: str
    number: str | None = Field(description="Of the invoice; null for a skipped period")
    line_id: str
    correction: str | None = Field(description="Which correction it is of; null for none")
    pin_before: PinRepresentation | None = Field(description="What the line was made from before")
    pin_after: PinRepresentation | None = Field(description="What it is made from now")


class InvoiceLineRepresentation(Representation):
    """One line of an invoice; amounts are decimal text in major units."""

    line: int = Field(description="Place on the invoice, from 1; what `invoice trace` takes")
    line_id: str = Field(description="Its name within the invoice, for good")
    kind: str = Field(description="fee, seats, usage, add_on, minimum or item")
    label: str
    price: str | None
    form: str
    meter: str | None
    quantity: str = Field(description=DECIMAL)
    is_estimate: bool = Field(
        description="Whether the quantity is near the true one instead of equal to it"
    )
    unit: str | None
    amount: str = Field(description=f"{DECIMAL}; rounded once")
    amount_unrounded: str = Field(description=f"{DECIMAL}; before the one rounding")
    discounts: list[DiscountRepresentation]
    net: str = Field(description=f"{DECIMAL}; without its discounts")
    tax: str = Field(description="Tax category")
    start: str | None = Field(description=f"Start of the time it is for; {TIME}")
    end: str | None = Field(description=f"End of it; {TIME}")
    steps: list[dict[str, str]] = Field(description="How the amount came about, in order")
    refers: RefersRepresentation | None = Field(description="What it corrects")


class TaxRepresentation(Representation):
    """One row of the tax table."""

    code: str = Field(description="Empty for lines without a tax")
    name: str
    rate: str = Field(description="Percent, decimal text")
    mode: str = Field(description="exclusive, or inclusive when prices have it in them")
    base: str = Field(description=DECIMAL)
    amount: str = Field(description=DECIMAL)


class LineChangeRepresentation(Representation):
    """What a correction changed of a line."""

    line_id: str
    before: str = Field(description=DECIMAL)
    after: str = Field(description=DECIMAL)
    difference: str = Field(description=DECIMAL)


class CorrectionRepresentation(Representation):
    """What later usage changed of an invoice."""

    correction: str
    effect: str = Field(
        description="items on the next invoice, credit_note, promotion given back, or none"
    )
    credit_note: str | None
    corrected_at: str = Field(description=TIME)
    pin_before: PinRepresentation | None = Field(description="What it was made from before")
    pin_after: PinRepresentation | None = Field(description="What it is made from now")
    differences: list[LineChangeRepresentation]


class InvoiceDocumentRepresentation(InvoiceRepresentation):
    """One invoice as a whole."""

    lines: list[InvoiceLineRepresentation]
    taxes: list[TaxRepresentation]
    corrections: list[CorrectionRepresentation]
    content: str = Field(description="Canonical JSON of everything it is made of, byte for byte")


class PreviewRepresentation(Representation):
    """The next invoice of a subscription as it would be now; it may still change."""

    is_provisional: bool = Field(description="Always true: usage may still come")
    kind: str
    subscription: str
    customer: str
    period_start: str | None = Field(description=TIME)
    period_end: str | None = Field(description=TIME)
    subtotal: str = Field(description=DECIMAL)
    discount: str = Field(description=DECIMAL)
    credit: MoneyRepresentation
    tax: str = Field(description=DECIMAL)
    total: MoneyRepresentation
    lines: list[InvoiceLineRepresentation]
    taxes: list[TaxRepresentation]


class ItemRepresentation(Representation):
    """An amount that waits for an invoice, or is on one."""

    item: str
    kind: str = Field(description="one_off, proration, gain_share or correction")
    status: str = Field(description="pending, invoiced or removed")
    customer: str
    subscription: str | None = Field(description="On this one's invoice only; null for any")
    label: str
    amount: MoneyRepresentation = Field(description="Before tax")
    invoice: str | None = Field(description="The invoice it is on")
    added_at: str = Field(description=TIME)
    refers: RefersRepresentation | None = Field(
        description="What an item of a correction corrects"
    )


class PaymentRepresentation(Representation):
    """Money that came in for an invoice."""

    payment: str
    invoice: str
    customer: str
    amount: MoneyRepresentation
    applied: MoneyRepresentation = Field(description="The rest became account credit")
    refunded: MoneyRepresentation
    method: str
    reference: str
    paid_at: str = Field(description=TIME)


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else time_text(moment)


def to_representation_invoice(invoice: Invoice) -> InvoiceRepresentation:
    """This function will show the head of an invoice."""
    amounts, period = invoice.amounts, invoice.period
    return InvoiceRepresentation(
        invoice=invoice.invoice,
        number=invoice.number,
        kind=invoice.kind,
        status=invoice.status,
        seller=invoice.seller,
        subscription=invoice.subscription or None,
        customer=invoice.customer,
        subtotal=to_representation_money(amounts.subtotal),
        discount=to_representation_money(amounts.discount),
        credit=to_representation_money(amounts.credit),
        tax=to_representation_money(amounts.tax),
        total=to_representation_money(amounts.total),
        carried=to_representation_money(amounts.carried),
        paid=to_representation_money(amounts.paid),
        credited=to_representation_money(amounts.credited),
        open=to_representation_money(amounts.open),
        period_start=_time(period.start if period else None),
        period_end=_time(period.end if period else None),
        issued_at=time_text(invoice.issued_at),
        due_at=time_text(invoice.due_at),
        voided_at=_time(invoice.voided_at),
        void_reason=invoice.void_reason or None,
        content_sha256=invoice.content_sha256,
    )


def to_representation_invoice_document(document: InvoiceDocument) -> InvoiceDocumentRepresentation:
    """This function will show an invoice as a whole."""
    head = to_representation_invoice(document.invoice)
    return InvoiceDocumentRepresentation(
        **dict(head),
        lines=[_line(line) for line in document.lines],
        taxes=[_tax(tax) for tax in document.taxes],
        corrections=[_correction(correction) for correction in document.corrections],
        content=document.content,
    )


def _line(line: InvoiceLine) -> InvoiceLineRepresentation:
    return InvoiceLineRepresentation(
        line=line.line,
        line_id=line.line_id,
        kind=line.kind,
        label=line.label,
        price=line.price or None,
        form=line.form,
        meter=line.meter or None,
        quantity=decimal_text(line.quantity),
        is_estimate=line.is_estimate,
        unit=line.unit or None,
        amount=str(line.amount),
        amount_unrounded=decimal_text(line.amount_unrounded),
        discounts=[
            DiscountRepresentation(code=code, amount=str(amount))
            for code, amount in line.discounts
        ],
        net=str(line.net),
        tax=line.tax,
        start=_time(line.start),
        end=_time(line.end),
        steps=[dict(step) for step in line.steps],
        refers=_refers(line.refers, line.corrected),
    )


def _refers(refers: tuple[str, str], corrected: Corrected | None) -> RefersRepresentation | None:
    invoice, line_id = refers
    if corrected is not None:
        return _corrected(corrected)
    if not invoice:
        return None
    return RefersRepresentation(
        invoice=invoice,
        number=None,
        line_id=line_id,
        correction=None,
        pin_before=None,
        pin_after=None,
    )


def _corrected(corrected: Corrected) -> RefersRepresentation:
    before, after = _both(corrected.pins)
    return RefersRepresentation(
        invoice=corrected.invoice,
        number=corrected.number or None,
        line_id=corrected.line,
        correction=corrected.correction,
        pin_before=before,
        pin_after=after,
    )


def _both(pins: Pins | None) -> tuple[PinRepresentation | None, PinRepresentation | None]:
    if pins is None:
        return None, None
    return (
        PinRepresentation(partition=pins.partition, offset=pins.before),
        PinRepresentation(partition=pins.partition, offset=pins.after),
    )


def _tax(tax: InvoiceTax) -> TaxRepresentation:
    return TaxRepresentation(
        code=tax.code,
        name=tax.name,
        rate=tax.rate,
        mode=tax.mode,
        base=str(tax.base),
        amount=str(tax.amount),
    )


def _correction(correction: Correction) -> CorrectionRepresentation:
    before, after = _both(correction.pins)
    return CorrectionRepresentation(
        correction=correction.correction,
        effect=correction.effect,
        credit_note=correction.credit_note or None,
        corrected_at=time_text(correction.corrected_at),
        pin_before=before,
        pin_after=after,
        differences=[
            LineChangeRepresentation(
                line_id=line, before=str(before), after=str(after), difference=str(difference)
            )
            for line, before, after, difference in correction.differences
        ],
    )


def to_representation_preview(
    content: InvoiceContent, *, corrected: Mapping[str, Corrected]
) -> PreviewRepresentation:
    """This function will show an invoice that is not there yet.

    Args:
        content: What it would be.
        corrected: What its items of corrections correct, by item.
    """
    terms, totals, scale = content.terms, content.totals, content.scale
    period = terms.period
    return PreviewRepresentation(
        is_provisional=True,
        kind=terms.kind,
        subscription=terms.subscription,
        customer=terms.customer,
        period_start=_time(period.start if period else None),
        period_end=_time(period.end if period else None),
        subtotal=_scaled(totals.subtotal, scale),
        discount=_scaled(totals.discount, scale),
        credit=to_representation_money(Money(totals.credit_minor, terms.currency)),
        tax=_scaled(totals.tax, scale),
        total=to_representation_money(Money(totals.total_minor, terms.currency)),
        lines=[
            _content_line(line, place, scale=scale, corrected=corrected)
            for place, line in enumerate(content.lines, start=1)
        ],
        taxes=[
            TaxRepresentation(
                code=group.code,
                name=group.name,
                rate=decimal_text(group.rate),
                mode=group.mode,
                base=_scaled(group.base, scale),
                amount=_scaled(group.amount, scale),
            )
            for group in totals.taxes
        ],
    )


def _scaled(amount: int, scale: int) -> str:
    return str(Decimal(amount).scaleb(-scale))


def _content_line(
    line: Line, place: int, *, scale: int, corrected: Mapping[str, Corrected]
) -> InvoiceLineRepresentation:
    return InvoiceLineRepresentation(
        line=place,
        line_id=line.line_id,
        kind=line.kind,
        label=line.label,
        price=line.price or None,
        form=line.form,
        meter=line.meter or None,
        quantity=line.quantity,
        is_estimate=line.is_estimate,
        unit=line.unit or None,
        amount=_scaled(line.amount, scale),
        amount_unrounded=line.amount_unrounded,
        discounts=[
            DiscountRepresentation(code=code, amount=_scaled(amount, scale))
            for code, amount in line.discounts
        ],
        net=_scaled(line.net, scale),
        tax=line.tax,
        start=time_text(line.start),
        end=time_text(line.end),
        steps=[
            {name: str(value) for name, value in step.to_json().items()} for step in line.steps
        ],
        refers=_refers(line.refers, corrected.get(item_of(line.line_id))),
    )


def to_representation_item(item: Item) -> ItemRepresentation:
    """This function will show an item."""
    return ItemRepresentation(
        item=item.item,
        kind=item.kind,
        status=item.status,
        customer=item.customer,
        subscription=item.subscription or None,
        label=item.label,
        amount=to_representation_money(item.amount),
        invoice=item.invoice or None,
        added_at=time_text(item.added_at),
        refers=None if item.corrected is None else _corrected(item.corrected),
    )


def to_representation_payment(payment: Payment) -> PaymentRepresentation:
    """This function will show a payment."""
    return PaymentRepresentation(
        payment=payment.payment,
        invoice=payment.invoice,
        customer=payment.customer,
        amount=to_representation_money(payment.amount),
        applied=to_representation_money(payment.applied),
        refunded=to_representation_money(payment.refunded),
        method=payment.method,
        reference=payment.reference,
        paid_at=time_text(payment.paid_at),
    )
