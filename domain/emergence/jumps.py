"""Suspicion rules of kind score_jump: a value that rises to just over a threshold (S0-60)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from domain.canonical import decimal_text
from domain.derived_ids import derived_id
from domain.emergence.facts import NO_TIME, Suspected
from domain.period import HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from domain.emergence.facts import NodeRow
    from domain.emergence.judging import Moment
    from domain.emergence.project import Project
    from domain.emergence.rulebook import Rulebook
    from domain.emergence_rules.expressions import Value
    from domain.suspicions import ScoreJump


def jumps(
    project: Project,
    book: Rulebook,
    moment: Moment,
    *,
    before: NodeRow | None,
    values: Mapping[str, Value],
) -> Iterator[Suspected]:
    """This function will yield what the rules suspect of a node's newest report.

    Args:
        project: The project, with that report.
        book: The rules in force.
        moment: The record of the report.
        before: The node before it; None for a new one.
        values: What it held then.
    """
    if before is None or before.received_at_ms == NO_TIME or not project.customer:
        return
    for rule in book.jumps:
        old, new = values.get(rule.field), project.values(before.node).get(rule.field)
        age_ms = moment.now_ms - before.received_at_ms
        if (
            isinstance(old, Decimal)
            and isinstance(new, Decimal)
            and age_ms <= rule.within_hours * HOUR_MS
            and _is_jump(rule, old, new)
        ):
            yield Suspected(
                offset=moment.offset,
                suspicion=derived_id(
                    "sus", *project.key, before.node, rule.key, str(moment.offset)
                ),
                key=project.key,
                customer=project.customer,
                node=before.node,
                rule=rule.key,
                detail=f"{rule.field} of node {before.node} rose from {decimal_text(old)} to "
                f"{decimal_text(new)}",
                at_ms=moment.now_ms,
            )


def _is_jump(rule: ScoreJump, old: Decimal, new: Decimal) -> bool:
    return (
        old < rule.threshold <= new
        and new - rule.threshold <= rule.margin
        and new - old >= rule.rise
    )
