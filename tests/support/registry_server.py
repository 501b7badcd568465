"""The API as an operating-system process, for its schema registry."""

from __future__ import annotations

import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from api.routes.schema_registry import BASE_PATH
from cli.checkout import free_port
from runtime.settings import Settings
from runtime.web.scopes import Scope
from tests.support import services
from tests.support.api_world import Rows
from tests.support.databases import create_migrated
from tests.support.processes import TIDEGAUGE, environment_of
from tests.support.registries import HttpDoor

START_TIMEOUT_S = 60


@dataclass
class RegistryServer:
    """One server.

    Args:
        process: Its process.
        port: Where it listens.
        writer: Key that may register.
        reader: Key of another tenant that may not.
        log: What it wrote.
    """

    process: subprocess.Popen[bytes]
    port: int
    writer: str
    reader: str
    log: Path
    doors: list[HttpDoor] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{BASE_PATH}"

    def door(self, key: str = "") -> HttpDoor:
        """A client of its own, closed with the server; without a key as the writer."""
        self.doors.append(HttpDoor(self.url, key or self.writer))
        return self.doors[-1]

    def await_ready(self) -> None:
        give_up_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < give_up_s:
            try:
                if httpx.get(f"http://127.0.0.1:{self.port}/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        raise AssertionError(self.log.read_text()[-2000:])

    def end(self) -> None:
        for door in self.doors:
            door.client.close()
        self.process.kill()
        self.process.wait()


@contextmanager
def registry_servers(
    settings: Settings, admin_url: str, folder: Path, *, count: int = 1
) -> Iterator[list[RegistryServer]]:
    """Servers on one log and one database of their own; the log's topics must be there."""
    name = f"test_registry_{uuid.uuid4().hex}"
    url = create_migrated(admin_url, name)
    given = settings.model_copy(update={"database_url": type(settings.database_url)(url)})
    rows = Rows(given)
    writer = rows.api_key("acme", scopes=[Scope.SCHEMA_WRITE]).key
    reader = rows.api_key("other").key
    rows.connection.close()
    servers = [_start(given, folder, writer, reader) for _ in range(count)]
    try:
        for server in servers:
            server.await_ready()
        yield servers
    finally:
        for server in servers:
            server.end()
        services.drop_database(admin_url, name)


def _start(settings: Settings, folder: Path, writer: str, reader: str) -> RegistryServer:
    port, log = free_port(), folder / f"api-{uuid.uuid4().hex}.log"
    given = {
        "kafka": settings.kafka,
        "database_url": settings.database_url.get_secret_value(),
        "partitions": str(settings.partitions),
        "api_port": str(port),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(TIDEGAUGE), "api"], env=environment_of(given), stderr=output
        )
    return RegistryServer(process, port, writer, reader, log)
