"""A running pipeline inside the test's process: folds and projector as threads."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from cli.books import send
from cli.catalogues import publish_catalogue
from domain.canonical import Json, to_canonical_json
from domain.derived_ids import derived_id
from domain.period import time_text
from projections.invoicing.builder import Billed, Scope, bill
from projections.invoicing.corrector import Corrected, correct
from projections.invoicing.outcomes import await_projected
from projections.projector import run_projector
from runtime.commands import CommandSender
from runtime.postgres import connect
from runtime.settings import Settings
from runtime.shutdown import Shutdown
from streams.books import BooksBinding
from streams.engine import FoldEngine
from streams.usage import UsageBinding
from tests.support.databases import create_migrated
from tests.support.services import drop_database
from tests.support.topics import fresh_topics
from tidegauge import Meter

TENANT = "acme"
START = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
AS_OF = START + timedelta(days=62)


@dataclass(frozen=True)
class Event:
    """One usage event to send.

    Args:
        name: What tells it from the customer's others.
        type: Event type.
        quantity: Decimal text.
        occurred_at: When it happened.
        dimensions, properties: (name, value) pairs.
    """

    name: str
    type: str
    quantity: str
    occurred_at: datetime = START
    dimensions: tuple[tuple[str, str], ...] = ()
    properties: tuple[tuple[str, str], ...] = ()


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

    def send_usage(self, customer: str, events: Iterable[Event]) -> None:
        """Send events of a customer and wait until they are projected."""
        with Meter(self.settings.kafka, tenant=TENANT) as meter:
            for event in events:
                meter.record(
                    customer=customer,
                    type=event.type,
                    quantity=Decimal(event.quantity),
                    occurred_at=event.occurred_at,
                    dimensions=dict(event.dimensions),
                    properties=dict(event.properties),
                    id=f"{customer} {event.name}",
                )
            assert meter.flush(timeout=20) == 0
        await_projected(self.settings, tenant=TENANT)

    def subscribe(
        self,
        customer: str,
        *,
        start: datetime = START,
        plan: str = "basic",
        currency: str = "USD",
    ) -> None:
        """Create a customer with a monthly subscription from the month's first day."""
        self.act("CreateCustomer", customer=customer, currency=currency)
        self.act(
            "CreateSubscription",
            subscription=f"sub_{customer}",
            customer=customer,
            plan=plan,
            start=time_text(start),
        )

    def act(self, kind: str, **body: Json) -> None:
        """Send a command and wait until its effect is visible; the same twice is one command."""
        text = to_canonical_json(body)
        send(
            self.settings,
            self.sender,
            tenant=TENANT,
            command_id=derived_id("cmd", kind, text),
            kind=kind,
            body=body,
        )

    def correct(self, customer: str, *, as_of: datetime = AS_OF) -> list[Corrected]:
        """Correct one customer's invoices for usage that came later."""
        return list(
            correct(self.settings, self.sender, tenant=TENANT, as_of=as_of, customer=customer)
        )

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Ask the tables, as the tenant sees them."""
        with connect(self.settings, role="app") as connection:
            connection.execute("SELECT set_config('tidegauge.tenant', %s, true)", (TENANT,))
            return connection.execute(query.encode(), parameters).fetchall()

    def publish(self, catalogue: Json) -> None:
        """Publish a newer catalogue."""
        content = to_canonical_json(catalogue)
        publish_catalogue(self.settings, self.sender, tenant=TENANT, content=content)

    def bill(self, customer: str, *, as_of: datetime = AS_OF, month: str = "") -> list[Billed]:
        """Bill one customer."""
        month = month or START.strftime("%Y-%m")
        scope = Scope(TENANT, as_of, month=month, customer=customer)
        return list(bill(self.settings, self.sender, scope))


@contextmanager
def running_world(
    *, kafka: str, database_admin_url: str, state_dir: Path, catalogue: Json, name: str
) -> Iterator[World]:
    """Start the pipeline on fresh topics and a database of its own."""
    drop_database(database_admin_url, name)
    settings = Settings(
        kafka=kafka,
        database_url=SecretStr(create_migrated(database_admin_url, name)),
        state_dir=state_dir,
        log_level="error",
    )
    fresh_topics(settings)
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
