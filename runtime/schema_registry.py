"""Which schema registry a process asks: the built-in one on the log, or an external one.

With TIDEGAUGE_SCHEMA_REGISTRY set, our own schemas are registered there at the start of every
process, its ids stand in the frames, and ours mean nothing any more (schemas.wire_ids).
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Protocol

from domain.errors import Retryable
from runtime import clock
from runtime.logs import logger
from runtime.schema_log import SchemaLog
from schemas import wire_ids
from schemas.codec import ForeignSchemas

if TYPE_CHECKING:
    from runtime.external_registry import ExternalRegistry
    from runtime.settings import Settings

START_TIMEOUT_MS = 30_000
"""How long a process waits at its start for the external registry, ms; then its supervisor may
try again."""


class ForeignSource(ForeignSchemas, Protocol):
    """The same behind a connection."""

    def close(self) -> None:
        """Let go of connections."""


def new_foreign_schemas(settings: Settings) -> ForeignSource:
    """This function will return where this process looks ids up; it connects at its first use."""
    return _external(settings) if settings.is_registry_external else SchemaLog(settings)


def take_ids(settings: Settings) -> None:
    """This function will take the ids of the external registry, where there is one.

    It comes before anything is encoded or decoded. It waits for the registry up to
    START_TIMEOUT_MS; repeating changes nothing.

    Raises:
        Retryable: registry_away.
        Fatal: registry_mismatch, when the registry does not take our schemas.
    """
    if not settings.is_registry_external:
        return
    give_up_ms = clock.monotonic_ms() + START_TIMEOUT_MS
    with closing(_external(settings)) as registry:
        while True:
            try:
                wire_ids.use(registry.register_own())
            except Retryable as error:
                if clock.monotonic_ms() + error.retry_after_ms > give_up_ms:
                    raise
                logger().warning("registry.waits", error=str(error))
                clock.sleep_ms(error.retry_after_ms)
            else:
                logger().info("registry.ids_taken", schemas=len(wire_ids.in_force()))
                return


def _external(settings: Settings) -> ExternalRegistry:
    from runtime.external_registry import ExternalRegistry  # noqa: PLC0415 -- its client takes 0.4 s to import, and most processes need none

    return ExternalRegistry(settings)
