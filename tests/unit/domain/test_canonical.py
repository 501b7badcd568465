"""One value, one text: otherwise a hash means nothing."""

import hashlib
from decimal import Decimal
from typing import cast

import pytest

from domain.canonical import Json, decimal_text, from_json, sha256_hex, to_canonical_json
from domain.codes import Code
from domain.errors import Rejected


class TestWriting:
    def test_sorts_keys_and_leaves_out_white_space(self) -> None:
        """The order in which a mapping was filled does not show."""
        assert to_canonical_json({"b": 1, "a": [True, None, "é"]}) == '{"a":[true,null,"é"],"b":1}'

    @pytest.mark.parametrize("value", [1.0, Decimal(1), {1: 2}, b"", {"a": [0.5]}, {1, 2}])
    def test_refuses_what_has_no_one_form(self, value: object) -> None:
        """Floats, decimals, bytes, sets and keys that are no text are refused."""
        with pytest.raises(Rejected):
            to_canonical_json(cast("Json", value))


class TestReading:
    def test_reads_back_what_was_written(self) -> None:
        """Reading and writing again gives the same text."""
        text = '{"a":[true,null,"é",-12345678901234567890],"b":{"c":""}}'
        assert text == to_canonical_json(from_json(text))

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            "1.5",
            '{"a":1e2}',
            "NaN",
            "-Infinity",
            '{"a":1,"a":2}',
            "[" * 100_000,
            "1" * 5_000,
            r'"\ud800"',
            r'{"\udfff":1}',
            '"\ud800"',
        ],
        ids=lambda text: ascii(text[:16]),
    )
    def test_refuses_what_could_be_read_in_two_ways(self, text: str) -> None:
        """Fractions, repeated keys, endless nesting and lone surrogates are refused, by code."""
        with pytest.raises(Rejected) as caught:
            from_json(text)
        assert caught.value.code is Code.BAD_VALUE

    def test_takes_an_escaped_pair_of_surrogates(self) -> None:
        """Two surrogates that make one character are that character."""
        assert from_json(r'"\ud83d\ude00"') == "\N{GRINNING FACE}"


class TestTexts:
    def test_hash_is_that_of_the_utf_8_bytes(self) -> None:
        """The hash can be checked with any tool."""
        assert sha256_hex("é") == hashlib.sha256(b"\xc3\xa9").hexdigest()

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("0", "0"),
            ("-0", "0"),
            ("0.000", "0"),
            ("1.50", "1.5"),
            ("100", "100"),
            ("1E+3", "1000"),
            ("1E-7", "0.0000001"),
            ("-2.50", "-2.5"),
        ],
    )
    def test_decimals_have_one_shortest_text(self, value: str, text: str) -> None:
        """However a number was computed, its text is the same."""
        assert text == decimal_text(Decimal(value))
