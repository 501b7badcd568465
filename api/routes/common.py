"""What the routers of all subjects share."""

from __future__ import annotations

from enum import Enum
from typing import Any

from fastapi import APIRouter, Depends

from api.dependencies import get_caller
from api.parameters import refuse_repeats
from runtime.web.openapi import problem_response

BASE_PATH = "/api/v1/billing"

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


def body_schema(properties: dict[str, str], *, example: dict[str, str]) -> dict[str, Any]:
    """This function will describe a body of required texts, for the OpenAPI document.

    The body itself is read by api.bodies, which never makes a float and names what it refuses.

    Args:
        properties: Description of each field.
        example: A value of each field.
    """
    schema = {
        "type": "object",
        "required": list(properties),
        "additionalProperties": False,
        "properties": {
            name: {"type": "string", "description": description}
            for name, description in properties.items()
        },
        "example": example,
    }
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
