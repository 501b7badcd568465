"""The glossary's words live where it says, each once."""

import re

from tests.support import checkout

_ROW = re.compile(r"^\| (?P<term>[^|]+?) \| .* \| `(?P<place>[^`|]+)` \|$", re.MULTILINE)


def _rows() -> list[tuple[str, str]]:
    text = (checkout.ROOT / "GLOSSARY.md").read_text(encoding="utf-8")
    return [(match["term"], match["place"]) for match in _ROW.finditer(text)]


def test_every_row_is_read() -> None:
    text = (checkout.ROOT / "GLOSSARY.md").read_text(encoding="utf-8")
    rows = [
        line for line in text.splitlines() if line.startswith("| ") and "| place |" not in line
    ]
    assert len(rows) == len(_rows())


def test_every_place_exists() -> None:
    missing = [
        f"{term}: {place}" for term, place in _rows() if not (checkout.ROOT / place).is_file()
    ]
    checkout.fail_on(missing, rule="The glossary points at nothing")


def test_no_word_is_explained_twice() -> None:
    terms = [term for term, _ in _rows()]
    checkout.fail_on({term for term in terms if terms.count(term) > 1}, rule="Two meanings")
