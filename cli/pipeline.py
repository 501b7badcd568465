"""The processes of the pipeline, as `up` and the demo start them."""

from __future__ import annotations

import functools
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from cli import checkout
from cli.processes import Program, Supervisor
from domain.canonical import Json
from runtime.settings import Settings

READY_TIMEOUT_MS = 60_000
"""From the start of a process until it answers, ms; a worker also waits for its group."""
_HTTP_TIMEOUT_S = 2


@dataclass(frozen=True, slots=True)
class Worker:
    """One process of the pipeline.

    Args:
        name: Name in the log.
        arguments: What comes after `tidegauge`.
        port: Web port; 0 when it has none.
    """

    name: str
    arguments: tuple[str, ...]
    port: int


API = Worker("api", ("api",), 0)
GATEWAY = Worker("gateway", ("gateway",), 0)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """All processes of the pipeline.

    Args:
        settings: What they share; the addresses of API and gateway too.
        workers: The processes.
        directory: Their working directory.
    """

    settings: Settings
    workers: tuple[Worker, ...]
    directory: Path

    @property
    def api_url(self) -> str:
        """Return the address of the API without its base path."""
        return f"http://{self.settings.api_host}:{self.settings.api_port}"

    @property
    def gateway_url(self) -> str:
        """Return the address of the gateway without its base path."""
        return f"http://{self.settings.gateway_host}:{self.settings.gateway_port}"

    def start(self, supervisor: Supervisor) -> None:
        """Start all; they are not ready yet when this returns."""
        self.settings.state_dir.mkdir(parents=True, exist_ok=True)
        for worker in self.workers:
            supervisor.start(self._program(worker))

    def _program(self, worker: Worker) -> Program:
        settings = self.settings.model_copy(update={"worker_port": worker.port})
        return Program(
            name=worker.name,
            command=(sys.executable, "-m", "cli.main", *worker.arguments),
            environment=environment_of(settings),
            directory=self.directory,
        )

    def await_ready(self, supervisor: Supervisor, *, on_ready: Callable[[str], None]) -> None:
        """Wait until the folds hold all partitions with their state and API and gateway answer.

        Args:
            supervisor: Runs the processes.
            on_ready: Told the name of what has become ready.

        Raises:
            CommandFailure: When one does not become ready in time.
        """
        folds = [worker for worker in self.workers if worker.port]
        for kind in dict.fromkeys(worker.arguments for worker in folds):
            ports = [worker.port for worker in folds if worker.arguments == kind]
            names = [worker.name for worker in folds if worker.arguments == kind]
            supervisor.wait(
                functools.partial(self._is_held, ports),
                what=f"the fold `{' '.join(kind)}`",
                timeout_ms=READY_TIMEOUT_MS,
                whose=names[0],
            )
            for name in names:
                on_ready(name)
        self._await_web(supervisor, API, self.api_url, what="the API")
        on_ready(API.name)
        if GATEWAY in self.workers:
            self._await_web(supervisor, GATEWAY, self.gateway_url, what="the gateway")
            on_ready(GATEWAY.name)

    def _await_web(self, supervisor: Supervisor, worker: Worker, url: str, *, what: str) -> None:
        supervisor.wait(
            lambda: get_json(f"{url}/readyz") is not None,
            what=what,
            timeout_ms=READY_TIMEOUT_MS,
            whose=worker.name,
        )

    def _is_held(self, ports: Sequence[int]) -> bool:
        """Say whether workers hold partitions, and have the state of each.

        Workers of somebody else may hold the others: a group shares them.
        """
        answers = [get_json(f"http://127.0.0.1:{port}/readyz") or {} for port in ports]
        is_holding = any(answer.get("partitions") for answer in answers)
        return is_holding and all(answer.get("ready") for answer in answers)


def workers(
    *,
    usage_folds: int = 1,
    has_emergence: bool = True,
    has_gateway: bool = False,
    has_billing: bool = False,
    has_archive: bool = False,
) -> tuple[Worker, ...]:
    """This function will name the processes of a pipeline, with ports that are free now.

    Args:
        usage_folds: How many processes share the partitions of usage.events.
        has_emergence: Whether node events are judged.
        has_gateway: Whether events may come over HTTP too.
        has_billing: Whether what falls due is billed without being asked.
        has_archive: Whether usage.events is written into Parquet files.
    """
    folds = [
        Worker(f"usage-{number}" if usage_folds > 1 else "usage", ("stream", "usage"), 0)
        for number in range(1, usage_folds + 1)
    ]
    folds.append(Worker("books", ("stream", "books"), 0))
    if has_emergence:
        folds.append(Worker("emergence", ("stream", "emergence"), 0))
    ports: set[int] = set()
    while len(ports) < len(folds):
        ports.add(checkout.free_port())
    return (
        *(
            Worker(fold.name, fold.arguments, port)
            for fold, port in zip(folds, sorted(ports), strict=True)
        ),
        Worker("project", ("project",), 0),
        *((Worker("billing", ("billing",), 0),) if has_billing else ()),
        *((Worker("archive", ("archive", "run"), 0),) if has_archive else ()),
        API,
        *((GATEWAY,) if has_gateway else ()),
    )


def environment_of(settings: Settings) -> dict[str, str]:
    """This function will write settings as a whole environment, so that no other one leaks in."""
    environment = {
        "PATH": os.defpath,
        "HOME": str(Path.home()),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONPATH": str(checkout.ROOT),
        "PYTHONUNBUFFERED": "1",
    }
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            text = value.get_secret_value()
        elif isinstance(value, bool):
            text = str(value).lower()
        elif isinstance(value, Path):
            text = str(value.resolve())
        else:
            text = str(value)
        environment[f"TIDEGAUGE_{name.upper()}"] = text
    return environment


def get_json(url: str, *, api_key: str = "") -> dict[str, Json] | None:
    """This function will fetch a JSON object of ours, or None when there is none (yet)."""
    request = urllib.request.Request(url)  # noqa: S310 -- our own address
    if api_key:
        request.add_header("Authorization", f"Bearer {api_key}")
    try:
        with urllib.request.urlopen(request, timeout=_HTTP_TIMEOUT_S) as response:  # noqa: S310
            answer = json.load(response)
    except (OSError, ValueError, urllib.error.URLError):
        return None
    return answer if isinstance(answer, dict) else None
