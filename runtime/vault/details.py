"""Personal details of a customer: their form, their bounds, and how they are read from outside."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from domain.books.personal import FIELDS
from domain.codes import Code
from domain.fields import Fields, is_clean_text

if TYPE_CHECKING:
    from domain.canonical import Json

LENGTH_MAX = {"name": 200, "email": 254, "phone": 40, "tax_id": 40}
"""Characters of a text. An e-mail address has at most 254 (RFC 5321, 4.5.3.1.3 less the brackets);
a phone number 15 digits (E.164), with room for signs people write; VAT numbers are below 20."""
LINES_MAX = 4
LINE_LENGTH_MAX = 120
PLACE_LENGTH_MAX = 100
POSTAL_CODE_LENGTH_MAX = 20
"""An address of at most 702 characters: sealed it stays below the books' 4,096 even where each
takes four bytes."""
ADDRESS_FIELDS = ("lines", "city", "region", "postal_code", "country")

_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}")
"""One @ and no space. Whether somebody reads the mail only a mail can tell; stricter patterns
refuse addresses that work."""
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Address:
    """Where somebody lives or has their seat.

    Args:
        lines: Street and the like, 1 to LINES_MAX.
        city: City.
        region: State or province; empty where there is none.
        postal_code: Postal code; empty where there is none.
        country: ISO 3166-1 alpha-2 code.
    """

    lines: tuple[str, ...]
    city: str
    region: str
    postal_code: str
    country: str


@dataclass(frozen=True, slots=True)
class PersonalDetails:
    """What is known of a customer's person; the empty text, or None, where nothing is.

    Args:
        name: Name of a person or a firm.
        email: Address for mail.
        phone: Phone number.
        tax_id: VAT or other tax number.
        address: Postal address.
    """

    name: str = ""
    email: str = ""
    phone: str = ""
    tax_id: str = ""
    address: Address | None = None


NOTHING = PersonalDetails()


def read_details(fields: Fields) -> PersonalDetails:
    """This function will read details as a request gives them; an absent field is not known.

    Raises:
        Rejected: invalid_request, naming the field and never repeating its value.
    """
    fields.only(FIELDS)
    texts = {name: _text(fields, name, LENGTH_MAX[name]) for name in LENGTH_MAX}
    if texts["email"] and _EMAIL.fullmatch(texts["email"]) is None:
        raise fields.refuse("email", "must be an e-mail address, name@host")
    address = _address(fields) if fields.values.get("address") is not None else None
    return PersonalDetails(address=address, **texts)


def to_values(details: PersonalDetails) -> dict[str, Json]:
    """This function will return what is known, field by field, as it is sealed."""
    values: dict[str, Json] = {
        name: getattr(details, name) for name in LENGTH_MAX if getattr(details, name)
    }
    if details.address is not None:
        address = details.address
        values["address"] = {
            "lines": list(address.lines),
            "city": address.city,
            "region": address.region,
            "postal_code": address.postal_code,
            "country": address.country,
        }
    return values


def from_values(values: Mapping[str, Json]) -> PersonalDetails:
    """This function will make details of what was sealed; a field that is not there is not known.

    Raises:
        Rejected: seal_broken, when a value is no detail: another program sealed it.
    """
    return read_details(Fields.of(values, place="details", code=Code.SEAL_BROKEN))


def same_address(email: str) -> str:
    """This function will return one form of an e-mail address for all ways to write it.

    The part before the @ is folded too: no provider of note tells its case apart, and two accounts
    of one person are worse than a refusal.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", email).casefold())


def _text(fields: Fields, name: str, length_max: int, *, is_wanted: bool = False) -> str:
    value = fields.values.get(name)
    if value is None and not is_wanted:
        return ""
    if not isinstance(value, str) or not is_clean_text(value, length_max=length_max):
        raise fields.refuse(name, f"must be text of 1 to {length_max} printable characters")
    return value


def _address(details: Fields) -> Address:
    if not isinstance(details.values["address"], Mapping):
        raise details.refuse("address", "must be an object")
    fields = details.object("address")
    fields.only(ADDRESS_FIELDS)
    lines = fields.values.get("lines")
    if (
        not isinstance(lines, list | tuple)
        or not 1 <= len(lines) <= LINES_MAX
        or not all(
            isinstance(line, str) and is_clean_text(line, length_max=LINE_LENGTH_MAX)
            for line in lines
        )
    ):
        raise fields.refuse(
            "lines", f"must be 1 to {LINES_MAX} texts of 1 to {LINE_LENGTH_MAX} characters"
        )
    country = _text(fields, "country", 2, is_wanted=True)
    if _COUNTRY.fullmatch(country) is None:
        raise fields.refuse("country", "must be an ISO 3166-1 code of two letters, such as CA")
    return Address(
        lines=tuple(str(line) for line in lines),
        city=_text(fields, "city", PLACE_LENGTH_MAX, is_wanted=True),
        region=_or_empty(fields, "region", PLACE_LENGTH_MAX),
        postal_code=_or_empty(fields, "postal_code", POSTAL_CODE_LENGTH_MAX),
        country=country,
    )


def _or_empty(fields: Fields, name: str, length_max: int) -> str:
    return "" if fields.values.get(name) == "" else _text(fields, name, length_max)
