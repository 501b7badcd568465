"""The gateway's application: routes, the form of errors, and what every answer gets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from domain.errors import TidegaugeError
from producers.gateway import openapi, webhooks
from producers.gateway.backend import Backend, new_backend
from producers.gateway.routes import events, operations, usage
from producers.gateway.routes import webhooks as webhook_routes
from runtime.metrics import GATEWAY_REQUESTS, GATEWAY_SECONDS
from runtime.settings import Settings
from runtime.web import problems
from runtime.web.envelope import Envelope, Watch
from runtime.web.problems import ProblemError

ROUTERS = (
    events.router,
    usage.router,
    webhook_routes.router,
    operations.router,
    operations.documents,
)
HANDLED = (ProblemError, TidegaugeError, RequestValidationError, HTTPException)
"""Errors that a handler answers; Envelope answers the rest as defects."""
WATCH = Watch("gateway", GATEWAY_REQUESTS, GATEWAY_SECONDS, is_quiet=True)


def create_app(
    settings: Settings, *, make_backend: Callable[[Settings], Backend] = new_backend
) -> FastAPI:
    """This function will put the application together; it connects to nothing before its start.

    Args:
        settings: Where the database and the log are, limits and secrets.
        make_backend: Makes what the application stands on, at its start; tests give another one.

    Raises:
        Fatal: setting_invalid, for secrets of webhooks that nobody could use.
    """
    webhooks.read_secrets(settings)  # a wrong one ends the process here, before it listens

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.backend = make_backend(settings)
        try:
            yield
        finally:
            app.state.backend.close()

    app = FastAPI(
        title="Tidegauge gateway",
        version=version("tidegauge"),
        description=openapi.DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    for router in ROUTERS:
        app.include_router(router)
    for kind in HANDLED:
        app.add_exception_handler(kind, problems.answer)
    app.add_middleware(Envelope, watch=WATCH)
    document: list[dict[str, Any]] = []

    def cached_openapi() -> dict[str, Any]:
        if not document:
            document.append(openapi.build(app))
        return document[0]

    app.openapi = cached_openapi  # type: ignore[method-assign]
    return app
