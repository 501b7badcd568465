"""A value is found in whatever form somebody wrote it, and nothing else is."""

import base64
import hashlib
import json
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Rejected
from runtime.vault.canaries import LENGTH_MAX, VALUES_MAX, Canaries

VALUE = 'Zoë "Zo" O\'Neill'
ALL = st.text(st.characters(codec="utf-8"), max_size=40).map(str.encode)


def found(data: bytes, *values: str) -> set[int]:
    return {needle.value for needle in Canaries(values or (VALUE,)).find(data)}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(VALUE.encode(), id="plain"),
        pytest.param(VALUE.upper().encode(), id="upper case"),
        pytest.param(VALUE.encode("utf-16-le"), id="UTF-16, little end first"),
        pytest.param(json.dumps({"name": VALUE}).encode(), id="JSON"),
        pytest.param(
            json.dumps({"name": VALUE}, ensure_ascii=False).encode(), id="JSON, as it is"
        ),
        pytest.param(json.dumps(json.dumps({"name": VALUE})).encode(), id="JSON in JSON"),
        pytest.param(VALUE.encode().hex().upper().encode(), id="hex"),
        pytest.param(hashlib.sha256(VALUE.encode()).hexdigest().encode(), id="bare hash"),
        pytest.param(hashlib.md5(VALUE.casefold().encode()).digest(), id="bare hash, folded"),  # noqa: S324 -- what others may have done
    ],
)
def test_a_value_is_found(data: bytes) -> None:
    assert found(b"before" + data + b"after") == {1}


def test_a_value_in_a_web_address_is_found() -> None:
    assert found(quote_plus("ada@example.com").encode(), "ada@example.com") == {1}


@given(ALL, ALL)
def test_a_value_in_base64_is_found_wherever_it_stands(before: bytes, after: bytes) -> None:
    data = before + VALUE.encode() + after
    assert found(base64.b64encode(data)) == {1}
    assert found(base64.urlsafe_b64encode(data)) == {1}


def test_values_are_told_by_their_numbers() -> None:
    assert found(b"xx second xx third", "first", "second", "third") == {2, 3}


def test_what_is_not_there_is_not_found() -> None:
    assert found(b"Zo\xc3\xab O'Neill") == set()
    assert found(b"") == set()


@pytest.mark.parametrize(
    "values", [(), ("abc",), ("a" * (LENGTH_MAX + 1),), ("abcd",) * (VALUES_MAX + 1)]
)
def test_values_that_prove_nothing_are_refused(values: tuple[str, ...]) -> None:
    with pytest.raises(Rejected):
        Canaries(values)
