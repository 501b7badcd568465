"""Master keys: they wrap every key of the vault, lie outside it, and change by rotation."""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.codes import Code
from domain.errors import Fatal, Rejected
from domain.routing import SEPARATOR
from runtime.ids import random_bytes
from runtime.vault.seal import KEY_BYTES, NONCE_BYTES, from_text, to_text

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS_MAX = 8
"""Master keys at once: the present one, and those that some keys are still wrapped under."""
_KEY_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)
_CHECK = b"tidegauge vault check"


class MasterKeys:
    """The master keys of an installation.

    A wrap takes a random nonce of 96 bits, so one master key may wrap 2^32 keys before two nonces
    are alike with a chance of 2^-32 (NIST SP 800-38D, 8.3): more than customers will ever be.

    Args:
        secrets: 32 bytes by key id; the first wraps, all open.
    """

    def __init__(self, secrets: Mapping[str, bytes]) -> None:
        self.current = next(iter(secrets))
        self._ciphers = {key_id: AESGCM(secret) for key_id, secret in secrets.items()}

    @property
    def ids(self) -> frozenset[str]:
        """Ids of all keys."""
        return frozenset(self._ciphers)

    def wrap(self, secret: bytes, *, purpose: tuple[str, ...]) -> bytes:
        """Return a key wrapped under the present master key.

        Args:
            secret: The key.
            purpose: What it is for; it unwraps only for the same.
        """
        nonce = random_bytes(NONCE_BYTES)
        cipher = self._ciphers[self.current]
        return nonce + cipher.encrypt(nonce, secret, _bound(self.current, purpose))

    def unwrap(self, wrapped: bytes, *, key_id: str, purpose: tuple[str, ...]) -> bytes:
        """Return a key that was wrapped.

        Raises:
            Fatal: vault_key_wrong, when the master key is missing or is another one.
        """
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise key_missing(key_id)
        try:
            nonce, body = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
            return cipher.decrypt(nonce, body, _bound(key_id, purpose))
        except (InvalidTag, ValueError) as error:
            raise Fatal(
                Code.VAULT_KEY_WRONG,
                f"the master key {key_id!r} does not open what was wrapped under this id",
                next_step="Nothing is lost: put the right key for this id into "
                "TIDEGAUGE_VAULT_KEY and start again",
            ) from error

    def check_value(self) -> bytes:
        """Return a value by which the present master key is known again."""
        return self.wrap(_CHECK, purpose=("check",))

    def require(self, key_id: str, check_value: bytes) -> None:
        """Make sure that a master key is the one that made a check value (Fatal otherwise)."""
        found = self.unwrap(check_value, key_id=key_id, purpose=("check",))
        if not hmac.compare_digest(found, _CHECK):
            raise key_missing(key_id)


def read_master_keys(text: str) -> MasterKeys:
    """This function will read the setting: id:secret, several with commas, the present one first.

    Raises:
        ValueError: With what is wrong, never with a secret.
    """
    secrets: dict[str, bytes] = {}
    for part in text.split(","):
        key_id, colon, written = part.strip().partition(":")
        # A secret that came without its id must not be told as one.
        if not colon or _KEY_ID.fullmatch(key_id) is None:
            raise ValueError("must be id:secret,… with ids of a-z, 0-9 and -, at most 32 long")
        try:
            secret = from_text(written.strip().rstrip("="))
        except ValueError as error:
            raise ValueError(f"the secret of {key_id} is no base64url") from error
        if len(secret) != KEY_BYTES:
            raise ValueError(f"the secret of {key_id} must have {KEY_BYTES} bytes")
        if key_id in secrets:
            raise ValueError(f"the id {key_id} is there twice")
        secrets[key_id] = secret
    if len(secrets) > KEYS_MAX:
        raise ValueError(f"has more than {KEYS_MAX} keys; take out those that wrap nothing")
    return MasterKeys(secrets)


def new_master_key(key_id: str) -> str:
    """This function will draw a master key, in the form of the setting.

    Raises:
        Rejected: invalid_request, for an id of another form.
    """
    if _KEY_ID.fullmatch(key_id) is None:
        raise Rejected(Code.INVALID_REQUEST, "an id has a-z, 0-9 and -, and at most 32 characters")
    return f"{key_id}:{to_text(random_bytes(KEY_BYTES))}"


def key_missing(key_id: str) -> Fatal:
    """This function will return the error of a vault whose master key is not in the setting."""
    return Fatal(
        Code.VAULT_KEY_WRONG,
        f"the vault has keys under the master key {key_id!r}, which TIDEGAUGE_VAULT_KEY lacks",
        next_step="Nothing is lost: add the key of this id to TIDEGAUGE_VAULT_KEY, behind the "
        "present one, and start again",
    )


def _bound(key_id: str, purpose: tuple[str, ...]) -> bytes:
    return SEPARATOR.join(("tidegauge wrap 1", key_id, *purpose)).encode()
