"""A document as Cross Industry Invoice (UN/CEFACT D22B) by EN 16931, as Factur-X holds it.

Sources: EN 16931-1:2017 (the BT and BG numbers below), CEN/TS 16931-3-3 (their places in CII),
Factur-X 1.0. Elements stand in the order of the schema. A line is one piece at its amount: a
graduated price has no single rate that gives the amount back, and quantity times price must be
it; what was billed stands in the description (BT-154).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from xml.etree import ElementTree as ET

from api.einvoice.figures import (
    Category,
    FigureLine,
    Figures,
    FigureTax,
    Vat,
    credit_note_figures,
    invoice_figures,
)
from api.invoice_document import (
    BuyerDetails,
    CreditNoteDocument,
    DocumentStatus,
    InvoiceDocument,
)
from api.invoice_words import FOREVER_YEAR, last_day
from domain.billing_terms import Seller
from domain.canonical import decimal_text
from domain.codes import Code
from domain.errors import Rejected
from domain.money import minor_text, minor_unit_places

PLACES_MAX = 2
"""Decimal places of an amount in EN 16931 (BR-DEC-09 and following): no dinar of 1,000 fils."""
GUIDELINE = "urn:cen.eu:en16931:2017"
INVOICE, CREDIT_NOTE = "380", "381"
"""Types of documents of UNTDID 1001 (BT-3)."""
PIECE = "C62"
"""One piece (UN/ECE Recommendation 20)."""
NAMESPACES = {
    "rsm": "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100",
    "ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100",
    "udt": "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100",
    "qdt": "urn:un:unece:uncefact:data:standard:QualifiedDataType:100",
}
REASONS = {
    Category.REVERSE_CHARGE: ("Reverse charge", "VATEX-EU-AE"),
    Category.EXEMPT: ("No VAT applies", ""),
}
"""Why there is no tax (BT-120), and its code of the VATEX list (BT-121)."""

_NOT_XML = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAX_ID = re.compile(r"[A-Z]{2}[0-9A-Za-z+*.]{2,}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Head:
    """What stands around the amounts."""

    number: str
    type_code: str
    issued_at: datetime
    currency: str
    seller: Seller
    buyer: BuyerDetails
    notes: tuple[str, ...]
    due_at: datetime | None
    period: tuple[datetime, datetime] | None
    preceding: tuple[tuple[str, datetime | None], ...]


def to_cii(document: InvoiceDocument | CreditNoteDocument) -> str:
    """This function will write a document as EN 16931 CII; the same one gives the same text.

    Raises:
        Rejected: einvoice_incomplete, naming all that the norm asks for and the document lacks.
    """
    if isinstance(document, CreditNoteDocument):
        invoice = document.invoice
        figures = credit_note_figures(document)
        head = _Head(
            number=document.number,
            type_code=CREDIT_NOTE,
            issued_at=document.issued_at,
            currency=invoice.content.terms.currency,
            seller=invoice.seller,
            buyer=invoice.buyer,
            notes=_notes(document),
            due_at=None,
            period=None,
            preceding=((invoice.number, invoice.issued_at),),
        )
    else:
        invoice, figures = document, invoice_figures(document)
        head = _invoice_head(document)
    _require_complete(invoice, head, figures)
    ET.register_namespace("rsm", NAMESPACES["rsm"])
    for prefix, uri in NAMESPACES.items():
        ET.register_namespace(prefix, uri)
    root = _document(head, figures)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode")


def to_cii_or_nothing(document: InvoiceDocument | CreditNoteDocument, *, is_required: bool) -> str:
    """This function will write a document as CII; the empty text where something is missing.

    Raises:
        Rejected: einvoice_incomplete, when it is required.
    """
    try:
        return to_cii(document)
    except Rejected as error:
        if is_required or error.code is not Code.EINVOICE_INCOMPLETE:
            raise
        return ""


def _notes(document: CreditNoteDocument) -> tuple[str, ...]:
    """Return the reason, and what comes back besides the amount due."""
    if not document.promotion_minor:
        return (document.reason,)
    currency = document.invoice.content.terms.currency
    promotion = minor_text(amount_minor=document.promotion_minor, currency=currency)
    return document.reason, f"{currency} {promotion} come back as promotions"


def _invoice_head(document: InvoiceDocument) -> _Head:
    terms = document.content.terms
    corrected = dict.fromkeys(
        line.refers[0] for line in document.content.lines if line.refers[0] in document.numbers
    )
    period = terms.period
    return _Head(
        number=document.number,
        type_code=INVOICE,
        issued_at=document.issued_at,
        currency=terms.currency,
        seller=document.seller,
        buyer=document.buyer,
        notes=(),
        due_at=document.due_at,
        period=(period.start, period.end) if period is not None else None,
        preceding=tuple((document.numbers[invoice], None) for invoice in corrected),
    )


def _require_complete(invoice: InvoiceDocument, head: _Head, figures: Figures) -> None:
    """Refuse what no reader of the norm would take; the code lists are the norm's own."""
    seller, buyer, currency = head.seller, head.buyer, head.currency
    categories = {each.vat.category for each in figures.taxes}
    wants_vat = categories - {Category.EXEMPT}
    places = minor_unit_places(currency)
    missing = [
        what
        for what, is_missing in (
            ("a final invoice", invoice.status in (DocumentStatus.DRAFT, DocumentStatus.VOID)),
            (f"a currency of at most {PLACES_MAX} decimal places", places > PLACES_MAX),
            ("a line", not figures.lines),
            ("the seller's name (billing.sellers)", not seller.name),
            ("the seller's country (billing.sellers)", not seller.country),
            ("the seller's tax_id (billing.sellers)", not seller.tax_id),
            (
                "the seller's VAT number with its country before it, for example DE123456789",
                bool(wants_vat) and bool(seller.tax_id) and not is_vat_number(seller.tax_id),
            ),
            ("the buyer's name", not buyer.name),
            ("the buyer's country", not buyer.country),
            (
                "the buyer's VAT number, which a reverse charge needs",
                Category.REVERSE_CHARGE in categories and not is_vat_number(buyer.tax_id),
            ),
        )
        if is_missing
    ]
    if missing:
        raise Rejected(
            Code.EINVOICE_INCOMPLETE, f"an electronic invoice needs {'; '.join(missing)}"
        )


