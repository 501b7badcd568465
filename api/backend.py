"""What the application stands on: the database and the log; made at its start."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy

from api.commands import CommandGate, Sender
from api.readiness import Log, Readiness
from projections.queries import outcomes
from projections.queries.connection import tenant_connection
from projections.queries.outcomes import CommandOutcome
from runtime import kafka, postgres
from runtime.commands import CommandSender
from runtime.schema_log import SchemaLog
from runtime.settings import Settings
from runtime.web.authentication import Authenticator
from runtime.web.key_store import KeyStore

CACHE_MS = 30_000
"""How long a key is believed here, ms. The gateway takes longer, to outlive a database that is
away; an API without its database has nothing to say."""


@dataclass(frozen=True, slots=True)
class Backend:
    """Everything outside that requests need.

    Args:
        engine: Connections of the role app.
        authenticator: Finds whom a key speaks for.
        commands: Sends commands and waits for their outcomes.
        readiness: Asks the parts how they are.
        schemas: The built-in schema registry; None when an external one is set.
    """

    engine: sqlalchemy.Engine
    authenticator: Authenticator
    commands: CommandGate
    readiness: Readiness
    schemas: SchemaLog | None = None

    def close(self) -> None:
        """Let go of the connections."""
        self.engine.dispose()
        if self.schemas is not None:
            self.schemas.close()


def new_backend(settings: Settings) -> Backend:
    """This function will make the backend of a real process."""
    return backend_on(
        settings, sender=CommandSender(settings, actor="api"), log=kafka.new_producer(settings)
    )


def backend_on(settings: Settings, *, sender: Sender, log: Log) -> Backend:
    """This function will make a backend on a given log.

    Args:
        settings: Where the database is.
        sender: Appends commands.
        log: Answers whether the broker is there.
    """
    engine = postgres.new_engine(settings, role="app")

    def find_outcome(tenant: str, source_offset: int) -> CommandOutcome | None:
        with tenant_connection(engine, tenant=tenant) as connection:
            return outcomes.find_outcome(connection, source_offset=source_offset)

    return Backend(
        engine=engine,
        authenticator=Authenticator(KeyStore(engine).find, cache_ms=CACHE_MS),
        commands=CommandGate(
            sender=sender, find=find_outcome, timeout_ms=settings.command_timeout_ms
        ),
        readiness=Readiness(engine=engine, log=log),
        schemas=None if settings.is_registry_external else SchemaLog(settings),
    )
