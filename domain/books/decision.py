"""What one command comes to, while it is being decided: facts so far, and the wallet they leave.

A decision works on values: nothing here moves the books, and a refusal halfway leaves no trace.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from domain.books import receipts
from domain.books.facts import Fact, fact_of
from domain.books.wallet import (
    BALANCE_MAX,
    GRANTS_MAX,
    PRIORITY_DEFAULT,
    Account,
    Opening,
    Wallet,
    expired,
    moved,
    to_json_legs,
)
from domain.codes import Code
from domain.derived_ids import derived_id
from domain.errors import Rejected
from domain.period import from_ms, time_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from domain.books.deal import Deal
    from domain.books.records import Command
    from domain.books.state import TenantState
    from domain.books.wallet import Leg
    from domain.canonical import Json


@dataclass(slots=True)
class Decision:
    """The facts of one command, in the making.

    Args:
        state: Books of the tenant, which stay as they are.
        command: The command.
        received_at_ms: When it was received, milliseconds since 1970 UTC.
        facts: What was decided so far.
    """

    state: TenantState
    command: Command
    received_at_ms: int
    facts: list[Fact] = field(default_factory=list)
    _wallet: Wallet | None = None
    _postings: int = 0
    _notices: int = 0

    @property
    def moment(self) -> datetime:
        """Return the received time, of a test tenant its clock's."""
        return from_ms(self.received_at_ms)

    @property
    def at(self) -> str:
        """Return the received time as facts write it."""
        return time_text(self.moment)

    @property
    def wallet(self) -> Wallet:
        """Return the wallet as the facts so far leave it."""
        if self._wallet is None:
            raise Rejected(Code.WALLET_MISSING, "no wallet was opened")
        return self._wallet

    @property
    def spendable(self) -> int:
        """Return the credits that the customer can spend now."""
        return self.wallet.spendable(now_ms=self.received_at_ms)

    def id_of(self, prefix: str, *parts: str) -> str:
        """Return the id of something of this tenant, from what it is about."""
        return derived_id(prefix, self.state.tenant, *parts)

    def add(self, kind: str, body: Mapping[str, Json]) -> None:
        """Add a fact."""
        self.facts.append(fact_of(kind, body))

    def use_wallet(self, customer: str) -> None:
        """Take the wallet of a customer, and open it when the customer has none yet.

        Raises:
            Rejected: customer_unknown, wallet_missing or currency_differs.
        """
        self._wallet = self.state.wallets.get(customer)
        if self._wallet is not None:
            return
        known = self.state.customers.get(customer)
        if known is None:
            raise Rejected(Code.CUSTOMER_UNKNOWN, f"there is no customer {customer!r}")
        catalogue = self.state.catalogue
        if catalogue is None or catalogue.wallet is None:
            raise Rejected(Code.WALLET_MISSING, "the catalogue in force has no wallet")
        self.open_wallet(customer=customer, currency=known.currency)

    def open_wallet(self, *, customer: str, currency: str) -> None:
        """Open a wallet in the catalogue's currency (Rejected currency_differs for another)."""
        terms = self.state.catalogue.wallet if self.state.catalogue else None
        if terms is not None and terms.currency != currency:
            raise Rejected(
                Code.CURRENCY_DIFFERS,
                f"the customer pays in {currency}, wallets are in {terms.currency}",
            )
        self.add(
            "WalletOpened", {"customer": customer, "currency": currency, "opened_at": self.at}
        )
        self._wallet = Wallet(customer, currency)

    def require_currency(self, currency: str) -> None:
        """Refuse what is in another currency than the wallet (currency_differs)."""
        if currency != self.wallet.currency:
            raise Rejected(
                Code.CURRENCY_DIFFERS,
                f"{currency} was given, the wallet is in {self.wallet.currency}",
            )

    def post(
        self, kind: str, *, reference: str, legs: Sequence[Leg], opens: Opening | None = None
    ) -> None:
        """Add a posting; what has expired is posted before it. Without legs nothing is posted."""
        if not legs:
            return
        if kind != "expiry":
            self.post_expired(now_ms=self.received_at_ms)
        if opens is not None:
            self._require_new(opens)
            if kind != "refund":
                self._require_room(legs)
        age = self.wallet.grants_opened
        self._wallet = self.wallet.after(legs, opens=opens)
        self.add(
            "CreditsPosted",
            {
                "posting": self.id_of("pst", self.command.command_id, str(self._postings)),
                "index": self._postings,
                "kind": kind,
                "customer": self.wallet.customer,
                "reference": reference,
                "legs": to_json_legs(legs),
                "opens": _opening_json(opens, age=age),
                "available": self.wallet.available,
                "held": self.wallet.held,
                "booked_at": self.at,
            },
        )
        self._postings += 1

    def post_expired(self, *, now_ms: int) -> None:
        """Post what was available and is past its time."""
        gone = expired(self.wallet, now_ms=now_ms)
        legs = moved(gone, source=Account.AVAILABLE, target=Account.EXPIRED)
        self.post("expiry", reference=self.command.command_id, legs=legs)

    def _require_new(self, opens: Opening) -> None:
        """Refuse a grant id that is taken: what is on the old grant would be gone."""
        if opens.grant in self.state.entry_ids:
            raise Rejected(Code.GRANT_EXISTS, f"the grant id {opens.grant} is taken")

    def _require_room(self, legs: Sequence[Leg]) -> None:
        """Refuse more than a wallet may hold; a refund is never refused for it (refund_target)."""
        if len(self.wallet.grants) >= GRANTS_MAX:
            raise Rejected(
                Code.WALLET_FULL, f"the wallet has {GRANTS_MAX} grants with credits left"
            )
        total = self.wallet.available + self.wallet.held
        gained = sum(leg.credits for leg in legs if leg.account is Account.AVAILABLE)
        if total + gained > BALANCE_MAX:
            raise Rejected(Code.WALLET_FULL, f"a wallet holds at most {BALANCE_MAX} credits")

    def refund_target(self, grant: str) -> tuple[str, Opening | None]:
        """Return the grant that a refund goes to: a new one without expiry, if there is room."""
        if len(self.wallet.grants) >= GRANTS_MAX:
            for each in self.wallet.grants:
                if each.opening.expires_at_ms is None:
                    return each.opening.grant, None
        return grant, Opening(grant, PRIORITY_DEFAULT)

    def record(
        self, deal: Deal, *, status: str, receipt: str = "", code: str = "", reason: str = ""
    ) -> None:
        """Add what became of a transaction; a later one of the same id replaces it."""
        self.add(
            "TransactionRecorded",
            {
                "transaction": deal.transaction,
                "kind": deal.kind,
                "customer": self.wallet.customer,
                "charge": deal.charge,
                "reference": deal.reference,
                "credits": deal.quantity,
                "amount_minor": deal.amount.amount_minor,
                "currency": deal.amount.currency,
                "status": status,
                "receipt": receipt,
                "payment_reference": deal.payment_reference,
                "code": code,
                "reason": reason or deal.reason,
                "actor": self.command.actor,
                "recorded_at": self.at,
            },
        )

    def receipt(self, deal: Deal) -> str:
        """Add a receipt and return its number; a decision issues one at most."""
        number = receipts.next_number(self.state, received_at_ms=self.received_at_ms)
        tenant = self.state.tenant
        self.facts.append(
            receipts.issued(deal, number=number, tenant=tenant, wallet=self.wallet, at=self.at)
        )
        return number

    def notify(self, *, kind: str, title: str, body: str, charge: str = "") -> None:
        """Add a notice to the customer."""
        self.add(
            "Notified",
            {
                "notification": self.id_of("ntf", self.command.command_id, str(self._notices)),
                "customer": self.wallet.customer,
                "kind": kind,
                "charge": charge,
                "title": title,
                "body": body,
                "at": self.at,
            },
        )
        self._notices += 1

    def made(self) -> tuple[Fact, ...]:
        """Return the facts, in the order in which they apply."""
        return tuple(self.facts)


def _opening_json(opens: Opening | None, *, age: int) -> Json:
    if opens is None:
        return None
    expiry = opens.expires_at_ms
    return {
        "grant": opens.grant,
        "age": age,
        "priority": opens.priority,
        "expires_at": None if expiry is None else time_text(from_ms(expiry)),
    }