def is_vat_number(tax_id: str) -> bool:
    """This function will say whether a tax number is a VAT number with its country (BR-CO-9)."""
    return _TAX_ID.fullmatch(tax_id) is not None


def _add(parent: ET.Element, name: str, text: str = "", **attributes: str) -> ET.Element:
    prefix, _, local = name.partition(":")
    element = ET.SubElement(parent, f"{{{NAMESPACES[prefix]}}}{local}", attributes)
    if text:
        element.text = _NOT_XML.sub("", text)
    return element


def _date(parent: ET.Element, name: str, moment: datetime, *, prefix: str = "udt") -> None:
    """Add a day as EN 16931 has it: CCYYMMDD, format 102."""
    holder = _add(parent, name)
    _add(holder, f"{prefix}:DateTimeString", f"{moment:%Y%m%d}", format="102")


def _document(head: _Head, figures: Figures) -> ET.Element:
    root = ET.Element(f"{{{NAMESPACES['rsm']}}}CrossIndustryInvoice")
    context = _add(root, "rsm:ExchangedDocumentContext")
    guideline = _add(context, "ram:GuidelineSpecifiedDocumentContextParameter")
    _add(guideline, "ram:ID", GUIDELINE)
    exchanged = _add(root, "rsm:ExchangedDocument")
    _add(exchanged, "ram:ID", head.number)
    _add(exchanged, "ram:TypeCode", head.type_code)
    _date(exchanged, "ram:IssueDateTime", head.issued_at)
    for note in head.notes:
        _add(_add(exchanged, "ram:IncludedNote"), "ram:Content", note)
    transaction = _add(root, "rsm:SupplyChainTradeTransaction")
    for number, line in enumerate(figures.lines, start=1):
        _line(transaction, number, line, currency=head.currency)
    agreement = _add(transaction, "ram:ApplicableHeaderTradeAgreement")
    _seller(agreement, head.seller)
    _buyer(agreement, head.buyer)
    _delivery(transaction, head)
    _settlement(transaction, head, figures)
    return root


def _delivery(parent: ET.Element, head: _Head) -> None:
    """Add the day of the supply (BT-72): the last one that is billed, or that of the issue."""
    delivered_at = head.issued_at
    if head.period is not None and head.period[1].year < FOREVER_YEAR:
        delivered_at = last_day(head.period[1])
    delivery = _add(parent, "ram:ApplicableHeaderTradeDelivery")
    _date(
        _add(delivery, "ram:ActualDeliverySupplyChainEvent"),
        "ram:OccurrenceDateTime",
        delivered_at,
    )


