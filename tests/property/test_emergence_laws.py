"""Laws of emergence rules: every condition is total, and a node's report has one answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from domain.catalogue import parse_catalogue
from domain.codes import Code
from domain.emergence_rules.expressions import FieldType, Value, parse_expression
from domain.emergence_rules.judge import Judgement, judge, offers, read_values
from domain.errors import Rejected
from domain.tokens import Malformed
from tests.support.full_catalogue import GOOD

FIELDS = {"fit": FieldType.DECIMAL, "done": FieldType.BOOLEAN, "stage": FieldType.TEXT}
RULES = parse_catalogue(json.dumps(GOOD)).emergence
NODES = st.fixed_dictionaries(
    {},
    optional={
        "fit": st.decimals(0, 1, places=3),
        "done": st.booleans(),
        "stage": st.sampled_from(["ready", "x", ""]),
    },
)
PIECES = [*"()=<>!'\" .0129", "fit", "done", "stage", " and ", " or ", " not ", "present"]
Truth = tuple[str, Callable[[dict[str, Value]], bool]]


def compared(draw: st.DrawFn) -> Truth:
    name = draw(st.sampled_from(["fit", "done", "stage"]))
    if name == "fit":
        number = draw(st.decimals(0, 1, places=3))
        sign, check = draw(
            st.sampled_from(
                [("<", Decimal.__lt__), ("<=", Decimal.__le__), (">", Decimal.__gt__),
                 (">=", Decimal.__ge__), ("=", Decimal.__eq__), ("!=", Decimal.__ne__)]
            )
        )  # fmt: skip
        return f"fit {sign} {number}", lambda node: "fit" in node and check(node["fit"], number)
    if name == "done":
        return "done", lambda node: node.get("done") is True
    text = draw(st.sampled_from(["ready", "x", ""]))
    return f'stage = "{text}"', lambda node: node.get("stage") == text


@st.composite
def conditions(draw: st.DrawFn, depth: int = 3) -> Truth:
    """A text, and the same meaning as a function of Python."""
    kind = (
        draw(st.sampled_from(["compare", "not", "and", "or", "present"])) if depth else "compare"
    )
    if kind == "present":
        name = draw(st.sampled_from(list(FIELDS)))
        return f"present({name})", lambda node: name in node
    if kind == "compare":
        return compared(draw)
    one, is_one = draw(conditions(depth - 1))
    if kind == "not":
        return f"not ({one})", lambda node: not is_one(node)
    other, is_other = draw(conditions(depth - 1))
    if kind == "and":
        return f"({one}) and ({other})", lambda node: is_one(node) and is_other(node)
    return f"({one}) or ({other})", lambda node: is_one(node) or is_other(node)


class TestConditions:
    @given(conditions(), NODES)
    def test_mean_what_python_means(self, condition: Truth, node: dict[str, Value]) -> None:
        """The text and a function built beside it agree on every node."""
        text, truth = condition
        assert parse_expression(text, FIELDS).holds(node) is truth(node)

    @given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
    def test_are_read_or_refused(self, text: str) -> None:
        """No text raises anything else, and what is read has an answer for any node."""
        try:
            condition = parse_expression(text, FIELDS)
        except Malformed:
            return
        assert condition.holds({}) in {True, False}


def answer(text: str) -> Judgement | Code:
    try:
        return judge(read_values(text, RULES), RULES)
    except Rejected as error:
        return error.code


class TestJudging:
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5)
            | st.floats(allow_nan=False, allow_infinity=False),
            lambda inner: st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["fit", "done", "stage", "node_data", "x"]), inner),
        )
    )  # fmt: skip
    def test_any_report_is_judged_or_refused(self, report: object) -> None:
        """Twice the same; nothing is offered while a gate fails."""
        text = json.dumps(report)
        first, second = (answer(text) for _ in range(2))
        assert first == second
        assert isinstance(first, Judgement) or first is Code.BAD_VALUE
        if isinstance(first, Judgement) and first.failed_gates:
            assert first.tiers == ()

    @given(
        st.sets(st.sampled_from(["one", "two"])), st.sets(st.sampled_from(["one", "two", "both"]))
    )
    def test_nothing_is_offered_twice(self, reached: set[str], charged: set[str]) -> None:
        """A tier comes alone or in a bundle, never both, and never after its charge."""
        bundles = {bundle.terms.code: bundle.tiers for bundle in RULES.bundles}
        codes = [terms.code for terms in offers(reached, RULES, charged=charged)]
        members = [tier for code in codes for tier in bundles.get(code, (code,))]
        assert len(set(members)) == len(members)
        assert not charged & set(members)
        assert set(members) == reached - charged
