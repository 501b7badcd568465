"""Pages of a list: a page starts after the sort key of the row before it, not at a row number.

So rows that arrive while somebody turns pages are neither shown twice nor left out, and the last
page costs no more than the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Row = TypeVar("Row")

PAGE_ROWS_MAX = 200
"""Rows of one page; bounds the memory and the time of one answer."""


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows of a list, and whether more follow.

    Args:
        rows: At most as many rows as were asked for, in the order of the list.
        has_more: Whether a row follows the last one.
    """

    rows: tuple[Row, ...]
    has_more: bool


def page_of(rows: Sequence[Row], *, limit: int) -> Page[Row]:
    """This function will cut a result of limit + 1 rows into a page.

    Args:
        rows: What a statement with LIMIT limit + 1 returned.
        limit: Rows that were asked for.
    """
    return Page(tuple(rows[:limit]), has_more=len(rows) > limit)


def conditions(*parts: str) -> str:
    """This function will join conditions into a WHERE clause; empty ones are left out.

    Args:
        parts: Fixed texts of this package with bound parameters, never a user's text.
    """
    present = [part for part in parts if part]
    return f"WHERE {' AND '.join(present)}" if present else ""
