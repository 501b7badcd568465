"""What the application stands on: the database and the log; made at its start."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy

from api.authentication import Authenticator
from api.commands import CommandGate, Sender
from api.readiness import Log, Readiness
from projections.queries import api_keys, outcomes
from projections.queries.api_keys import ApiKey
from projections.queries.connection import secret_connection, tenant_connection
from projections.queries.outcomes import CommandOutcome
from runtime import kafka, postgres
from runtime.commands import CommandSender
from runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class Backend:
    """Everything outside that requests need.

    Args:
        engine: Connections of the role app.
        authenticator: Finds whom a key speaks for.
        commands: Sends commands and waits for their outcomes.
        readiness: Asks the parts how they are.
    """

    engine: sqlalchemy.Engine
    authenticator: Authenticator
    commands: CommandGate
    readiness: Readiness

    def close(self) -> None:
        """Let go of the connections."""
        self.engine.dispose()


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

    def find_api_key(secret_sha256: str) -> ApiKey | None:
        with secret_connection(engine, secret_sha256=secret_sha256) as connection:
            return api_keys.find_api_key(connection, secret_sha256=secret_sha256)

    def find_outcome(tenant: str, source_offset: int) -> CommandOutcome | None:
        with tenant_connection(engine, tenant=tenant) as connection:
            return outcomes.find_outcome(connection, source_offset=source_offset)

    return Backend(
        engine=engine,
        authenticator=Authenticator(find_api_key),
        commands=CommandGate(
            sender=sender, find=find_outcome, timeout_ms=settings.command_timeout_ms
        ),
        readiness=Readiness(engine=engine, log=log),
    )
