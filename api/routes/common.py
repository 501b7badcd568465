"""What the routers of all subjects share."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum
from typing import Any

from fastapi import APIRouter, Depends

from api.backend import Backend
from api.commands import Command
from api.dependencies import get_caller
from api.parameters import refuse_repeats
from domain.canonical import Json
from domain.derived_ids import derived_id
from domain.fields import TEXT_LENGTH_MAX, Fields
from runtime.web.authentication import Caller
from runtime.web.openapi import problem_response
from runtime.web.problems import ProblemError

BASE_PATH = "/api/v1/billing"
COUNT_MAX = 10**9
"""Largest number of credits, minor units or bytes of one request, as the books take it."""

_PART = re.compile(r"(.*?)((?:\[[0-9]+\])?)")

Responses = dict[int | str, dict[str, Any]]


READ_RESPONSES: Responses = {
    400: problem_response("A parameter is malformed; param names it"),
    401: problem_response("No valid API key"),
    403: problem_response("The key lacks the scope, billing:read or billing:write"),
    503: problem_response("A part is away; Retry-After says when to try again"),
    "default": problem_response("Any other error"),
}
FIND_RESPONSES: Responses = {
    **READ_RESPONSES,
    404: problem_response("The tenant has no such thing"),
}
COMMAND_RESPONSES: Responses = {
    **FIND_RESPONSES,
    409: problem_response("It exists, or the Idempotency-Key was used with another body"),
    413: problem_response("The body is too large"),
    415: problem_response("The body is not JSON"),
    422: problem_response("The books refuse the command; code says why"),
    504: problem_response("The command is in the log, its outcome is not visible yet"),
}


def new_router(tag: str) -> APIRouter:
    """This function will return a router whose every address needs an API key."""
    tags: list[str | Enum] = [tag]
    return APIRouter(
        prefix=BASE_PATH,
        tags=tags,
        dependencies=[Depends(get_caller), Depends(refuse_repeats)],
        redirect_slashes=False,
    )


def object_body(
    properties: dict[str, dict[str, Any]],
    *,
    required: Sequence[str] = (),
    example: dict[str, Any],
    form: bool = False,
) -> dict[str, Any]:
    """This function will describe a JSON body, for the OpenAPI document.

    Args:
        properties: Schema of each field; no other is taken.
        required: Fields that must be there.
        example: A value of the fields that matter.
        form: Whether the same fields may come as a form too.
    """
    schema = {
        "type": "object",
        "required": list(required),
        "additionalProperties": False,
        "properties": properties,
        "example": example,
    }
    media_types = ["application/json"]
    if form:
        media_types.append("application/x-www-form-urlencoded")
    content = {media_type: {"schema": schema} for media_type in media_types}
    return {"requestBody": {"required": True, "content": content}}


def text_field(description: str, *, length_max: int = TEXT_LENGTH_MAX) -> dict[str, Any]:
    """This function will describe a field that holds text."""
    return {"type": "string", "minLength": 1, "maxLength": length_max, "description": description}


def count_field(description: str, *, minimum: int = 1) -> dict[str, Any]:
    """This function will describe a field that holds a whole number."""
    return {
        "type": "integer",
        "minimum": minimum,
        "maximum": COUNT_MAX,
        "description": description,
    }


async def act(
    backend: Backend,
    caller: Caller,
    *,
    operation: str,
    idempotency_key: str,
    kind: str,
    body: Mapping[str, Json],
) -> None:
    """This function will send a command and return when its effects are visible.

    Args:
        backend: Where commands go.
        caller: Who asks; their tenant's books are meant.
        operation: Method and address, without ids: one key is one wish, whatever it is about.
        idempotency_key: The caller's key of this wish.
        kind: Command name.
        body: Its fields; another body under the same key is a conflict.

    Raises:
        ProblemError: The books' refusal, or command_timeout.
    """
    await backend.commands.execute(
        Command(
            tenant=caller.tenant,
            command_id=derived_id("cmd", caller.tenant, operation, idempotency_key),
            kind=kind,
            body=body,
            actor=f"api:{caller.key_id}",
        )
    )


@contextmanager
def calling(names: Mapping[str, str]) -> Iterator[None]:
    """This function will have a refusal name its field as the address calls it.

    Args:
        names: What the address calls the fields of the books that it calls otherwise; empty for
            what its callers do not say.
    """
    try:
        yield
    except ProblemError as error:
        parts = [_PART.fullmatch(part) for part in error.problem.param.split(".")]
        called = [names.get(part[1], part[1]) + part[2] for part in parts if part]
        param = ".".join(called) if all(called) else ""
        raise ProblemError(replace(error.problem, param=param)) from error


def present(**fields: Json) -> dict[str, Json]:
    """This function will leave out fields that were not given."""
    return {name: value for name, value in fields.items() if value is not None}


def optional_text(fields: Fields, name: str) -> str | None:
    """This function will read a text that need not be there (Rejected when it is no text)."""
    return fields.text(name) if name in fields.values else None
