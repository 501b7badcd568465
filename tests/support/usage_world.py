"""The usage half of the pipeline inside the test's process: fold and projector as threads."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from projections.projector import run_projector
from runtime import clock
from runtime.commands import CommandSender
from runtime.kafka import new_consumer, partition_ends
from runtime.postgres import connect
from runtime.settings import Settings
from runtime.shutdown import Shutdown
from schemas.topics import USAGE_EVENTS, USAGE_FACTS_TOPIC
from streams.engine import FoldEngine
from streams.usage import UsageBinding
from tests.support.databases import create_migrated
from tests.support.services import drop_database
from tests.support.topics import fresh_topics
from tidegauge import Meter

TENANT = "acme"
AWAIT_MS = 60_000
"""Longest wait for the tables; a machine twice as slow still gets there."""


@dataclass(frozen=True)
class UsageWorld:
    """A usage fold and a projector, and what was sent to them."""

    settings: Settings

    def record(
        self,
        customer: str,
        quantities: dict[str, str],
        *,
        occurred_at: datetime,
        event_type: str = "call",
        region: str = "eu",
    ) -> None:
        """Send an event per id and wait until they are projected."""
        with Meter(self.settings.kafka, tenant=TENANT) as meter:
            for event_id, quantity in quantities.items():
                meter.record(
                    customer=customer,
                    type=event_type,
                    quantity=Decimal(quantity),
                    occurred_at=occurred_at,
                    dimensions={"region": region},
                    id=event_id,
                )
            assert meter.flush(timeout=20) == 0
        self.settle()

    def ends(self) -> dict[int, tuple[int, int]]:
        """First kept offset and end of every partition of usage.events."""
        consumer = new_consumer(self.settings, group="test")
        found = {
            number: partition_ends(consumer, USAGE_EVENTS.name, number)
            for number in range(self.settings.partitions)
        }
        consumer.close()
        return found

    def settle(self) -> None:
        """Wait until the tables hold what the log holds."""
        wanted = {number: end for number, (_, end) in self.ends().items()}
        deadline = clock.monotonic_ms() + AWAIT_MS
        while clock.monotonic_ms() < deadline:
            reached = dict(
                self.rows(
                    "SELECT partition, next_offset FROM position WHERE topic = %s",
                    USAGE_FACTS_TOPIC.name,
                )
            )
            if all(reached.get(number, 0) >= end for number, end in wanted.items()):
                return
            clock.sleep_ms(50)
        raise AssertionError(f"the tables did not reach {wanted}")

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Ask the database as its owner."""
        with connect(self.settings, role="projector") as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def sums(self, customer: str) -> dict[tuple[str, str], tuple[int, Decimal]]:
        """(Meter, region) → events and sum over all hours; without empty ones."""
        rows = self.rows(
            "SELECT s.meter, coalesce(s.dimensions ->> 'region', ''), sum(w.events)::bigint,"
            " sum(w.sum) FROM usage_window w JOIN usage_series s USING (tenant, series)"
            " WHERE s.customer = %s GROUP BY 1, 2 HAVING sum(w.events) <> 0",
            customer,
        )
        return {(meter, region): (events, total) for meter, region, events, total in rows}


@contextmanager
def running_usage(
    *, kafka: str, database_admin_url: str, state_dir: Path, catalogue: dict[str, Any],
    name: str, **options: Any,
) -> Iterator[UsageWorld]:  # fmt: skip
    """Start fold and projector on fresh topics and a database of their own."""
    drop_database(database_admin_url, name)
    settings = Settings(
        kafka=kafka,
        database_url=SecretStr(create_migrated(database_admin_url, name)),
        state_dir=state_dir,
        log_level="error",
        tenant=TENANT,
        **options,
    )
    fresh_topics(settings)
    shutdown = Shutdown()
    threads = [
        threading.Thread(target=FoldEngine(settings, UsageBinding(settings), shutdown).run),
        threading.Thread(target=lambda: run_projector(settings, shutdown, topics=("usage",))),
    ]
    for thread in threads:
        thread.start()
    try:
        CommandSender(settings, actor="test").publish_catalogue(
            tenant=TENANT, version=1, content=json.dumps(catalogue)
        )
        yield UsageWorld(settings)
    finally:
        shutdown.request()
        for thread in threads:
            thread.join(20)
        drop_database(database_admin_url, name)
