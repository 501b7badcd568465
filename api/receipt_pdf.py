"""A receipt as PDF: the same receipt gives the same bytes, on every machine and at any time.

The file is dated by the receipt; api.typesetting does what receipts and invoices share.
"""

from __future__ import annotations

from api import typesetting
from domain.canonical import Json, from_json
from domain.period import parse_time
from projections.queries.receipts import Receipt

TEMPLATE = typesetting.Template("receipt.typ")

_TITLES = {
    "charge": "Receipt",
    "top_up": "Receipt",
    "refund": "Refund",
    "adjustment": "Adjustment",
}
_AMOUNT_LABELS = {"charge": "Worth", "top_up": "Paid", "refund": "Returned", "adjustment": "Worth"}
_SIGNS = {"PHP": "₱", "USD": "$", "EUR": "€", "GBP": "£"}
"""Signs that nobody mistakes; any other currency is shown by its ISO 4217 code."""
_FACTS = (
    ("Customer", "customer"),
    ("Project", "project"),
    ("Node", "lone_node"),
    ("Detection", "charge"),
    ("Payment", "payment_reference"),
    ("Reason", "reason"),
    ("Credits left", "credits_available_after"),
)
"""Label and name of what a receipt may hold, in the order of the page."""


def etag(receipt: Receipt) -> str:
    """This function will return what names the bytes of a receipt's page."""
    return f"{receipt.content_sha256[:32]}-{TEMPLATE.layout}"


def render(receipt: Receipt) -> bytes:
    """This function will return a receipt's page; making it takes about 0.1 s, once.

    Raises:
        Retryable: overloaded, when too many pages are made or wait.
    """
    return typesetting.remembered(etag(receipt), lambda: to_pdf(receipt))


def to_pdf(receipt: Receipt) -> bytes:
    """This function will lay a receipt out as PDF.

    Not as PDF/A, which refuses a character that our fonts lack. It shows a box there; the
    receipt's content has the name itself.
    """
    return TEMPLATE.typeset(to_page(receipt), at=receipt.issued_at)


def to_page(receipt: Receipt) -> dict[str, Json]:
    """This function will say what stands on the page, as the template reads it."""
    content = from_json(receipt.content)
    if not isinstance(content, dict):
        raise TypeError("a receipt's content is an object")
    facts: list[Json] = [["Date", f"{parse_time(_text(content, 'date')):%d %B %Y, %H:%M} UTC"]]
    facts += [[label, _text(content, name)] for label, name in _FACTS if content.get(name)]
    delivers = content.get("delivers")
    return {
        "title": _TITLES.get(receipt.kind, "Receipt"),
        "issuer": _text(content, "tenant"),
        "number": receipt.receipt,
        "facts": facts,
        "name": _text(content, "name"),
        "credits": f"{int(_text(content, 'credits')):,}",
        "amount_label": _AMOUNT_LABELS.get(receipt.kind, "Amount"),
        "amount": money_text(_text(content, "amount"), _text(content, "currency")),
        "delivers": [str(item) for item in delivers] if isinstance(delivers, list) else [],
        "transaction": receipt.transaction,
        "sha256": receipt.content_sha256,
    }


def money_text(amount: str, currency: str) -> str:
    """This function will write an amount for people, for example ₱1,499.00."""
    whole, point, cents = amount.partition(".")
    sign = _SIGNS.get(currency, f"{currency} ")
    return f"{sign}{int(whole):,}{point}{cents}"


def _text(content: dict[str, Json], name: str) -> str:
    value = content.get(name)
    return "" if value is None else str(value)
