"""docs/requirements.md says of every demand where it is met; its tests exist."""

import re
from collections import Counter
from collections.abc import Iterator

from tests.support import checkout

_ROW = re.compile(r"^\| (S\d-R?\d.*?) \| (.+?) \| (.+) \|$", re.MULTILINE)
_ID = re.compile(r"S(\d)-(R?)(\d+)")
_TEST = re.compile(r"`(test_\w+)`")
_DEFINED = re.compile(r"^\s*(?:async )?def (test_\w+)\(", re.MULTILINE)
_SHOWN = re.compile(r"`(test_\w+|(?:tests|benchmarks)/[\w/]+\.py)`")
DEMANDS = {0: 90, 1: 113, 2: 55, 3: 125, 4: 125}
"""How many demands each system has; they are numbered without gaps."""
READINGS = {1: 22, 2: 10, 3: 29, 4: 22}
"""How many of its points are read in one way or another (S1-R1 …)."""
EXAMPLES = (*range(1, 62), 67, *range(69, 85), 88, 89, 96, 97)
"""Worked examples that are built; the others are targets of capacity, quotas, alerts and jobs."""


def _text() -> str:
    return (checkout.ROOT / "docs" / "requirements.md").read_text("utf-8")


def _tests() -> set[str]:
    return {
        name
        for path, text in checkout.texts()
        if path.parts[0] == "tests" and path.suffix == ".py"
        for name in _DEFINED.findall(text)
    }


def _named(ids: str) -> Iterator[str]:
    """The ids that a row names: "S1-01, S1-03 to S1-05"; a reading's are "S1-R1"."""
    for part in ids.split(", "):
        ends = _ID.findall(part)
        (system, letter, first), (same, kind, last) = ends[0], ends[-1]
        assert (system, letter, len(ends)) in {(same, kind, 1), (same, kind, 2)}, ids
        yield from (_id(system, letter, number) for number in range(int(first), int(last) + 1))


def _id(system: int | str, letter: str, number: int) -> str:
    return f"S{system}-{letter}{number}"


def test_every_demand_has_one_row() -> None:
    """An id that is on none is forgotten; one on two is met and not met at once."""
    found = Counter(demand for ids, _, _ in _ROW.findall(_text()) for demand in _named(ids))
    wanted = {
        _id(system, letter, number)
        for letter, counts in (("", DEMANDS), ("R", READINGS))
        for system, last in counts.items()
        for number in range(1, last + 1)
    }
    wrong = [
        f"{demand}: {found[demand]} rows"
        for demand in sorted(found.keys() | wanted)
        if found[demand] != 1 or demand not in wanted
    ]
    checkout.fail_on(wrong, rule="Demands and readings without a row of their own")


def test_every_row_names_a_test_or_says_not_yet() -> None:
    """Of S1 to S4; rows of S0 say it in their own words."""
    silent = [
        ids
        for ids, _, met in _ROW.findall(_text())
        if not ids.startswith("S0-") and not _SHOWN.search(met) and not met.startswith("not yet")
    ]
    checkout.fail_on(silent, rule="Demands that are said to be met and that nothing shows")


def test_every_named_test_exists() -> None:
    tests = _tests()
    missing = [name for name in _TEST.findall(_text()) if name not in tests]
    checkout.fail_on(missing, rule="Tests that are not there")


def test_every_worked_example_is_a_test() -> None:
    tests = _tests()
    named = {
        number
        for name in tests
        for first, last in re.findall(r"x_(\d\d)(?:_(?:to|and)_x_(\d\d))?", name)
        for number in range(int(first), int(last or first) + 1)
    }
    missing = [f"X-{number:02}" for number in EXAMPLES if number not in named]
    checkout.fail_on(missing, rule="Examples that no test is named after")
