"""Where an import sends: through the SDK to Kafka, or nowhere, for a dry run."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Protocol

import tidegauge
from domain.codes import Code
from domain.errors import Fatal, Retryable
from producers.importers.events import Event
from producers.importers.rows import BadRow
from runtime import clock
from runtime.settings import Settings
from schemas import wire_ids
from schemas.registry import USAGE_BATCH
from tidegauge.intake import Intake

TRIES_MAX = 3
"""How often the events of one step are sent before the import gives up; ids are stable."""
SETTLE_MS_MAX = 150_000
"""Longest wait for one step's acknowledgements, ms: the SDK's delivery timeout of 120 s, and what
it takes to hear of it."""
LOOK_S = 0.5
"""How long one wait lasts before the stop signal is looked at, seconds."""
STOP_MS = 5_000
"""How long the acknowledgements of the last step are waited for after a stop signal, ms."""


class Outlet(Protocol):
    """Takes events and says when they are safe."""

    def record(self, event: Event) -> None:
        """This function will take one event.

        Raises:
            BadRow: The SDK refuses it; nothing was taken.
        """

    def settle(self, should_stop: Callable[[], bool]) -> None:
        """This function will wait until everything that was taken is acknowledged.

        Args:
            should_stop: Says that somebody asked for the end.

        Raises:
            Retryable: import_stopped: the outcome of the last step is unknown; doing it again is
                safe.
            Fatal: The SDK stopped for good.
        """

    def close(self) -> None:
        """This function will end; what is not acknowledged is given up."""


class MeterOutlet:
    """Records with a Meter, and records a step again while it fails.

    Args:
        settings: Where the broker is.
        tenant: Owner of the events.
        source: What ids that are no UUIDs are unique in.
        is_backfill: Whether events may be older than the horizon.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        tenant: str,
        source: str,
        is_backfill: bool,
    ) -> None:
        self._step: list[Event] = []
        self._failed_before = 0
        try:
            self._meter = tidegauge.Meter(
                settings.kafka,
                tenant=tenant,
                source=source,
                backfill=is_backfill,
                schema_id=wire_ids.number_of(USAGE_BATCH),
                block_ms=int(LOOK_S * 1_000),
                kafka_config=json.loads(settings.kafka_config.get_secret_value()),
            )
        except tidegauge.InvalidOption as error:
            raise Fatal(Code.SETTING_INVALID, str(error)) from error

    def record(self, event: Event) -> None:
        """Record one event; see Outlet."""
        self._put(event)
        self._step.append(event)

    def _put(self, event: Event) -> None:
        try:
            self._meter.record(
                customer=event.customer,
                type=event.type,
                quantity=event.quantity,
                occurred_at=event.occurred_at,
                dimensions=event.dimensions,
                properties=event.properties,
                id=event.id,
            )
        except tidegauge.InvalidEvent as error:
            raise BadRow(error.code, error.field) from error
        except tidegauge.BufferFull as error:
            raise stopped("the SDK's buffer is full") from error
        except tidegauge.TidegaugeError as error:
            raise Fatal(Code.INTERNAL, str(error), next_step="Start the import again") from error

    def settle(self, should_stop: Callable[[], bool]) -> None:
        """Wait for the acknowledgements; see Outlet."""
        for _ in range(TRIES_MAX):
            self._await(should_stop)
            failed = self._meter.counters.failed
            if failed == self._failed_before:
                self._step.clear()
                return
            self._failed_before = failed
            for event in self._step:
                self._put(event)
        raise stopped(f"Kafka refused the events {TRIES_MAX} times")

    def _await(self, should_stop: Callable[[], bool]) -> None:
        give_up_ms = clock.monotonic_ms() + SETTLE_MS_MAX
        asked_ms: int | None = None
        try:
            while self._meter.flush(LOOK_S) and self._meter.counters.pending:
                now_ms = clock.monotonic_ms()
                if should_stop():
                    asked_ms = asked_ms or now_ms
                if now_ms > give_up_ms or (asked_ms is not None and now_ms - asked_ms > STOP_MS):
                    raise stopped("Kafka does not answer")
        except tidegauge.TidegaugeError as error:
            raise Fatal(Code.INTERNAL, str(error), next_step="Start the import again") from error

    def close(self) -> None:
        """End; see Outlet."""
        self._meter.close(LOOK_S)


def stopped(reason: str) -> Retryable:
    """This function will say that an import has to be continued."""
    return Retryable(
        Code.IMPORT_STOPPED,
        f"the import is not finished: {reason}",
        retry_after_ms=1_000,
        next_step="Start it again with the same arguments: it goes on where it was and counts "
        "nothing twice",
    )


class DryOutlet:
    """Checks events as the SDK does and sends them nowhere.

    Args:
        source: What ids that are no UUIDs are unique in.
    """

    def __init__(self, source: str) -> None:
        self._intake = Intake(source=source, clock=clock.now)

    def record(self, event: Event) -> None:
        """Check one event; see Outlet."""
        try:
            self._intake.row(
                event.customer,
                event.type,
                event.quantity,
                event.occurred_at,
                event.dimensions,
                event.properties,
                event.id,
            )
        except tidegauge.InvalidEvent as error:
            raise BadRow(error.code, error.field) from error

    def settle(self, should_stop: Callable[[], bool]) -> None:
        """Nothing was sent; see Outlet."""

    def close(self) -> None:
        """Nothing is open; see Outlet."""
