"""Where a clone keeps what the commands for people need: the trace, the catalogue, the cache."""

from __future__ import annotations

import socket
from pathlib import Path

from cli.failures import CommandFailure
from runtime import ids

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache"
"""Git ignores it; what the commands start remembers itself here."""
TRACE = ROOT / "data" / "azure_llm_inference_2023_code.csv"
CATALOGUE = ROOT / "deploy" / "catalogues" / "llm_inference.yaml"
SERVICES_SCRIPT = ROOT / "deploy" / "local" / "services.py"

_PORTS = range(20_000, 32_000)
"""Below what Linux gives to outgoing connections, so that no client can take a server's port."""
_TRIES_MAX = 200


def require(path: Path) -> Path:
    """This function will return a file of the clone.

    Raises:
        CommandFailure: When it is not there: this is an installed package, or an incomplete clone.
    """
    if not path.is_file():
        raise CommandFailure(
            f"{path} is missing", next_step="run this from a complete clone of the project"
        )
    return path


def free_port() -> int:
    """This function will return a TCP port of 127.0.0.1 that was free a moment ago.

    Raises:
        CommandFailure: When none was found.
    """
    for _ in range(_TRIES_MAX):
        port = _PORTS[ids.uuid7().int % len(_PORTS)]
        if is_free(port):
            return port
    raise CommandFailure("no free TCP port was found", next_step="end programs that hold many")


def is_free(port: int) -> bool:
    """This function will say whether nobody listens on a TCP port of 127.0.0.1."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
