"""The door: a key is exchanged for a cookie, and given back."""

from __future__ import annotations

from fastapi import Request, Response
from starlette.responses import RedirectResponse

from api.console import session
from api.console.bodies import read_form
from api.console.navigation import BASE_PATH
from api.console.rendering import render
from api.console.routing import SIGN_IN_PATH, new_router
from api.console.security import HEADERS
from api.dependencies import BackendDep
from runtime.web.scopes import Scope

router = new_router()


@router.get(SIGN_IN_PATH)
async def get_sign_in(request: Request) -> Response:
    """The sign-in page."""
    return _page(request, next_path=request.query_params.get("next", ""))


@router.post(SIGN_IN_PATH)
async def sign_in(request: Request, backend: BackendDep) -> Response:
    """Take a key, look whom it speaks for, and let the browser keep it."""
    session.require_own_origin(request)
    form = await read_form(request)
    # Here alone: behind a proxy all share one address, and who is signed in must not be locked out
    # by a neighbour's wrong keys. A forged cookie costs what a wrong key in a header costs.
    backend.wrong_keys.require_room(session.address_of(request))
    key, next_path = form.get("key", "").strip(), form.get("next", "")
    try:
        caller = await session.caller_of_key(request, backend, key)
    except session.SignInNeededError:
        return _page(request, next_path=next_path, is_refused=True)
    caller.require(Scope.BILLING_READ)
    response = RedirectResponse(_own(next_path), status_code=303, headers=HEADERS)
    session.remember(response, request, key)
    return response


@router.post(f"{BASE_PATH}/sign-out")
async def sign_out(request: Request) -> Response:
    """Take the key away from the browser."""
    session.require_own_origin(request)
    response = RedirectResponse(SIGN_IN_PATH, status_code=303, headers=HEADERS)
    session.forget(response)
    return response


def _page(request: Request, *, next_path: str, is_refused: bool = False) -> Response:
    return render(
        request,
        "sign_in.html",
        caller=None,
        place="",
        status=401 if is_refused else 200,
        next_path=_own(next_path),
        is_refused=is_refused,
    )


def _own(path: str) -> str:
    """Return an address of the console; one that leads elsewhere becomes the first page."""
    is_own = path.startswith(f"{BASE_PATH}/") and not any(mark in path for mark in "\\\r\n\t")
    return path if is_own and ".." not in path else BASE_PATH
