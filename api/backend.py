"""What the application stands on: the database and the log; made at its start."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import sqlalchemy

from api.commands import CommandGate, Sender
from api.live import Live
from api.readiness import Log, Readiness
from api.wrong_keys import WrongKeys
from projections.queries import outcomes
from projections.queries.connection import tenant_connection
from projections.queries.outcomes import CommandOutcome
from projections.queries.recurring import KeptRevenue
from runtime import kafka, postgres
from runtime.commands import CommandSender
from runtime.node_events import NodeEvent, NodeEventLog
from runtime.schema_log import SchemaLog
from runtime.settings import Settings
from runtime.vault.vault import Vault, vault_of
from runtime.web.authentication import Authenticator
from runtime.web.key_store import KeyStore

CACHE_MS = 30_000
"""How long a key is believed here, ms. The gateway takes longer, to outlive a database that is
away; an API without its database has nothing to say."""


class NodeLog(Protocol):
    """Appends reports of nodes (runtime.node_events.NodeEventLog)."""

    async def append(self, event: NodeEvent) -> int:
        """Append one event and return its offset, when the broker has it.

        Raises:
            Rejected: oversized.
            Retryable: broker_away, overloaded or delivery_unknown; it may be repeated.
        """

    def close(self) -> None:
        """Let go of the broker."""


@dataclass(frozen=True, slots=True)
class Backend:
    """Everything outside that requests need.

    Args:
        settings: Where the database is, for views of their own.
        engine: Connections of the role app.
        authenticator: Finds whom a key speaks for.
        commands: Sends commands and waits for their outcomes.
        readiness: Asks the parts how they are.
        nodes: Appends reports of nodes.
        live: Wakes the streams that stay open.
        schemas: The built-in schema registry; None when an external one is set.
        vault: Opens personal data; None where no master key is set.
        wrong_keys: Counts wrong keys at the console's door.
        revenue: Keeps recurring revenue while nothing changes it.
        document_locale: How documents are written where a request names no locale.
    """

    settings: Settings
    engine: sqlalchemy.Engine
    authenticator: Authenticator
    commands: CommandGate
    readiness: Readiness
    nodes: NodeLog
    live: Live
    schemas: SchemaLog | None = None
    vault: Vault | None = None
    wrong_keys: WrongKeys = field(default_factory=WrongKeys)
    revenue: KeptRevenue = field(default_factory=KeptRevenue)
    document_locale: str = "en"

    def close(self) -> None:
        """Let go of the connections."""
        self.live.close()
        self.nodes.close()
        self.engine.dispose()
        if self.vault is not None:
            self.vault.close()
        if self.schemas is not None:
            self.schemas.close()


def new_backend(settings: Settings) -> Backend:
    """This function will make the backend of a real process."""
    return backend_on(
        settings,
        sender=CommandSender(settings, actor="api"),
        log=kafka.new_producer(settings),
        nodes=NodeEventLog(settings),
    )


def backend_on(settings: Settings, *, sender: Sender, log: Log, nodes: NodeLog) -> Backend:
    """This function will make a backend on a given log.

    Args:
        settings: Where the database is.
        sender: Appends commands.
        log: Answers whether the broker is there.
        nodes: Appends reports of nodes.
    """
    vault = vault_of(settings)
    engine = postgres.new_engine(settings, role="app")

    def find_outcome(tenant: str, source_offset: int) -> CommandOutcome | None:
        with tenant_connection(engine, tenant=tenant) as connection:
            return outcomes.find_outcome(connection, source_offset=source_offset)

    return Backend(
        settings=settings,
        engine=engine,
        authenticator=Authenticator(
            KeyStore(engine).find, cache_ms=CACHE_MS, open_tenant=settings.open_tenant
        ),
        commands=CommandGate(
            sender=sender, find=find_outcome, timeout_ms=settings.command_timeout_ms
        ),
        readiness=Readiness(engine=engine, log=log),
        nodes=nodes,
        live=Live(settings),
        schemas=None if settings.is_registry_external else SchemaLog(settings),
        vault=vault,
        document_locale=settings.document_locale,
    )
