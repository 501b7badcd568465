"""The gateway as a process: one event loop, one producer; more of them stand beside each other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from producers.gateway.app import create_app
from producers.gateway.backend import new_backend
from producers.gateway.balances import Balances
from producers.gateway.log import ACKNOWLEDGE_TIMEOUT_MS
from runtime.settings import Settings
from runtime.shutdown import Shutdown
from runtime.web import server

DRAIN_S = ACKNOWLEDGE_TIMEOUT_MS // 1000 + 1
"""How long requests at work may take to end, seconds: what the broker is given, and a little."""


def serve(
    settings: Settings,
    shutdown: Shutdown,
    *,
    make_balances: Callable[[Settings], Balances] | None = None,
) -> None:
    """This function will serve the gateway until the end is requested.

    Args:
        settings: Address, port, database and log.
        shutdown: Ends it; requests at work are finished first, for at most DRAIN_S.
        make_balances: Makes what says how much events leave of credits; None for nothing.

    Raises:
        Fatal: setting_invalid for wrong secrets; not_ready, when the address cannot be listened
            on or the server ends by itself.
    """
    listener = server.Listener("gateway", settings.gateway_host, settings.gateway_port, DRAIN_S)
    balances = make_balances(settings) if make_balances is not None else None
    app = create_app(settings, make_backend=partial(new_backend, balances=balances))
    server.serve(app, listener, shutdown)
