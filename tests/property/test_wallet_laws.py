"""Laws of wallets: against a plain ledger of its own, for any order of commands."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from domain.books.charge import PAID, ChargeStatus
from domain.books.facts import Outcome
from domain.books.fold import BooksFold
from domain.books.records import Command, CommandRecord
from domain.canonical import sha256_hex
from domain.catalogue import parse_catalogue
from domain.codes import Code
from domain.suspicions import FailedAttempts
from tests.support import wallets
from tests.support.billing import bodies
from tests.support.kept_books import canonical, through_checkpoint
from tests.support.wallets import HOUR_MS, WalletBooks

CUSTOMERS = st.sampled_from(["ada", "bo"])
AMOUNTS = st.integers(1, 130)
TIERS = st.sampled_from(["blueprint_package", "bom_suppliers", "full_emergence_bundle"])
PROJECTS = st.sampled_from(["one", "two", "three", "four", "five", "six", "seven", "eight"])
PICKS = st.integers(0, 1_000)


@dataclass
class Lot:
    """Credits of one origin, in the plain ledger."""

    priority: int
    expires_ms: int | None
    age: int
    left: int
    parked: dict[str, int] = field(default_factory=dict)


@dataclass
class Plain:
    """A customer's wallet in the plain ledger: lots, and what charges parked of them.

    It knows nothing of postings, legs or facts: it takes from lots and puts back.
    """

    lots: dict[str, Lot] = field(default_factory=dict)
    spent_minor: int = 0
    count: int = 0

    def add(
        self, name: str, credits_: int, *, priority: int = 100, expires: int | None = None
    ) -> None:
        """Put a lot in."""
        self.lots[name] = Lot(priority, expires, self.count, credits_)
        self.count += 1

    def living(self, now_ms: int) -> list[tuple[str, Lot]]:
        """Lots that are not over, in burn order."""
        far = 10**18
        return sorted(
            (
                (name, lot)
                for name, lot in self.lots.items()
                if lot.expires_ms is None or now_ms < lot.expires_ms
            ),
            key=lambda each: (each[1].priority, each[1].expires_ms or far, each[1].age),
        )

    def spendable(self, now_ms: int) -> int:
        """What a charge could take."""
        return sum(lot.left for _, lot in self.living(now_ms))

    def take(self, quantity: int, now_ms: int, *, charge: str = "") -> None:
        """Take credits; for a charge they are parked."""
        for _, lot in self.living(now_ms):
            part = min(quantity, lot.left)
            lot.left -= part
            quantity -= part
            if charge and part:
                lot.parked[charge] = part
        assert quantity == 0

    def unpark(self, charge: str, *, is_back: bool) -> None:
        """End what a charge parked: back into its lots, or gone."""
        for lot in self.lots.values():
            part = lot.parked.pop(charge, 0)
            lot.left += part if is_back else 0

    @property
    def parked(self) -> int:
        """What charges hold."""
        return sum(part for lot in self.lots.values() for part in lot.parked.values())


class WalletMachine(RuleBasedStateMachine):
    """Any commands in any order, each judged by the plain ledger before it is sent."""

    @initialize()
    def begin(self) -> None:
        """Two customers with their bonus."""
        self.books = WalletBooks()
        self.plain: dict[str, Plain] = {}
        self.terms: dict[str, dict[str, Any]] = {}
        self.status: dict[str, str] = {}
        self.back: dict[str, int] = {}
        self.taken: dict[tuple[str, str, int], str] = {}
        self.receipts = 0
        for customer in ("ada", "bo"):
            self.books.customer(customer)
            self.plain[customer] = Plain()
            self.plain[customer].add("signup", 100)

    def send(self, kind: str, code: Code | str, **body: Any) -> Outcome:
        """Send a command, then again under its id: the second one is a repeat."""
        outcome = self.books.do(kind, **body)
        assert code == outcome.code, outcome.reason
        place = len(self.books.records) - 1
        again = self.books.do(kind, command_id=f"cmd_{place}", **body)
        assert (True, code, ()) == (again.repeat, again.code, again.facts)
        if code:
            assert not [name for name, _ in bodies(outcome) if name == "CreditsPosted"]
        return outcome

    def some(self, pick: int, *statuses: str) -> str | None:
        """A charge in one of the statuses."""
        found = [charge for charge, status in self.status.items() if status in statuses]
        return found[pick % len(found)] if found else None

    @rule(hours=st.integers(1, 30))
    def wait(self, hours: int) -> None:
        """Time passes; grants and approvals run out."""
        self.books.wait(hours)

    @rule(customer=CUSTOMERS, quantity=st.sampled_from([1, 7, 100, 250]), is_right=st.booleans())
    def top_up(self, customer: str, quantity: int, *, is_right: bool) -> None:
        """Credits are bought at their price, or refused."""
        price = {100: 1_000, 250: 2_400}.get(quantity, quantity * 10)
        name = f"top_{len(self.books.records)}"
        body: dict[str, Any] = {
            "top_up": name,
            "customer": customer,
            "credits": quantity,
            "amount_minor": (price if is_right else price + 1) * 100,
            "currency": "PHP",
        }
        self.send("TopUp", "" if is_right else Code.AMOUNT_WRONG, **body)
        if is_right:
            self.plain[customer].add(name, quantity)
            self.receipts += 1

    @rule(
        customer=CUSTOMERS,
        quantity=AMOUNTS,
        priority=st.integers(99, 101),
        hours=st.one_of(st.none(), st.integers(1, 60)),
    )
    def grant(self, customer: str, quantity: int, priority: int, hours: int | None) -> None:
        """An admin gives credits, for a time or for good."""
        name = f"grt_{len(self.books.records)}"
        more: dict[str, Any] = {} if hours is None else {"expires_at": self.books.at(hours)}
        self.send("GrantCredits", "", grant=name, customer=customer, credits=quantity,
                  priority=priority, reason="r", **more)  # fmt: skip
        expires = None if hours is None else self.moment + hours * HOUR_MS
        self.plain[customer].add(name, quantity, priority=priority, expires=expires)
        self.receipts += 1

    @property
    def moment(self) -> int:
        """Now, as the books see it."""
        return self.books.now_ms

    @rule(customer=CUSTOMERS, quantity=AMOUNTS)
    def take(self, customer: str, quantity: int) -> None:
        """An admin takes credits, never below 0."""
        plain = self.plain[customer]
        is_there = plain.spendable(self.moment) >= quantity
        self.send(
            "TakeCredits",
            "" if is_there else Code.INSUFFICIENT_CREDITS,
            adjustment=f"adj_{len(self.books.records)}",
            customer=customer,
            credits=quantity,
            reason="r",
        )
        if is_there:
            plain.take(quantity, self.moment)
            self.receipts += 1

    @rule(customer=CUSTOMERS)
    def expire_credits(self, customer: str) -> None:
        """What is over is posted away; nobody could have spent it."""
        self.send("ExpireCredits", "", customer=customer, as_of=self.books.at())
        for lot in self.plain[customer].lots.values():
            if lot.expires_ms is not None and lot.expires_ms <= self.moment:
                lot.left = 0

    @rule(customer=CUSTOMERS, tier=TIERS, project=PROJECTS, generation=st.integers(1, 2))
    def request(self, customer: str, tier: str, project: str, generation: int) -> None:
        """The policy asks for a charge, unless what it covers was paid before."""
        charge = f"emg_{len(self.books.records)}"
        body = wallets.request_body(tier, project=project, charge=charge, customer=customer)
        body["generation"] = generation
        covers: Any = body["covers"]
        body["covers"] = [[code, generation] for code, _ in covers]
        places = [(project, code, generation) for code, _ in covers]
        is_paid = any(
            place in self.taken and self.status[self.taken[place]] not in {"requested", "approved"}
            for place in places
        )
        self.send("RequestCharge", Code.TIER_CHARGED if is_paid else "", **body)
        if not is_paid:
            self.status[charge] = "requested"
            self.terms[charge] = {**body, "places": places, "until": self.moment + 72 * HOUR_MS}
            self.back[charge] = 0

    @rule(pick=PICKS, is_captured=st.booleans())
    def approve(self, pick: int, *, is_captured: bool) -> None:
        """In time, of something that is free, with the credits there; or refused."""
        charge = self.some(pick, "requested")
        if charge is None:
            return
        terms = self.terms[charge]
        plain = self.plain[terms["customer"]]
        code: Code | str = ""
        if self.moment >= terms["until"]:
            code = Code.APPROVAL_EXPIRED
        elif any(self.taken.get(place, charge) != charge for place in terms["places"]):
            code = Code.TIER_CHARGED
        elif plain.spendable(self.moment) < terms["credits"]:
            code = Code.INSUFFICIENT_CREDITS
        self.send("ApproveCharge", code, charge=charge, capture=is_captured)
        if code:
            return
        plain.take(terms["credits"], self.moment, charge=charge)
        self.taken |= dict.fromkeys(terms["places"], charge)
        self.status[charge] = "approved"
        if is_captured:
            self._captured(charge)

    def _captured(self, charge: str) -> None:
        terms = self.terms[charge]
        plain = self.plain[terms["customer"]]
        plain.unpark(charge, is_back=False)
        plain.spent_minor += terms["price_minor"]
        self.status[charge] = "captured"
        self.receipts += 1

    @rule(pick=PICKS)
    def capture(self, pick: int) -> None:
        """Held credits are taken, however late."""
        charge = self.some(pick, "approved")
        if charge is not None:
            self.send("CaptureCharge", "", charge=charge)
            self._captured(charge)

    @rule(pick=PICKS, kind=st.sampled_from(["DeclineCharge", "WithdrawCharge", "ExpireCharge"]))
    def end(self, pick: int, kind: str) -> None:
        """An open charge ends; what it held is back where it came from."""
        charge = self.some(pick, "requested", "approved")
        if charge is None:
            return
        body: dict[str, Any] = {"charge": charge}
        code: Code | str = ""
        if kind == "WithdrawCharge":
            body |= {"how": "reversed", "by": "", "reason": "r"}
        if kind == "ExpireCharge":
            body["as_of"] = self.books.at()
            code = "" if self.moment >= self.terms[charge]["until"] else Code.NOT_DUE
        self.send(kind, code, **body)
        if not code:
            self.plain[self.terms[charge]["customer"]].unpark(charge, is_back=True)
            for place in self.terms[charge]["places"]:
                if self.taken.get(place) == charge:
                    del self.taken[place]
            self.status[charge] = "ended"

    @rule(pick=PICKS, quantity=st.one_of(st.none(), AMOUNTS))
    def refund(self, pick: int, quantity: int | None) -> None:
        """A part or all is given back, never more than was taken."""
        charge = self.some(pick, "captured")
        if charge is None:
            return
        terms = self.terms[charge]
        left = terms["credits"] - self.back[charge]
        wanted = left if quantity is None else quantity
        more: dict[str, Any] = {} if quantity is None else {"credits": quantity}
        code = Code.REFUND_TOO_LARGE if wanted > left else ""
        outcome = self.send("RefundCharge", code, charge=charge, reason="r", **more)
        if not code:
            self._refunded(charge, wanted, outcome)

    @rule(pick=PICKS)
    def fail(self, pick: int) -> None:
        """Nothing could be delivered: all that is left goes back."""
        charge = self.some(pick, "captured")
        if charge is not None:
            outcome = self.send("FailDelivery", "", charge=charge, reason="r")
            self._refunded(charge, self.terms[charge]["credits"] - self.back[charge], outcome)

    def _refunded(self, charge: str, quantity: int, outcome: Outcome) -> None:
        terms = self.terms[charge]
        plain = self.plain[terms["customer"]]
        plain.add(f"refund_{len(self.books.records)}", quantity)
        (fact,) = [body for kind, body in bodies(outcome) if kind == "ChargeRefunded"]
        amount: Any = fact["amount_minor"]
        plain.spent_minor -= amount
        self.back[charge] += quantity
        self.receipts += 1
        if self.back[charge] == terms["credits"]:
            self.status[charge] = "refunded"
            for place in terms["places"]:
                del self.taken[place]  # nobody pays for it any more
            paid = sum(
                body["amount_minor"]
                for body in self.books.kept("ChargeRefunded")
                if body["charge"] == charge
            )
            assert terms["price_minor"] == paid

    @rule(pick=PICKS, kind=st.sampled_from(["ApproveCharge", "CaptureCharge", "RefundCharge"]))
    def poke(self, pick: int, kind: str) -> None:
        """What a status does not allow is refused."""
        statuses = {
            "ApproveCharge": ("approved", "captured", "ended", "refunded"),
            "CaptureCharge": ("requested", "captured", "ended", "refunded"),
            "RefundCharge": ("requested", "approved", "ended", "refunded"),
        }
        codes = {
            "ApproveCharge": Code.CHARGE_NOT_OPEN,
            "CaptureCharge": Code.CHARGE_NOT_HELD,
            "RefundCharge": Code.CHARGE_NOT_CAPTURED,
        }
        charge = self.some(pick, *statuses[kind])
        if charge is not None:
            more: dict[str, Any] = {"reason": "r"} if kind == "RefundCharge" else {}
            self.send(kind, codes[kind], charge=charge, **more)

    @invariant()
    def balances_are_those_of_the_plain_ledger(self) -> None:
        """What can be spent, what is held, and what was spent in money."""
        for customer, plain in self.plain.items():
            wallet = self.books.wallet(customer)
            assert plain.spendable(self.moment) == wallet.spendable(now_ms=self.moment)
            assert plain.parked == wallet.held
            assert plain.spent_minor == wallet.spent_minor
            # Lot by lot, so that the burn order shows; what has expired may be posted already.
            assert [
                (lot.priority, lot.expires_ms, lot.left, sum(lot.parked.values()))
                for _, lot in sorted(plain.living(self.moment), key=lambda each: each[1].age)
                if lot.left or lot.parked
            ] == [
                (each.opening.priority, each.opening.expires_at_ms, each.available, each.held)
                for each in sorted(wallet.grants, key=lambda each: each.age)
                if not each.is_expired(now_ms=self.moment)
            ]

    @invariant()
    def postings_add_up_to_the_balance(self) -> None:
        """Each to 0; all of a customer's to the balance; and the last one says so."""
        sums: dict[tuple[str, str], int] = {}
        total = 0
        for posting in self.books.kept("CreditsPosted"):
            assert sum(leg["credits"] for leg in posting["legs"]) == 0
            for leg in posting["legs"]:
                total += leg["credits"]
                key = (posting["customer"], leg["account"])
                sums[key] = sums.get(key, 0) + leg["credits"]
            for account in ("available", "held"):
                assert posting[account] == sums.get((posting["customer"], account), 0) >= 0
        assert total == 0
        for customer in self.plain:
            wallet = self.books.wallet(customer)
            assert wallet.available == sums.get((customer, "available"), 0)
            assert wallet.held == sums.get((customer, "held"), 0)

    @invariant()
    def receipts_have_no_gap(self) -> None:
        """1, 2, 3 … in the year."""
        numbers = [body["receipt"] for body in self.books.kept("ReceiptIssued")]
        assert [f"RCP-2025-{number + 1:06}" for number in range(self.receipts)] == numbers
        for body in self.books.kept("ReceiptIssued"):
            assert body["content_sha256"] == sha256_hex(body["content"])

    @invariant()
    def nothing_is_held_or_paid_twice(self) -> None:
        """What two charges stand for has one of them in its place."""
        state = self.books.state
        for place, owner in state.covered.items():
            taking = [
                charge.charge
                for charge in state.charges.values()
                if place in charge.places and charge.status in {ChargeStatus.APPROVED, *PAID}
            ]
            assert [owner] == taking

    def teardown(self) -> None:  # type: ignore[explicit-override]
        """Facts, one micro-batch, and a checkpoint with later facts reach the same books."""
        if not hasattr(self, "books"):
            return
        restored = BooksFold(partition=0, partitions=1)
        for facts in self.books.facts:
            restored.restore(facts)
        at_once = BooksFold(partition=0, partitions=1)
        records = self.books.records
        made = at_once.step(records, from_offset=0, to_offset=len(records))
        assert [each for facts in self.books.facts for each in facts.outcomes] == list(
            made.outcomes
        )
        assert restored._tenants == at_once._tenants == self.books.fold._tenants
        count = len(self.books.facts)
        kept = through_checkpoint(self.books.facts, cut=count * 2 // 3, facts_between=count // 4)
        assert canonical(kept) == canonical(self.books.fold)


TestWallets = WalletMachine.TestCase
TestWallets.settings = settings(stateful_step_count=40, deadline=None)


class TestTheMachine:
    """The laws are not about nothing."""

    def test_its_catalogue_has_wallets_and_rules(self) -> None:
        """Otherwise every command would be refused."""
        catalogue = parse_catalogue(wallets.s0_content())
        assert catalogue.wallet is not None
        assert any(isinstance(each, FailedAttempts) for each in catalogue.suspicions)

    def test_another_actor_is_no_other_command(self) -> None:
        """Who asks is kept, and is no part of what a repeat is."""
        fold = BooksFold(partition=0, partitions=1)
        body = json.dumps({"customer": "ada", "currency": "PHP"})
        records = [
            CommandRecord(offset, 0, Command("t", "cmd", "CreateCustomer", body, actor))
            for offset, actor in enumerate(("api", "cli"))
        ]
        facts = fold.step(records, from_offset=0, to_offset=2)
        assert [False, True] == [each.repeat for each in facts.outcomes]
