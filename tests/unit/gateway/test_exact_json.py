"""JSON from strangers: exact, without repeats, and shallow before anything is built of it."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.web import exact_json
from runtime.web.exact_json import NESTING_MAX, is_shallow, read, write
from runtime.web.problems import ProblemError

SCALARS = st.none() | st.booleans() | st.integers() | st.text(alphabet='ab[]{}"\\é\n,:')
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text('a[{"\\'), inner, max_size=3)
    ),
    max_leaves=12,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


class TestRead:
    @given(VALUES)
    def test_reads_what_json_reads(self, value: Any) -> None:
        if depth(value) <= NESTING_MAX:
            assert read(json.dumps(value).encode()) == value

    def test_makes_no_float(self) -> None:
        """A number is what was written, to the last digit."""
        found = read(b'{"a": 0.1, "b": 1e2, "c": 12345678901234567890.123456789}')
        assert found == {
            "a": Decimal("0.1"),
            "b": Decimal("1e2"),
            "c": Decimal("12345678901234567890.123456789"),
        }

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            (b"", "not JSON"),
            (b"{", "Brackets"),
            (b"NaN", "NaN"),
            (b"[-Infinity]", "Infinity"),
            (b'{"a":1,"a":1}', "repeated"),
            (b'{"a":{"b":1,"b":2}}', "repeated"),
            (b'"a\x00b"', "not JSON"),
            (b'"\xff"', "UTF-8"),
            (b'"\xed\xa0\x80"', "UTF-8"),
            ('"a"'.encode("utf-16"), "UTF-8"),
            (b"\xef\xbb\xbf{}", "not JSON"),
            (b"1e99999999999999999999", "exponent"),
            (b"9" * 5_000, "not JSON"),
            (b"{} {}", "not JSON"),
        ],
    )
    def test_refuses(self, body: bytes, why: str) -> None:
        with pytest.raises(ProblemError) as refused:
            read(body)
        assert refused.value.problem.param == "body"
        assert why in refused.value.problem.detail

    @given(VALUES)
    def test_what_is_written_is_read_as_the_same(self, value: Any) -> None:
        if depth(value) <= NESTING_MAX:
            assert read(write(value).encode()) == value

    @pytest.mark.parametrize("number", ["0.899", "1.0E+5", "-0.0", "0.10", "1E-7"])
    def test_a_number_is_written_as_it_was(self, number: str) -> None:
        assert write(read(f'{{"n": {number}}}'.encode())) == f'{{"n":{number}}}'


class TestIsShallow:
    @given(VALUES, st.integers(0, 2 * NESTING_MAX))
    def test_agrees_with_a_plain_count(self, value: Any, wraps: int) -> None:
        """The trick with whole buffers gives what counting brackets gives."""
        for _ in range(wraps):
            value = [value]
        assert is_shallow(json.dumps(value).encode()) == (depth(value) <= NESTING_MAX)

    @pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":', b'["]",'])
    def test_stops_at_a_hundred_thousand(self, opening: bytes) -> None:
        assert not is_shallow(opening * 100_000)

    @pytest.mark.parametrize("hidden", [b'"\\"', b'"\\\\"', b'\\"', b'"\\\\\\"'])
    def test_is_not_fooled_by_quotes(self, hidden: bytes) -> None:
        """Whatever stands before: the parser itself never goes deep."""
        body = hidden + b"[" * 100_000 + b"]" * 100_000
        with pytest.raises(ProblemError):
            exact_json.read(body)
