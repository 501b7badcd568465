"""The receipt book: what was bought, taken or given back, numbered without gaps (S0-51)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.billing_terms import RECEIPT_PREFIX
from domain.books.facts import Fact, fact_of, fields_of_fact
from domain.canonical import sha256_hex, to_canonical_json
from domain.period import from_ms

if TYPE_CHECKING:
    from domain.books.deal import Deal
    from domain.books.state import TenantState
    from domain.books.wallet import Wallet

NUMBER_DIGITS = 6
"""Digits of a number at least; the 1,000,000th of a year simply has one more."""


def next_number(state: TenantState, *, received_at_ms: int) -> str:
    """This function will return the next number of the tenant in the year of a received time."""
    year = from_ms(received_at_ms).year
    return f"{RECEIPT_PREFIX}{year}-{state.receipts_issued.get(year, 0) + 1:0{NUMBER_DIGITS}d}"


def issued(deal: Deal, *, number: str, tenant: str, wallet: Wallet, at: str) -> Fact:
    """This function will write a receipt.

    Args:
        deal: What it is for.
        number: Its number.
        tenant: Who issues it.
        wallet: The customer's wallet, as the deal leaves it.
        at: Received time of the command, RFC 3339.

    Returns:
        ReceiptIssued, with the content as canonical JSON and its SHA-256.
    """
    content = to_canonical_json(
        {
            **deal.details,
            "number": number,
            "kind": deal.kind,
            "tenant": tenant,
            "customer": wallet.customer,
            "name": deal.name,
            "reference": deal.reference,
            "credits": deal.quantity,
            "amount_minor": deal.amount.amount_minor,
            "amount": deal.amount.text(),
            "currency": deal.amount.currency,
            "date": at,
            "transaction": deal.transaction,
            "reason": deal.reason,
            "payment_reference": deal.payment_reference,
            "credits_available_after": wallet.available,
            "credits_held_after": wallet.held,
        }
    )
    return fact_of(
        "ReceiptIssued",
        {
            "receipt": number,
            "kind": deal.kind,
            "customer": wallet.customer,
            "transaction": deal.transaction,
            "content": content,
            "content_sha256": sha256_hex(content),
            "issued_at": at,
        },
    )


def apply(*, state: TenantState, fact: Fact) -> None:
    """This function will take the number."""
    _, year, count = fields_of_fact(fact).text("receipt").split("-")
    state.receipts_issued[int(year)] = int(count)
