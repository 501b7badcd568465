"""The gateway's application: routes, the form of errors, and what every answer gets."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI

from producers.gateway import openapi, webhooks
from producers.gateway.backend import Backend, new_backend
from producers.gateway.routes import assets, events, operations, usage
from producers.gateway.routes import webhooks as webhook_routes
from runtime.metrics import GATEWAY_REQUESTS, GATEWAY_SECONDS
from runtime.settings import Settings
from runtime.web.application import new_app
from runtime.web.envelope import Watch

ROUTERS = (
    events.router,
    usage.router,
    assets.router,
    webhook_routes.router,
    operations.router,
)
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
    return new_app(
        title="Tidegauge gateway",
        description=openapi.DESCRIPTION,
        routers=ROUTERS,
        watch=WATCH,
        make_backend=lambda: make_backend(settings),
        build_openapi=openapi.build,
    )
