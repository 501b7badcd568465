"""What stands on the pages of a document, as api/invoice.typ reads it: texts and lists of texts.

Every amount on a page is one of the content, of the invoice's row or of the credit note; nothing
is added up here, so a page cannot say anything else than the books.
"""

from __future__ import annotations

from api.einvoice.figures import noted_taxes
from api.glyphs import plain
from api.invoice_document import (
    BuyerDetails,
    CreditNoteDocument,
    CreditNoteLine,
    DocumentStatus,
    InvoiceDocument,
)
from api.invoice_words import Language
from domain.billing_terms import Credits, Seller, TaxMode, TaxTreatment
from domain.canonical import Json, decimal_text
from domain.invoice import Line
from domain.invoice_amounts import MAXIMUM_CODE, TaxGroup
from domain.line_steps import shown_steps
from domain.money import minor_unit_places

STEPS_MAX = 40
"""Steps of one line that are printed: a page of them. The exports have all."""

STEPS_TOGETHER_MAX = 8
"""Steps of a line that stay on one page with it; a longer line may go over the end of a page."""
STEP_PLACES = 6
"""Places of a quantity or amount within a step; "…" says that there are more. Rates have all."""
_STATUS_WORDS = {
    DocumentStatus.DRAFT: "draft",
    DocumentStatus.FINAL: "final",
    DocumentStatus.PAID: "status_paid",
    DocumentStatus.OVERDUE: "overdue",
    DocumentStatus.VOID: "status_void",
}


def invoice_page(document: InvoiceDocument, language: Language) -> dict[str, Json]:
    """This function will say what stands on an invoice, or on the preview of one."""
    word, content = language.word, document.content
    is_draft = document.status is DocumentStatus.DRAFT
    title = word("preview" if is_draft else "invoice")
    facts = [(word("number"), document.number)] if document.number else []
    facts += [(word("issued"), language.date(document.issued_at))]
    if not is_draft:
        facts += [(word("due"), language.date(document.due_at))]
    if content.terms.period is not None:
        facts += [
            (word("period"), language.span(content.terms.period.start, content.terms.period.end))
        ]
    if content.terms.subscription:
        facts += [(word("subscription"), content.terms.subscription)]
    facts += [(word("status"), word(_STATUS_WORDS[document.status]))]
    mark = {DocumentStatus.DRAFT: "provisional", DocumentStatus.VOID: "void"}.get(document.status)
    return _framed(
        language,
        title=title,
        number=document.number,
        watermark=word(mark) if mark else "",
        seller=document.seller,
        buyer=document.buyer,
        facts=facts,
    ) | {
        "currency": content.terms.currency,
        "columns": [word("item"), word("quantity"), word("amount")],
        "lines": [_line(line, document, language) for line in content.lines],
        "totals": _totals(document, language),
        "taxes": _taxes(document, language),
        "tax_columns": [word("tax"), word("rate"), word("tax_base"), word("tax_amount")],
        "notes": [plain(note) for note in _notes(document, language)],
        "hash": f"{word('content')} {content.sha256}",
    }


def credit_note_page(document: CreditNoteDocument, language: Language) -> dict[str, Json]:
    """This function will say what stands on a credit note."""
    word, invoice = language.word, document.invoice
    currency = invoice.content.terms.currency
    facts = [
        (word("number"), document.number),
        (word("issued"), language.date(document.issued_at)),
        (word("of_invoice"), f"{invoice.number}, {language.date(invoice.issued_at)}"),
        (word("reason"), document.reason),
    ]
    return _framed(
        language,
        title=word("credit_note"),
        number=document.number,
        watermark="",
        seller=invoice.seller,
        buyer=invoice.buyer,
        facts=facts,
    ) | {
        "currency": currency,
        "columns": [word("item"), word("tax"), word("amount")],
        "lines": [_noted(line, document, language) for line in document.lines],
        "totals": _noted_totals(document, language),
        "taxes": _noted_taxes(document, language),
        "tax_columns": [word("tax"), word("rate"), word("tax_base"), word("tax_amount")],
        "notes": _treatment_notes(invoice, language),
        "hash": f"{word('content')} {invoice.content.sha256} ({plain(invoice.number)})",
    }


