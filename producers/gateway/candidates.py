"""One event as its sender gave it, in whatever form it came; nothing is checked of its values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from domain.codes import Code
from runtime.web.exact_json import Exact

_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
).fullmatch
"""RFC 3339 with its offset. Nine digits, as clocks of Go and Java write them; domain.period takes
six, because its values are kept, and here everything below the millisecond is dropped anyway."""


class RefusedEvent(Exception):
    """One event of a request is wrong; the others go on.

    Args:
        param: Its field.
        detail: What is wrong, for people.
        code: Stable code: ours, or one of the SDK's checks.
    """

    def __init__(self, param: str, detail: str, code: str = Code.EVENT_INVALID) -> None:
        self.param = param
        self.detail = detail
        self.code = str(code)
        super().__init__(detail)


@dataclass(slots=True)
class Candidate:
    """One event before its values are checked; not frozen, for thousands a second are made.

    Args:
        id: Its id; the sender's, or one that the gateway made.
        source: Where the id is unique.
        customer: Who used.
        type_: Event type.
        quantity: int, Decimal or decimal text.
        occurred_at: When; None when the sender gave no time.
        dimensions: Texts by name, or None.
        properties: Texts by name, or None.
    """

    id: str
    source: str
    customer: Exact
    type_: Exact
    quantity: Exact
    occurred_at: datetime | None
    dimensions: Exact
    properties: Exact


def read_time(text: Exact, *, param: str) -> datetime | None:
    """This function will read a time, or nothing.

    Raises:
        RefusedEvent: When it is no RFC 3339 time with its offset.
    """
    if text is None:
        return None
    if not isinstance(text, str) or _TIME(text) is None:
        raise _no_time(param)
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError as error:  # no such day or hour
        raise _no_time(param) from error


def _no_time(param: str) -> RefusedEvent:
    return RefusedEvent(
        param, "must be an RFC 3339 time with its offset, for example 2026-01-31T00:00:00Z"
    )


def required_text(fields: dict[str, Exact], name: str) -> str:
    """This function will return a text that must be there and not be empty."""
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise RefusedEvent(name, "must be there, as text that is not empty")
    return value


def only_known(fields: dict[str, Exact], known: frozenset[str], *, place: str) -> None:
    """This function will refuse fields that nobody reads: a misspelt one must not be ignored."""
    if not fields.keys() <= known:
        name = min(fields.keys() - known)
        raise RefusedEvent(f"{place}{name[:60]}", "there is no such field")
