"""Money: integer minor units and an ISO 4217 currency; exact decimals until one named rounding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from domain.codes import Code
from domain.errors import Fatal, Rejected

if TYPE_CHECKING:
    from fractions import Fraction

# ISO 4217, active codes as of 2025, by number of decimal places of the minor unit.
_NO_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"
_FOUR_DECIMALS = "CLF UYW"
_TWO_DECIMALS = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD "
    "CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL "
    "GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR "
    "LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD "
    "PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC "
    "SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD YER ZAR ZMW ZWG"
)
_DECIMALS: dict[str, int] = {
    code: places
    for places, codes in (
        (0, _NO_DECIMALS),
        (2, _TWO_DECIMALS),
        (3, _THREE_DECIMALS),
        (4, _FOUR_DECIMALS),
    )
    for code in codes.split()
}


def minor_unit_places(currency: str) -> int:
    """This function will return the decimal places of a currency's minor unit (ISO 4217).

    Raises:
        Rejected: currency_unknown, when the code is not an active ISO 4217 code.
    """
    places = _DECIMALS.get(currency)
    if places is None:
        raise Rejected(Code.CURRENCY_UNKNOWN, f"{currency[:8]!r} is no ISO 4217 currency code")
    return places


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in whole minor units of one currency.

    Args:
        amount_minor: Minor units, for example cents; may be negative.
        currency: ISO 4217 code.
    """

    amount_minor: int
    currency: str

    def __add__(self, other: Money) -> Money:
        """Add two amounts of one currency; Fatal currency_differs otherwise."""
        if self.currency != other.currency:
            raise Fatal(
                Code.CURRENCY_DIFFERS,
                f"cannot add {other.currency} to {self.currency}",
                next_step="Keep the logs and report this as a defect",
            )
        return Money(self.amount_minor + other.amount_minor, self.currency)

    def text(self) -> str:
        """Return the amount in major units, for example "10600.00"."""
        return minor_text(amount_minor=self.amount_minor, currency=self.currency)


def minor_text(*, amount_minor: int, currency: str) -> str:
    """This function will write minor units in major units with all decimal places."""
    places = minor_unit_places(currency)
    sign = "-" if amount_minor < 0 else ""
    digits = str(abs(amount_minor)).rjust(places + 1, "0")
    return f"{sign}{digits[:-places]}.{digits[-places:]}" if places else f"{sign}{digits}"


TEXT_PLACES_MAX = 80
"""Places of an exact text: 27 of a weighted quantity, 18 of a rate, 17 of its unit, 2 of a
percentage and 3 of a share of a period make 67."""
INEXACT_PLACES = 18
"""Places of a text of a fraction without a last digit, for example a third."""
_POWERS: tuple[int, ...] = tuple(10**places for places in range(TEXT_PLACES_MAX + 1))


def exact_text(value: Fraction) -> str:
    """This function will write a fraction as decimal text.

    Args:
        value: Any fraction.

    Returns:
        All its digits, without needless zeros, when it has a last one; else 18 places, half up.
    """
    if value.denominator == 1:
        return str(value.numerator)
    places = _places(value.denominator)
    scale = _POWERS[places]
    units = round_half_up(value, places=places)
    whole, fraction = divmod(abs(units), scale)
    tail = str(fraction).rjust(places, "0").rstrip("0")
    text = f"{whole}.{tail}" if tail else str(whole)
    return f"-{text}" if units < 0 else text


def _places(denominator: int) -> int:
    """Return enough places for all digits of a fraction, or INEXACT_PLACES when they never end."""
    for places in (2, 6, 9, INEXACT_PLACES, TEXT_PLACES_MAX):
        if _POWERS[places] % denominator == 0:
            return places
    return INEXACT_PLACES


def round_half_up(value: Fraction, *, places: int) -> int:
    """This function will round once, halves away from zero (G-04).

    Args:
        value: Exact amount in major units.
        places: Decimal places that stay, 0 to 80.

    Returns:
        Whole 10^-places.
    """
    numerator, denominator = value.numerator * _POWERS[places], value.denominator
    if numerator < 0:
        return -((-2 * numerator + denominator) // (2 * denominator))
    return (2 * numerator + denominator) // (2 * denominator)
