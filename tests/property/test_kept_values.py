"""Whatever a map of the books may hold by its type comes out of a checkpoint as it went in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.books.state import FirstOutcome, TenantState
from domain.catalogue import Catalogue, parse_catalogue
from domain.codes import Code
from domain.invoice_terms import Item
from domain.money import Money
from domain.period import Period, from_ms, to_ms
from streams.state_parts import StateMap, StateParts
from streams.value_forms import form_of, hints_of
from tests.support.billing import moment, s1_document
from tests.support.kept_books import canonical

MOMENTS = st.integers(to_ms(moment("0001-01-02")), to_ms(moment("9999-12-30"))).map(from_ms)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
OF = {
    datetime: MOMENTS,
    str: TEXTS,
    int: st.integers(-(2**63), 2**63 - 1),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False, places=9),
    Period: st.tuples(MOMENTS, MOMENTS)
    .filter(lambda pair: pair[0] != pair[1])
    .map(lambda pair: Period(min(pair), max(pair))),
    Money: st.builds(Money, st.integers(-(2**63), 2**63 - 1), st.sampled_from(["CAD", "JPY"])),
    Catalogue: st.just(parse_catalogue(s1_document())),
    FirstOutcome: st.builds(
        FirstOutcome, st.binary(min_size=32, max_size=32), st.sampled_from([*Code, ""]), TEXTS
    ),
}
for kind, strategy in OF.items():
    st.register_type_strategy(kind, strategy)
st.register_type_strategy(
    Mapping, lambda hint: st.dictionaries(*map(st.from_type, get_args(hint)), max_size=3)
)
PARTS = StateParts()
ITEM = {
    **dict.fromkeys(("item", "customer", "subscription", "label", "tax"), "x"),
    **dict.fromkeys(("start", "end", "added_at"), moment("2025-01-01")),
    "kind": "one_off",
    "amount_minor": 1,
    "refers": ("", ""),
    "taxed": None,
}


def hint_of(part: StateMap) -> Any:
    """Return the type of a map's values."""
    owner, _, name = part.path.rpartition(".")
    kind = hints_of(TenantState)[owner] if owner else TenantState
    return get_args(hints_of(kind)[name])[-1]


@pytest.mark.parametrize(
    "part", [each for each in PARTS.maps if not each.is_set], ids=lambda part: part.path
)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_every_value_comes_back(part: StateMap, data: st.DataObject) -> None:
    hint = hint_of(part)
    form, value = form_of(hint), data.draw(st.from_type(hint))
    row = msgspec.msgpack.encode(value if form.write is None else form.write(value))
    plain = msgspec.msgpack.decode(row, type=form.plain)
    again = plain if form.read is None else form.read(plain)
    assert canonical(value) == canonical(again)


def test_what_is_said_about_a_field_holds_in_a_checkpoint() -> None:
    """msgspec is told the types of a class once, for facts and checkpoints alike."""
    form_of(Item)
    value = {**ITEM, "start": datetime(2025, 1, 1)}  # noqa: DTZ001 -- the very fault
    with pytest.raises(msgspec.ValidationError, match=r"timezone.*\$\.start"):
        msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=Item)


class Loose(msgspec.Struct):
    """A value whose fields can be set."""

    name: str


@pytest.mark.parametrize(
    "hint", [list[int], dict[str, int], tuple[set[str], ...], object, float, Loose]
)
def test_what_could_change_unseen_is_refused(hint: Any) -> None:
    """Or no checkpoint would note a change within; and a float is none of ours."""
    with pytest.raises(TypeError, match="cannot be kept"):
        form_of(hint)