def _framed(
    language: Language,
    *,
    title: str,
    number: str,
    watermark: str,
    seller: Seller,
    buyer: BuyerDetails,
    facts: list[tuple[str, str]],
) -> dict[str, Json]:
    """Return the head and what stands around the table."""
    return {
        "language": language.code,
        "title": title,
        "number": plain(number),
        "watermark": watermark,
        "parties": [
            [language.word("from"), plain(seller.name), _seller_lines(seller, language)],
            [language.word("to"), plain(buyer.name or buyer.customer), _buyer(buyer, language)],
        ],
        "issuer": plain(seller.name or number),
        "facts": [[label, plain(value)] for label, value in facts],
        # typst fills in the figures; they are not known before the page is laid out.
        "page_of": language.words["page"],
    }


def _seller_lines(seller: Seller, language: Language) -> list[Json]:
    lines = [*seller.address, _country(seller.country, language)]
    if seller.tax_id:
        lines.append(f"{language.word('tax_id')} {seller.tax_id}")
    return [plain(line) for line in (*lines, seller.email) if line]


def _buyer(buyer: BuyerDetails, language: Language) -> list[Json]:
    place = " ".join(part for part in (buyer.postal_code, buyer.city) if part)
    lines = [*buyer.address, ", ".join(part for part in (place, buyer.region) if part)]
    lines.append(_country(buyer.country, language))
    if buyer.tax_id:
        lines.append(f"{language.word('tax_id')} {buyer.tax_id}")
    if buyer.email:
        lines.append(buyer.email)
    if buyer.name:
        lines.append(f"{language.word('customer')} {buyer.customer}")
    return [plain(line) for line in lines if line]


def _country(code: str, language: Language) -> str:
    return str(language.locale.territories.get(code, code)) if code else ""


def _line(line: Line, document: InvoiceDocument, language: Language) -> dict[str, Json]:
    content = document.content
    scale, places = content.scale, minor_unit_places(content.terms.currency)

    def amount(units: int) -> str:
        return language.units(units, scale=scale, places=places)

    names = {each.code: each.name for each in content.terms.discounts}
    names[MAXIMUM_CODE] = language.word("maximum")
    details = [_span(line, document, language), _corrects(line, document, language)]
    if line.is_estimate:
        details.append(language.word("estimate"))
    if _is_explained(line):
        details += _steps(line, language, places=places)
    quantity = language.exact(line.quantity) if line.kind != "item" else ""
    return {
        "label": plain(line.label),
        "details": "\n".join(plain(detail) for detail in details if detail),
        "is_long": len(shown_steps(line)) > STEPS_TOGETHER_MAX,
        "quantity": quantity,
        "unit": plain(line.unit),
        "amount": amount(line.amount),
        "discounts": [
            [plain(names.get(code, code)), amount(-taken)] for code, taken in line.discounts
        ],
    }


def _span(line: Line, document: InvoiceDocument, language: Language) -> str:
    """Return the time a line is for, where it is not the invoice's period."""
    period = document.content.terms.period
    if line.start >= line.end or (
        period is not None and (line.start, line.end) == (period.start, period.end)
    ):
        return ""
    return language.span(line.start, line.end)


def _corrects(line: Line, document: InvoiceDocument, language: Language) -> str:
    """Return what a line corrects; a period that was left out has no invoice with a number."""
    invoice, corrected = line.refers
    if not invoice:
        return ""
    number = document.numbers.get(invoice, "")
    if not number:
        return language.word("corrects_skipped")
    return language.word("corrects", number=number, line=corrected)


