"""The hook for answers that need state: what a customer has left after an event (S1-51, S1-31).

The gateway itself knows no catalogue, no subscription and no window: whoever runs it gives it
somebody who does (cli/gateway.py). Without that, or while it is away, an answer says null: the
event is on the log, and nothing about it waits for a figure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol


class Balance(NamedTuple):
    """What is left; None for what is not known, decimal text for what is no whole number.

    Args:
        credits_burned: Credits that this event took.
        remaining_credits: Credits left of the period's allowance, never negative.
        alert: OVERAGE or LOW_CREDITS.
    """

    credits_burned: int | str | None = None
    remaining_credits: int | str | None = None
    alert: str | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """An event that the log has.

    Args:
        tenant: Of the API key.
        customer: Who used.
        subscription: Which of the customer's subscriptions, as the sender says; empty for any.
        event_type: Its type.
        nanos: Its quantity in billionths.
        occurred_at: When, UTC.
        partition: Partition of usage.events.
        offset: Offset of its record.
    """

    tenant: str
    customer: str
    subscription: str
    event_type: str
    nanos: int
    occurred_at: datetime
    partition: int
    offset: int


class Balances(Protocol):
    """Says what an event may be, and what it did to its customer's balance."""

    async def is_known(self, *, tenant: str, event_type: str) -> bool:
        """Say whether a tenant's catalogue counts a type; True where nobody can tell."""

    async def after(self, use: Use) -> Balance:
        """Return the balance with this event in it; must not fail, for the event is taken."""

    def close(self) -> None:
        """Let go of what it stands on."""


class UnknownBalances:
    """Knows nothing."""

    async def is_known(self, *, tenant: str, event_type: str) -> bool:  # noqa: ARG002 -- the port's form
        """Return that the fold will decide."""
        return True

    async def after(self, use: Use) -> Balance:  # noqa: ARG002 -- the port's form
        """Return a balance of which nothing is known."""
        return Balance()

    def close(self) -> None:
        """Have nothing to let go of."""
