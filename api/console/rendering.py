"""Pages out of templates: everything is escaped, and everything gets the console's headers."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from fastapi import Request, Response
from starlette.responses import HTMLResponse

from api.console import formats, static_files
from api.console.navigation import BASE_PATH, PLACES, Place
from api.console.security import HEADERS
from runtime.web.authentication import Caller
from runtime.web.scopes import allows

TEMPLATES = Path(__file__).parent / "templates"
READING = frozenset({"GET", "HEAD"})


@cache
def environment() -> jinja2.Environment:
    """This function will prepare the templates, once in a process.

    Escaping is on for all of them, and a name that nobody gave is an error instead of a gap.
    """
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(formats.FILTERS)
    made.globals.update(
        money=formats.money,
        static=static_files.address_of,
        dash=formats.DASH,
    )
    return made


def render(
    request: Request,
    template: str,
    *,
    caller: Caller | None,
    place: str,
    status: int = 200,
    **values: Any,  # noqa: ANN401 -- what the template asks for; StrictUndefined finds what is missing
) -> Response:
    """This function will write one page.

    Args:
        request: What is answered.
        template: Name of its template.
        caller: Who looks; None on the sign-in page.
        place: Its key in the navigation; empty for none.
        status: HTTP status.
        values: What the template shows.
    """
    text = (
        environment()
        .get_template(template)
        .render(
            caller=caller,
            place=place,
            places=[item for item in PLACES if may_see(caller, item)],
            here=_here(request, place),
            **{"message": None, **values},
        )
    )
    return HTMLResponse(text, status_code=status, headers=HEADERS)


def may_see(caller: Caller | None, item: Place) -> bool:
    """This function will say whether a place is one of the caller's."""
    return caller is not None and (item.scope is None or allows(caller.scopes, item.scope))


def _here(request: Request, place: str) -> str:
    """Return where the page is read again: an act is answered with its place, and is no page."""
    if request.method not in READING:
        return next((item.path for item in PLACES if item.key == place), BASE_PATH)
    query = request.url.query
    return f"{request.url.path}?{query}" if query else request.url.path
