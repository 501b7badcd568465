"""Tokens of a catalogue's small languages: the conditions of emergence, the formulas of KPIs.

Both are read by recursive descent over these tokens. A token knows its character, so that an error
can say where it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import re
    from collections.abc import Callable

DEPTH_MAX = 8
"""Parentheses and signs in each other: a text is read by people."""
_QUOTED = frozenset({"double", "single"})
"""Kinds of a pattern whose token begins at the quotation mark before them."""
_Part = TypeVar("_Part")


class Malformed(ValueError):
    """A text that cannot be read; the message says what and at which character."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word, sign or constant.

    Args:
        kind: Group of the pattern it was met by, "text" for a quoted one, "end" behind the last.
        text: As written, without quotation marks.
        at: Its first character, from 1.
    """

    kind: str
    text: str
    at: int

    def unexpected(self, expected: str) -> Malformed:
        """Return the error of who expected something else here."""
        found = "the end" if self.kind == "end" else repr(self.text)
        return Malformed(f"has {found} at character {self.at}: {expected}")


class Tokens:
    """A text's tokens, read one by one.

    Args:
        text: What was written.
        pattern: Matches one token and the blanks before it, by a named group for each kind.
        length_max: Characters that the text may have.

    Raises:
        Malformed: When it is empty, too long, or has a character that begins no token.
    """

    def __init__(self, text: str, *, pattern: re.Pattern[str], length_max: int) -> None:
        if not 0 < len(text) <= length_max:
            raise Malformed(f"is not 1 to {length_max} characters")
        self._tokens = _tokens_of(text, pattern)
        self._place = 0
        self._depth = 0

    @property
    def ahead(self) -> Token:
        """Return the token that comes next, and leave it."""
        return self._tokens[self._place]

    def take(self) -> Token:
        """Return the token that comes next, and go on behind it; the end comes again and again."""
        token = self.ahead
        self._place = min(self._place + 1, len(self._tokens) - 1)
        return token

    def nested(self, read: Callable[[], _Part]) -> _Part:
        """Read what stands a level deeper.

        Raises:
            Malformed: Below DEPTH_MAX levels.
        """
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise Malformed(f"has more than {DEPTH_MAX} levels")
        part = read()
        self._depth -= 1
        return part


def _tokens_of(text: str, pattern: re.Pattern[str]) -> list[Token]:
    tokens = []
    place = 0
    end = len(text.rstrip())
    while place < end:
        match = pattern.match(text, place)
        if match is None or match.end() == place:
            start = place + len(text[place:]) - len(text[place:].lstrip())
            raise Malformed(f"has {text[start]!r} at character {start + 1}")
        kind = str(match.lastgroup)
        at = match.start(kind) + 1
        tokens.append(
            Token("text", match[kind], at - 1) if kind in _QUOTED else Token(kind, match[kind], at)
        )
        place = match.end()
    return [*tokens, Token("end", "", end + 1)]
