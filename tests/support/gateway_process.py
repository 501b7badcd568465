"""The gateway as an operating-system process, started as people start it."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import httpx

from cli.checkout import free_port
from runtime.settings import Settings
from runtime.web.keys import NewApiKey
from tests.support.gateway_world import SECRET, TENANT
from tests.support.processes import TIDEGAUGE, Child, environment_of

START_TIMEOUT_S = 60


@dataclass
class Gateway:
    """A gateway as people start it.

    Args:
        process: Its process.
        port: Where it listens.
        key: A key of TENANT.
        log: What it wrote.
    """

    process: subprocess.Popen[bytes]
    port: int
    key: NewApiKey
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key.key}"}

    def await_status(self, path: str, status: int, *, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until an address answers with a status."""
        give_up_s = time.monotonic() + timeout_s
        found: object = None
        while time.monotonic() < give_up_s:
            try:
                found = httpx.get(f"{self.url}{path}").status_code
            except httpx.TransportError as error:
                found = error
            if found == status:
                return
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        raise AssertionError(f"{path} answers {found}:\n{self.log.read_text()[-2000:]}")

    def memory_mb(self) -> int:
        """Its resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) // 1024

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def await_ready(url: str, gateway: Child) -> None:
    """Wait until a gateway that is a child of a fleet takes events."""
    give_up_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < give_up_s:
        try:
            if httpx.get(f"{url}/readyz", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"the gateway does not get ready:\n{gateway.tail()}")


def start_gateway(settings: Settings, key: NewApiKey, folder: Path, **more: str) -> Gateway:
    """Start a gateway; it may not be ready yet."""
    port, log = free_port(), folder / f"gateway-{uuid.uuid4().hex}.log"
    given = {
        "kafka": settings.kafka,
        "database_url": settings.database_url.get_secret_value(),
        "partitions": str(settings.partitions),
        "gateway_port": str(port),
        "webhook_secrets": json.dumps({TENANT: [SECRET]}),
        **more,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(TIDEGAUGE), "gateway"], env=environment_of(given), stderr=output
        )
    return Gateway(process, port, key, log)
