"""What the pages share: a message after an act, lists in pages, and acts by the command gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from fastapi import Request

from api.backend import Backend
from api.commands import Command
from api.cursors import from_cursor, moment_and_text, to_cursor
from domain.canonical import Json
from domain.period import time_text
from projections.queries.paging import Page
from runtime import ids
from runtime.web.authentication import Caller
from runtime.web.problems import ProblemError

ROWS = 25
"""Rows of one list on a page, a few screens of a phone; more are one step further."""
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Message:
    """What became of an act.

    Args:
        text: For people.
        kind: "good" or "bad".
        code: The books' code of a refusal; empty for none.
        status: HTTP status of the answer.
    """

    text: str
    kind: str = "good"
    code: str = ""
    status: int = 200


async def act(
    backend: Backend,
    caller: Caller,
    *,
    kind: str,
    body: Mapping[str, Json],
    done: str,
) -> Message:
    """This function will send a command and say what became of it.

    Each press of a button is a wish of its own, so the command's id is new. A second press meets
    the books, which charge nothing twice and say so.

    Args:
        backend: Where to send it.
        caller: Who acts; the books note the key.
        kind: Command name.
        body: Command fields.
        done: What to say when it was accepted.

    Raises:
        Retryable: As CommandGate.execute.
    """
    command = Command(
        tenant=caller.tenant,
        command_id=ids.new_id("cmd"),
        kind=kind,
        body=body,
        actor=f"console:{caller.key_id}",
    )
    try:
        await backend.commands.execute(command)
    except ProblemError as error:
        problem = error.problem
        return Message(problem.detail, kind="bad", code=problem.code.value, status=problem.status)
    return Message(done)


def after_moment(request: Request, kind: str) -> tuple[datetime, str] | None:
    """This function will read where a list by time goes on; None at its beginning.

    Raises:
        ProblemError: invalid_request, for a cursor that is none of this list.
    """
    cursor = request.query_params.get("after")
    return from_cursor(cursor, kind=kind, make=moment_and_text)


def next_moment(
    page: Page[Row], kind: str, key: Callable[[Row], tuple[datetime, str]]
) -> str | None:
    """This function will return where the page after this one begins; None on the last one."""
    if not page.has_more:
        return None
    at, name = key(page.rows[-1])
    return to_cursor(kind, time_text(at), name)
