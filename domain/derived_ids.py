"""Ids that follow from what they are about: the same every time, wherever they are made."""

from __future__ import annotations

import hashlib

from domain.routing import SEPARATOR


def derived_id(prefix: str, *parts: str) -> str:
    """This function will make the id of something from what it is about, the same every time.

    Args:
        prefix: What kind of thing it is, for example "inv".
        parts: What it is about; none of them holds the separator 0x1f.

    Returns:
        prefix_ and 32 hex digits, BLAKE2b-128 over the parts.
    """
    digest = hashlib.blake2b(SEPARATOR.join(parts).encode(), digest_size=16)
    return f"{prefix}_{digest.hexdigest()}"
