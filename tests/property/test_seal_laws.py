"""Laws of sealing: what is sealed opens for its owner alone, unchanged, or not at all."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.books.details import SEALED_LENGTH_MAX
from domain.books.personal import FIELDS
from domain.canonical import Json
from domain.codes import Code
from domain.errors import Rejected
from runtime.vault.details import (
    LENGTH_MAX,
    LINE_LENGTH_MAX,
    LINES_MAX,
    PLACE_LENGTH_MAX,
    POSTAL_CODE_LENGTH_MAX,
    Address,
    PersonalDetails,
    from_values,
    same_address,
    to_values,
)
from runtime.vault.seal import (
    BLOCK_BYTES,
    SEALED,
    DataKey,
    Owner,
    from_text,
    to_text,
    version_of,
)

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1)
OWNERS = st.builds(Owner, TEXTS, TEXTS, st.sampled_from(FIELDS))
VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
SECRETS = st.binary(min_size=32, max_size=32)


def _text(length_max: int) -> st.SearchStrategy[str]:
    return st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]),
        min_size=1,
        max_size=length_max,
    )


DETAILS = st.builds(
    PersonalDetails,
    name=_text(LENGTH_MAX["name"]) | st.just(""),
    email=st.sampled_from(["", "ada@example.com", "ÄDA@bücher.example", f"{'a' * 64}@b.c"]),
    phone=_text(LENGTH_MAX["phone"]) | st.just(""),
    tax_id=_text(LENGTH_MAX["tax_id"]) | st.just(""),
    address=st.none()
    | st.builds(
        Address,
        lines=st.lists(_text(LINE_LENGTH_MAX), min_size=1, max_size=LINES_MAX).map(tuple),
        city=_text(PLACE_LENGTH_MAX),
        region=_text(PLACE_LENGTH_MAX) | st.just(""),
        postal_code=_text(POSTAL_CODE_LENGTH_MAX) | st.just(""),
        country=st.sampled_from(["CA", "DE", "PH"]),
    ),
)


@given(SECRETS, VALUES, OWNERS, st.text(st.characters(codec="utf-8")))
def test_what_is_sealed_opens_for_its_owner(
    secret: bytes, value: Json, owner: Owner, context: str
) -> None:
    text = DataKey(secret, version=3).seal(value, owner=owner, context=context)
    assert DataKey(secret, version=3).open(text, owner=owner) == value
    assert version_of(text) == 3


@given(SECRETS, VALUES, OWNERS, TEXTS, st.sampled_from(["tenant", "customer", "field"]))
def test_it_opens_for_nobody_else(
    secret: bytes, value: Json, owner: Owner, other: str, part: str
) -> None:
    """A text moved to another customer, tenant or field is refused, not misread."""
    assume(other != getattr(owner, part))
    key = DataKey(secret, version=1)
    text = key.seal(value, owner=owner, context="c")
    with pytest.raises(Rejected) as refused:
        key.open(text, owner=replace(owner, **{part: other}))
    assert refused.value.code is Code.SEAL_BROKEN


@given(SECRETS, SECRETS, VALUES, OWNERS)
def test_another_key_or_version_does_not_open_it(
    secret: bytes, other: bytes, value: Json, owner: Owner
) -> None:
    text = DataKey(secret, version=1).seal(value, owner=owner, context="c")
    renamed = text.replace("tgs1.1.", "tgs1.2.", 1)
    with pytest.raises(Rejected):
        DataKey(secret, version=2).open(renamed, owner=owner)
    assume(other != secret)
    with pytest.raises(Rejected):
        DataKey(other, version=1).open(text, owner=owner)


@given(SECRETS, VALUES, OWNERS, st.data())
def test_a_changed_bit_does_not_open(
    secret: bytes, value: Json, owner: Owner, data: st.DataObject
) -> None:
    key = DataKey(secret, version=1)
    sealed = bytearray(from_text(key.seal(value, owner=owner, context="c").split(".")[2]))
    place = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[place // 8] ^= 1 << place % 8
    with pytest.raises(Rejected):
        key.open(f"tgs1.1.{to_text(bytes(sealed))}", owner=owner)


@given(SECRETS, VALUES, OWNERS, st.text(max_size=20), st.text(max_size=20))
def test_the_same_wish_gives_the_same_text_and_no_other(
    secret: bytes, value: Json, owner: Owner, context: str, other: str
) -> None:
    """A repeated request is a repeat; another one does not show that the value is the same."""
    assume(context.isprintable() and other.isprintable())
    key = DataKey(secret, version=1)
    text = key.seal(value, owner=owner, context=context)
    assert key.seal(value, owner=owner, context=context) == text
    assert (key.seal(value, owner=owner, context=other) == text) == (context == other)


def test_no_two_plain_texts_share_a_nonce() -> None:
    """Neither by value nor by context nor by field: a shared one would open both (GCM)."""
    key = DataKey(b"k" * 32, version=1)
    nonces = {
        from_text(
            key.seal(f"value {number}", owner=Owner("t", "c", field), context=context).split(".")[
                2
            ]
        )[:12]
        for number in range(1_000)
        for field in FIELDS
        for context in ("cmd_1", "cmd_2")
    }
    assert len(nonces) == 1_000 * len(FIELDS) * 2


@given(st.integers(0, BLOCK_BYTES - 3))
def test_a_length_tells_little(length: int) -> None:
    """All names of up to 29 letters have texts of one length; quotes and end mark take three."""
    key, owner = DataKey(b"k" * 32, version=1), Owner("t", "c", "name")
    shortest = key.seal("", owner=owner, context="c")
    assert len(key.seal("x" * length, owner=owner, context="c")) == len(shortest)
    assert len(key.seal("x" * 30, owner=owner, context="c")) > len(shortest)


@given(DETAILS)
def test_details_come_back_as_they_were_and_fit_into_the_books(details: PersonalDetails) -> None:
    key = DataKey(b"k" * 32, version=999_999_999)
    sealed = {
        field: key.seal(value, owner=Owner("t", "c", field), context="c")
        for field, value in to_values(details).items()
    }
    assert all(len(text) <= SEALED_LENGTH_MAX for text in sealed.values())
    assert all(SEALED.fullmatch(text) for text in sealed.values())
    opened = {
        field: key.open(text, owner=Owner("t", "c", field)) for field, text in sealed.items()
    }
    assert from_values(opened) == details


def test_the_longest_address_fits_into_the_books() -> None:
    """Four bytes a character, or two of an escape: the bound holds for both."""
    for letter in ("\U0001f600", '"', "\\", "\u20ac"):
        address = Address(
            lines=(letter * LINE_LENGTH_MAX,) * LINES_MAX,
            city=letter * PLACE_LENGTH_MAX,
            region=letter * PLACE_LENGTH_MAX,
            postal_code=letter * POSTAL_CODE_LENGTH_MAX,
            country="CA",
        )
        value = to_values(PersonalDetails(address=address))["address"]
        key = DataKey(b"k" * 32, version=999_999_999)
        text = key.seal(value, owner=Owner("t", "c", "address"), context="c")
        assert len(text) <= SEALED_LENGTH_MAX


@given(st.text())
def test_ways_to_write_an_address_have_one_form(email: str) -> None:
    assert same_address(same_address(email)) == same_address(email)


def test_case_and_accents_do_not_make_another_address() -> None:
    assert same_address("ADA@Example.com") == same_address("ada@example.COM")
    assert same_address("e\u0301@x.y") == same_address("\u00c9@x.y")
    assert same_address("ada@example.com") != same_address("ida@example.com")
