"""Sealing one value: AES-256-GCM under a key of the customer, bound to whose value it is.

A sealed text is `tgs1.VERSION.BASE64URL(nonce 12 ‖ ciphertext ‖ tag 16)`. The associated data are
the form, tenant, customer, field and key version: a text that is moved to another customer or to
another field does not open (NIST SP 800-38D).

The nonce is made from key, context and plain text (HMAC-SHA-256, cut to 96 bits), after RFC 5297's
idea: the same wish sealed again gives the same text, so that a repeated request is a repeat to the
books, and two different plain texts share a nonce with a chance of 2^-96 for each pair. Seals of
one key stay far below 2^32, for each of them needs a command.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from domain.canonical import from_json, to_canonical_json
from domain.codes import Code
from domain.errors import Rejected
from domain.routing import SEPARATOR

if TYPE_CHECKING:
    from domain.canonical import Json

FORM = "tgs1"
KEY_BYTES = 32
NONCE_BYTES = 12
BLOCK_BYTES = 32
"""Plain texts are filled up to a multiple of this, so that a length tells little after erasure."""

SEALED = re.compile(rf"{FORM}\.([0-9]{{1,9}})\.([A-Za-z0-9_-]{{38,}})", re.ASCII)
"""A sealed text, wherever it stands."""
_END = b"\x80"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a value is.

    Args:
        tenant: Tenant.
        customer: Customer of the tenant.
        field: Which of their details.
    """

    tenant: str
    customer: str
    field: str


class DataKey:
    """One version of a customer's key.

    Args:
        secret: Its 32 bytes.
        version: Its number, from 1.
    """

    def __init__(self, secret: bytes, *, version: int) -> None:
        self.version = version
        self._cipher = AESGCM(_expand(secret, b"tidegauge seal"))
        self._nonce_key = _expand(secret, b"tidegauge nonce")

    def seal(self, value: Json, *, owner: Owner, context: str) -> str:
        """Return a value sealed.

        Args:
            value: The value; no float.
            owner: Whose it is.
            context: What it is sealed for, for example a command id: under another context the
                same value gives another text, so that texts do not tell who has the same.
        """
        plain = _filled(to_canonical_json(value).encode())
        bound = self._bound(owner)
        spoken = len(context.encode()).to_bytes(4, "big") + context.encode() + bound + plain
        nonce = hmac.digest(self._nonce_key, spoken, hashlib.sha256)[:NONCE_BYTES]
        sealed = nonce + self._cipher.encrypt(nonce, plain, bound)
        return f"{FORM}.{self.version}.{to_text(sealed)}"

    def open(self, text: str, *, owner: Owner) -> Json:
        """Return what was sealed.

        Raises:
            Rejected: seal_broken, when it was altered, belongs to somebody else, or has another
                form.
        """
        match = SEALED.fullmatch(text)
        if match is None or int(match[1]) != self.version:
            raise _broken()
        try:
            sealed = from_text(match[2])
            nonce, body = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
            plain = self._cipher.decrypt(nonce, body, self._bound(owner))
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise _broken() from error
        return from_json(_emptied(plain).decode())

    def _bound(self, owner: Owner) -> bytes:
        parts = (FORM, owner.tenant, owner.customer, owner.field, str(self.version))
        return SEPARATOR.join(parts).encode()


def version_of(text: str) -> int:
    """This function will return the key version that a sealed text names; 0 when it is none."""
    match = SEALED.fullmatch(text)
    return 0 if match is None else int(match[1])


def to_text(value: bytes) -> str:
    """This function will write bytes as base64url without padding (RFC 4648, 5)."""
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def from_text(text: str) -> bytes:
    """This function will read base64url without padding; ValueError for anything not canonical."""
    value = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if to_text(value) != text:
        raise ValueError("not canonical base64url")
    return value


def _broken() -> Rejected:
    return Rejected(Code.SEAL_BROKEN, "a sealed text does not open for this customer and field")


def _expand(secret: bytes, purpose: bytes) -> bytes:
    return HKDFExpand(algorithm=SHA256(), length=KEY_BYTES, info=purpose).derive(secret)


def _filled(plain: bytes) -> bytes:
    """Fill up with 0x80 and zeros (ISO/IEC 7816-4), which can be taken away without a length."""
    filled = plain + _END
    return filled + bytes(-len(filled) % BLOCK_BYTES)


def _emptied(filled: bytes) -> bytes:
    plain, end, rest = filled.rpartition(_END)
    if not end or rest.strip(b"\0"):
        raise _broken()
    return plain
