"""Times that a person gives with a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.errors import Rejected
from domain.period import parse_time

if TYPE_CHECKING:
    from datetime import datetime


def given_time(text: str, option: str) -> datetime:
    """This function will read a time, and name the option that gave it where it is none.

    Raises:
        Rejected: bad_value.
    """
    try:
        return parse_time(text)
    except Rejected as error:
        raise Rejected(error.code, f"{option}: {error.reason}") from error
