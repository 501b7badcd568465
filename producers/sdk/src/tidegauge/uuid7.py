"""UUIDv7 of RFC 9562: 48 bits of milliseconds, then random bits; no order within one ms."""

import os
import time
from typing import Final

_BLOCK: Final = 256
"""Random tails made at once, in ids; one system call for all of them, 11 KB in memory."""

_TAIL_BYTES: Final = 10
# Where version and variant stand in a tail, and what they make of a random byte.
_VERSION_AT: Final = 0
_VARIANT_AT: Final = 2
_WITH_VERSION: Final = bytes(0x70 | (byte & 0x0F) for byte in range(256))
_WITH_VARIANT: Final = bytes(0x80 | (byte & 0x3F) for byte in range(256))


class Uuid7Generator:
    """Makes ids, as text and as bytes; safe for threads, because `list.pop` is atomic.

    A generator must not be used on both sides of a fork, for its tails would be used twice.
    """

    def __init__(self) -> None:
        """This function will start without tails; the first id makes some."""
        self._tails: list[bytes] = []

    def next(self) -> tuple[str, bytes]:
        """This function will make one id.

        Returns:
            Its canonical text of 36 characters in lower case, and its 16 bytes.
        """
        try:
            tail = self._tails.pop()
        except IndexError:
            tails = _random_tails()
            tail = tails.pop()
            self._tails = tails
        key = (time.time_ns() // 1_000_000).to_bytes(6, "big") + tail
        digits = key.hex()
        return (
            f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}",
            key,
        )


def _random_tails() -> list[bytes]:
    # As few steps as possible for all of them at once: this delays one `record` in 256.
    block = bytearray(os.urandom(_BLOCK * _TAIL_BYTES))
    versions = slice(_VERSION_AT, None, _TAIL_BYTES)
    variants = slice(_VARIANT_AT, None, _TAIL_BYTES)
    block[versions] = block[versions].translate(_WITH_VERSION)
    block[variants] = block[variants].translate(_WITH_VARIANT)
    whole = bytes(block)
    return [whole[start : start + _TAIL_BYTES] for start in range(0, len(whole), _TAIL_BYTES)]
