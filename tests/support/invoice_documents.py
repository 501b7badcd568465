"""Invoices for tests of documents: real contents, made by build_invoice on catalogues of ours."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

from api.invoice_document import (
    BuyerDetails,
    CreditNoteDocument,
    CreditNoteLine,
    DocumentStatus,
    InvoiceDocument,
)
from domain.billing_terms import Seller, TaxTreatment
from domain.canonical import Json
from domain.catalogue import Catalogue, parse_catalogue
from domain.credit_balance import CreditBalance
from domain.invoice import InvoiceContent
from domain.invoice_taxes import resolved_taxes
from domain.invoice_terms import GrantedDiscount, Item, ItemKind
from tests.support import billing

SELLER = Seller(
    key="default",
    name="Tidewater Metering GmbH",
    address=("Hafenstraße 12", "20457 Hamburg"),
    country="DE",
    tax_id="DE123456789",
    email="billing@tidewater.example",
)
FRENCH = BuyerDetails(
    customer="acme",
    name="Société Générale d’Exemple SARL",
    address=("12 rue de la Marée", "Bâtiment C"),
    city="Paris",
    postal_code="75002",
    country="FR",
    tax_id="FR40303265045",
    email="compta@exemple.example",
)
GERMAN = replace(
    FRENCH,
    name="Beispiel AG",
    address=("Lange Straße 1",),
    city="Köln",
    postal_code="50667",
    country="DE",
    tax_id="DE811907980",
)


def catalogue(
    *,
    currency: str = "EUR",
    prices: Sequence[Json] = (),
    taxes: Sequence[Json] = (),
    rounding: str = "line",
    tax_rounding: str = "group",
    credits_: str = "before_tax",
    meters: Sequence[Json] = (),
    sellers: Sequence[Json] = (),
) -> Catalogue:
    """A catalogue with one plan, PRO."""
    default: list[Json] = [
        {"key": "base", "name": "Base fee", "form": "flat", "amount": "9000"},
        {
            "key": "overage",
            "name": "AI credits",
            "form": "graduated",
            "meter": "credits",
            "included": "1000000",
            "tiers": [
                {"up_to": "250000", "rate": "0.0020"},
                {"rate": "0.0018"},
            ],
        },
    ]
    return parse_catalogue(
        json.dumps(
            {
                "version": 1,
                "billing": {
                    "rounding": rounding,
                    "tax_rounding": tax_rounding,
                    "credits": credits_,
                    **({"sellers": list(sellers)} if sellers else {}),
                },
                "taxes": list(taxes),
                "meters": [*meters, billing.meter("credits", unit="credit")],
                "plans": [
                    {
                        "code": "PRO",
                        "name": "Pro",
                        "currency": currency,
                        "prices": list(prices) or default,
                    }
                ],
            }
        )
    )


def tax(rate: str = "19", *, code: str = "vat", mode: str = "exclusive", **more: Json) -> Json:
    """A tax of the standard category."""
    return {"code": code, "name": "VAT", "rate": rate, "mode": mode, **more}


def content(
    prices: Catalogue,
    *,
    used: str = "1500000",
    treatment: TaxTreatment = TaxTreatment.STANDARD,
    items: tuple[Item, ...] = (),
    discounts: tuple[GrantedDiscount, ...] = (),
    promotion_minor: int = 0,
    money_minor: int = 0,
    rows: Sequence[Any] | None = None,
) -> InvoiceContent:
    """The content of January 2025 on the plan PRO."""
    billed = billing.period("2025-01-01", "2025-02-01")
    terms = billing.terms_of(
        billing.segment(prices=prices, billed=billed),
        prices=prices,
        items=items,
        discounts=discounts,
        credit=CreditBalance(promotion_minor, money_minor),
    )
    terms = replace(
        terms, taxes=resolved_taxes(rates=prices.taxes, treatment=treatment, region="")
    )
    windows = [billing.window("credits", value=used)] if rows is None else rows
    return billing.content_of(prices=prices, billed=billed, rows=windows, terms=terms)


def invoice(
    made: InvoiceContent,
    *,
    status: DocumentStatus = DocumentStatus.FINAL,
    seller: Seller = SELLER,
    buyer: BuyerDetails = FRENCH,
    number: str = "INV-2025-000001",
    **more: Any,
) -> InvoiceDocument:
    """A document of a content, issued on the day after its period."""
    issued_at = billing.moment("2025-02-01")
    return InvoiceDocument(
        invoice="inv_1",
        number="" if status is DocumentStatus.DRAFT else number,
        status=status,
        issued_at=issued_at,
        due_at=issued_at + timedelta(days=made.terms.due_days),
        content=made,
        seller=seller,
        buyer=buyer,
        **({"open_minor": made.total_minor} | more),
    )


def noted(
    line: str,
    amount_minor: int,
    tax_minor: int,
    *,
    label: str = "",
    promotion_minor: int = 0,
    promotion_tax_minor: int = 0,
) -> CreditNoteLine:
    """A line of a credit note; of money alone where nothing else is said."""
    return CreditNoteLine(
        line, label, amount_minor, tax_minor, promotion_minor, promotion_tax_minor
    )


def credit_note(
    document: InvoiceDocument,
    *,
    lines: tuple[CreditNoteLine, ...],
    net_minor: int,
    tax_minor: int,
    promotion_minor: int = 0,
) -> CreditNoteDocument:
    """A credit note about an invoice, two weeks later."""
    return CreditNoteDocument(
        credit_note="crn_1",
        number="CN-2025-000001",
        issued_at=billing.moment("2025-02-15"),
        reason="Outage of 12 January",
        lines=lines,
        net_minor=net_minor,
        tax_minor=tax_minor,
        promotion_minor=promotion_minor,
        total_minor=net_minor + tax_minor,
        to_receivable_minor=net_minor + tax_minor - promotion_minor,
        to_credit_minor=promotion_minor,
        invoice=document,
    )


def correction(amount_minor: int, *, label: str = "AI credits, late usage") -> Item:
    """A difference of an earlier invoice."""
    return item(
        amount_minor,
        kind=ItemKind.CORRECTION,
        label=label,
        refers=("inv_0", "0/overage"),
    )


def item(
    amount_minor: int,
    *,
    kind: ItemKind = ItemKind.ONE_OFF,
    label: str = "Set-up",
    refers: tuple[str, str] = ("", ""),
    number: int = 1,
    category: str = "standard",
) -> Item:
    return Item(
        item=f"itm_{number}",
        customer="acme",
        subscription="sub_1",
        kind=kind,
        label=label,
        amount_minor=amount_minor,
        start=billing.moment("2024-12-01"),
        end=billing.moment("2025-01-01"),
        added_at=billing.moment("2025-01-05"),
        tax=category,
        refers=refers,
    )


def many_lines(count: int, *, currency: str = "EUR", taxes: Sequence[Json] = ()) -> InvoiceContent:
    """A content of so many lines (an even number): graduated prices in two parts of January."""
    keys = [f"meter_{number:03}" for number in range(count // 2)]
    prices: list[Json] = [
        {
            "key": f"price_{number:03}",
            "name": f"Requests of region {number:03}",
            "form": "graduated",
            "meter": key,
            "included": "1000",
            "tiers": [{"up_to": "5000", "rate": "0.0125"}, {"rate": "0.0095"}],
        }
        for number, key in enumerate(keys)
    ]
    made = catalogue(
        currency=currency,
        prices=prices,
        taxes=taxes,
        meters=[billing.meter(key, unit="request") for key in keys],
    )
    halves = ("2025-01-01", "2025-01-16", "2025-02-01")
    rows = [
        billing.window(key, at=start, value=str(3000 + 137 * number))
        for start in halves[:2]
        for number, key in enumerate(keys)
    ]
    parts = [
        billing.segment(prices=made, billed=billing.period(start, end), of_days=31)
        for start, end in pairwise(halves)
    ]
    terms = billing.terms_of(*parts, prices=made)
    return billing.content_of(
        prices=made, billed=billing.period(halves[0], halves[2]), rows=rows, terms=terms
    )
