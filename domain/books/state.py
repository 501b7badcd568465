"""What the books of one tenant hold; moved by apply alone.

The entries are immutable, the maps are not: the fold is their only owner, and copying a map of
20,000 subscriptions for every fact would make a restart quadratic.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from domain.books.charge import Charge
from domain.books.wallet import Wallet
from domain.books.watch import Seen, Suspicion, Watch
from domain.catalogue import Catalogue
from domain.codes import Code
from domain.errors import Rejected, invariant
from domain.period import Period, time_text

if TYPE_CHECKING:
    from datetime import datetime

    from domain.canonical import Json
    from domain.fields import Fields

_ID = re.compile(r"[a-z]{3}_[0-9A-Za-z_-]{1,100}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Customer:
    """Who pays; no personal data is here.

    Args:
        customer: Id, as usage events name it.
        currency: ISO 4217 code of everything the customer is charged.
    """

    customer: str
    currency: str


@dataclass(frozen=True, slots=True)
class Subscription:
    """A customer on a plan, and the period that is to be invoiced next.

    Args:
        subscription: Id, sub_….
        customer: Who pays.
        plan: Plan code.
        currency: Currency of the plan and the customer.
        anchor: Start of period 0; every period is counted from it (G-05).
        period_index: Number of the current period, from 0.
        period: The current period.
        catalogue_version: Catalogue version that prices the current period (G-07).
    """

    subscription: str
    customer: str
    plan: str
    currency: str
    anchor: datetime
    period_index: int
    period: Period
    catalogue_version: int


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key, known by its hash.

    Args:
        key_id: Public id, key_….
        is_revoked: Whether it was revoked; its id stays taken.
    """

    key_id: str
    is_revoked: bool


@dataclass(frozen=True, slots=True)
class FirstOutcome:
    """The first answer to a command id.

    Args:
        body_sha256: Hash of the command that got it.
        code: Why it was refused; empty when accepted.
        reason: What was wrong.
    """

    body_sha256: bytes
    code: Code | Literal[""]
    reason: str


@dataclass(slots=True)
class TenantState:
    """The books of one tenant.

    Args:
        tenant: Tenant.
        catalogue: Catalogue in force.
        catalogues: Versions that a current or next period may use, by version.
        published_at: When each of them was received.
        catalogue_users: How many current periods use a version.
        customers: By id.
        subscriptions: By id.
        invoices: Invoice number by invoice id.
        invoices_issued: Last number given out, by year of issue.
        api_keys: By id.
        outcomes: First answer by command id; kept for good, for a retry has no deadline.
        email_digests: Customer by the hash of an e-mail address.
        wallets: By customer. A grant with nothing left is let go of.
        charges: By id; kept for good, for a refund has no deadline. About 1 KiB each.
        covered: Charge that took a (project, lone node, tier, claim), held or captured; once
            captured it is kept until all is given back, for nothing may be charged twice.
        entry_ids: Ids of top-ups, adjustments and grants that were booked, kept for good.
        receipts_issued: Last number given out, by year of issue.
        watches: What suspicion rules look at, by customer; bounded (domain.suspicions).
        suspicions: By id; kept for good, one for each customer, rule and span at most.
    """

    tenant: str
    catalogue: Catalogue | None = None
    catalogues: dict[int, Catalogue] = field(default_factory=dict)
    published_at: dict[int, datetime] = field(default_factory=dict)
    catalogue_users: dict[int, int] = field(default_factory=dict)
    customers: dict[str, Customer] = field(default_factory=dict)
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    invoices: dict[str, str] = field(default_factory=dict)
    invoices_issued: dict[int, int] = field(default_factory=dict)
    api_keys: dict[str, ApiKey] = field(default_factory=dict)
    outcomes: dict[str, FirstOutcome] = field(default_factory=dict)
    email_digests: dict[str, str] = field(default_factory=dict)
    wallets: dict[str, Wallet] = field(default_factory=dict)
    charges: dict[str, Charge] = field(default_factory=dict)
    covered: dict[tuple[str, str, str, int], str] = field(default_factory=dict)
    entry_ids: set[str] = field(default_factory=set)
    receipts_issued: dict[int, int] = field(default_factory=dict)
    watches: dict[str, Watch] = field(default_factory=dict)
    suspicions: dict[str, Suspicion] = field(default_factory=dict)

    def uncover(self, charge: Charge) -> None:
        """Let what a charge took be taken by another one."""
        for place in charge.places:
            if self.covered.get(place) == charge.charge:
                del self.covered[place]

    def see(self, customer: str, kind: Seen, *, at_ms: int) -> None:
        """Remember that something happened to a customer, for suspicion rules."""
        watch = self.watches.get(customer, Watch())
        self.watches[customer] = watch.with_seen(kind, at_ms=at_ms)

    def put_catalogue(self, catalogue: Catalogue, *, published_at: datetime) -> None:
        """Put a version in force and let go of those that nobody can need any more."""
        self.catalogue = self.catalogues[catalogue.version] = catalogue
        self.published_at[catalogue.version] = published_at
        self._let_go()

    def put_subscription(self, subscription: Subscription) -> None:
        """Add a subscription or move it on, and keep exactly the catalogue versions in use."""
        invariant(
            subscription.catalogue_version in self.catalogues,
            Code.STATE_CORRUPT,
            "a subscription uses a catalogue version that is not kept",
            subscription=subscription.subscription,
            version=subscription.catalogue_version,
        )
        before = self.subscriptions.get(subscription.subscription)
        self.subscriptions[subscription.subscription] = subscription
        self._count_users(subscription.catalogue_version, 1)
        if before is not None:
            self._count_users(before.catalogue_version, -1)
            self._let_go()

    def _count_users(self, version: int, change: int) -> None:
        users = self.catalogue_users.get(version, 0) + change
        if users:
            self.catalogue_users[version] = users
        else:
            del self.catalogue_users[version]

    def _let_go(self) -> None:
        """Forget versions older than any in use: a next period may take any younger one."""
        newest = max(self.catalogues)
        oldest = min(self.catalogue_users, default=newest)
        for version in [version for version in self.catalogues if version < oldest]:
            del self.catalogues[version], self.published_at[version]


def read_id(fields: Fields, name: str, *, prefix: str) -> str:
    """This function will read an id such as sub_0198c2f4….

    Raises:
        Rejected: When it has another prefix or foreign characters.
    """
    value = fields.text(name)
    if _ID.fullmatch(value) is None or not value.startswith(f"{prefix}_"):
        raise fields.refuse(name, f"must be an id that starts with {prefix}_")
    return value


def charge_of(state: TenantState, fields: Fields) -> Charge:
    """This function will return the charge that a command or a fact names.

    Raises:
        Rejected: charge_unknown.
    """
    charge = state.charges.get(fields.text("charge"))
    if charge is None:
        raise Rejected(Code.CHARGE_UNKNOWN, f"there is no charge {fields.text('charge')!r}")
    return charge


def period_json(period: Period, *, index: int) -> Json:
    """This function will write a numbered period as facts hold it."""
    return {"index": index, "start": time_text(period.start), "end": time_text(period.end)}
