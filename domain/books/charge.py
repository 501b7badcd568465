"""A charge as a value: what the books make of a detection. Its id is the detection's."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from domain.books.deal import Deal
from domain.emergence_rules.rules import BUNDLES_MAX, TIERS_MAX

if TYPE_CHECKING:
    from domain.books.wallet import Hold
    from domain.canonical import Json
    from domain.fields import Fields
    from domain.money import Money

COVERS_MAX = TIERS_MAX + BUNDLES_MAX
"""Pairs that one charge stands for: every tier of a catalogue, and the bundle itself."""
GENERATION_MAX = 2**31


class ChargeStatus(StrEnum):
    """Where a charge is in its life."""

    REQUESTED = "requested"
    APPROVED = "approved"
    CAPTURED = "captured"
    DELIVERED = "delivered"
    DECLINED = "declined"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    REFUNDED = "refunded"


OPEN = frozenset({ChargeStatus.REQUESTED, ChargeStatus.APPROVED})
"""Nothing was taken yet."""
PAID = frozenset({ChargeStatus.CAPTURED, ChargeStatus.DELIVERED})
"""Credits were taken and not all given back."""

Pair = tuple[str, int]
"""Code of a tier or bundle, and generation."""


@dataclass(frozen=True, slots=True)
class Charge:
    """One charge.

    Args:
        charge: Its id, emg_….
        customer: Who pays.
        project: What has become real; empty for a node without a project.
        lone_node: The node without a project; empty with one.
        tier: Code of the tier or bundle.
        name: Its name for people.
        covers: What it stands for; none of it is ever charged twice.
        credits: Credits to deduct.
        price: What they are worth in money (S0-R1).
        expires_at_ms: From when on it can no longer be approved, milliseconds since 1970 UTC.
        refund_on_reversal: Whether it is given back when its evidence goes away in time.
        status: Where it is.
        hold: Credits it holds, by grant; empty unless it is approved.
        refunded_credits: Credits given back so far.
        refunded_minor: Money that they stand for, minor units.
        refunds: How often something was given back.
        deliverables: SHA-256 of what is delivered for it, by name.
    """

    charge: str
    customer: str
    project: str
    lone_node: str
    tier: str
    name: str
    covers: tuple[Pair, ...]
    credits: int
    price: Money
    expires_at_ms: int
    refund_on_reversal: bool
    status: ChargeStatus = ChargeStatus.REQUESTED
    hold: Hold = ()
    refunded_credits: int = 0
    refunded_minor: int = 0
    refunds: int = 0
    deliverables: tuple[tuple[str, str], ...] = ()

    @property
    def places(self) -> tuple[tuple[str, str, str, int], ...]:
        """Return the pairs with the project they belong to."""
        return tuple((self.project, self.lone_node, tier, number) for tier, number in self.covers)

    def deal(self, *, kind: str, transaction: str) -> Deal:
        """Return what its transaction and receipt say."""
        return Deal(
            kind=kind,
            transaction=transaction,
            reference=self.charge,
            name=self.name,
            quantity=self.credits,
            amount=self.price,
            charge=self.charge,
            details={
                "charge": self.charge,
                "tier": self.tier,
                "project": self.project,
                "lone_node": self.lone_node,
            },
        )

    def head(self) -> dict[str, Json]:
        """Return the fields that every fact about it begins with."""
        return {
            "charge": self.charge,
            "customer": self.customer,
            "project": self.project,
            "lone_node": self.lone_node,
        }


def refund_minor(charge: Charge, *, quantity: int) -> int:
    """This function will return the money that a refund of credits stands for.

    A part is pro rata, half up to the minor unit, and never more than what is left; the refund
    that gives the last credit back takes the rest, so the parts always add up to the price.

    Args:
        charge: The charge.
        quantity: Credits to give back, at most what is left.
    """
    left = charge.price.amount_minor - charge.refunded_minor
    if charge.refunded_credits + quantity == charge.credits:
        return left
    part = (2 * charge.price.amount_minor * quantity + charge.credits) // (2 * charge.credits)
    return min(part, left)


def read_pairs(fields: Fields, name: str) -> tuple[Pair, ...]:
    """This function will read [[tier, generation], …], at least one and no pair twice."""
    value = fields.values.get(name)
    refusal = fields.refuse(name, "must be a list of different [tier, generation] pairs")
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= COVERS_MAX:
        raise refusal
    pairs = tuple(_pair(item) for item in value)
    if None in pairs or len(set(pairs)) != len(pairs):
        raise refusal
    return tuple(pair for pair in pairs if pair is not None)


def _pair(item: Json) -> Pair | None:
    match item:
        case [str(tier), int(generation)] if tier and 1 <= generation <= GENERATION_MAX:
            return (tier, generation) if not isinstance(generation, bool) else None
    return None


def pairs_json(pairs: tuple[Pair, ...]) -> Json:
    """This function will write pairs as facts hold them."""
    return [[tier, generation] for tier, generation in pairs]
