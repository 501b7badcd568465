"""Reading JSON that we wrote ourselves: in one pass of C, in a fraction of the time.

Facts and the documents in them were made by to_canonical_json out of values that had been checked
one by one, so names are different, numbers are whole and texts are clean: none of that is checked
again. What damage or another version would show is: that it is JSON, and with a type also that
everything asked for is there, of its type and within its bounds. What comes from outside is read
by from_json and Fields.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec

from domain.codes import Code
from domain.errors import Rejected
from domain.fields import TEXT_LENGTH_MAX, Fields

if TYPE_CHECKING:
    from domain.canonical import Json

T = TypeVar("T")
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_LENGTH_MAX)]
"""A text as Fields.text returns it."""
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""A number that `packed` takes."""
Minor = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""An amount from 0, minor units."""
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its zone, which is UTC in all that we write."""
_decode = msgspec.json.Decoder().decode
_DECODERS: dict[type, msgspec.json.Decoder[Any]] = {}
"""One for each type that is asked for; the code names some twenty."""


def opened(text: str, *, place: str) -> Fields:
    """This function will open an object for reading field by field.

    Args:
        text: The object as we wrote it.
        place: What it is, for messages.

    Raises:
        Rejected: state_corrupt, when it is no JSON object.
    """
    try:
        value: Json = _decode(text)
    except (ValueError, RecursionError) as error:
        raise _corrupt(place, error) from error
    return Fields.of(value, place=place, code=Code.STATE_CORRUPT)


def read_as(kind: type[T], text: str, *, place: str) -> T:
    """This function will read a value of a type; fields that the type lacks are passed over.

    Args:
        kind: A msgspec.Struct, or a frozen dataclass of values that msgspec knows.
        text: The value as we wrote it.
        place: What it is, for messages.

    Raises:
        Rejected: state_corrupt, when it is no JSON or of another type; the field is named.
    """
    decoder = _DECODERS.get(kind) or _DECODERS.setdefault(kind, msgspec.json.Decoder(kind))
    try:
        value: T = decoder.decode(text)
    except (ValueError, RecursionError) as error:
        raise _corrupt(place, error) from error
    return value


def taken_as(kind: type[T], fields: Fields) -> T:
    """This function will read an object that is open already, as read_as does (Rejected)."""
    try:
        return msgspec.convert(fields.values, kind)
    except (ValueError, RecursionError) as error:
        raise _corrupt(fields.place, error) from error


def _corrupt(place: str, error: Exception) -> Rejected:
    return Rejected(Code.STATE_CORRUPT, f"{place} is malformed: {error}")
