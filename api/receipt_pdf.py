"""A receipt as PDF: the same receipt gives the same bytes, on every machine and at any time.

typst lays it out with the fonts that it brings along, and dates the file by the receipt. The
receipt's texts go to it as data, never as markup, so a customer's name can neither change the page
nor read a file.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from datetime import UTC
from importlib import resources

import typst

from domain.canonical import Json, from_json, sha256_hex
from domain.codes import Code
from domain.errors import Retryable
from domain.period import parse_time
from projections.queries.receipts import Receipt

CACHE_MAX = 64
"""Receipts whose pages are remembered, about 20 KB each: somebody who looks at one reloads it."""
TEMPLATE = resources.files("api").joinpath("receipt.typ").read_bytes()
LAYOUT = sha256_hex(TEMPLATE.decode())[:12]
"""Changes with the template: a page is remembered by clients for as long as it stays the same."""

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

WAITING_MAX = 4
"""Requests whose page is made or waits for its turn: each holds one of the 40 threads that all
other requests need too."""

_pages: OrderedDict[str, bytes] = OrderedDict()
_places = threading.BoundedSemaphore(WAITING_MAX)
_rendering = threading.Lock()
"""One page is made at a time: it takes about 0.1 s of a core, and there are other requests."""


def etag(receipt: Receipt) -> str:
    """This function will return what names the bytes of a receipt's page."""
    return f"{receipt.content_sha256[:32]}-{LAYOUT}"


def render(receipt: Receipt) -> bytes:
    """This function will return a receipt's page; making it takes about 0.1 s, once.

    Raises:
        Retryable: overloaded, when WAITING_MAX pages are made or wait.
    """
    name = etag(receipt)
    page = _pages.get(name)
    if page is not None:
        return page
    if not _places.acquire(blocking=False):
        raise Retryable(Code.OVERLOADED, "too many receipts at once", retry_after_ms=1_000)
    try:
        with _rendering:
            return _made(name, receipt)
    finally:
        _places.release()


def _made(name: str, receipt: Receipt) -> bytes:
    page = _pages.get(name)  # another request may have made it while this one waited
    if page is None:
        page = _pages[name] = to_pdf(receipt)
        if len(_pages) > CACHE_MAX:
            _pages.popitem(last=False)
    return page


def to_pdf(receipt: Receipt) -> bytes:
    """This function will lay a receipt out as PDF.

    Not as PDF/A, which refuses a character that its fonts lack: a name in Chinese would
    have no receipt. It shows boxes there; the receipt's content has the name itself.
    """
    compiler = typst.Compiler(TEMPLATE, ignore_system_fonts=True)
    page = compiler.compile(
        format="pdf",
        sys_inputs={"receipt": json.dumps(to_page(receipt), ensure_ascii=False)},
        timestamp=receipt.issued_at.astimezone(UTC).replace(microsecond=0),
    )
    if not isinstance(page, bytes):
        raise TypeError("typst made no page")
    return page


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
