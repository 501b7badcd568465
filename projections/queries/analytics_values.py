"""Values of the analytics: what each figure counts, and how it follows from others.

Amounts of different currencies never meet: whatever holds an amount holds its currency, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

ACTIVE_DAYS_DEFAULT = 30
"""A customer with any node event or transaction in so many days is active (S0-R14)."""
ACTIVE_DAYS_MAX = 3_660
SHARE_PLACES = Decimal("0.1")
"""A share is shown to a tenth of a percent; it is rounded here once and used for nothing else."""


class Step(StrEnum):
    """Length of one step of a trend, in UTC."""

    DAY = "day"
    MONTH = "month"


def share(part: int, whole: int) -> Decimal | None:
    """This function will return part of whole in percent, to a tenth, half up; None of nothing."""
    if whole == 0:
        return None
    return (Decimal(part) * 100 / Decimal(whole)).quantize(SHARE_PLACES, rounding=ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class Revenue:
    """What one step of a trend brought in.

    Args:
        start: First day of the step, UTC.
        currency: ISO 4217 code.
        charges: Charges captured in it.
        charged_minor: Their prices, minor units.
        refunded_minor: What was given back in it, whenever it was charged, minor units.
        top_up_minor: What customers paid for credits in it, minor units; not part of revenue.
    """

    start: date
    currency: str
    charges: int
    charged_minor: int
    refunded_minor: int
    top_up_minor: int

    @property
    def net_minor(self) -> int:
        """Return what stays of it, minor units."""
        return self.charged_minor - self.refunded_minor


@dataclass(frozen=True, slots=True)
class TierFigures:
    """What one tier or bundle came to.

    Args:
        tier: Its code.
        name: Its newest name.
        currency: ISO 4217 code of its price.
        requested: Charges that were asked for.
        captured: Of them, those that were charged.
        refused: Of them, those that were declined, withdrawn or not answered in time.
        waiting: Of them, those that wait for an approval or for their capture.
        credits: Credits of the captured ones, less those given back.
        charged_minor, refunded_minor: Prices of the captured ones, and what of it was given back.
        customers: Different customers that were charged.
        rank: Place by what stays of the money, from 1, among tiers of the currency (S0-57).
    """

    tier: str
    name: str
    currency: str
    requested: int
    captured: int
    refused: int
    waiting: int
    credits: int
    charged_minor: int
    refunded_minor: int
    customers: int
    rank: int

    @property
    def net_minor(self) -> int:
        """Return what stays of it, minor units."""
        return self.charged_minor - self.refunded_minor

    @property
    def acceptance(self) -> Decimal | None:
        """Return captured of decided charges, percent."""
        return share(self.captured, self.captured + self.refused)


@dataclass(frozen=True, slots=True)
class CustomerFigures:
    """What one customer came to (S0-52, S0-55).

    Args:
        customer: Its id.
        currency: ISO 4217 code.
        spent_minor: Prices of its captured charges less refunds: its lifetime value (S0-R12).
        charges: Its captured charges.
        credits_spent: Credits of them, less those given back.
        available: Credits it can spend.
        held: Credits that wait for a capture.
        last_active_at: Its newest node event or transaction; None without any.
    """

    customer: str
    currency: str
    spent_minor: int
    charges: int
    credits_spent: int
    available: int
    held: int
    last_active_at: datetime | None

    @property
    def utilisation(self) -> Decimal | None:
        """Return spent credits of all it ever had to spend and still has, percent."""
        return share(self.credits_spent, self.credits_spent + self.available + self.held)


@dataclass(frozen=True, slots=True)
class CustomerKey:
    """Place of a customer in the list by lifetime value."""

    currency: str
    spent_minor: int
    customer: str


@dataclass(frozen=True, slots=True)
class Credits:
    """All credits of a tenant (S0-55).

    Args:
        spent: Captured, less given back.
        available, held: In wallets.
    """

    spent: int
    available: int
    held: int

    @property
    def utilisation(self) -> Decimal | None:
        """Return the spent ones of all, percent."""
        return share(self.spent, self.spent + self.available + self.held)


@dataclass(frozen=True, slots=True)
class Preference:
    """How often a tier was charged (S0-53).

    Args:
        tier: Its code.
        charges: Captured charges, those that were refunded later too: they were chosen.
    """

    tier: str
    charges: int


@dataclass(frozen=True, slots=True)
class ActivityDay:
    """What happened on one day (S0-54), by the time of receipt, UTC.

    Args:
        day: The day.
        customers: Different customers with node events.
        updates, pulses: Node events.
        transactions: Charges, top-ups, refunds and adjustments.
    """

    day: date
    customers: int
    updates: int
    pulses: int
    transactions: int


@dataclass(frozen=True, slots=True)
class Segments:
    """How many customers there are, and how many of them do something (S0-58, S0-59).

    Args:
        customers: All.
        active: With a node event or transaction in the window.
        explorers: With any node event at all.
        payers: Of the explorers, those with a charge that was completed and not refunded whole.
    """

    customers: int
    active: int
    explorers: int
    payers: int

    @property
    def dormant(self) -> int:
        """Return all others."""
        return self.customers - self.active

    @property
    def conversion(self) -> Decimal | None:
        """Return payers of explorers, percent."""
        return share(self.payers, self.explorers)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for somebody.

    Args:
        approvals: Charges that wait for an approval.
        credits: Credits they would take.
        unaffordable_customers: Customers with a waiting charge above what they can spend.
        suspicions: Open suspicions.
    """

    approvals: int
    credits: int
    unaffordable_customers: int
    suspicions: int