def _vat(parent: ET.Element, name: str, vat: Vat) -> None:
    tax = _add(parent, name)
    _add(tax, "ram:TypeCode", "VAT")
    _add(tax, "ram:CategoryCode", vat.category)
    _add(tax, "ram:RateApplicablePercent", decimal_text(vat.rate))


def _period(parent: ET.Element, start: datetime, end: datetime) -> None:
    """Add a time by its first and last day; a lifetime has no last one."""
    if start >= end:
        return
    period = _add(parent, "ram:BillingSpecifiedPeriod")
    _date(period, "ram:StartDateTime", start)
    if end.year < FOREVER_YEAR:
        _date(period, "ram:EndDateTime", last_day(end))


def _allowance(
    parent: ET.Element, amount: int, *, reason: str, currency: str, vat: Vat | None = None
) -> None:
    """Add an allowance, or a charge for an amount below 0."""
    allowance = _add(parent, "ram:SpecifiedTradeAllowanceCharge")
    is_charge = "true" if amount < 0 else "false"
    _add(_add(allowance, "ram:ChargeIndicator"), "udt:Indicator", is_charge)
    _add(allowance, "ram:ActualAmount", minor_text(amount_minor=abs(amount), currency=currency))
    _add(allowance, "ram:Reason", reason)
    if vat is not None:
        _vat(allowance, "ram:CategoryTradeTax", vat)


def _line(parent: ET.Element, number: int, line: FigureLine, *, currency: str) -> None:
    item = _add(parent, "ram:IncludedSupplyChainTradeLineItem")
    _add(_add(item, "ram:AssociatedDocumentLineDocument"), "ram:LineID", str(number))
    product = _add(item, "ram:SpecifiedTradeProduct")
    _add(product, "ram:Name", line.name)
    if line.description:
        _add(product, "ram:Description", line.description)
    # A price is never below 0 (BR-27); what is taken back is minus one piece.
    price = minor_text(amount_minor=abs(line.gross), currency=currency)
    agreement = _add(item, "ram:SpecifiedLineTradeAgreement")
    _add(_add(agreement, "ram:NetPriceProductTradePrice"), "ram:ChargeAmount", price)
    delivery = _add(item, "ram:SpecifiedLineTradeDelivery")
    _add(delivery, "ram:BilledQuantity", "-1" if line.gross < 0 else "1", unitCode=PIECE)
    settlement = _add(item, "ram:SpecifiedLineTradeSettlement")
    _vat(settlement, "ram:ApplicableTradeTax", line.vat)
    _period(settlement, line.start, line.end)
    for reason, amount in line.allowances:
        _allowance(settlement, amount, reason=reason, currency=currency)
    summation = _add(settlement, "ram:SpecifiedTradeSettlementLineMonetarySummation")
    net = minor_text(amount_minor=line.net, currency=currency)
    _add(summation, "ram:LineTotalAmount", net)


def _seller(parent: ET.Element, seller: Seller) -> None:
    party = _add(parent, "ram:SellerTradeParty")
    is_vat = is_vat_number(seller.tax_id)
    if not is_vat:
        _add(party, "ram:ID", seller.tax_id)
    _add(party, "ram:Name", seller.name)
    address = _add(party, "ram:PostalTradeAddress")
    _address_lines(address, seller.address)
    _add(address, "ram:CountryID", seller.country)
    if seller.email:
        uri = _add(party, "ram:URIUniversalCommunication")
        _add(uri, "ram:URIID", seller.email, schemeID="EM")
    registration = _add(party, "ram:SpecifiedTaxRegistration")
    _add(registration, "ram:ID", seller.tax_id, schemeID="VA" if is_vat else "FC")


def _address_lines(address: ET.Element, lines: tuple[str, ...]) -> None:
    """Add the three lines that the norm has; what is more stands in the third."""
    shown = [*lines[:2], ", ".join(lines[2:])]
    for name, line in zip(("LineOne", "LineTwo", "LineThree"), shown, strict=False):
        if line:
            _add(address, f"ram:{name}", line)


