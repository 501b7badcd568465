"""Who is looking: the API key in a cookie that scripts cannot read, asked anew at each request.

There is no session to keep or to steal from us: the cookie is the key, the same Authenticator as
everywhere says whom it speaks for, and a revoked key is out within its 30 s.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

import structlog
from fastapi import Depends, Request, Response

from api.console.navigation import BASE_PATH
from api.dependencies import BackendDep
from domain.codes import Code
from runtime.web.authentication import Caller
from runtime.web.problems import Problem, ProblemError
from runtime.web.scopes import Scope

COOKIE = "tidegauge_console"
COOKIE_AGE_S = 12 * 60 * 60
"""How long a browser keeps the key, seconds: a working day."""
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
_SAFE = frozenset({"GET", "HEAD"})


class SignInNeededError(Exception):
    """This error will send the browser to the sign-in page."""


def address_of(request: Request) -> str:
    """This function will return the network address that a request came from."""
    return request.client.host if request.client else ""


def remember(response: Response, request: Request, key: str) -> None:
    """This function will give the browser a key to keep.

    Over TLS only, save on the machine itself, where there is no network to listen on.
    """
    response.set_cookie(
        COOKIE,
        key,
        max_age=COOKIE_AGE_S,
        path=BASE_PATH,
        secure=host_name(request) not in LOOPBACK,
        httponly=True,
        samesite="strict",
    )


def forget(response: Response) -> None:
    """This function will take the key away from the browser."""
    response.delete_cookie(COOKIE, path=BASE_PATH, httponly=True, samesite="strict")


def host_name(request: Request) -> str:
    """This function will return the host that the browser asked for, without its port."""
    host = request.headers.get("host", "")
    return (
        host[: host.index("]") + 1]
        if host.startswith("[") and "]" in host
        else host.partition(":")[0]
    )


def require_own_origin(request: Request) -> None:
    """This function will refuse a change that another site's page sends with our cookie.

    SameSite=Strict keeps the cookie from other sites; a page on another port of the same machine
    is the same site, so the origin is looked at, too. A proxy in front must pass Host on.

    Raises:
        ProblemError: origin_refused.
    """
    origin = request.headers.get("origin", "")
    is_own = (
        _place_of(origin) == request.headers.get("host")
        if origin
        else (request.headers.get("sec-fetch-site") == "same-origin")
    )
    if not is_own:
        raise ProblemError(
            Problem(403, Code.ORIGIN_REFUSED, "The request comes from another site", "Origin")
        )


def _place_of(origin: str) -> str | None:
    """Return host and port of an origin; None for `null` and for what is none."""
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None


async def get_caller(request: Request, backend: BackendDep) -> Caller:
    """This function will return whom the browser speaks for, if the key may do what it asks.

    Raises:
        SignInNeededError: Without a key in force.
        ProblemError: scope_missing, or origin_refused.
    """
    if request.method not in _SAFE:
        require_own_origin(request)
    caller = await _found(request, backend)
    structlog.contextvars.bind_contextvars(key_id=caller.key_id)
    caller.require(Scope.BILLING_READ if request.method in _SAFE else Scope.BILLING_WRITE)
    return caller


async def _found(request: Request, backend: BackendDep) -> Caller:
    key = request.cookies.get(COOKIE, "")
    if key:
        return await caller_of_key(request, backend, key)
    try:
        return backend.authenticator.without_key(request)
    except ProblemError as error:
        if error.problem.code is not Code.UNAUTHENTICATED:
            raise
        raise SignInNeededError from error


async def caller_of_key(request: Request, backend: BackendDep, key: str) -> Caller:
    """This function will return whom a key speaks for, and count it when it is wrong.

    Raises:
        SignInNeededError: When there is no such key in force.
    """
    address = address_of(request)
    try:
        return await backend.authenticator.caller(key)
    except ProblemError as error:
        if error.problem.code is not Code.UNAUTHENTICATED:
            raise
        backend.wrong_keys.add(address)
        raise SignInNeededError from error


ConsoleCallerDep = Annotated[Caller, Depends(get_caller)]
