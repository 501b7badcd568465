"""What is known of a service, and the state file that keeps it between commands."""

import json
import os
from dataclasses import asdict, dataclass, replace
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

import paths
import processes

ServiceName = Literal["kafka", "postgres"]
SERVICE_NAMES: tuple[ServiceName, ...] = ("kafka", "postgres")

Origin = Literal["environment", "docker", "local"]
"""Where a service comes from; we stop only what is `docker` or `local`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service as the state file keeps it."""

    name: ServiceName
    address: str
    """`host:port` of the broker, or the URL of the database with its password."""
    origin: Origin
    pid: int | None = None
    started: int | None = None
    """Start of the process in clock ticks since boot; with the pid it names one for good."""
    container: str | None = None

    @property
    def is_ours(self) -> bool:
        """Tell whether we started it, so that we may stop it."""
        return self.origin != "environment"

    @property
    def port(self) -> int:
        """Return the TCP port of the address."""
        text = self.address if self.name == "postgres" else f"kafka://{self.address}"
        port = urlsplit(text).port
        if port is None:
            message = f"the address of {self.name} has no port"
            raise ValueError(message)
        return port

    def address_without_password(self) -> str:
        """Return the address as it may be shown on a screen."""
        if self.name == "kafka":
            return self.address
        parts = urlsplit(self.address)
        if parts.password is None:
            return self.address
        return urlunsplit(parts._replace(netloc=parts.netloc.replace(parts.password, "***", 1)))

    def with_process(self, pid: int) -> "Service":
        """Return the same service, run by another process."""
        return replace(self, pid=pid, started=processes.start_ticks(pid))


Services = dict[ServiceName, Service]


def read() -> Services:
    """Return the services of the state file; an absent file means none."""
    try:
        content = json.loads(paths.STATE_FILE.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return {name: Service(**fields) for name, fields in content["services"].items()}


def write(services: Services) -> None:
    """Replace the state file in one step.

    It holds a password, so only its owner may read it. Its first keys are for readers who want
    the addresses; `services` is for our own next command.
    """
    if not services:
        paths.STATE_FILE.unlink(missing_ok=True)
        return
    kafka, postgres = services.get("kafka"), services.get("postgres")
    content = {
        "kafka": kafka and kafka.address,
        "database_url": postgres and postgres.address,
        "kafka_pid": kafka and kafka.pid,
        "postgres_pid": postgres and postgres.pid,
        "how": {name: service.origin for name, service in services.items()},
        "started_by_us": [name for name, service in services.items() if service.is_ours],
        "services": {name: asdict(service) for name, service in services.items()},
    }
    paths.RUN.mkdir(parents=True, exist_ok=True)
    draft = paths.STATE_FILE.with_suffix(".draft")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(content, file, indent=2)
    draft.replace(paths.STATE_FILE)
