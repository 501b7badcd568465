"""API keys as texts: how they are drawn, how they look, and what is stored of them."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass

from runtime import ids

KEY_ID_BYTES = 5
"""Random bytes of the public part: 8 characters."""
SECRET_BYTES = 24
"""Random bytes of a secret: 192 bits, 32 characters."""

_KEY = re.compile(r"tg_live_[0-9a-z]{8}_[0-9A-Za-z_-]{32,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key at the only moment it is known.

    Args:
        key_id: Public part as the books name it, key_<8>; stands in lists and logs.
        key: The whole key, to be shown once and kept nowhere.
        secret_sha256: What the books keep, 64 hex digits.
    """

    key_id: str
    key: str
    secret_sha256: str


def new_api_key() -> NewApiKey:
    """This function will draw a new API key: tg_live_<8 id>_<32 random>."""
    public = base64.b32encode(_random_bytes(KEY_ID_BYTES)).decode().lower()
    secret = base64.urlsafe_b64encode(_random_bytes(SECRET_BYTES)).decode()
    key = f"tg_live_{public}_{secret}"
    return NewApiKey(key_id=f"key_{public}", key=key, secret_sha256=secret_sha256(key))


def secret_sha256(key: str) -> str:
    """This function will return what is stored of a key: the SHA-256 of all of it, in hex."""
    return hashlib.sha256(key.encode()).hexdigest()


def is_key_text(text: str) -> bool:
    """This function will say whether a text has the form of an API key."""
    return _KEY.fullmatch(text) is not None


def _random_bytes(count: int) -> bytes:
    drawn = b""
    while len(drawn) < count:
        drawn += b"".join(number.to_bytes(8, "big") for number in ids.random_salt())
    return drawn[:count]
