"""The API as a process."""

from __future__ import annotations

from api.app import create_app
from runtime.settings import Settings
from runtime.shutdown import Shutdown
from runtime.web import server

DRAIN_S = 12
"""How long requests at work may take to end, seconds: a command's deadline, and a little."""


def serve(settings: Settings, shutdown: Shutdown) -> None:
    """This function will serve the API until the end is requested.

    Args:
        settings: Address, port, database and log.
        shutdown: Ends it; requests at work are finished first, for at most DRAIN_S.

    Raises:
        Fatal: not_ready, when the address cannot be listened on or the server ends by itself.
    """
    listener = server.Listener("api", settings.api_host, settings.api_port, DRAIN_S)
    server.serve(create_app(settings), listener, shutdown)
