"""How the console's routes answer what goes wrong: with a page, not with a problem document."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.responses import RedirectResponse

from api.console import session
from api.console.navigation import BASE_PATH
from api.console.rendering import render
from api.console.security import HEADERS
from domain.codes import DESCRIPTIONS
from domain.errors import TidegaugeError
from runtime.web.problems import ProblemError, problem_of

SIGN_IN_PATH = f"{BASE_PATH}/sign-in"
FROM_SCRIPT = "hx-request"
"""Header of requests that htmx makes; a redirect would be followed inside the page."""


class ConsoleRoute(APIRoute):
    """A route whose errors are pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:  # type: ignore[explicit-override]  # typing has it from 3.12 on
        """Return the handler with our answers to errors around it."""
        answer = super().get_route_handler()

        async def answer_with_pages(request: Request) -> Response:
            try:
                return await answer(request)
            except session.SignInNeededError:
                return to_sign_in(request)
            except (ProblemError, TidegaugeError, RequestValidationError) as error:
                return error_page(request, error)

        return answer_with_pages


def new_router() -> APIRouter:
    """This function will return a router for pages."""
    return APIRouter(route_class=ConsoleRoute, include_in_schema=False, redirect_slashes=False)


def to_sign_in(request: Request) -> Response:
    """This function will send the browser to the sign-in page, and back here afterwards."""
    target = f"{SIGN_IN_PATH}?next={quote(request.url.path, safe='/')}"
    if FROM_SCRIPT in request.headers:
        response = Response(status_code=401, headers={**HEADERS, "HX-Redirect": target})
    else:
        response = RedirectResponse(target, status_code=303, headers=HEADERS)
    if session.COOKIE in request.cookies:
        session.forget(response)
    return response


def error_page(request: Request, error: Exception) -> Response:
    """This function will say what went wrong, with its code and what to do."""
    problem = problem_of(error)
    response = render(
        request,
        "error.html",
        caller=None,
        place="",
        status=problem.status,
        problem=problem,
        title=DESCRIPTIONS[problem.code],
        request_id=request.state.request_id,
    )
    response.headers.update(dict(problem.headers))
    return response
