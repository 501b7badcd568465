"""Looking for values that should be nowhere, in every form in which bytes may hide them."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from domain.codes import Code
from domain.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

VALUES_MAX = 1_000
"""Values of one scan: some 20 forms each are looked for in every byte."""
LENGTH_MIN = 4
"""Characters of a value: shorter ones stand everywhere by chance."""
LENGTH_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Needle:
    """One form of one value.

    Args:
        value: Number of the value in its list, from 1; the value itself is never shown.
        form: What form it is, for people.
        text: Its bytes.
        is_folded: Whether upper and lower case are the same.
    """

    value: int
    form: str
    text: bytes
    is_folded: bool


class Canaries:
    """Values to look for.

    Args:
        values: The values.

    Raises:
        Rejected: invalid_request, when there are too many, or one is too short or too long.
    """

    def __init__(self, values: Sequence[str]) -> None:
        if not 0 < len(values) <= VALUES_MAX:
            raise Rejected(Code.INVALID_REQUEST, f"a scan takes 1 to {VALUES_MAX} values")
        if not all(LENGTH_MIN <= len(value) <= LENGTH_MAX for value in values):
            raise Rejected(
                Code.INVALID_REQUEST, f"a value has {LENGTH_MIN} to {LENGTH_MAX} characters"
            )
        needles = [
            needle for number, value in enumerate(values, 1) for needle in _forms(number, value)
        ]
        self._exact = [needle for needle in needles if not needle.is_folded]
        self._folded = [needle for needle in needles if needle.is_folded]
        self.overlap = max(len(needle.text) for needle in needles)

    def find(self, data: bytes) -> Iterator[Needle]:
        """Yield every needle that is in the data, once each."""
        for needle in self._exact:
            if needle.text in data:
                yield needle
        folded = data.lower()
        for needle in self._folded:
            if needle.text in folded:
                yield needle


def _forms(number: int, value: str) -> Iterator[Needle]:
    seen: set[tuple[bytes, bool]] = set()
    for form, text, is_folded in _texts(value):
        text_as_sought = text.lower() if is_folded else text
        if (text_as_sought, is_folded) not in seen:
            seen.add((text_as_sought, is_folded))
            yield Needle(number, form, text_as_sought, is_folded)


def _texts(value: str) -> Iterable[tuple[str, bytes, bool]]:
    raw = value.encode()
    once = json.dumps(value)[1:-1]
    yield "plain", raw, True
    # bytes.lower folds ASCII alone.
    for other in (value.casefold(), value.upper(), value.title()):
        yield "plain, other case", other.encode(), True
    yield "UTF-16", value.encode("utf-16-le"), True
    yield "JSON", once.encode(), True
    yield "JSON", json.dumps(value, ensure_ascii=False)[1:-1].encode(), True
    yield "JSON in JSON", json.dumps(once)[1:-1].encode(), True
    yield "URL", quote(value, safe="").encode(), True
    yield "hex", raw.hex().encode(), True
    for shift in range(3):
        yield "base64", _base64(raw, shift, base64.b64encode), False
        yield "base64url", _base64(raw, shift, base64.urlsafe_b64encode), False
    for same in {value, value.casefold()}:
        for name in ("md5", "sha1", "sha256", "sha512"):
            digest = hashlib.new(name, same.encode(), usedforsecurity=False)
            # A bare hash of a name or an address is found by trying names and addresses.
            yield f"{name}, hex", digest.hexdigest().encode(), True
            yield name, digest.digest(), False


def _base64(raw: bytes, shift: int, encode: Callable[[bytes], bytes]) -> bytes:
    """Return what is the same in every base64 of the value that begins at this place of three."""
    encoded = encode(bytes(shift) + raw)
    first = (0, 2, 3)[shift]
    last = len(encoded) - (0, 3, 2)[(len(raw) + shift) % 3]
    return encoded[first:last]
