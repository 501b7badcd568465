"""What makes two events the same event (the key), and the same payload (the fingerprint).

Texts come without control characters, so 0x1f between fields and 0x1e before the properties are
unambiguous: no two different payloads have the same canonical form.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

FIELD: Final = "\x1f"
"""Separates the fields of a canonical text."""

PROPERTIES: Final = "\x1e"
"""The field that stands before the properties, so that they are never taken for dimensions."""

_UUID_CHARACTERS: Final = 36
_UUID_BYTES: Final = 16


def uuid_key(event_id: str) -> bytes | None:
    """This function will return the bytes of a UUID in its canonical form of 36 characters.

    Args:
        event_id: Any text; upper and lower case are the same UUID.

    Returns:
        16 bytes, or None when the text is not a UUID.
    """
    if event_id[8:24:5] != "----" or len(event_id) != _UUID_CHARACTERS:
        return None
    try:
        key = bytes.fromhex(event_id.replace("-", ""))
    except ValueError:
        return None
    # fromhex skips white space, and replace takes dashes from anywhere: then bytes are missing.
    return key if len(key) == _UUID_BYTES else None


def foreign_key(*, source: str, event_id: str) -> bytes:
    """This function will make the key of an event whose id is not a UUID.

    Args:
        source: Where the id is unique; may be empty.
        event_id: The id as the caller gave it.

    Returns:
        16 bytes.
    """
    return blake2b(f"{source}{FIELD}{event_id}".encode(), digest_size=16).digest()


def event_key(*, source: str, event_id: str) -> bytes:
    """This function will make the key by which a fold counts an event once.

    Args:
        source: Where ids that are not UUIDs are unique; may be empty.
        event_id: The event's id.

    Returns:
        The UUID's own 16 bytes, or the 16-byte hash of source and id.
    """
    return uuid_key(event_id) or foreign_key(source=source, event_id=event_id)


def dimensions_text(dimensions: Mapping[str, str]) -> str:
    """This function will write dimensions in their canonical form.

    Args:
        dimensions: Names and values without control characters.

    Returns:
        Each name and value behind a separator, sorted by name in code point order (which is
        the order of the UTF-8 bytes); empty text for no dimensions.
    """
    return "".join(f"{FIELD}{name}{FIELD}{dimensions[name]}" for name in sorted(dimensions))


def properties_text(properties: Mapping[str, str]) -> str:
    """This function will write properties in their canonical form, behind their own mark.

    Args:
        properties: Names and values without control characters.

    Returns:
        The mark and then each name and value behind a separator; empty text for no properties.
    """
    return f"{FIELD}{PROPERTIES}{dimensions_text(properties)}" if properties else ""


def pairs_of(text: str) -> dict[str, str]:
    """This function will read dimensions or properties back from their canonical form.

    Args:
        text: What `dimensions_text` or `properties_text` returned.

    Returns:
        Names and values, sorted by name.
    """
    fields = text.removeprefix(f"{FIELD}{PROPERTIES}").split(FIELD)
    return dict(zip(fields[1::2], fields[2::2], strict=True))


def payload(
    customer: str,
    event_type: str,
    occurred_at_ms: int,
    billionths: int,
    dimensions: str,
    properties: str,
) -> bytes:
    """This function will write the canonical payload of an event, positional because it is hot.

    Args:
        customer: The customer.
        event_type: The event type.
        occurred_at_ms: When it happened, in ms since 1970 UTC.
        billionths: The quantity times 10^9.
        dimensions: What `dimensions_text` returned.
        properties: What `properties_text` returned.

    Returns:
        UTF-8 bytes, different for different payloads.
    """
    return (
        f"{customer}\x1f{event_type}\x1f{occurred_at_ms}\x1f{billionths}{dimensions}{properties}"
    ).encode()


def fingerprint(canonical_payload: bytes) -> bytes:
    """This function will hash a payload, so that a reused id with another payload shows.

    Args:
        canonical_payload: What `payload` returned.

    Returns:
        8 bytes.
    """
    return blake2b(canonical_payload, digest_size=8).digest()
