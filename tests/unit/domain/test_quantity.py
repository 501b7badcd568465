"""Quantities are whole billionths; text goes in and comes out exactly."""

from fractions import Fraction

import pytest

from domain.codes import Code
from domain.errors import Rejected
from domain.quantity import nanos_text, parse_nanos


class TestParse:
    @pytest.mark.parametrize(
        ("text", "nanos"),
        [
            ("0", 0),
            ("12", 12_000_000_000),
            ("12.5", 12_500_000_000),
            ("0.000000001", 1),
            ("0.1", 100_000_000),
            ("1.100000000000000000", 1_100_000_000),
            ("99999999999999.999999999", 99_999_999_999_999_999_999_999),
        ],
    )
    def test_reads_plain_decimals_exactly(self, text: str, nanos: int) -> None:
        """The value times 10^9, without a float in between; zero is a quantity (G-08)."""
        assert nanos == parse_nanos(text)

    FAULTS = ("", "-1", "+1", "1e3", "1.", ".5", " 1", "1 ", "NaN", "Infinity", "1,5", "0x10")
    LIMITS = ("\u0663", "0.0000000001", "100000000000000", "1" * 40)

    @pytest.mark.parametrize("text", FAULTS + LIMITS)
    def test_g_08_refuses_everything_else(self, text: str) -> None:
        """Signs, exponents, words, foreign digits, too fine and too large are refused."""
        with pytest.raises(Rejected) as caught:
            parse_nanos(text)
        assert caught.value.code is Code.BAD_VALUE


class TestText:
    @pytest.mark.parametrize(
        ("nanos", "text"),
        [
            (0, "0"),
            (1, "0.000000001"),
            (12_500_000_000, "12.5"),
            (-12_500_000_000, "-12.5"),
            (-1, "-0.000000001"),
            (10**38, "1" + "0" * 29),
        ],
    )
    def test_is_exact_and_shortest(self, nanos: int, text: str) -> None:
        """No exponent, no needless zero, and the same number."""
        assert text == nanos_text(nanos)
        assert Fraction(text) == Fraction(nanos, 10**9)
