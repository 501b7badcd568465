"""What a customer has left after an event, for the gateway's answers (S1-51).

Here, because the gateway and the projections are siblings and may not know each other.

Steps of an answer: 1. wait until the projections hold the event, for at most FRESH_MS; 2. read the
allowances of the customer's subscription in one view; 3. where the event is not in that view, add
what it takes, so that the answer holds it either way (S1-76).
"""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import TYPE_CHECKING

from domain.allowances import Allowance, after_burn, burn_of, counts
from domain.codes import Code
from domain.errors import Retryable, TidegaugeError
from domain.money import exact_text
from producers.gateway.balances import Balance
from projections.queries import allowances, catalogues
from projections.queries.connection import tenant_connection
from runtime import clock, postgres
from runtime.logs import logger

if TYPE_CHECKING:
    from domain.catalogue import Catalogue
    from producers.gateway.balances import Use
    from projections.queries.allowances import State
    from runtime.settings import Settings

FRESH_MS = 2_000
"""How long an answer waits for its own event, ms: from the log to the tables it takes well below
one second where nothing lags, and whoever tracks usage waits for the answer."""
LOOK_MS = 50
KNOWN_MS = 1_000
"""How long a catalogue is believed to be the one in force, ms: a new type is refused for at most
so long after its catalogue is projected."""
TENANTS_MAX = 10_000
"""Tenants whose event types are remembered, a few KB each."""


class ProjectedBalances:
    """Reads allowances from the projections.

    Args:
        settings: Where the database is.
    """

    def __init__(self, settings: Settings) -> None:
        self._engine = postgres.new_engine(settings, role="app")
        # One view for the position and the windows: else an event could count twice or not at all.
        self._view = self._engine.execution_options(isolation_level="REPEATABLE READ")
        self._known: dict[str, tuple[int, frozenset[str]]] = {}

    async def is_known(self, *, tenant: str, event_type: str) -> bool:
        """Say whether the catalogue in force counts a type (S1-24); True where none is there."""
        try:
            names = await asyncio.to_thread(self._names, tenant)
        except TidegaugeError:
            return True
        return not names or event_type in names

    def _names(self, tenant: str) -> frozenset[str]:
        read_ms, names = self._known.get(tenant, (-KNOWN_MS, frozenset()))
        now_ms = clock.monotonic_ms()
        if now_ms - read_ms < KNOWN_MS:
            return names
        with tenant_connection(self._engine, tenant=tenant) as connection:
            newest = catalogues.catalogue_in_force(connection)
        names = newest.event_names if newest is not None else frozenset()
        if len(self._known) >= TENANTS_MAX:
            self._known.clear()
        self._known[tenant] = (now_ms, names)
        return names

    async def after(self, use: Use) -> Balance:
        """Return the balance with this event in it; nulls while the database is away."""
        try:
            deadline_ms = clock.monotonic_ms() + FRESH_MS
            while not await asyncio.to_thread(self._is_projected, use):
                if clock.monotonic_ms() + LOOK_MS > deadline_ms:
                    break
                await asyncio.sleep(LOOK_MS / 1000)
            return await asyncio.to_thread(self._balance, use)
        except Retryable as error:
            logger().warning("gateway.balance_away", code=error.code)
        except TidegaugeError as error:
            logger().error("gateway.balance_failed", code=error.code, reason=error.reason)
        except Exception as error:  # noqa: BLE001 -- the event is in the log: its answer is a yes
            logger().error("gateway.balance_failed", code=Code.INTERNAL, reason=str(error)[:300])
        return Balance()

    def _is_projected(self, use: Use) -> bool:
        with tenant_connection(self._engine, tenant=use.tenant) as connection:
            return allowances.is_projected(connection, partition=use.partition, offset=use.offset)

    def _balance(self, use: Use) -> Balance:
        with tenant_connection(self._view, tenant=use.tenant) as connection:
            is_in_it = allowances.is_projected(
                connection, partition=use.partition, offset=use.offset
            )
            published = catalogues.read_published(connection)
            states = allowances.find_states(
                connection,
                tenant=use.tenant,
                moment=use.occurred_at,
                published=published,
                subscription=use.subscription,
                customer=use.customer,
            )
        return balance_of(states, use=use, is_in_it=is_in_it)

    def close(self) -> None:
        """Let go of the connections."""
        self._engine.dispose()


def balance_of(states: tuple[State, ...], *, use: Use, is_in_it: bool) -> Balance:
    """This function will say what is left of the allowance that an event belongs to.

    It is the first price that counts the event's type, of the first subscription that has one: a
    meter is priced by one live subscription of a customer.

    Args:
        states: Subscriptions of the customer.
        use: The event.
        is_in_it: Whether the allowances hold the event already.
    """
    for state in states:
        catalogue: Catalogue = state.standing.catalogue
        for allowance in state.allowances:
            if counts(allowance, event_type=use.event_type, catalogue=catalogue):
                burned = burn_of(
                    allowance, event_type=use.event_type, nanos=use.nanos, catalogue=catalogue
                )
                held = allowance if is_in_it else _with(allowance, burned, catalogue)
                return Balance(_figure(burned), _figure(held.remaining), held.alert)
    return Balance()


def _with(allowance: Allowance, burned: Fraction, catalogue: Catalogue) -> Allowance:
    warning_percent = catalogue.billing.usage_warning_percent
    return after_burn(allowance, burned=burned, warning_percent=warning_percent)


def _figure(value: Fraction) -> int | str:
    """Return a whole number as one, any other as decimal text: no answer holds a float."""
    return int(value) if value.denominator == 1 else exact_text(value)


def new_balances(settings: Settings) -> ProjectedBalances:
    """This function will make the balances of a real gateway; it connects when it is asked."""
    return ProjectedBalances(settings)
