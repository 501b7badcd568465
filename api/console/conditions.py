"""Conditions of the rules as people read them, and why one does not hold for a node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from domain.canonical import decimal_text
from domain.emergence_rules.expressions import (
    Both,
    Comparison,
    Either,
    Expression,
    Not,
    Present,
    Value,
    fields_named,
)

MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Finding:
    """One condition, judged for one node.

    Args:
        key: Name of the gate or tier.
        holds: Whether it does.
        condition: The condition as text.
        why: What the node has in the fields it names, for example "fit_score is 0.899".
    """

    key: str
    holds: bool
    condition: str
    why: str


def find(key: str, condition: Expression, values: Mapping[str, Value]) -> Finding:
    """This function will judge a condition and say what it looked at."""
    seen = (
        f"{field} is {value_text(values[field]) if field in values else MISSING}"
        for field in sorted(fields_named(condition))
    )
    return Finding(
        key=key,
        holds=condition.holds(values),
        condition=condition_text(condition),
        why=", ".join(seen),
    )


def condition_text(condition: Expression) -> str:
    """This function will write a condition, with brackets wherever parts are joined."""
    match condition:
        case Present(field):
            return f"present({field})"
        case Comparison(field, sign, constant):
            return f"{field} {sign} {value_text(constant)}"
        case Not(part):
            return f"not ({condition_text(part)})"
        case Both(parts):
            return " and ".join(map(_part_text, parts))
        case Either(parts):
            return " or ".join(map(_part_text, parts))


def value_text(value: Value) -> str:
    """This function will write a value of a node's field."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return decimal_text(value) if isinstance(value, Decimal) else f'"{value}"'


def _part_text(part: Expression) -> str:
    text = condition_text(part)
    return f"({text})" if isinstance(part, Both | Either) else text
