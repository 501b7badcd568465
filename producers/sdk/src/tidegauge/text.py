"""Which texts may be recorded: bounded, with a UTF-8 form, and without separators inside."""

import re
from typing import Final

from tidegauge import errors

_first_control: Final = re.compile("[\x00-\x1f\x7f]").search
_first_surrogate: Final = re.compile("[\ud800-\udfff]").search


def fault_in(text: str, *, characters_max: int) -> str | None:
    """This function will find what is wrong with a text.

    Args:
        text: The text, empty or not.
        characters_max: Its limit in characters (code points).

    Returns:
        A stable code, or None when the text may be recorded.
    """
    if len(text) > characters_max:
        return "text_too_long"
    if _first_control(text) is not None:
        return "text_control_character"
    if not text.isascii() and _first_surrogate(text) is not None:
        return "text_surrogate"
    return None


def required(value: object, *, field: str, characters_max: int) -> str:
    """This function will check a text that must be there.

    Args:
        value: What the caller gave.
        field: The argument's name; `<field>_not_text` and `<field>_empty` are codes.
        characters_max: Its limit in characters.

    Returns:
        The text as a plain str, also when a subclass of str was given.

    Raises:
        InvalidEvent: It is not text, empty, too long, or has a forbidden character.
    """
    if not isinstance(value, str):
        raise errors.InvalidEvent(field, f"{field}_not_text")
    if not value:
        raise errors.InvalidEvent(field, f"{field}_empty")
    code = fault_in(value, characters_max=characters_max)
    if code is not None:
        raise errors.InvalidEvent(field, code)
    return str.__str__(value)