def _is_explained(line: Line) -> bool:
    """Say whether the steps tell more than quantity and amount do."""
    if line.kind == "item":
        return False
    steps = shown_steps(line)
    return len(steps) > 1 or any(step.rate != step.amount for step in steps)


def _steps(line: Line, language: Language, *, places: int) -> list[str]:
    shown = shown_steps(line)
    steps = []
    for step in shown[:STEPS_MAX]:
        per = "" if step.per == "1" else f" / {language.exact(step.per)}"
        quantity = language.exact(step.quantity, places_max=STEP_PLACES)
        amount = language.exact(step.amount, places_max=STEP_PLACES, places_min=places)
        rate = language.exact(step.rate)
        steps.append(f"{step.label}: {quantity} × {rate}{per} = {amount}")  # noqa: RUF001 -- a times sign
    if len(shown) > STEPS_MAX:
        steps.append(language.word("more_steps", count=str(len(shown) - STEPS_MAX)))
    return steps


def _totals(document: InvoiceDocument, language: Language) -> list[Json]:
    """Return (label, amount, whether it is strong), from the lines to what is open."""
    word, content, totals = language.word, document.content, document.content.totals
    currency, scale = content.terms.currency, content.scale
    places = minor_unit_places(currency)

    def exact(units: int) -> str:
        figure = language.units(units, scale=scale, places=places)
        return language.currency.format(figure=figure, currency=currency)

    def minor(amount: int) -> str:
        return language.money(amount, currency)

    before: list[tuple[str, str, bool]] = []
    if totals.discount:
        before.append((word("lines"), exact(totals.subtotal + totals.discount), False))
        before.append((word("discount"), exact(-totals.discount), False))
    before.append((word("subtotal"), exact(totals.subtotal), False))
    taxes = [
        (_tax_name(group, language), exact(group.amount), False)
        for group in totals.taxes
        if group.mode is TaxMode.EXCLUSIVE and group.amount
    ]
    promotion = [(word("promotion"), minor(-totals.promotion_minor), False)]
    money = [(word("credit"), minor(totals.promotion_minor - totals.credit_minor), False)]
    promotion = promotion if totals.promotion_minor else []
    money = money if totals.credit_minor > totals.promotion_minor else []
    is_before = content.terms.credits is Credits.BEFORE_TAX
    after = [*promotion, *taxes, *money] if is_before else [*taxes, *promotion, *money]
    total = [(word("total"), minor(totals.total_minor), True)]
    if totals.carry_minor:
        total.append((word("carry"), minor(totals.carry_minor), False))
    rows = [*before, *after, *total, *_settled(document, language)]
    return [[label, amount, is_strong] for label, amount, is_strong in rows]


def _settled(document: InvoiceDocument, language: Language) -> list[tuple[str, str, bool]]:
    """Return what was paid and credited since, if anything was."""
    currency = document.content.terms.currency
    rows = [
        (language.word(key), language.money(-amount, currency), False)
        for key, amount in (
            ("paid", document.paid_minor),
            ("credited", document.credited_minor),
        )
        if amount
    ]
    if rows:
        rows.append((language.word("open"), language.money(document.open_minor, currency), True))
    return rows


def _tax_name(group: TaxGroup, language: Language) -> str:
    if not group.code:
        return language.word("no_tax")
    return f"{plain(group.name)} {language.exact(decimal_text(group.rate))} %"


def _taxes(document: InvoiceDocument, language: Language) -> list[Json]:
    """Return the tax table; none when nothing on the invoice has a tax."""
    content = document.content
    if not any(group.code for group in content.totals.taxes):
        return []
    scale, places = content.scale, minor_unit_places(content.terms.currency)
    return [
        [
            *_named(group, language),
            language.units(group.base, scale=scale, places=places),
            language.units(group.amount, scale=scale, places=places),
        ]
        for group in content.totals.taxes
    ]


