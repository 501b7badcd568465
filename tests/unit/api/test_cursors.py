"""Cursors come back as they went out, and anything else is refused politely."""

import base64
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cursors import INTEGER_MAX, CursorPart, from_cursor, moment, only_text, to_cursor
from domain.fields import is_clean_text
from domain.period import time_text
from runtime.web.problems import ProblemError

PARTS = st.lists(
    st.text(max_size=200).filter(lambda text: text == "" or is_clean_text(text))
    | st.integers(-INTEGER_MAX, INTEGER_MAX),
    max_size=6,
)


def _same(parts: Sequence[CursorPart]) -> list[CursorPart]:
    return list(parts)


@given(PARTS)
def test_a_cursor_comes_back(parts: list[CursorPart]) -> None:
    assert from_cursor(to_cursor("list", *parts), kind="list", make=_same) == parts


def test_no_cursor_is_the_first_page() -> None:
    assert from_cursor(None, kind="list", make=only_text) is None


@given(
    st.text(min_size=1)
    | st.binary(min_size=1).map(lambda raw: base64.urlsafe_b64encode(raw).decode())
)
def test_any_text_is_a_cursor_or_a_bad_request(cursor: str) -> None:
    """Whatever a caller makes up ends in 400 with param cursor, never in a defect."""
    with pytest.raises(ProblemError) as raised:
        from_cursor(cursor, kind="list", make=only_text)
    assert raised.value.problem.status == 400
    assert raised.value.problem.param == "cursor"


@pytest.mark.parametrize(
    "packed",
    [
        *(b"[]", b"{}", b'"list"', b'["other","a"]', b'["list"]', b'["list","a","b"]', b"\xff"),
        *(b'["list",1]', b'["list",null]', b'["list",true]', b'["list",1.5]', b'["list",NaN]'),
        *(b'["list","\\u0000"]', b'["list","\\ud800"]', b"[" * 5_000),
        b'["list",%d]' % (INTEGER_MAX + 1),
    ],
)
def test_a_cursor_with_another_inside_is_refused(packed: bytes) -> None:
    cursor = base64.urlsafe_b64encode(packed).decode()
    with pytest.raises(ProblemError):
        from_cursor(cursor, kind="list", make=only_text)


@pytest.mark.parametrize("text", ["2026-01-01", "0001-01-01T00:00:00+23:59", "later"])
def test_a_cursor_with_no_time_is_refused(text: str) -> None:
    with pytest.raises(ProblemError):
        from_cursor(to_cursor("list", text), kind="list", make=lambda parts: moment(parts[0]))


def test_a_time_comes_back_to_the_microsecond() -> None:
    text = "2026-01-01T00:00:00.000001Z"
    found = from_cursor(to_cursor("l", text), kind="l", make=lambda parts: moment(parts[0]))
    assert found is not None
    assert time_text(found) == text
