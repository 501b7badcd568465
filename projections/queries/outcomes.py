"""Answers of the books to commands."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """The answer to one command.

    Args:
        command_id: Id of the command.
        kind: Command name.
        code: Empty when accepted, else the stable reject code.
        reason: What was wrong, for people.
    """

    command_id: str
    kind: str
    code: str
    reason: str


def find_outcome(
    connection: sqlalchemy.Connection, *, source_offset: int
) -> CommandOutcome | None:
    """This function will return the answer to a command, or None when it is not visible yet.

    It is projected in one transaction with its effects: who sees the answer sees what it changed.

    Args:
        connection: Connection of the command's tenant; all its commands lie in one partition.
        source_offset: Offset of the command in account.commands.
    """
    row = connection.execute(
        sqlalchemy.text(
            "SELECT command_id, kind, code, reason FROM command_outcome"
            " WHERE source_offset = :source_offset"
        ),
        {"source_offset": source_offset},
    ).one_or_none()
    if row is None:
        return None
    return CommandOutcome(
        command_id=row.command_id, kind=row.kind, code=row.code, reason=row.reason
    )
