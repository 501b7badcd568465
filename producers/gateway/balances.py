"""The hook for answers that need state: what a customer has left after an event (S1-51, S1-31).

Today nobody knows: credits belong to the books' wallets and allowances, which are not built. When
they are, they answer here, and the address keeps its form.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Balance(NamedTuple):
    """What is left; None for what is not known.

    Args:
        credits_burned: Credits that this event took.
        remaining_credits: Credits left of the period's allowance, never negative.
        alert: OVERAGE or LOW_CREDITS.
    """

    credits_burned: int | None = None
    remaining_credits: int | None = None
    alert: str | None = None


class Balances(Protocol):
    """Says what an acknowledged event did to its customer's balance."""

    async def after(self, *, tenant: str, customer: str, event_type: str) -> Balance:
        """Return the balance; must answer at once, for the event is on the log already."""


class UnknownBalances:
    """Knows nothing."""

    async def after(self, *, tenant: str, customer: str, event_type: str) -> Balance:  # noqa: ARG002 -- the port's form
        """Return a balance of which nothing is known."""
        return Balance()