def _named(group: TaxGroup, language: Language) -> list[str]:
    """Return name and rate of a tax as the tax table has them."""
    name = plain(group.name) if group.code else language.word("no_tax")
    if group.mode is TaxMode.INCLUSIVE:
        name += f" ({language.word('in_price')})"
    return [name, f"{language.exact(decimal_text(group.rate))} %"]


def _noted_taxes(document: CreditNoteDocument, language: Language) -> list[Json]:
    """Return the tax table of a credit note: what is money, and what promotions paid with tax."""
    places = minor_unit_places(document.invoice.content.terms.currency)
    return [
        [
            *_named(tax.group, language),
            *(
                language.units(amount, scale=places, places=places)
                for amount in (tax.row.base, tax.row.tax)
            ),
        ]
        for tax in noted_taxes(document)
        if tax.group is not None and tax.group.code
    ]


def _noted_totals(document: CreditNoteDocument, language: Language) -> list[Json]:
    """Return (label, amount, whether it is strong): what is credited, and how it comes back."""
    promotion = document.promotion_minor
    rows = [
        ("subtotal", document.net_minor, False),
        ("tax", document.tax_minor, False),
        ("total_credited", document.total_minor, True),
    ]
    if promotion:
        rows.append(("as_promotion", promotion, False))
        rows.append(("as_money", document.money_minor, True))
    rows += [
        (key, amount, False)
        for key, amount in (
            ("to_receivable", document.to_receivable_minor),
            ("to_credit", document.to_credit_minor - promotion),
        )
        if amount
    ]
    currency = document.invoice.content.terms.currency
    return [
        [language.word(key), language.money(amount, currency), is_strong]
        for key, amount, is_strong in rows
    ]


def _treatment_notes(document: InvoiceDocument, language: Language) -> list[str]:
    """Say why something bears no tax: a correction may have had another reason than the rest."""
    content = document.content
    found = {content.terms.taxes.treatment, *(each.treatment for each in content.totals.taxes)}
    words = {TaxTreatment.REVERSE_CHARGE: "reverse_charge", TaxTreatment.EXEMPT: "exempt"}
    return [language.word(word) for treatment, word in words.items() if treatment in found]


def _notes(document: InvoiceDocument, language: Language) -> list[str]:
    notes = _treatment_notes(document, language)
    if document.status is DocumentStatus.DRAFT:
        return [language.word("provisional_note"), *notes]
    if document.status is DocumentStatus.VOID:
        return [language.word("void_note", reason=document.void_reason), *notes]
    if document.open_minor > 0:
        due = language.date(document.due_at)
        return [*notes, language.word("terms", due=due, number=document.number)]
    return [*notes, language.word("nothing_due")]


def _noted(
    line: CreditNoteLine, document: CreditNoteDocument, language: Language
) -> dict[str, Json]:
    content = document.invoice.content
    places = minor_unit_places(content.terms.currency)
    original = next((each for each in content.lines if each.line_id == line.line), None)
    label = line.label or (original.label if original is not None else line.line)
    group = None if original is None else content.tax_of(original)
    corrected = language.word("corrects", number=document.invoice.number, line=line.line)
    inside = group is not None and group.mode is TaxMode.INCLUSIVE

    def amount(minor: int) -> str:
        return language.units(minor, scale=places, places=places)

    details = [corrected]
    if line.promotion_minor:
        drawn = {
            "money": amount(line.money_minor),
            "money_tax": amount(line.money_tax_minor),
            "promotion": amount(line.promotion_minor),
            "promotion_tax": amount(line.promotion_tax_minor),
        }
        details.append(language.word("drawn", **drawn))
    return {
        "label": plain(label),
        "details": "\n".join(plain(detail) for detail in details),
        "is_long": False,
        "quantity": amount(line.tax_minor),
        "unit": language.word("in_price") if inside and line.tax_minor else "",
        "amount": amount(line.amount_minor),
        "discounts": [],
    }
