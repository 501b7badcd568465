"""Whatever the books may hold, its document is read as what was written."""

from __future__ import annotations

from dataclasses import is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct, structs

from domain import own_json
from domain.books.customer import Customer
from domain.books.subscription import Subscription
from domain.canonical import decimal_text
from domain.invoice_terms import Item
from domain.period import Period, from_ms, to_ms
from streams.value_forms import hints_of
from tests.support.billing import moment
from tests.support.kept_books import canonical

TIMES = st.integers(to_ms(moment("0001-01-02")), to_ms(moment("9999-12-30"))).map(from_ms)
OF: dict[Any, st.SearchStrategy[Any]] = {
    NoneType: st.none(),
    bool: st.booleans(),
    datetime: TIMES,
    int: st.integers(1, 31),
    str: st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
    Decimal: st.decimals(0, 10**9, places=9).map(lambda value: Decimal(decimal_text(value))),
    Period: st.lists(TIMES, min_size=2, max_size=2, unique=True).map(
        lambda both: Period(min(both), max(both))
    ),
}
"""Numbers are within every bound of a subscription, texts have a character at least."""


def any_of(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a type, by the types of its fields."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    parts = get_args(hint)
    if hint in OF:
        return OF[hint]
    if get_origin(hint) is tuple and parts[-1] is ...:
        return st.lists(any_of(parts[0]), max_size=3).map(tuple)
    if get_origin(hint) is tuple:
        return st.tuples(*map(any_of, parts))
    if parts:
        return st.one_of(*map(any_of, parts))
    if isinstance(hint, type) and (is_dataclass(hint) or issubclass(hint, Struct)):
        named = {name: any_of(each) for name, each in hints_of(hint).items()}
        return st.fixed_dictionaries(named).map(lambda held: hint(**held))
    assert issubclass(hint, Enum)
    return st.sampled_from(hint)


def item_of(document: str) -> Item:
    """An item as the books read it out of its fact."""
    return own_json.read_as(Item, document, place="item")


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        (Customer, Customer.from_document),
        (Item, item_of),
        (Subscription, Subscription.from_document),
    ],
)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_is_written_is_what_is_read(kind: Any, read: Any, data: st.DataObject) -> None:
    value = data.draw(any_of(kind))
    if kind is Subscription:  # its dimensions are an object, in which each name is there once
        once = tuple(sorted(dict(value.dimensions).items()))
        value = structs.replace(value, dimensions=once)
    assert canonical(value) == canonical(read(value.document))


@pytest.mark.parametrize("kind", [Customer, Subscription])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_an_open_document_is_read_likewise(kind: Any, data: st.DataObject) -> None:
    document = data.draw(any_of(kind)).document
    opened = own_json.opened(document, place="document")
    assert canonical(kind.from_document(document)) == canonical(kind.from_fields(opened))
