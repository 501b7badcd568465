"""Why a tier counts as reached: which node shows it, and what that node held."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from domain.emergence.facts import Evidence
from domain.emergence.project import pulsed_fields, reported_fields
from domain.emergence_rules.judge import value_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.emergence.project import Project
    from domain.emergence.rulebook import Rulebook

EVIDENCE_BYTES_MAX = 256 * 1024
"""Names and values of one detection's evidence, bytes, about: it travels in one command of 1 MiB
and lies in two tables. Beyond it, which takes dozens of tiers with hundreds of long texts, the
values stay out and the digests and offsets stand for them."""


def evidence_for(
    project: Project, tiers: Sequence[str], book: Rulebook, *, partition: int
) -> tuple[Evidence, ...]:
    """This function will return the evidence of tiers that a project reaches, in their order.

    Args:
        project: The project, judged by the rulebook.
        tiers: Codes of reached tiers.
        book: The rules in force.
        partition: Partition of node.events.
    """
    found = tuple(_of_tier(project, tier, book, partition) for tier in tiers)
    size = sum(
        len(name) + len(text.encode()) for each in found for name, text in each.values.items()
    )
    if size <= EVIDENCE_BYTES_MAX:
        return found
    return tuple(replace(each, values={}) for each in found)


def _of_tier(project: Project, tier: str, book: Rulebook, partition: int) -> Evidence:
    node = project.evidence_of(tier)
    row = project.nodes[node]
    shown = book.shown[tier]
    pulsed = pulsed_fields(row, reported_fields(row, book), book)
    return Evidence(
        tier=tier,
        node=node,
        partition=partition,
        offset=row.offset,
        data_sha256=row.data_sha256,
        values={
            name: value_text(value)
            for name, value in sorted(project.values(node).items())
            if name in shown
        },
        pulses={name: row.pulses[name].offset for name in pulsed if name in shown},
    )
