"""A wallet as a value: grants of credits, and the legs of what may happen to them.

Double entry: every posting has legs that add up to 0. A customer has the accounts `available` and
`held`, each leg of them naming the grant it moves; the tenant has `spent`, `issued` (bonuses and
gifts), `sold` (top-ups), `expired` and `adjusted`. A grant is never below 0 in either account, so
a wallet never is: there is no overdraft, whatever the order of commands.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from domain.codes import Code
from domain.errors import Rejected, invariant
from domain.fields import Fields

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.canonical import Json

GRANTS_MAX = 1_000
"""Grants of one wallet with credits left: an approval over all of them is 350 KiB of its facts
record, which has room for 6 MiB. Refunds beyond it join a grant that is there."""
BALANCE_MAX = 10**15
"""Credits of one wallet: far above any business, and sums of them fit a bigint column."""
PRIORITY_DEFAULT = 100
PRIORITY_MAX = 1_000_000


class Account(StrEnum):
    """Where credits are, or where they came from or went to."""

    AVAILABLE = "available"
    HELD = "held"
    SPENT = "spent"
    ISSUED = "issued"
    SOLD = "sold"
    EXPIRED = "expired"
    ADJUSTED = "adjusted"


_CUSTOMERS = frozenset({Account.AVAILABLE, Account.HELD})


@dataclass(frozen=True, slots=True)
class Leg:
    """One line of a posting.

    Args:
        account: Account that changes.
        grant: Grant of the customer's accounts; empty for the tenant's.
        credits: By how much, never 0.
    """

    account: Account
    grant: str
    credits: int


@dataclass(frozen=True, slots=True)
class Opening:
    """What a posting says of the grant it makes.

    Args:
        grant: Its id.
        priority: Smaller burns first.
        expires_at_ms: From when on it is gone, milliseconds since 1970 UTC; None for never.
    """

    grant: str
    priority: int = PRIORITY_DEFAULT
    expires_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """Credits of one origin.

    Args:
        opening: Its id, priority and expiry.
        age: How many grants the wallet had before it.
        available: What can be spent of it.
        held: What approved charges hold of it.
    """

    opening: Opening
    age: int
    available: int = 0
    held: int = 0

    @property
    def burn_order(self) -> tuple[int, bool, int, int]:
        """Return its place: priority, then expiry with none last, then age."""
        expiry = self.opening.expires_at_ms
        return self.opening.priority, expiry is None, expiry or 0, self.age

    def is_expired(self, *, now_ms: int) -> bool:
        """Say whether its credits are gone; from the moment of expiry on they are."""
        expiry = self.opening.expires_at_ms
        return expiry is not None and expiry <= now_ms


Hold = tuple[tuple[str, int], ...]
"""Credits by the grants they came from."""


@dataclass(frozen=True, slots=True)
class Wallet:
    """What a customer owns and what they allow.

    Args:
        customer: Whose it is.
        currency: Currency of its top-ups and charges.
        grants: Grants that still have credits, by id.
        grants_opened: Grants that were ever opened; the age of the next one.
        auto_approval_credits: Charges up to this are approved by themselves; 0 for none.
        spent_minor: Prices of captured charges less refunds, minor units (S0-R12).
    """

    customer: str
    currency: str
    grants: tuple[Grant, ...] = ()
    grants_opened: int = 0
    auto_approval_credits: int = 0
    spent_minor: int = 0

    @property
    def available(self) -> int:
        """Return the balance by the postings; credits may be in it whose time is over."""
        return sum(grant.available for grant in self.grants)

    @property
    def held(self) -> int:
        """Return what approved charges hold."""
        return sum(grant.held for grant in self.grants)

    def spendable(self, *, now_ms: int) -> int:
        """Return what can be spent: the balance without what has expired."""
        return sum(grant.available for grant in self.grants if not grant.is_expired(now_ms=now_ms))

    def after(self, legs: Iterable[Leg], *, opens: Opening | None = None) -> Wallet:
        """Return the wallet as a posting leaves it.

        Raises:
            Fatal: state_corrupt, when the legs do not add up to 0, or a grant would be overdrawn.
        """
        grants = {grant.opening.grant: grant for grant in self.grants}
        if opens is not None:
            grants[opens.grant] = Grant(opens, self.grants_opened)
        total = 0
        for leg in legs:
            total += leg.credits
            if leg.account in _CUSTOMERS:
                grants[leg.grant] = _moved(grants.get(leg.grant), leg, self.customer)
        invariant(total == 0, Code.STATE_CORRUPT, "the legs of a posting do not add up to 0")
        return replace(
            self,
            grants=tuple(grant for grant in grants.values() if grant.available or grant.held),
            grants_opened=self.grants_opened + (opens is not None),
        )


def _moved(grant: Grant | None, leg: Leg, customer: str) -> Grant:
    """Return a grant after one leg.

    A grant with nothing left is let go of. A release of what it once gave is the one posting that
    can come back to it, and held credits keep it; so an unknown grant is a defect.
    """
    invariant(
        grant is not None,
        Code.STATE_CORRUPT,
        "a posting moves a grant that the wallet does not have",
        customer=customer,
        grant=leg.grant,
    )
    assert grant is not None  # noqa: S101 -- for the type checker; the invariant stopped us
    moved = (
        replace(grant, available=grant.available + leg.credits)
        if leg.account is Account.AVAILABLE
        else replace(grant, held=grant.held + leg.credits)
    )
    invariant(
        moved.available >= 0 and moved.held >= 0,
        Code.STATE_CORRUPT,
        "a posting would overdraw a grant",
        customer=customer,
        grant=leg.grant,
    )
    return moved


def burn(wallet: Wallet, *, quantity: int, now_ms: int) -> Hold:
    """This function will choose the grants that a quantity of credits comes from.

    Args:
        wallet: The wallet.
        quantity: Credits, 0 or more.
        now_ms: Received time of the command, milliseconds since 1970 UTC; expired grants are gone.

    Raises:
        Rejected: insufficient_credits.
    """
    chosen: list[tuple[str, int]] = []
    left = quantity
    for grant in sorted(wallet.grants, key=lambda each: each.burn_order):
        if not left:
            break
        taken = 0 if grant.is_expired(now_ms=now_ms) else min(left, grant.available)
        if taken:
            chosen.append((grant.opening.grant, taken))
            left -= taken
    if left:
        raise Rejected(
            Code.INSUFFICIENT_CREDITS,
            f"{quantity} credits are needed, {quantity - left} are there",
        )
    return tuple(chosen)


def expired(wallet: Wallet, *, now_ms: int) -> Hold:
    """This function will return the available credits whose time is over, by grant."""
    return tuple(
        (grant.opening.grant, grant.available)
        for grant in wallet.grants
        if grant.available and grant.is_expired(now_ms=now_ms)
    )


def moved(hold: Hold, *, source: Account, target: Account) -> tuple[Leg, ...]:
    """This function will return the legs that move credits of grants between two accounts.

    Args:
        hold: Credits by grant.
        source: Account they leave.
        target: Account they reach; the customer's keep the grant, the tenant's add up.
    """
    legs = [Leg(source, grant, -credits_) for grant, credits_ in hold]
    if target in _CUSTOMERS:
        return (*legs, *(Leg(target, grant, credits_) for grant, credits_ in hold))
    total = sum(credits_ for _, credits_ in hold)
    return (*legs, Leg(target, "", total)) if total else ()


def given(*, grant: str, quantity: int, source: Account) -> tuple[Leg, ...]:
    """This function will return the legs that put credits into a new grant."""
    return (Leg(source, "", -quantity), Leg(Account.AVAILABLE, grant, quantity))


def to_json_legs(legs: Iterable[Leg]) -> Json:
    """This function will write legs as facts hold them."""
    return [
        {"account": leg.account.value, "grant": leg.grant, "credits": leg.credits} for leg in legs
    ]


def read_legs(fields: Fields) -> tuple[Leg, ...]:
    """This function will read the legs of a posting."""
    return tuple(
        Leg(
            account=Account(item.choice("account", Account)),
            grant=str(item.values.get("grant", "")),
            credits=item.integer("credits", minimum=-BALANCE_MAX, maximum=BALANCE_MAX),
        )
        for item in fields.objects("legs", count_max=2 * (GRANTS_MAX + 1))
    )
