"""A deal as a value: what a transaction and its receipt both say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.canonical import Json
    from domain.money import Money


@dataclass(frozen=True, slots=True)
class Deal:
    """What happens between tenant and customer, in credits and money.

    Args:
        kind: charge, top_up, refund or adjustment.
        transaction: Its id, txn_….
        reference: Charge, top-up, grant or adjustment that it is about.
        name: Tier, or what else it is for, for people.
        quantity: Credits. Negative only for credits that an admin takes: of the others the kind
            says which way they go.
        amount: Money that was paid, that it is worth, or that goes back.
        charge: Charge it is about; empty for none.
        reason: Why, for people; empty where nobody has to say.
        payment_reference: What the payment is called elsewhere; empty for none.
        details: What the receipt says besides.
    """

    kind: str
    transaction: str
    reference: str
    name: str
    quantity: int
    amount: Money
    charge: str = ""
    reason: str = ""
    payment_reference: str = ""
    details: Mapping[str, Json] = field(default_factory=dict)
