"""What routes ask for: the backend, the caller, and a header that a POST needs."""

from __future__ import annotations

import re
from typing import Annotated, cast

import structlog
from fastapi import Depends, Header, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.backend import Backend
from domain.codes import Code
from runtime.web.authentication import Caller
from runtime.web.problems import Problem, ProblemError, invalid, unauthenticated
from runtime.web.scopes import Scope

IDEMPOTENCY_KEY_LENGTH_MAX = 200
"""Characters of an Idempotency-Key."""

_IDEMPOTENCY_KEY = re.compile(rf"[\x21-\x7e]{{1,{IDEMPOTENCY_KEY_LENGTH_MAX}}}")
_READING = frozenset({"GET", "HEAD"})
_bearer = HTTPBearer(
    scheme_name="ApiKey", description="An API key: tg_live_<8>_<32>", auto_error=False
)


def get_backend(request: Request) -> Backend:
    """This function will return what the application stands on."""
    return cast("Backend", request.app.state.backend)


async def get_caller(
    request: Request,
    backend: Annotated[Backend, Depends(get_backend)],
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Caller:
    """This function will return whom the request speaks for, if the key may do it.

    Raises:
        ProblemError: unauthenticated, or scope_missing.
    """
    caller = await _caller(request, backend, credentials)
    caller.require(Scope.BILLING_READ if request.method in _READING else Scope.BILLING_WRITE)
    return caller


async def get_reporter(
    request: Request,
    backend: Annotated[Backend, Depends(get_backend)],
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Caller:
    """This function will return whom a report speaks for: a machine that may send usage too.

    Raises:
        ProblemError: unauthenticated, or scope_missing.
    """
    caller = await _caller(request, backend, credentials)
    caller.require(Scope.USAGE_WRITE)
    return caller


async def _caller(
    request: Request, backend: Backend, credentials: HTTPAuthorizationCredentials | None
) -> Caller:
    if credentials is None and "authorization" not in request.headers:
        return backend.authenticator.without_key(request)
    if credentials is None:
        raise unauthenticated()
    caller = await backend.authenticator.caller(credentials.credentials)
    structlog.contextvars.bind_contextvars(key_id=caller.key_id)
    return caller


def get_admin(caller: Annotated[Caller, Depends(get_caller)]) -> Caller:
    """This function will return the caller, if it may do what only an admin may (S0-62).

    Raises:
        ProblemError: unauthenticated, or scope_missing.
    """
    caller.require(Scope.BILLING_ADMIN)
    return caller


_KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Any text of up to 200 visible ASCII characters, one per wish: the same "
        "key and body give the first answer, another body is a conflict",
    ),
]


def get_idempotency_key(key: _KeyHeader = None) -> str:
    """This function will return the Idempotency-Key.

    Raises:
        ProblemError: idempotency_key_missing, or invalid_request for one of another form.
    """
    if not key:
        raise ProblemError(
            Problem(
                400,
                Code.IDEMPOTENCY_KEY_MISSING,
                "A POST needs the header Idempotency-Key, so that it can be repeated safely",
                param="Idempotency-Key",
            )
        )
    return _checked(key)


def get_optional_idempotency_key(key: _KeyHeader = None) -> str:
    """This function will return the Idempotency-Key, or the empty text without one.

    Addresses whose form is S0's take requests without one: its callers know no such header.

    Raises:
        ProblemError: invalid_request for one of another form.
    """
    return _checked(key) if key else ""


def _checked(key: str) -> str:
    if _IDEMPOTENCY_KEY.fullmatch(key) is None:
        raise invalid(
            "Idempotency-Key",
            f"The key must be 1 to {IDEMPOTENCY_KEY_LENGTH_MAX} visible ASCII characters",
        )
    return key


BackendDep = Annotated[Backend, Depends(get_backend)]
CallerDep = Annotated[Caller, Depends(get_caller)]
AdminDep = Annotated[Caller, Depends(get_admin)]
ReporterDep = Annotated[Caller, Depends(get_reporter)]
OptionalKeyDep = Annotated[str, Depends(get_optional_idempotency_key)]
IdempotencyKeyDep = Annotated[str, Depends(get_idempotency_key)]
