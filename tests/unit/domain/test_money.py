"""Money is whole minor units of one currency; it is rounded once, half up."""

from fractions import Fraction

import pytest

from domain.codes import Code
from domain.errors import Fatal, Rejected
from domain.money import (
    Money,
    exact_text,
    minor_text,
    minor_unit_places,
    round_half_up,
)

# amount       currency  minor
TABLE = """
0              CAD       0
0.004999999999 CAD       0
0.005          CAD       1
0.0149999      CAD       1
0.015          CAD       2
0.025          CAD       3
10600          CAD       1060000
114.4          USD       11440
0.4            JPY       0
0.5            JPY       1
1.5            JPY       2
2.5            JPY       3
0.0004         BHD       0
0.0005         BHD       1
0.00005        CLF       1
-0.005         CAD       -1
-0.004         CAD       0
99999999999999999999999999999999999999.995 CAD 10000000000000000000000000000000000000000
"""
ROWS = [line.split() for line in TABLE.splitlines() if line]


class TestRounding:
    @pytest.mark.parametrize(("amount", "currency", "minor"), ROWS)
    def test_g_04_rounds_half_up_to_the_minor_unit(
        self, amount: str, currency: str, minor: str
    ) -> None:
        """Halves go away from zero; the currency says how fine the minor unit is."""
        assert round_half_up(Fraction(amount), places=minor_unit_places(currency)) == int(minor)


class TestMoney:
    def test_adds_one_currency(self) -> None:
        """Minor units add up."""
        assert Money(150, "CAD") + Money(-50, "CAD") == Money(100, "CAD")

    def test_c_07_never_adds_two_currencies(self) -> None:
        """A sum across currencies is a defect, not a number."""
        with pytest.raises(Fatal) as caught:
            Money(1, "CAD") + Money(1, "USD")
        assert caught.value.code is Code.CURRENCY_DIFFERS

    @pytest.mark.parametrize(
        ("minor", "currency", "text"),
        [
            (1060000, "CAD", "10600.00"),
            (5, "CAD", "0.05"),
            (-5, "CAD", "-0.05"),
            (0, "CAD", "0.00"),
            (7, "JPY", "7"),
            (7, "BHD", "0.007"),
        ],
    )
    def test_is_written_with_all_its_places(self, minor: int, currency: str, text: str) -> None:
        """The text has exactly the currency's decimal places."""
        assert text == minor_text(amount_minor=minor, currency=currency)
        assert text == Money(minor, currency).text()

    @pytest.mark.parametrize("code", ["", "cad", "XYZ", "CA", "DEM"])
    def test_knows_only_active_iso_4217_codes(self, code: str) -> None:
        """Anything else is refused with its own code."""
        with pytest.raises(Rejected) as caught:
            minor_unit_places(code)
        assert caught.value.code is Code.CURRENCY_UNKNOWN


# value                   text
TEXTS = """
0                         0
7                         7
-7                        -7
1/2                       0.5
-1/2                      -0.5
1/1000000                 0.000001
-1/8                      -0.125
1/3                       0.333333333333333333
2/3                       0.666666666666666667
-2/3                      -0.666666666666666667
1/1000000000000000000000  0.000000000000000000001
90000/31                  2903.225806451612903226
"""
TEXT_ROWS = [line.split() for line in TEXTS.splitlines() if line]

# value      places  rounded
ROUNDED = """
1/2          0       1
-1/2         0       -1
49/100       0       0
-49/100      0       0
5/1000       2       1
-5/1000      2       -1
4999/1000000 2       0
15/1000      2       2
1/3          2       33
2/3          2       67
90000/31     2       290323
0            6       0
"""
ROUNDED_ROWS = [line.split() for line in ROUNDED.splitlines() if line]


class TestFractions:
    @pytest.mark.parametrize(("value", "text"), TEXT_ROWS)
    def test_are_written_exactly_or_to_18_places(self, value: str, text: str) -> None:
        """All digits where there is a last one, however far behind the point."""
        assert text == exact_text(Fraction(value))

    @pytest.mark.parametrize(("value", "places", "rounded"), ROUNDED_ROWS)
    def test_x_54_round_half_up_away_from_zero(
        self, value: str, places: str, rounded: str
    ) -> None:
        """90,000 ÷ 31 is 2,903.2258…, so 2,903.23."""
        assert int(rounded) == round_half_up(Fraction(value), places=int(places))
