"""What the invoice book checks of a content: it makes the same again and compares the bytes.

No amount is taken on trust (docs/decisions/0025): terms come from the books' own state, usage and
pin from the content, and what build_invoice makes of them must be what was sent.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime
from itertools import zip_longest
from typing import TYPE_CHECKING

from domain.canonical import Json, from_json, sha256_hex, to_canonical_json
from domain.codes import Code
from domain.errors import Rejected
from domain.fields import Fields
from domain.invoice import InvoiceContent, build_invoice, hash_text
from domain.invoice_reading import content_fields, pin_of, usage_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.books.state import TenantState
    from domain.invoice_terms import InvoiceTerms

YEAR_MIN, YEAR_MAX = 2000, 8_000
"""Years of an as_of: a due date or a period after it stays within what a date can hold."""


def as_of_in(fields: Fields) -> datetime:
    """This function will read an as_of (Rejected otherwise)."""
    as_of = fields.time("as_of")
    if not YEAR_MIN <= as_of.year <= YEAR_MAX:
        raise fields.refuse("as_of", f"must lie in the years {YEAR_MIN} to {YEAR_MAX}")
    return as_of


def content_in(fields: Fields) -> tuple[str, Fields]:
    """This function will open the content of a command and check its hash.

    Returns:
        The content as text, and opened.

    Raises:
        Rejected: command_invalid, when it is no content; content_hash_differs.
    """
    text, sha256 = fields.document("content"), hash_text(fields, "content_sha256")
    try:
        found = content_fields(text)
        found.object("terms")
    except Rejected as error:
        raise fields.refuse("content", f"is wrong: {error.reason}") from error
    if sha256_hex(text) != sha256:
        raise Rejected(Code.CONTENT_HASH_DIFFERS, f"the content hashes to {sha256_hex(text)}")
    return text, Fields(f"{fields.place}.content", found.values, fields.code)


def rebuilt_next(
    state: TenantState, *, terms: InvoiceTerms, text: str, opened: Fields
) -> InvoiceContent:
    """This function will build the next invoice of somebody again, and refuse what is another.

    Args:
        state: Books of the tenant; its catalogues are used.
        terms: Terms that hold, with all items that an invoice may take along.
        text: The content as it was sent.
        opened: The same, opened.

    Returns:
        The content, with as many of the items as it has room for.

    Raises:
        Rejected: terms_differ, naming the terms that are others now, items where there is room
            for more or fewer of them; what rebuilt refuses.
    """
    sent = opened.object("terms").values.get("items")
    count = len(sent) if isinstance(sent, list) else 0
    found = terms if count == len(terms.items) else replace(terms, items=terms.items[:count])
    _require_terms(found, opened=opened)
    content = _built_again(state, terms=terms, opened=opened, is_next=True)
    if len(content.terms.items) != count:
        raise _other_terms(["items"])
    return _the_same(content, text=text, opened=opened)


def rebuilt(
    state: TenantState, *, terms: InvoiceTerms, text: str, opened: Fields
) -> InvoiceContent:
    """This function will build a content again and refuse it when a byte differs.

    Args:
        state: Books of the tenant; its catalogues are used.
        terms: Terms that it was made by.
        text: The content as it was sent.
        opened: The same, opened.

    Raises:
        Rejected: lines_differ, naming the first line or total that differs; command_invalid, when
            usage or pin are malformed; what build_invoice refuses.
    """
    content = _built_again(state, terms=terms, opened=opened, is_next=False)
    return _the_same(content, text=text, opened=opened)


def _require_terms(terms: InvoiceTerms, *, opened: Fields) -> None:
    """Refuse a content that was made by other terms, naming those that are others now."""
    sent = opened.object("terms").values
    if to_canonical_json(sent) == terms.text:
        return
    mine = terms.to_json()
    raise _other_terms(
        name
        for name in sorted({*mine, *sent})
        if name not in mine
        or name not in sent
        or to_canonical_json(mine[name]) != to_canonical_json(sent[name])
    )


def _other_terms(names: Iterable[str]) -> Rejected:
    return Rejected(
        Code.TERMS_DIFFER,
        f"the books have other terms now: {', '.join(names)}; build the content again",
    )


def _built_again(
    state: TenantState, *, terms: InvoiceTerms, opened: Fields, is_next: bool
) -> InvoiceContent:
    return build_invoice(
        terms=terms,
        usage=usage_of(opened),
        catalogues=state.catalogues,
        pin=pin_of(opened),
        is_next=is_next,
    )


def _the_same(content: InvoiceContent, *, text: str, opened: Fields) -> InvoiceContent:
    if content.text != text:
        raise Rejected(Code.LINES_DIFFER, _difference(content.text, opened))
    return content


def _difference(mine: str, sent: Fields) -> str:
    """Say where two contents differ: the first line, or the first other field."""
    right = from_json(mine)
    if not isinstance(right, dict):
        return "the content differs"
    ours, theirs = right.get("lines"), sent.values.get("lines")
    if isinstance(ours, list) and isinstance(theirs, list):
        for line, other in zip_longest(ours, theirs):
            if _text(line) != _text(other):
                return f"line {_id_of(line) or _id_of(other)!r} is not what its terms come to"
    for name in sorted({*right, *sent.values}):
        if _text(right.get(name)) != _text(sent.values.get(name)):
            return f"{name} is not what the terms and lines come to"
    return "the content is not written in its canonical form"


def _text(value: Json) -> str:
    return to_canonical_json(value)


def _id_of(line: Json) -> str:
    found = line.get("id", "") if isinstance(line, dict) else ""
    return found if isinstance(found, str) else ""


def hash_of_terms(terms: InvoiceTerms) -> bytes:
    """This function will return the hash by which a correction is known to have the same terms."""
    return hashlib.sha256(terms.text.encode()).digest()
