"""An external registry whose ids are not ours: our own server, with every id moved by 5,000.

Where a process takes an id of ours for one of the registry's, or the other way round, the two
differ and the record is refused or misread: that is what the tests look for.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

SHIFT = 5_000
TIMEOUT_S = 30
_ID_IN_PATH = re.compile(r"/schemas/ids/(\d+)")


class ShiftedRegistry:
    """A server in front of another one.

    Args:
        upstream: URL of our own registry.
        key: API key that it takes.
    """

    def __init__(self, upstream: str, key: str) -> None:
        self.upstream, self.key = upstream, key
        self.is_away = False
        self.asked: list[str] = []
        self.http = httpx.Client(timeout=TIMEOUT_S)
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def _pass_on(self) -> None:
                registry.pass_on(self)

            do_GET = do_POST = do_PUT = _pass_on  # noqa: N815 -- http.server's names

            def log_message(self, *arguments: Any) -> None:  # type: ignore[explicit-override]
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The URL with its credentials, as TIDEGAUGE_SCHEMA_REGISTRY wants it."""
        return f"http://any:{self.key}@127.0.0.1:{self.port}"

    @property
    def bare_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def pass_on(self, request: BaseHTTPRequestHandler) -> None:
        """Ask upstream with its ids, answer with ours."""
        self.asked.append(f"{request.command} {request.path}")
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        if self.is_away:
            request.close_connection = True
            return
        answer = self.http.request(
            request.command,
            self.upstream + _ID_IN_PATH.sub(_down, request.path),
            content=body,
            headers={
                name: request.headers[name]
                for name in ("Authorization", "Content-Type")
                if name in request.headers
            },
        )
        content = answer.content
        document = answer.json()
        if isinstance(document, dict) and "id" in document:
            content = json.dumps(document | {"id": document["id"] + SHIFT}).encode()
        request.send_response(answer.status_code)
        request.send_header("Content-Type", answer.headers["content-type"])
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.http.close()


def _down(match: re.Match[str]) -> str:
    return f"/schemas/ids/{int(match[1]) - SHIFT}"


@contextmanager
def shifted(upstream: str, key: str) -> Iterator[ShiftedRegistry]:
    """A registry with other ids, for the length of a block."""
    registry = ShiftedRegistry(upstream, key)
    try:
        yield registry
    finally:
        registry.close()
