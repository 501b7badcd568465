"""Rules that say what looks like misuse, as catalogue data (S0-60, S0-R15).

The books decide all kinds but score_jump from their own facts; score_jump is decided by the
emergence fold, which sees the nodes. A rule raises a suspicion and changes nothing else: an admin
looks at it and closes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from domain.emergence_rules.expressions import FieldType
from domain.emergence_rules.rules import HOURS_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from domain.fields import Fields

RULES_MAX = 20
"""Rules of one catalogue; each is looked at with every charge."""
COUNT_MAX = 256
"""Occurrences that a rule may ask for, and that the books remember of a customer and kind: 256
times of 8 bytes for each of three kinds keep a customer below 20 KiB."""
AMOUNT_HOURS_DEFAULT = 24
"""How long a wrong amount stays one suspicion, hours."""


class SuspicionKind(StrEnum):
    """What a rule looks at."""

    FAILED_ATTEMPTS = "failed_attempts"
    AMOUNT_MISMATCH = "amount_mismatch"
    REFUND_RATIO = "refund_ratio"
    VELOCITY = "velocity"
    SCORE_JUMP = "score_jump"


@dataclass(frozen=True, slots=True)
class FailedAttempts:
    """Many charges or top-ups that failed in a short time.

    Args:
        key: Name of the rule.
        attempts: From how many on, within the time.
        within_hours: The time, hours.
    """

    key: str
    attempts: int
    within_hours: int
    kind: SuspicionKind = SuspicionKind.FAILED_ATTEMPTS


@dataclass(frozen=True, slots=True)
class AmountMismatch:
    """A top-up whose amount is not on the price list.

    Args:
        key: Name of the rule.
        within_hours: For how long further ones belong to the same suspicion, hours.
    """

    key: str
    within_hours: int
    kind: SuspicionKind = SuspicionKind.AMOUNT_MISMATCH


@dataclass(frozen=True, slots=True)
class RefundRatio:
    """Many refunds for the charges of the same time.

    Args:
        key: Name of the rule.
        percent: From how many refunds per hundred charges on.
        charges_min: Below so many charges nothing is said.
        within_hours: The time, hours.
    """

    key: str
    percent: int
    charges_min: int
    within_hours: int
    kind: SuspicionKind = SuspicionKind.REFUND_RATIO


@dataclass(frozen=True, slots=True)
class Velocity:
    """Many charges in a short time.

    Args:
        key: Name of the rule.
        charges: From how many on, within the time.
        within_hours: The time, hours.
    """

    key: str
    charges: int
    within_hours: int
    kind: SuspicionKind = SuspicionKind.VELOCITY


@dataclass(frozen=True, slots=True)
class ScoreJump:
    """A node's decimal field that rises to just over a threshold; the emergence fold decides it.

    Args:
        key: Name of the rule.
        field: Declared decimal node field.
        threshold: What has to be passed.
        margin: How far above the threshold still counts as just over it.
        rise: By how much the field rises at least.
        within_hours: How long before the earlier report may have been received, hours.
    """

    key: str
    field: str
    threshold: Decimal
    margin: Decimal
    rise: Decimal
    within_hours: int
    kind: SuspicionKind = SuspicionKind.SCORE_JUMP


SuspicionRule = FailedAttempts | AmountMismatch | RefundRatio | Velocity | ScoreJump


def suspicion_from_fields(fields: Fields, *, types: Mapping[str, FieldType]) -> SuspicionRule:
    """This function will read one rule of the part `suspicions` of a catalogue.

    Args:
        fields: The rule.
        types: Declared node fields.

    Raises:
        Rejected: With the place of what is wrong.
    """
    kind = SuspicionKind(fields.choice("kind", SuspicionKind))
    key = fields.text("key")
    match kind:
        case SuspicionKind.FAILED_ATTEMPTS:
            fields.only(("key", "kind", "attempts", "within_hours"))
            return FailedAttempts(key, _count(fields, "attempts"), _hours(fields))
        case SuspicionKind.AMOUNT_MISMATCH:
            fields.only(("key", "kind", "within_hours"))
            return AmountMismatch(key, _hours(fields, default=AMOUNT_HOURS_DEFAULT))
        case SuspicionKind.REFUND_RATIO:
            fields.only(("key", "kind", "percent", "charges_min", "within_hours"))
            percent = fields.integer("percent", minimum=1, maximum=100)
            return RefundRatio(key, percent, _count(fields, "charges_min"), _hours(fields))
        case SuspicionKind.VELOCITY:
            fields.only(("key", "kind", "charges", "within_hours"))
            return Velocity(key, _count(fields, "charges"), _hours(fields))
        case SuspicionKind.SCORE_JUMP:
            return _score_jump(fields, key, types)


def _score_jump(fields: Fields, key: str, types: Mapping[str, FieldType]) -> ScoreJump:
    fields.only(("key", "kind", "field", "threshold", "margin", "rise", "within_hours"))
    field = fields.text("field")
    if types.get(field) is not FieldType.DECIMAL:
        raise fields.refuse("field", f"is {field!r}, which is no declared decimal field")
    return ScoreJump(
        key=key,
        field=field,
        threshold=fields.decimal("threshold"),
        margin=fields.decimal("margin"),
        rise=fields.decimal("rise"),
        within_hours=_hours(fields),
    )


def _count(fields: Fields, name: str) -> int:
    return fields.integer(name, minimum=1, maximum=COUNT_MAX)


def _hours(fields: Fields, *, default: int | None = None) -> int:
    return fields.integer("within_hours", minimum=1, maximum=HOURS_MAX, default=default)
