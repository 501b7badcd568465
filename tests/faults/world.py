"""Where faults happen: services of our own, empty topics and database, the books' load."""

from __future__ import annotations

import json
import shutil
import signal
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit, urlunsplit

from domain.errors import Retryable
from runtime.commands import CommandSender
from runtime.settings import Settings
from tests.support import services, workload
from tests.support.checkout import ROOT
from tests.support.processes import Fleet, must_run, run_command
from tests.support.topics import fresh_topics

FOLDER = ROOT / ".cache" / "faults"
PARTITIONS = 4
SESSION_TIMEOUT_MS = 3_000
SUBSCRIBERS = 12
"""Customers with a subscription; each gets one invoice."""
BOOKS_PAUSE_S = 0.5
SEND_TRIES_MAX = 60


def end_on_sigterm() -> None:
    """Let a SIGTERM go the way of Ctrl-C: what a run started ends with it."""
    signal.signal(signal.SIGTERM, _ended)


def _ended(*_: object) -> NoReturn:
    raise KeyboardInterrupt


class Services:
    """A Kafka and a TimescaleDB that nobody else uses, because they get killed."""

    def __init__(self) -> None:
        self.control = services.ServiceControl(FOLDER / "services")
        try:
            self.kafka, self.database_url = self.control.up()
        except BaseException:
            self.control.down()
            raise

    def down(self) -> None:
        """End both and remove their data."""
        self.control.down()


@dataclass(slots=True)
class Stage:
    """One run's own topics, database, folder and processes.

    Args:
        services: What runs it.
        folder: Logs, states and journals of the run; removed at the end unless kept.
        database_url: A database of its own.
        settings: Settings of its processes, without the TIDEGAUGE_ prefix.
        fleet: Its processes.
    """

    services: Services
    folder: Path
    database_url: str
    settings: dict[str, str]
    fleet: Fleet
    subscriptions: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def set_up(cls, over: Services, **changes: str) -> Stage:
        """Make empty topics and an empty database; `changes` are settings."""
        name = f"faults_{uuid.uuid4().hex[:12]}"
        folder = FOLDER / name
        folder.mkdir(parents=True)
        settings = {
            "kafka": over.kafka,
            "database_url": services.create_database(over.database_url, name),
            "partitions": str(PARTITIONS),
            "kafka_session_timeout_ms": str(SESSION_TIMEOUT_MS),
            "state_dir": str(folder / "state"),
            "checkpoint_interval_ms": "1000",
            "worker_port": "0",
            **changes,
        }
        stage = cls(over, folder, settings["database_url"], settings, Fleet(folder, settings))
        fresh_topics(stage.typed_settings())
        stage.tidegauge("migrate")
        return stage

    def tidegauge(self, *arguments: str, **changes: str) -> str:
        """Run a command of `tidegauge` to its end; it must succeed."""
        return must_run(arguments, {**self.settings, **changes}, cwd=self.folder)

    def try_tidegauge(self, *arguments: str, **changes: str) -> str:
        """Run a command of `tidegauge` to its end, however it ends; return what it said."""
        done = run_command(arguments, {**self.settings, **changes}, cwd=self.folder)
        return done.stdout + done.stderr

    def typed_settings(self, **changes: str) -> Settings:
        """Return the settings as our code wants them."""
        return Settings.model_validate({**self.settings, **changes})

    def publish_catalogue(self) -> None:
        """Publish the load's catalogue of every tenant to all usage partitions."""
        sender = CommandSender(self.typed_settings(), actor="tests")
        content = _text(workload.catalogue())
        for tenant in workload.TENANTS:
            sender.publish_catalogue(tenant=tenant, version=1, content=content)

    def open_books(self) -> datetime:
        """Send catalogue, customers and subscriptions to the books; return the periods' end."""
        books = BooksLoad(self.typed_settings())
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        start = midnight - timedelta(days=20)
        content = _text(workload.catalogue())
        for tenant in workload.TENANTS:
            books.send(tenant, "PublishCatalogue", f"catalogue-{tenant}", {"content": content})
        plans = list(workload.CURRENCIES.items())
        tenants = list(workload.TENANTS)
        for number in range(SUBSCRIBERS):
            tenant, (plan, currency) = tenants[number % 2], plans[number % len(plans)]
            customer, subscription = f"{tenant}-customer-{number:03d}", f"sub_{number:032x}"
            books.send(
                tenant,
                "CreateCustomer",
                f"customer-{number}",
                {"customer": customer, "currency": currency},
            )
            body = {"subscription": subscription, "customer": customer, "plan": plan}
            books.send(
                tenant,
                "CreateSubscription",
                f"subscription-{number}",
                {**body, "start": f"{start:%Y-%m-%dT%H:%M:%SZ}"},
            )
            self.subscriptions.append((tenant, subscription))
        return start + timedelta(days=32)

    def tear_down(self, *, keep: bool = False) -> None:
        """End the processes; drop the database and the folder unless they are to be kept."""
        self.fleet.stop()
        if keep:
            return
        name = urlsplit(self.database_url).path.strip("/")
        services.drop_database(self.services.database_url, name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def database_without_password(self) -> str:
        """Return the database's address as it may be printed."""
        parts = urlsplit(self.database_url)
        return urlunsplit(parts._replace(netloc=f"{parts.hostname}:{parts.port}"))


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


class BooksLoad:
    """Sends commands while faults happen; every one of them at least once, some twice.

    Args:
        settings: Where the broker is.
    """

    def __init__(self, settings: Settings) -> None:
        self._sender = CommandSender(settings, actor="tests")
        self.sent: set[tuple[str, str]] = set()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def send(self, tenant: str, kind: str, command_id: str, body: Mapping[str, Any]) -> None:
        """Send until the broker has it; the books answer a repeat with the first outcome."""
        for attempt in range(SEND_TRIES_MAX):
            try:
                self._sender.send(tenant=tenant, command_id=command_id, kind=kind, body=body)
            except Retryable:
                if attempt == SEND_TRIES_MAX - 1:
                    raise
                if self._ending.wait(1):
                    return
            else:
                self.sent.add((tenant, command_id))
                return

    def start(self) -> None:
        """Create a customer every now and then, in a thread."""
        self._thread = threading.Thread(target=self._run, name="books load", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._ending.wait(BOOKS_PAUSE_S):
            tenant = list(workload.TENANTS)[number % 2]
            body = {"customer": f"walk-in-{number}", "currency": "EUR"}
            for _ in range(1 + number % 2):
                self.send(tenant, "CreateCustomer", f"walk-in-{number}", body)
            number += 1
