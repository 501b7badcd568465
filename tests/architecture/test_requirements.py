"""docs/requirements.md says of every demand of S0 where it is met; its tests exist."""

import re

from tests.support import checkout

_ROW = re.compile(r"^\| S0-(\d\d) \| (.+?) \| (.+) \|$", re.MULTILINE)
_TEST = re.compile(r"`(test_\w+)`")
_DEFINED = re.compile(r"^\s*(?:async )?def (test_\w+)\(", re.MULTILINE)
DEMANDS = 90
EXAMPLES = (*range(1, 62), 67, *range(71, 85), 88, 89, 96, 97)
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


def test_every_demand_of_s0_has_its_row() -> None:
    numbers = [int(number) for number, _, _ in _ROW.findall(_text())]
    assert list(range(1, DEMANDS + 1)) == numbers


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
