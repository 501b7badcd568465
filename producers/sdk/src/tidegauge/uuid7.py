"""UUIDv7 of RFC 9562: 48 bits of milliseconds, then random bits; no order within one ms."""

import os
import time
from typing import Final

_BLOCK: Final = 256
"""Random tails made at once, in ids; one system call for all of them, 25 KB in memory."""

_TAIL_BYTES: Final = 10
_VERSION: Final = 0x70
_VARIANT: Final = 0x80


class Uuid7Generator:
    """Makes ids, as text and as bytes; safe for threads, because `list.pop` is atomic.

    A generator must not be used on both sides of a fork, for its tails would be used twice.
    """

    def __init__(self) -> None:
        """This function will start without tails; the first id makes some."""
        self._tails: list[tuple[str, bytes]] = []

    def next(self) -> tuple[str, bytes]:
        """This function will make one id.

        Returns:
            Its canonical text of 36 characters in lower case, and its 16 bytes.
        """
        try:
            text, tail = self._tails.pop()
        except IndexError:
            tails = _random_tails()
            text, tail = tails.pop()
            self._tails = tails
        head = (time.time_ns() // 1_000_000).to_bytes(6, "big")
        digits = head.hex()
        return f"{digits[:8]}-{digits[8:]}-{text}", head + tail


def _random_tails() -> list[tuple[str, bytes]]:
    block = bytearray(os.urandom(_BLOCK * _TAIL_BYTES))
    tails = []
    for start in range(0, len(block), _TAIL_BYTES):
        block[start] = _VERSION | (block[start] & 0x0F)
        block[start + 2] = _VARIANT | (block[start + 2] & 0x3F)
        tail = bytes(block[start : start + _TAIL_BYTES])
        digits = tail.hex()
        tails.append((f"{digits[:4]}-{digits[4:8]}-{digits[8:]}", tail))
    return tails