def _buyer(parent: ET.Element, buyer: BuyerDetails) -> None:
    party = _add(parent, "ram:BuyerTradeParty")
    _add(party, "ram:ID", buyer.customer)
    _add(party, "ram:Name", buyer.name)
    address = _add(party, "ram:PostalTradeAddress")
    if buyer.postal_code:
        _add(address, "ram:PostcodeCode", buyer.postal_code)
    _address_lines(address, buyer.address)
    if buyer.city:
        _add(address, "ram:CityName", buyer.city)
    _add(address, "ram:CountryID", buyer.country)
    if buyer.region:
        _add(address, "ram:CountrySubDivisionName", buyer.region)
    if buyer.email:
        uri = _add(party, "ram:URIUniversalCommunication")
        _add(uri, "ram:URIID", buyer.email, schemeID="EM")
    if is_vat_number(buyer.tax_id):
        registration = _add(party, "ram:SpecifiedTaxRegistration")
        _add(registration, "ram:ID", buyer.tax_id, schemeID="VA")


def _settlement(parent: ET.Element, head: _Head, figures: Figures) -> None:
    currency = head.currency
    settlement = _add(parent, "ram:ApplicableHeaderTradeSettlement")
    _add(settlement, "ram:InvoiceCurrencyCode", currency)
    for tax in figures.taxes:
        _tax(settlement, tax, currency=currency)
    if head.period is not None:
        _period(settlement, *head.period)
    for tax in figures.taxes:
        for amount, reason in (
            (tax.allowance, "Promotions"),
            (-tax.adjustment, "Tax rounded line by line"),
        ):
            if amount:
                _allowance(settlement, amount, reason=reason, currency=currency, vat=tax.vat)
    _payment_terms(settlement, head, figures)
    _summation(settlement, figures, currency=currency)
    for number, issued_at in head.preceding:
        reference = _add(settlement, "ram:InvoiceReferencedDocument")
        _add(reference, "ram:IssuerAssignedID", number)
        if issued_at is not None:
            _date(reference, "ram:FormattedIssueDateTime", issued_at, prefix="qdt")


def _payment_terms(parent: ET.Element, head: _Head, figures: Figures) -> None:
    """Say when or how it is paid, which every amount due needs (BR-CO-25)."""
    if head.due_at is not None:
        terms = _add(parent, "ram:SpecifiedTradePaymentTerms")
        _date(terms, "ram:DueDateDateTime", head.due_at)
    elif figures.due > 0:
        terms = _add(parent, "ram:SpecifiedTradePaymentTerms")
        _add(terms, "ram:Description", "Set off against the invoice or added to account credit")


def _tax(parent: ET.Element, tax: FigureTax, *, currency: str) -> None:
    row = _add(parent, "ram:ApplicableTradeTax")
    _add(row, "ram:CalculatedAmount", minor_text(amount_minor=tax.tax, currency=currency))
    _add(row, "ram:TypeCode", "VAT")
    reason, code = REASONS.get(tax.vat.category, ("", ""))
    if reason:
        _add(row, "ram:ExemptionReason", reason)
    _add(row, "ram:BasisAmount", minor_text(amount_minor=tax.base, currency=currency))
    _add(row, "ram:CategoryCode", tax.vat.category)
    if code:
        _add(row, "ram:ExemptionReasonCode", code)
    _add(row, "ram:RateApplicablePercent", decimal_text(tax.vat.rate))


def _summation(parent: ET.Element, figures: Figures, *, currency: str) -> None:
    summation = _add(parent, "ram:SpecifiedTradeSettlementHeaderMonetarySummation")

    def amount(name: str, minor: int, **attributes: str) -> None:
        text = minor_text(amount_minor=minor, currency=currency)
        _add(summation, f"ram:{name}", text, **attributes)

    amount("LineTotalAmount", figures.line_total)
    if figures.charge_total:
        amount("ChargeTotalAmount", figures.charge_total)
    if figures.allowance_total:
        amount("AllowanceTotalAmount", figures.allowance_total)
    amount("TaxBasisTotalAmount", figures.base_total)
    amount("TaxTotalAmount", figures.tax_total, currencyID=currency)
    if figures.rounding:
        amount("RoundingAmount", figures.rounding)
    amount("GrandTotalAmount", figures.grand_total)
    if figures.prepaid:
        amount("TotalPrepaidAmount", figures.prepaid)
    amount("DuePayableAmount", figures.due)
