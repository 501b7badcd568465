"""What the books of one tenant hold; moved by apply alone.

The entries are immutable, the maps are not: the fold is their only owner, and copying a map of
20,000 subscriptions for every fact would make a restart quadratic. No answer goes by the order of
a map: books that come out of a checkpoint have another one than those that read every fact.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from domain.books.billing_state import BillingState
from domain.books.charge import Charge
from domain.books.customer import Customer
from domain.books.personal import Details
from domain.books.subscription import Subscription
from domain.books.wallet import Wallet
from domain.books.watch import Seen, Suspicion, Watch
from domain.catalogue import Catalogue
from domain.codes import Code
from domain.errors import Rejected, invariant
from domain.gain_share_state import GainShareState
from domain.period import to_ms

if TYPE_CHECKING:
    from datetime import datetime

    from domain.fields import Fields

_ID = re.compile(r"[a-z]{3}_[0-9A-Za-z_-]{1,100}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key, known by its hash.

    Args:
        key_id: Public id, key_….
        is_revoked: Whether it was revoked; its id stays taken.
    """

    key_id: str
    is_revoked: bool


class FirstOutcome(Struct, frozen=True, gc=False):
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
        catalogues: Every version, by version: a correction may need any of them.
        published_at: When each of them was published.
        customers: By id.
        subscriptions: By id; kept when they are over.
        subscriptions_of: Ids of a customer's subscriptions, by customer, in the order of creation.
        clock: Time of a test tenant, which takes the place of the received time; None for others.
        billing: Invoices, items, account credit and payments.
        api_keys: By id.
        outcomes: First answer by command id; kept for good, for a retry has no deadline.
        email_digests: Customer by the token of an e-mail address (runtime.vault); hold_email
            moves it.
        emails_held: That token by customer.
        details: What is known of personal details, by customer; those who never had any are not
            in it.
        wallets: By customer. A grant with nothing left is let go of.
        charges: By id; kept for good, for a refund has no deadline. About 1 KiB each.
        covered: Charge that took a (project, lone node, tier, claim), held or captured; once
            captured it is kept until all is given back, for nothing may be charged twice.
        entry_ids: Ids of top-ups, adjustments and grants that were booked, kept for good.
        receipts_issued: Last number given out, by year of issue.
        watches: What suspicion rules look at, by customer; bounded (domain.suspicions).
        suspicions: By id; kept for good, one for each customer, rule and span at most.
        gain_share: Baselines, measurements and runs.
    """

    tenant: str
    catalogue: Catalogue | None = None
    catalogues: dict[int, Catalogue] = field(default_factory=dict)
    published_at: dict[int, datetime] = field(default_factory=dict)
    customers: dict[str, Customer] = field(default_factory=dict)
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    subscriptions_of: dict[str, tuple[str, ...]] = field(default_factory=dict)
    clock: datetime | None = None
    billing: BillingState = field(default_factory=BillingState)
    api_keys: dict[str, ApiKey] = field(default_factory=dict)
    outcomes: dict[str, FirstOutcome] = field(default_factory=dict)
    email_digests: dict[str, str] = field(default_factory=dict)
    emails_held: dict[str, str] = field(default_factory=dict)
    details: dict[str, Details] = field(default_factory=dict)
    wallets: dict[str, Wallet] = field(default_factory=dict)
    charges: dict[str, Charge] = field(default_factory=dict)
    covered: dict[tuple[str, str, str, int], str] = field(default_factory=dict)
    entry_ids: set[str] = field(default_factory=set)
    receipts_issued: dict[int, int] = field(default_factory=dict)
    watches: dict[str, Watch] = field(default_factory=dict)
    suspicions: dict[str, Suspicion] = field(default_factory=dict)
    gain_share: GainShareState = field(default_factory=GainShareState)

    def hold_email(self, customer: str, digest: str) -> None:
        """Note which address a customer has, by its token; the empty text when it has none."""
        before = self.emails_held.pop(customer, "")
        self.email_digests.pop(before, None)
        if digest:
            self.email_digests[digest] = customer
            self.emails_held[customer] = digest

    def uncover(self, charge: Charge) -> None:
        """Let what a charge took be taken by another one."""
        for place in charge.places:
            if self.covered.get(place) == charge.charge:
                del self.covered[place]

    def see(self, customer: str, kind: Seen, *, at_ms: int) -> None:
        """Remember that something happened to a customer, for suspicion rules."""
        watch = self.watches.get(customer, Watch())
        self.watches[customer] = watch.with_seen(kind, at_ms=at_ms)

    def now_ms(self, received_at_ms: int) -> int:
        """Return the time that decisions go by: a test tenant's clock, else the received time."""
        return received_at_ms if self.clock is None else to_ms(self.clock)

    def put_catalogue(self, catalogue: Catalogue, *, published_at: datetime) -> None:
        """Put a version in force; those before it stay, for periods and corrections."""
        self.catalogue = self.catalogues[catalogue.version] = catalogue
        self.published_at[catalogue.version] = published_at

    def put_subscription(self, subscription: Subscription) -> None:
        """Add a subscription or move it on."""
        name, customer = subscription.subscription, subscription.customer
        invariant(
            all(phase.catalogue_version in self.catalogues for phase in subscription.phases),
            Code.STATE_CORRUPT,
            "a subscription uses a catalogue version that was never published",
            subscription=name,
        )
        if name not in self.subscriptions:
            self.subscriptions_of[customer] = (*self.subscriptions_of.get(customer, ()), name)
        self.subscriptions[name] = subscription


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
