"""Documents that a reader can rely on to be there and to have one title."""

import pytest

from tests.support import checkout

README_LINES_MAX = 80
"""A room's README is at most a page."""


def _titles(text: str) -> list[str]:
    """The first-level headings outside code fences."""
    titles, in_fence = [], False
    for line in text.splitlines():
        if line.lstrip().startswith(("```", "~~~")):
            in_fence = not in_fence
        elif line.startswith("# ") and not in_fence:
            titles.append(line)
    return titles


def test_every_document_has_one_title() -> None:
    found = [
        f"{path}: {titles}"
        for path, text in checkout.texts()
        if path.suffix == ".md" and len(titles := _titles(text)) != 1
    ]
    checkout.fail_on(found, rule="A Markdown file has exactly one `# ` title")


@pytest.mark.parametrize("room", [*checkout.ROOMS, "deploy"])
def test_every_room_has_a_readme_of_one_page(room: str) -> None:
    readme = checkout.ROOT / room / "README.md"
    assert readme.is_file(), "a newcomer starts there"
    length = len(readme.read_text(encoding="utf-8").splitlines())
    assert length <= README_LINES_MAX
