"""command_outcome: the answer to every command, visible in one commit with what it changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from domain.period import from_ms
from projections.texts import storable

if TYPE_CHECKING:
    import psycopg

    from domain.books.facts import Outcome

_INSERT = """
    INSERT INTO command_outcome (tenant, source_offset, partition, command_id, kind, code, reason,
        repeat, facts, received_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s)
"""


def project_outcome(connection: psycopg.Connection, outcome: Outcome, *, partition: int) -> None:
    """This function will insert an answer.

    Args:
        connection: Inside the flush's transaction.
        outcome: The answer.
        partition: Partition of the command.
    """
    facts = [{"kind": fact.kind, "body": json.loads(fact.body)} for fact in outcome.facts]
    connection.execute(
        _INSERT,
        (
            *(outcome.tenant, outcome.offset, partition, outcome.command_id, outcome.kind),
            *(str(outcome.code), storable(outcome.reason), outcome.repeat),
            json.dumps(facts, sort_keys=True, ensure_ascii=False),
            from_ms(outcome.received_at_ms),
        ),
    )
