"""The acceptance rule: which facts records count, whoever wrote them.

Every reader of a facts partition (the fold that restores itself, a projector, an auditor) keeps a
position p, starting at the source topic's start. A record covers source offsets [from, to).
"""

from __future__ import annotations

from domain.codes import Code
from domain.errors import Fatal, invariant


def accepts(*, position: int, from_offset: int, to_offset: int) -> bool:
    """This function will say whether a facts record counts at this position.

    Args:
        position: Next source offset the reader waits for.
        from_offset: First source offset the record covers.
        to_offset: One past the last source offset the record covers.

    Returns:
        True when the record continues the chain (the reader's position becomes to_offset), False
        when it is a replay, a late retry or a zombie's record, to be ignored.

    Raises:
        Fatal: facts_gap, when the record starts after the position.
    """
    invariant(
        from_offset < to_offset,
        Code.STATE_CORRUPT,
        "a facts record covers no source offset",
        from_offset=from_offset,
        to_offset=to_offset,
    )
    if from_offset > position:
        raise Fatal(
            Code.FACTS_GAP,
            f"facts start at source offset {from_offset}, expected {position}",
            next_step="Facts records are missing: restore the facts topic from its replica or "
            "backup before starting again; nothing was skipped",
            position=position,
            from_offset=from_offset,
        )
    return from_offset == position
