"""What the gateway stands on: the log, the keys, and what it holds itself; made at its start."""

from __future__ import annotations

from dataclasses import dataclass, field

import sqlalchemy

from producers.gateway.admission import Budget, Limits
from producers.gateway.balances import Balances, UnknownBalances
from producers.gateway.judging import Encoder
from producers.gateway.log import KafkaLog, Log
from producers.gateway.repeats import Repeats
from producers.gateway.webhooks import Deliveries, Verifier, read_secrets
from runtime import postgres
from runtime.settings import Settings
from runtime.web.authentication import Authenticator
from runtime.web.key_store import KeyStore


@dataclass(frozen=True, slots=True)
class Backend:
    """Everything that requests need.

    Args:
        log: Appends records.
        authenticator: Finds whom a key speaks for.
        limits: How much a key may send.
        verifier: Finds whose secret signed a webhook.
        balances: Says what an event left of a customer's credits.
        budget: Bytes held at once.
        repeats: Answers by Idempotency-Key.
        deliveries: Webhooks that were taken.
        encoder: Numbers and writes batches.
        unsigned_tenant: Tenant whose webhooks may come unsigned; empty for none.
        engine: Connections by which keys are found; None where nothing is connected.
    """

    log: Log
    authenticator: Authenticator
    limits: Limits
    verifier: Verifier
    balances: Balances = field(default_factory=UnknownBalances)
    budget: Budget = field(default_factory=Budget)
    repeats: Repeats = field(default_factory=Repeats)
    deliveries: Deliveries = field(default_factory=Deliveries)
    encoder: Encoder = field(default_factory=Encoder)
    unsigned_tenant: str = ""
    engine: sqlalchemy.Engine | None = None

    def close(self) -> None:
        """Wait a little for what is on its way to the log."""
        self.log.close()
        self.balances.close()
        if self.engine is not None:
            self.engine.dispose()


def new_backend(settings: Settings, *, balances: Balances | None = None) -> Backend:
    """This function will make the backend of a real process, inside its event loop.

    Args:
        settings: Where the log and the database are, limits and secrets.
        balances: Says what events leave of credits; None for nobody.
    """
    engine = postgres.new_engine(settings, role="app")
    keys = KeyStore(engine)
    secrets = read_secrets(settings)
    return Backend(
        log=KafkaLog(settings),
        authenticator=Authenticator(keys.find, open_tenant=settings.open_tenant),
        limits=Limits(settings),
        verifier=Verifier(secrets),
        balances=balances or UnknownBalances(),
        engine=engine,
        # S0-R16: a signature is required when the secret is set.
        unsigned_tenant="" if secrets.get(settings.open_tenant) else settings.open_tenant,
    )
