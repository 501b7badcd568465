"""How Confluent's schema registry asks and answers, so that its clients work here as they are.

Errors are {"error_code": …, "message": …} and not the problems of the rest of the API: the clients
read exactly these two members. The codes are Confluent's ("Schema Registry API Reference",
Errors): their first three digits are the HTTP status.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Coroutine
from email.message import Message
from typing import Annotated, Any

import structlog
from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from api.dependencies import BackendDep
from domain.canonical import Json, from_json
from domain.codes import Code
from domain.errors import Rejected, Retryable, TidegaugeError
from runtime.web import problems
from runtime.web.authentication import Caller
from runtime.web.problems import ProblemError, unauthenticated

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
MEDIA_TYPES = (MEDIA_TYPE, "application/vnd.schemaregistry+json", "application/json")
BODY_BYTES_MAX = 256 * 1024
"""Largest body, bytes: the largest schema as JSON text within JSON, each character escaped."""
MESSAGE_LENGTH_MAX = 1_200
"""Characters of a message: it names several conflicts."""
BODY_TIMEOUT_S = 10
"""Longest time a body may take to arrive, seconds: a slow sender must not hold a place."""

SUBJECT_NOT_FOUND, VERSION_NOT_FOUND, SCHEMA_NOT_FOUND = 40401, 40402, 40403
SCHEMA_INVALID, VERSION_INVALID, LEVEL_INVALID, NOT_PERMITTED = 42201, 42202, 42203, 42205
STORE_ERROR = 50001

_CHALLENGE = 'Basic realm="tidegauge", Bearer realm="tidegauge"'
_REFUSALS: dict[Code, tuple[int, int]] = {
    Code.SCHEMA_INVALID: (422, SCHEMA_INVALID),
    Code.SCHEMA_INCOMPATIBLE: (409, 409),
    Code.SUBJECT_CLOSED: (422, NOT_PERMITTED),
    Code.SCHEMA_LIMIT: (422, NOT_PERMITTED),
    Code.OVERSIZED: (413, 413),
}
"""Code of ours → HTTP status and Confluent's error code; any other is 422 and 422."""


class RefusalError(Exception):
    """This error will be answered in Confluent's form.

    Args:
        error_code: Confluent's; its first three digits are the HTTP status.
        message: This case, for people.
    """

    def __init__(self, error_code: int, message: str) -> None:
        self.error_code = error_code
        self.message = message
        super().__init__(message)


class RegistryRoute(APIRoute):
    """A route whose errors have Confluent's form."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:  # type: ignore[explicit-override]  # typing has it from 3.12 on
        """Wrap the handler that FastAPI makes."""
        handler = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handler(request)
            except (
                RefusalError,
                ProblemError,
                TidegaugeError,
                RequestValidationError,
                HTTPException,
            ) as error:
                return _answer_of(error)

        return answered


def answer(body: Json, *, status: int = 200, **headers: str) -> Response:
    """This function will write an answer."""
    return Response(
        json.dumps(body, separators=(",", ":")),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def _answer_of(error: Exception) -> Response:
    if isinstance(error, RefusalError):
        return _refusal(int(str(error.error_code)[:3]), error.error_code, error.message)
    if isinstance(error, Rejected):
        status, error_code = _REFUSALS.get(error.code, (422, 422))
        return _refusal(status, error_code, error.reason)
    problem = problems.problem_of(error)  # logs what we are to blame for, and hides it
    if isinstance(error, Retryable):
        return _refusal(problem.status, STORE_ERROR, problem.detail, **dict(problem.headers))
    if isinstance(error, ProblemError) and problem.code is Code.UNAUTHENTICATED:
        return _refusal(
            problem.status, problem.status, problem.detail, www_authenticate=_CHALLENGE
        )
    return _refusal(problem.status, problem.status, problem.detail)


def _refusal(status: int, error_code: int, message: str, **headers: str) -> Response:
    text = message[:MESSAGE_LENGTH_MAX]
    body: dict[str, Json] = {"error_code": error_code, "message": text}
    return answer(body, status=status, **headers)


async def get_caller(request: Request, backend: BackendDep) -> Caller:
    """This function will return whom a request speaks for.

    Confluent's clients send Basic: the password is the API key, the user says nothing.

    Raises:
        ProblemError: unauthenticated.
    """
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    key = credentials.strip()
    if scheme.lower() == "basic":
        key = _password_of(key)
    elif scheme.lower() != "bearer":
        raise unauthenticated()
    caller = await backend.authenticator.caller(key)
    structlog.contextvars.bind_contextvars(key_id=caller.key_id)
    return caller


def _password_of(credentials: str) -> str:
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
    except ValueError:  # no base64, no ASCII, no UTF-8
        return ""


CallerDep = Annotated[Caller, Depends(get_caller)]


async def read_body(request: Request) -> dict[str, Json]:
    """This function will read the body as one JSON object.

    Raises:
        RefusalError: With 408, 413, 415 or 422.
    """
    header = Message()
    header["content-type"] = request.headers.get("content-type", MEDIA_TYPE)
    if header.get_content_type() not in MEDIA_TYPES:
        raise RefusalError(415, f"The body must be {MEDIA_TYPE}")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise RefusalError(415, "The body must not be compressed")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > BODY_BYTES_MAX:
                    raise RefusalError(413, f"The body has more than {BODY_BYTES_MAX} bytes")
    except TimeoutError as error:
        raise RefusalError(408, "The body took too long to arrive") from error
    try:
        document = from_json(body.decode())
    except (UnicodeDecodeError, Rejected) as error:
        raise RefusalError(422, "The body is no JSON in UTF-8 without fractions") from error
    if not isinstance(document, dict):
        raise RefusalError(422, "The body must be a JSON object")
    return document


BodyDep = Annotated[dict[str, Json], Depends(read_body)]


def schema_text_of(body: dict[str, Json]) -> str:
    """This function will return the schema that a body brings.

    Raises:
        RefusalError: schema invalid, for what this registry does not take.
    """
    if body.get("schemaType") not in {None, "", "AVRO"}:
        raise RefusalError(SCHEMA_INVALID, "Only Avro is taken: schemaType AVRO, or none")
    for name in ("references", "ruleSet", "metadata"):
        if body.get(name):
            raise RefusalError(
                SCHEMA_INVALID, f"{name} is not taken: write the schema out in full"
            )
    schema = body.get("schema")
    if not isinstance(schema, str) or not schema:
        raise RefusalError(SCHEMA_INVALID, "The body needs schema: the text of an Avro schema")
    return schema
