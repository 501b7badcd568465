"""Letters on a page: which of them the fonts of api/fonts have, and which may not stand there.

PDF/A refuses a page with a character that its fonts lack. Theirs are read from the table `cmap` of
each (OpenType 1.9, formats 4 and 12), once, in some 20 ms.
"""

from __future__ import annotations

import re
import struct
from functools import cache
from importlib import resources

BASIC, FULL = 4, 12
"""Formats of a cmap: of the first 65,536 characters, and of all."""
BREAK_AFTER = 14
"""Letters after which a word of LONG and more may be broken: no name leaves its column."""

_LONG = re.compile(r"\S{28,}")
_UNSEEN = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\u0080-\u009f]")
"""Marks that turn the direction of what follows, and controls: in a name they could make an amount
read backwards. What is written right to left is set so without them."""


def plain(text: str) -> str:
    """This function will take out marks of direction and controls, and let long words break."""
    return _LONG.sub(_breakable, _UNSEEN.sub("", text))


def _breakable(word: re.Match[str]) -> str:
    letters = word.group()
    return "\u200b".join(
        letters[start : start + BREAK_AFTER] for start in range(0, len(letters), BREAK_AFTER)
    )


def can_write(letter: str) -> bool:
    """This function will say whether one of our fonts has a character."""
    return ord(letter) in _covered()


@cache
def _covered() -> frozenset[int]:
    files = resources.files("api").joinpath("fonts").iterdir()
    found = {ord("\n")}
    for file in files:
        if file.name.endswith(".ttf"):
            found |= characters_of(file.read_bytes())
    return frozenset(found)


def characters_of(font: bytes) -> set[int]:
    """This function will return the characters of a TrueType font that have a glyph."""
    (tables,) = struct.unpack_from(">H", font, 4)
    for number in range(tables):
        tag, _, start, _ = struct.unpack_from(">4sLLL", font, 12 + 16 * number)
        if tag == b"cmap":
            return _of_cmap(font, start)
    return set()


def _of_cmap(font: bytes, start: int) -> set[int]:
    found: set[int] = set()
    (subtables,) = struct.unpack_from(">H", font, start + 2)
    for number in range(subtables):
        (offset,) = struct.unpack_from(">L", font, start + 8 + 8 * number)
        at = start + offset
        (form,) = struct.unpack_from(">H", font, at)
        if form == BASIC:
            found |= _of_basic(font, at)
        elif form == FULL:
            found |= _of_full(font, at)
    return found


def _of_basic(font: bytes, at: int) -> set[int]:
    """Read format 4: segments, whose glyphs are counted on or looked up."""
    (doubled,) = struct.unpack_from(">H", font, at + 6)
    count = doubled // 2
    ends = struct.unpack_from(f">{count}H", font, at + 14)
    starts_at = at + 16 + doubled
    starts = struct.unpack_from(f">{count}H", font, starts_at)
    deltas = struct.unpack_from(f">{count}H", font, starts_at + doubled)
    offsets_at = starts_at + 2 * doubled
    offsets = struct.unpack_from(f">{count}H", font, offsets_at)
    found: set[int] = set()
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        for letter in range(start, min(end, 0xFFFE) + 1):
            glyph = letter
            if offsets[number]:
                place = offsets_at + 2 * number + offsets[number] + 2 * (letter - start)
                (glyph,) = struct.unpack_from(">H", font, place)
                if not glyph:
                    continue
            if (glyph + deltas[number]) & 0xFFFF:
                found.add(letter)
    return found


def _of_full(font: bytes, at: int) -> set[int]:
    """Read format 12: groups of characters whose glyphs are counted on."""
    (groups,) = struct.unpack_from(">L", font, at + 12)
    found: set[int] = set()
    for number in range(groups):
        start, end, glyph = struct.unpack_from(">LLL", font, at + 16 + 12 * number)
        found.update(range(start if glyph else start + 1, end + 1))
    return found
