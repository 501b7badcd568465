"""What account credit is made of: promotions and money.

A promotion was given for nothing: it lowers what is sold, and comes off before the tax. Money was
paid or is owed with its tax, so it comes off after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domain.canonical import Json
    from domain.fields import Fields

BALANCE_MINOR_MAX = 10**18
"""Most account credit of a customer, minor units: it fits the int64 of every reader."""


@dataclass(frozen=True, slots=True)
class CreditBalance:
    """Account credit of a customer, minor units.

    Args:
        promotion_minor: What was given for nothing; invoices use it first.
        money_minor: What was overpaid, credited, carried or given back, tax included.
    """

    promotion_minor: int = 0
    money_minor: int = 0

    @property
    def total_minor(self) -> int:
        """Return both together."""
        return self.promotion_minor + self.money_minor

    def to_json(self) -> dict[str, Json]:
        """Return it as it stands in contents."""
        return {"promotion_minor": self.promotion_minor, "money_minor": self.money_minor}

    @classmethod
    def from_fields(cls, fields: Fields) -> CreditBalance:
        """Read what to_json wrote (Rejected otherwise)."""
        fields.only(("promotion_minor", "money_minor"))
        return cls(
            fields.integer("promotion_minor", minimum=0, maximum=BALANCE_MINOR_MAX),
            fields.integer("money_minor", minimum=0, maximum=BALANCE_MINOR_MAX),
        )


NO_CREDIT = CreditBalance()
