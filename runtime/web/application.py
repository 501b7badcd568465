"""What both HTTP servers do to become an application: life, errors, envelope, one description."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, Protocol

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from domain.errors import TidegaugeError
from runtime.web import documents, problems
from runtime.web.envelope import Envelope, Watch
from runtime.web.problems import ProblemError

HANDLED = (ProblemError, TidegaugeError, RequestValidationError, HTTPException)
"""Errors that a handler answers; Envelope answers the rest as defects."""


class Backend(Protocol):
    """What an application stands on while it runs."""

    def close(self) -> None:
        """Let go of connections."""


def new_app(
    *,
    title: str,
    description: str,
    routers: Sequence[APIRouter],
    watch: Watch,
    make_backend: Callable[[], Backend],
    build_openapi: Callable[[FastAPI], dict[str, Any]],
    **options: Any,  # noqa: ANN401 -- FastAPI's own options
) -> FastAPI:
    """This function will put an application together; it connects to nothing before its start.

    Args:
        title: Name on the docs page.
        description: Introduction on the docs page.
        routers: Routes, in order; the two that describe them come last.
        watch: How requests are counted.
        make_backend: Makes what the routes find as `app.state.backend`, at the start.
        build_openapi: Describes the routes; asked once.
        options: More options of FastAPI.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.backend = make_backend()
        try:
            yield
        finally:
            app.state.backend.close()

    app = FastAPI(
        title=title,
        version=version("tidegauge"),
        description=description,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        **options,
    )
    for router in (*routers, documents.router):
        app.include_router(router)
    for kind in HANDLED:
        app.add_exception_handler(kind, problems.answer)
    app.add_middleware(Envelope, watch=watch)
    document: list[dict[str, Any]] = []

    def cached_openapi() -> dict[str, Any]:
        if not document:
            document.append(build_openapi(app))
        return document[0]

    app.openapi = cached_openapi  # type: ignore[method-assign]
    return app
