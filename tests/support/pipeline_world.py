"""A running pipeline inside the test's process: folds and projector as threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from pydantic import SecretStr

from cli.books import send
from cli.catalogues import publish_catalogue
from domain.canonical import Json, to_canonical_json
from projections.invoicing.builder import Billed, await_projected, bill
from projections.migrate import migrate
from projections.projector import run_projector
from runtime.commands import CommandSender
from runtime.settings import Settings
from runtime.shutdown import Shutdown
from streams.books import BooksBinding
from streams.engine import FoldEngine
from streams.usage import UsageBinding
from tests.support.services import create_database, drop_database
from tests.support.topics import fresh_topics
from tidegauge import Meter

TENANT = "acme"
START = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
AS_OF = START + timedelta(days=62)


@dataclass(frozen=True)
class World:
    """A running pipeline in this process: folds and projector as threads."""

    settings: Settings
    sender: CommandSender

    def record(self, customer: str, quantities: list[str], *, region: str = "eu") -> None:
        """Send one call event per quantity and wait until they are projected."""
        with Meter(self.settings.kafka, tenant=TENANT) as meter:
            for number, quantity in enumerate(quantities):
                meter.record(
                    customer=customer,
                    type="call",
                    quantity=Decimal(quantity),
                    occurred_at=START + timedelta(hours=number % 3),
                    dimensions={"region": region},
                    id=f"{customer} {region} {number}",
                )
            assert meter.flush(timeout=20) == 0
        await_projected(self.settings, tenant=TENANT)

    def subscribe(self, customer: str, *, start: datetime = START) -> None:
        """Create a customer with a monthly subscription from the month's first day."""
        for kind, body in (
            ("CreateCustomer", {"customer": customer, "currency": "USD"}),
            (
                "CreateSubscription",
                {
                    "subscription": f"sub_{customer}",
                    "customer": customer,
                    "plan": "basic",
                    "start": start.isoformat().replace("+00:00", "Z"),
                },
            ),
        ):
            send(
                self.settings,
                self.sender,
                tenant=TENANT,
                command_id=f"{kind} {customer}",
                kind=kind,
                body=body,
            )

    def publish(self, catalogue: Json) -> None:
        """Publish a newer catalogue."""
        content = to_canonical_json(catalogue)
        publish_catalogue(self.settings, self.sender, tenant=TENANT, content=content)

    def bill(self, customer: str, *, as_of: datetime = AS_OF, month: str = "") -> list[Billed]:
        """Bill one customer."""
        month = month or START.strftime("%Y-%m")
        return list(
            bill(
                self.settings,
                self.sender,
                tenant=TENANT,
                as_of=as_of,
                month=month,
                customer=customer,
            )
        )


@contextmanager
def running_world(
    *, kafka: str, database_admin_url: str, state_dir: Path, catalogue: Json, name: str
) -> Iterator[World]:
    """Start the pipeline on fresh topics and a database of its own."""
    drop_database(database_admin_url, name)
    settings = Settings(
        kafka=kafka,
        database_url=SecretStr(create_database(database_admin_url, name)),
        state_dir=state_dir,
        log_level="error",
    )
    fresh_topics(settings)
    migrate(settings)
    shutdown = Shutdown()
    threads = [
        threading.Thread(target=FoldEngine(settings, UsageBinding(settings), shutdown).run),
        threading.Thread(target=FoldEngine(settings, BooksBinding(settings), shutdown).run),
        threading.Thread(target=run_projector, args=(settings, shutdown)),
    ]
    for thread in threads:
        thread.start()
    sender = CommandSender(settings, actor="test")
    try:
        publish_catalogue(settings, sender, tenant=TENANT, content=to_canonical_json(catalogue))
        yield World(settings, sender)
    finally:
        shutdown.request()
        for thread in threads:
            thread.join(20)
        drop_database(database_admin_url, name)
