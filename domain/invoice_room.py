"""How many of the items that wait an invoice takes along: as many as it has room for.

An invoice is asked for in one command, and a command has a largest size. The first try is with all
items that an invoice may take, each further one with half of them, rounded down; the first content
that has room for its items is the invoice, and the others wait for the next one, in their order.
Builder, preview, dry run and books all build it this way (domain.invoice.build_invoice), so the
books refuse one that leaves items out without need. An invoice is never refused for its items:
without any it is tried as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.canonical import to_canonical_json
from domain.invoice_terms import InvoiceKind

if TYPE_CHECKING:
    from domain.invoice_terms import InvoiceTerms, Item

CONTENT_BYTES_MAX = 4 * 2**20 - 16 * 2**10
"""Bytes of a content with items, as it stands in its command: what account.commands takes, less
16 KiB for all else that a command says, whoever sends it and whatever ids it has."""


def fewer_items(terms: InvoiceTerms, *, text: str) -> tuple[Item, ...] | None:
    """This function will say with which items an invoice is tried next.

    Args:
        terms: Terms of the last try.
        text: Its content.

    Returns:
        The first half of its items; None when there is room for all of them, or nothing to leave
        out: an invoice of items alone has at least one.
    """
    least = 1 if terms.kind is InvoiceKind.ITEMS else 0
    if len(terms.items) <= least or _has_room(text):
        return None
    return terms.items[: len(terms.items) // 2]


def _has_room(text: str) -> bool:
    # Written into a command a character has at most 4 bytes, and hardly any content comes near.
    return (
        4 * len(text) <= CONTENT_BYTES_MAX
        or len(to_canonical_json(text).encode()) <= CONTENT_BYTES_MAX
    )
