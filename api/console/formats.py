"""How values are written for people: money by its currency, times in UTC, numbers grouped."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from markupsafe import Markup, escape

from domain.canonical import decimal_text
from domain.money import minor_text
from domain.period import require_utc, time_text

SYMBOLS: dict[str, str] = {"PHP": "₱", "EUR": "€", "GBP": "£", "JPY": "¥", "USD": "$"}
"""Currencies whose sign stands for them alone on these pages; all others show their code."""
_MINUS = "\N{MINUS SIGN}"
_NO_BREAK = "\N{NO-BREAK SPACE}"
DASH = "\N{EM DASH}"


def whole(number: int) -> str:
    """This function will write a whole number with its thousands apart, for example 12,500."""
    return f"{number:,}".replace("-", _MINUS)


def money(amount_minor: int, currency: str) -> str:
    """This function will write an amount as people of its currency read it, for example ₱1,499.00.

    Args:
        amount_minor: Whole minor units.
        currency: ISO 4217 code.
    """
    major, point, minor = minor_text(amount_minor=abs(amount_minor), currency=currency).partition(
        "."
    )
    sign = _MINUS if amount_minor < 0 else ""
    symbol = SYMBOLS.get(currency, currency + _NO_BREAK)
    return f"{sign}{symbol}{int(major):,}{point}{minor}"


def moment(value: datetime | None) -> Markup | str:
    """This function will write a moment in UTC to the second; a dash when there is none."""
    if value is None:
        return DASH
    utc = require_utc(value)
    shown = f"{utc:%Y-%m-%d %H:%M:%S}"
    return Markup(
        '<time datetime="{}">{} <abbr title="Coordinated Universal Time">UTC</abbr></time>'
    ).format(time_text(utc), shown)


def day(value: date) -> Markup:
    """This function will write a day."""
    return Markup('<time datetime="{0}">{0}</time>').format(value.isoformat())


def percent(value: Decimal | None) -> str:
    """This function will write a share as percent; a dash when there is nothing to share."""
    return DASH if value is None else f"{decimal_text(value)} %"


def short(text: str, length: int = 14) -> Markup:
    """This function will shorten an id or a hash; the whole of it is in its title."""
    if len(text) <= length:
        return escape(text)
    return Markup('<span title="{}">{}…</span>').format(text, text[:length])


def signed(number: int) -> str:
    """This function will write a change with its sign."""
    return f"+{number:,}" if number > 0 else whole(number)


FILTERS = {
    "whole": whole,
    "moment": moment,
    "day": day,
    "percent": percent,
    "short": short,
    "signed": signed,
}
