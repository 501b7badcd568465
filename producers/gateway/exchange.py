"""One POST with an API key, from its first byte to its answer.

Order: 1. whose key is it, and may it write; 2. has it sent too much; 3. the body, paid for by the
budget; 4. the answer of the same request before, if there is one; 5. the work. What costs least
refuses first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import cast

import msgspec
from fastapi import Request
from starlette.responses import Response

from domain.canonical import Json
from domain.codes import Code
from producers.gateway.backend import Backend
from producers.gateway.bodies import BODY_BYTES_MAX, read_body
from producers.gateway.candidates import RefusedEvent
from producers.gateway.cloudevents import HEADER_PREFIX
from producers.gateway.repeats import ACCEPTED_STATUS, Answer
from runtime.web.authentication import Caller
from runtime.web.problems import Problem, ProblemError, invalid
from runtime.web.scopes import Scope

IDEMPOTENCY_HEADER = "Idempotency-Key"
KEY_LENGTH_MAX = 200
"""Characters of an Idempotency-Key."""

_MEANING_HEADERS = frozenset({"content-type", "tidegauge-atomic", "tidegauge-backfill"})
_is_key = re.compile(rf"[\x21-\x7e]{{1,{KEY_LENGTH_MAX}}}").fullmatch


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request whose sender is known and whose body is here.

    Args:
        request: The request.
        backend: What the gateway stands on.
        caller: Whom it speaks for.
        idempotency_key: Empty when there is none.
        body: The body, inflated.
    """

    request: Request
    backend: Backend
    caller: Caller
    idempotency_key: str
    body: bytes


Work = Callable[[Arrival], Awaitable[Answer]]


def backend_of(request: Request) -> Backend:
    """This function will return what the gateway stands on."""
    return cast("Backend", request.app.state.backend)


async def answer_post(
    request: Request,
    work: Work,
    *,
    operation: str,
    bytes_max: int = BODY_BYTES_MAX,
    parameters: frozenset[str] = frozenset(),
) -> Response:
    """This function will answer a POST with an API key.

    Args:
        request: The request.
        work: Makes the answer; its result is repeated for the same Idempotency-Key.
        operation: What Idempotency-Keys are unique within.
        bytes_max: Largest body, bytes.
        parameters: Query parameters that the address takes.
    """
    backend = backend_of(request)
    caller = await backend.authenticator.caller_of(request)
    caller.require(Scope.USAGE_WRITE)
    backend.limits.take_request(caller.key_id)
    refuse_query(request, but=parameters)
    key = _idempotency_key(request)
    with backend.budget.open() as share:
        body = await read_body(request, share, bytes_max=bytes_max)
        arrival = Arrival(request, backend, caller, key, body)
        if key:
            answer = await backend.repeats.once(
                (caller.tenant, operation, key), _identity(arrival), lambda: work(arrival)
            )
        else:
            answer = await work(arrival)
    return Response(answer.body, answer.status, media_type="application/json")


def accepted(document: Mapping[str, Json]) -> Answer:
    """This function will write the answer to something that the log has."""
    try:
        body = msgspec.json.encode(document)
    except UnicodeEncodeError:  # the id of a refused event, shown as it came
        body = json.dumps(document, separators=(",", ":")).encode()
    return Answer(ACCEPTED_STATUS, body)


def refused_event(
    error: RefusedEvent, results: tuple[Mapping[str, Json], ...] = ()
) -> ProblemError:
    """This function will say that a request was refused because of an event in it.

    Args:
        error: What is wrong with the first of them.
        results: One for each refused event.
    """
    members: tuple[tuple[str, Json], ...] = (("results", results),) if results else ()
    return ProblemError(
        Problem(
            422,
            Code.EVENT_INVALID,
            f"{error.param}: {error.detail}",
            param=error.param,
            members=members,
        )
    )


def refuse_query(request: Request, *, but: frozenset[str] = frozenset()) -> None:
    """This function will refuse query parameters that nobody reads."""
    if request.url.query if not but else set(request.query_params) - but:
        raise invalid("query", "The address takes no such parameter")


def _idempotency_key(request: Request) -> str:
    key = request.headers.get(IDEMPOTENCY_HEADER, "")
    if key and _is_key(key) is None:
        raise invalid(
            IDEMPOTENCY_HEADER, f"The key must be 1 to {KEY_LENGTH_MAX} visible ASCII characters"
        )
    return key


def _identity(arrival: Arrival) -> bytes:
    """Return all that makes two requests the same: in the binary form, headers are the event."""
    headers = [
        f"{name}: {value}"
        for name, value in sorted(arrival.request.headers.items())
        if name.startswith(HEADER_PREFIX) or name in _MEANING_HEADERS
    ]
    return "\n".join([*headers, ""]).encode("latin-1") + arrival.body
