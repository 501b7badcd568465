"""Quantities as exact integers in billionths; floats never enter."""

import re
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Final

from tidegauge import errors, limits
from tidegauge.wire import batch

_BILLION: Final = 10**limits.QUANTITY_SCALE

# Precision for every quantity below 10^14 with 9 decimals; a digit lost raises Inexact. The
# context is our own, because the host's context may round or trap as it likes.
_EXACT: Final = Context(prec=40, Emax=999_999, Emin=-999_999, traps=[Inexact, InvalidOperation])
_multiply: Final = _EXACT.multiply
_to_integral: Final = _EXACT.to_integral_exact
_DECIMAL_ZERO: Final = Decimal(0)
_DECIMAL_BILLION: Final = Decimal(_BILLION)
_DECIMAL_END: Final = Decimal(limits.QUANTITY_MAX * _BILLION)

_is_decimal_text: Final = re.compile(
    r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?"
).fullmatch

_is_not_finite_text: Final = re.compile(
    r"[+-]?(?:s?nan[0-9]*|inf(?:inity)?)", re.IGNORECASE
).fullmatch


def billionths(quantity: object) -> int:
    """This function will turn a quantity into an exact integer.

    Args:
        quantity: int, Decimal or decimal text, from 0 to below 10^14, in the event type's unit.

    Returns:
        The quantity times 10^9.

    Raises:
        InvalidEvent: The quantity has another type or cannot be held exactly.
    """
    if isinstance(quantity, Decimal):
        result = _of_decimal(quantity)
    elif type(quantity) is int:
        result = _of_int(quantity)
    else:
        result = _of_other(quantity)
    if result > limits.WIRE_INTEGER_MAX and not batch.is_encodable((result,)):
        raise errors.InvalidEvent("quantity", "quantity_too_large")
    return result


def _of_int(quantity: int) -> int:
    if quantity < 0:
        raise errors.InvalidEvent("quantity", "quantity_negative")
    if quantity >= limits.QUANTITY_MAX:
        raise errors.InvalidEvent("quantity", "quantity_too_large")
    return quantity * _BILLION


def _of_decimal(quantity: Decimal) -> int:
    try:
        scaled = _multiply(quantity, _DECIMAL_BILLION)
        # Compared before it becomes an int: 1E+99999 would have as many digits.
        if _DECIMAL_ZERO <= scaled < _DECIMAL_END:
            return int(_to_integral(scaled))
    except (Inexact, InvalidOperation):
        pass
    raise errors.InvalidEvent("quantity", _fault_in(quantity))


def _fault_in(quantity: Decimal) -> str:
    if not quantity.is_finite():
        return "quantity_not_finite"
    if quantity < 0:
        return "quantity_negative"
    if quantity >= limits.QUANTITY_MAX:
        return "quantity_too_large"
    return "quantity_too_precise"


def _of_other(quantity: object) -> int:
    if isinstance(quantity, str):
        return _of_text(quantity)
    if isinstance(quantity, float):
        raise errors.InvalidEvent("quantity", "quantity_float")
    if isinstance(quantity, int) and not isinstance(quantity, bool):
        return _of_int(int(quantity))
    raise errors.InvalidEvent("quantity", "quantity_not_number")


def _of_text(quantity: str) -> int:
    if len(quantity) > limits.QUANTITY_CHARACTERS_MAX:
        raise errors.InvalidEvent("quantity", "text_too_long")
    if _is_decimal_text(quantity) is not None:
        return _of_decimal(Decimal(quantity))
    if _is_not_finite_text(quantity) is not None:
        raise errors.InvalidEvent("quantity", "quantity_not_finite")
    raise errors.InvalidEvent("quantity", "quantity_not_number")
