"""Decisions have one form, numbers without gaps, and a reason for every dependency."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.support import checkout

FOLDER = checkout.ROOT / "docs" / "decisions"
DECISIONS = sorted(FOLDER.glob("[0-9]*.md"))
SECTIONS = ["Context", "Decision", "Consequences", "Alternatives", "Enforced by"]
SENTENCES_MAX = {"Context": 4, "Decision": 2}
_SENTENCE_END = re.compile(r"[.:;]?[.!?](?=\s+[A-Z`\d]|\s*$)")
_MENTION = re.compile(r"docs/decisions/(\d{4})|ADR (\d{4})")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


def _sections(text: str) -> dict[str, str]:
    """Heading → its text."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _prose(text: str) -> str:
    """A section up to its first table or list, which may be as long as it needs."""
    return re.split(r"^(?:\||- )", text, maxsplit=1, flags=re.MULTILINE)[0]


def test_numbers_have_no_gap() -> None:
    numbers = [int(path.name[:4]) for path in DECISIONS]
    assert list(range(1, len(numbers) + 1)) == numbers


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_the_form(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# {path.name[:4]}. ")
    assert list(_sections(text)) == SECTIONS


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
@pytest.mark.parametrize("section", SENTENCES_MAX)
def test_a_decision_is_short(path: Path, section: str) -> None:
    prose = _prose(_sections(path.read_text(encoding="utf-8"))[section])
    # "Of `tidegauge`:" leads to a table and is no sentence of its own.
    sentences = _SENTENCE_END.findall(re.sub(r"^Of .+:$", "", prose, flags=re.MULTILINE))
    assert 1 <= len(sentences) <= SENTENCES_MAX[section]


def test_the_index_lists_every_decision() -> None:
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    checkout.fail_on(
        (path.name for path in DECISIONS if path.name not in index), rule="Not listed"
    )


def test_every_mentioned_decision_exists() -> None:
    known = {path.name[:4] for path in DECISIONS}
    found = [
        f"{path}: {number}"
        for path, text in checkout.texts()
        for number in {"".join(match) for match in _MENTION.findall(text)} - known
    ]
    checkout.fail_on(found, rule="No such decision")


def test_every_direct_dependency_has_its_reason_and_no_other() -> None:
    ours = tomllib.loads((checkout.ROOT / "pyproject.toml").read_text())
    sdks = tomllib.loads((checkout.ROOT / "producers" / "sdk" / "pyproject.toml").read_text())
    declared = [
        *ours["project"]["dependencies"],
        *(item for group in ours["dependency-groups"].values() for item in group),
        *sdks["project"]["dependencies"],
    ]
    names = {match[0] for item in declared if (match := _NAME.match(item))}
    (path,) = FOLDER.glob("0011-*.md")
    listed = set(re.findall(r"^\| `([^`]+)` \|", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert names == listed
