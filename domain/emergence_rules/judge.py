"""Judging a node's data by the rules: which gates fail, and which tiers it reaches.

Pure and total: any JSON object has an answer or a refusal that names the field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from domain.canonical import decimal_text
from domain.codes import Code
from domain.emergence_rules.expressions import FieldType, Value
from domain.errors import Rejected
from domain.fields import TEXT_LENGTH_MAX, is_clean_text

if TYPE_CHECKING:
    from domain.emergence_rules.rules import EmergenceRules, NodeField, Terms

NODE_DATA = "node_data"
"""Member of a report that holds the node's fields; those beside it count too, and win."""
PLACES_MAX = 18
"""Digits before and after the point of a number, as everywhere."""
_DECIMAL = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a node's data comes to.

    Args:
        failed_gates: Keys of the gates that do not hold, in the rules' order.
        tiers: Codes of the tiers reached, in the rules' order; none while a gate fails.
    """

    failed_gates: tuple[str, ...]
    tiers: tuple[str, ...]


def judge(values: Mapping[str, Value], rules: EmergenceRules) -> Judgement:
    """This function will judge a node's values; the raw score is compared (S0-R8)."""
    failed = tuple(gate.key for gate in rules.gates if not gate.when.holds(values))
    reached = tuple(tier.terms.code for tier in rules.tiers if tier.when.holds(values))
    return Judgement(failed, () if failed else reached)


def read_values(report: str, rules: EmergenceRules) -> dict[str, Value]:
    """This function will read the declared fields of a report.

    Args:
        report: What was reported, a JSON object as text, numbers as written.
        rules: Which fields there are.

    Returns:
        Values by field; missing and null ones are left out, unknown ones are not looked at.

    Raises:
        Rejected: bad_value, when it is no object or a field is not what the rules declare.
    """
    return values_of(read_report(report), rules)


def read_report(report: str) -> dict[str, object]:
    """This function will read what was reported: numbers as decimals, `node_data` spread out.

    Raises:
        Rejected: bad_value, when it is no object.
    """
    try:
        found = json.loads(report, parse_float=Decimal, parse_int=Decimal, parse_constant=_refuse)
    except (ValueError, RecursionError, ArithmeticError) as error:
        # ArithmeticError: an exponent beyond what a Decimal can have.
        raise Rejected(Code.BAD_VALUE, f"the report is no JSON: {error}") from error
    if not isinstance(found, Mapping):
        raise Rejected(Code.BAD_VALUE, "the report must be an object")
    inner = found.get(NODE_DATA)
    if inner is not None and not isinstance(inner, Mapping):
        raise Rejected(Code.BAD_VALUE, f"{NODE_DATA} must be an object", param=NODE_DATA)
    return {**(inner or {}), **found}


def values_of(given: Mapping[str, object], rules: EmergenceRules) -> dict[str, Value]:
    """This function will take the declared fields from what read_report gave.

    Raises:
        Rejected: bad_value, when a field is not what the rules declare.
    """
    return {
        field.name: _value(field, given[field.name])
        for field in rules.fields
        if given.get(field.name) is not None
    }


def value_text(value: Value) -> str:
    """This function will write a value as text: decimals exactly, booleans as true and false."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return decimal_text(value) if isinstance(value, Decimal) else value


def _refuse(text: str) -> object:
    raise Rejected(Code.BAD_VALUE, f"{text} is no number of JSON")


def _value(field: NodeField, value: object) -> Value:
    match field.type:
        case FieldType.BOOLEAN:
            if isinstance(value, bool):
                return value
            raise _wrong(field, "must be true or false")
        case FieldType.TEXT:
            # No condition can ask for a longer one, and evidence is a copy of it.
            if isinstance(value, str) and (not value or is_clean_text(value)):
                return value
            raise _wrong(field, f"must be text of at most {TEXT_LENGTH_MAX} printable characters")
        case FieldType.DECIMAL:
            return _decimal(field, value)


def _decimal(field: NodeField, value: object) -> Decimal:
    text = value
    if isinstance(value, Decimal) and abs(value.adjusted()) <= PLACES_MAX:
        text = format(value, "f")
    if not isinstance(text, str) or _DECIMAL.fullmatch(text) is None:
        raise _wrong(field, "must be a decimal, for example 0.95")
    number = Decimal(text)
    if field.minimum is not None and number < field.minimum:
        raise _wrong(field, f"must not be below {field.minimum}")
    if field.maximum is not None and number > field.maximum:
        raise _wrong(field, f"must not be above {field.maximum}")
    return number


def _wrong(field: NodeField, why: str) -> Rejected:
    return Rejected(Code.BAD_VALUE, f"{field.name} {why}", param=field.name)


def offers(
    reached: Collection[str], rules: EmergenceRules, *, charged: Collection[str] = ()
) -> tuple[Terms, ...]:
    """This function will say what a project is offered (S0-R4).

    Args:
        reached: Codes of the tiers that the project reaches.
        rules: The rules.
        charged: Codes of the tiers that it was charged for already.

    Returns:
        Bundles whose tiers are all reached and none charged, then each other tier that is reached
        and not charged; in the rules' order.
    """
    found: list[Terms] = []
    taken = set(charged)
    for bundle in rules.bundles:
        if taken.isdisjoint(bundle.tiers) and set(bundle.tiers) <= set(reached):
            found.append(bundle.terms)
            taken.update(bundle.tiers)
    found += [
        tier.terms
        for tier in rules.tiers
        if tier.terms.code in reached and tier.terms.code not in taken
    ]
    return tuple(found)
