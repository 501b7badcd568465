"""Conditions: what they say, what is refused and where."""

from decimal import Decimal

import pytest

from domain.emergence_rules.expressions import (
    LENGTH_MAX,
    FieldType,
    Value,
    parse_expression,
)
from domain.tokens import DEPTH_MAX, Malformed

FIELDS = {"fit": FieldType.DECIMAL, "done": FieldType.BOOLEAN, "stage": FieldType.TEXT}
NODE: dict[str, Value] = {"fit": Decimal("0.90"), "done": True, "stage": "ready"}


class TestParsing:
    @pytest.mark.parametrize(
        ("text", "holds"),
        [
            ("fit >= 0.90", True), ("fit > 0.90", False), ("fit = 0.9", True),
            ("fit != 0.9", False),
            ("fit < 0.900000000000000001", True), ("fit <= 0.899", False),
            ("done", True), ("not done", False), ("done = false", False), ("done != false", True),
            ('stage = "ready"', True), ("stage = 'READY'", False), ('stage != ""', True),
            ("done or fit > 1 and stage = 'x'", True),
            ("(done or fit > 1) and stage = 'x'", False),
            ("not (done and fit > 1)", True), ("not not done", True),
            ("present(fit) and present(stage)", True), ("done and\tfit>=0.9", True),
        ],
    )  # fmt: skip
    def test_says_what_it_says(self, text: str, holds: bool) -> None:
        """`and` binds closer than `or`; constants are exact."""
        assert parse_expression(text, FIELDS).holds(NODE) is holds

    @pytest.mark.parametrize(
        "text",
        ["fit >= 0", "fit != 0", "done", "done = false", "stage != 'x'", "present(done)"],
    )
    def test_of_a_missing_field_is_false(self, text: str) -> None:
        """Also what would be true of any value: nothing was said."""
        assert parse_expression(text, FIELDS).holds({}) is False

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "is not 1 to 500"), ("x" * (LENGTH_MAX + 1), "is not 1 to 500"),
            ("nope", "'nope' at character 1, which is no declared field"),
            ("done and nope = 1", "'nope' at character 10"),
            ("fit", "says nothing about 'fit' at character 1: compare a decimal"),
            ("stage < 'a'", "orders 'stage' at character 7, which is a text"),
            ("done > true", "orders 'done' at character 6, which is a boolean"),
            ("fit >= stage", "'stage' at character 8: expected a decimal for 'fit'"),
            ('fit >= "0.9"', "expected a decimal"), ("stage = 1", "expected a text"),
            ("stage = ready", "expected a text"), ("done = 1", "expected a boolean"),
            ("fit = 1e3", "has '1' at character 7"), ("fit = -1", "has '-' at character 7"),
            ("fit = 1.", "at character 7"), ("fit == 1", "'=' at character 6"),
            ("(done", 'the end at character 6: expected ")"'), ("done)", "')' at character 5"),
            ("done done", "'done' at character 6: expected \"and\""),
            ("and done", "'and' at character 1: expected a field"), ("not", "expected a field"),
            ("present(1)", "expected a field"), ("present(done", 'expected ")"'),
            ("present", "expected a field"), ("done; done", "';' at character 5"),
            ('stage = "open', "at character 9"), ("__import__('os')", "no declared field"),
            ("(" * (DEPTH_MAX + 1) + "done" + ")" * (DEPTH_MAX + 1), "more than 8 levels"),
            ("not " * (DEPTH_MAX + 1) + "done", "more than 8 levels"),
        ],
    )  # fmt: skip
    def test_refuses_what_it_cannot_read_and_says_where(self, text: str, reason: str) -> None:
        with pytest.raises(Malformed) as refused:
            parse_expression(text, FIELDS)
        assert reason in str(refused.value)
