"""Books with S0's catalogue, and the commands of wallets and charges in short form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from cli.catalogue_file import read_catalogue_file
from domain.books.charge import Charge
from domain.books.facts import Outcome
from domain.books.state import TenantState
from domain.books.wallet import Wallet
from domain.canonical import Json
from domain.catalogue import parse_catalogue
from domain.period import from_ms, time_text, to_ms
from tests.support import billing, checkout
from tests.support.billing import bodies

S0 = checkout.ROOT / "deploy" / "catalogues" / "s0_bem_emergence.yaml"
HOUR_MS = 3_600_000


@cache
def s0_content() -> str:
    """The catalogue of S0 as canonical JSON."""
    return read_catalogue_file(S0)


def content_with(version: int = 1, **changes: Any) -> str:
    """The same with other parts; a part that is None is left out."""
    document = {**json.loads(s0_content()), "version": version, **changes}
    return json.dumps({name: part for name, part in document.items() if part is not None})


class WalletBooks(billing.Books):
    """Books with the catalogue in force; time stands still unless it is moved.

    Args:
        content: The catalogue; None for none.
    """

    def __init__(self, content: str | None = "", *, tenant: str = "tenant") -> None:
        super().__init__(tenant=tenant)
        self.now_ms = to_ms(billing.moment("2025-01-01"))
        self._charges = 0
        if content is not None:
            assert self.do("PublishCatalogue", content=content or s0_content()).code == ""

    @property
    def state(self) -> TenantState:
        """The books themselves."""
        return self.fold._tenants[self.tenant]

    def wait(self, hours: int) -> None:
        """Let time pass."""
        self.now_ms += hours * HOUR_MS

    def at(self, hours: int = 0) -> str:
        """A moment from now, as commands write it."""
        return time_text(from_ms(self.now_ms + hours * HOUR_MS))

    def do(self, kind: str, *, command_id: str = "", **body: Any) -> Outcome:
        """Send a command now."""
        shift_ms = self.now_ms - len(self.records)
        received_at = from_ms(shift_ms).isoformat().replace("+00:00", "")
        return self.send(kind, body, command_id=command_id, received_at=received_at)

    def ok(self, kind: str, *, command_id: str = "", **body: Any) -> Outcome:
        """Send a command that is accepted."""
        outcome = self.do(kind, command_id=command_id, **body)
        assert outcome.code == "", outcome.reason
        return outcome

    def customer(self, customer: str = "ada", currency: str = "PHP") -> str:
        """Sign a customer up."""
        self.ok("CreateCustomer", customer=customer, currency=currency)
        return customer

    def top_up(self, quantity: int, amount: int, *, customer: str = "ada", **more: Any) -> Outcome:
        """Buy credits for an amount in major units."""
        body: dict[str, Any] = {
            "top_up": f"top_{len(self.records)}",
            "customer": customer,
            "credits": quantity,
            "amount_minor": amount * 100,
            "currency": "PHP",
        }
        return self.do("TopUp", **{**body, **more})

    def request(self, tier: str, *, project: str = "house", **changes: Any) -> str:
        """Ask for a charge as the policy does, and return its id."""
        body = request_body(tier, project=project, number=self._charges, **changes)
        self._charges += 1
        self.ok("RequestCharge", **body)
        return str(body["charge"])

    def approved(self, tier: str, **changes: Any) -> Outcome:
        """Ask for a charge and approve it."""
        return self.do("ApproveCharge", charge=self.request(tier, **changes))

    def wallet(self, customer: str = "ada") -> Wallet:
        """A wallet as the books have it."""
        return self.state.wallets[customer]

    def charge(self, charge: str) -> Charge:
        """A charge as the books have it."""
        return self.state.charges[charge]

    def kept(self, kind: str) -> list[dict[str, Any]]:
        """Every fact of a kind, in order."""
        return [
            body
            for facts in self.facts
            for outcome in facts.outcomes
            for name, body in bodies(outcome)
            if name == kind
        ]

    def transactions(self) -> list[tuple[str, str, int, int]]:
        """The last word on every transaction: kind, status, credits, minor units."""
        last = {body["transaction"]: body for body in self.kept("TransactionRecorded")}
        return [
            (body["kind"], body["status"], body["credits"], body["amount_minor"])
            for body in last.values()
        ]


def request_body(
    tier: str, *, project: str = "house", number: int = 0, **changes: Any
) -> dict[str, Any]:
    """The body of RequestCharge for a tier or bundle of S0."""
    rules = parse_catalogue(s0_content()).emergence
    (terms,) = [terms for terms in rules.terms if terms.code == tier]
    members: Sequence[str] = next(
        (bundle.tiers for bundle in rules.bundles if bundle.terms.code == tier), ()
    )
    covers: list[Json] = [[code, 1] for code in (*members, tier)]
    body: dict[str, Any] = {
        "charge": f"emg_{number}",
        "customer": "ada",
        "project": project,
        "lone_node": "",
        "tier": tier,
        "name": terms.name,
        "generation": 1,
        "covers": covers,
        "credits": terms.credits,
        "price_minor": terms.price.amount_minor,
        "currency": terms.price.currency,
        "delivers": list(terms.delivers),
        "evidence": [{"tier": tier, "node": "n1", "partition": 0, "offset": 5, "values": {}}],
        "rule_version": 1,
        "rule_sha256": "a" * 64,
        "detected_at": "2025-01-01T00:00:00Z",
    }
    return {**body, **changes}


def names(outcome: Outcome) -> list[str]:
    """The kinds of an outcome's facts."""
    return [kind for kind, _ in bodies(outcome)]


def everything() -> WalletBooks:
    """Books in which every fact of wallets, charges and suspicions happened."""
    books = WalletBooks()
    books.ok("CreateCustomer", customer="ada", currency="PHP", email_digest="e" * 64)
    books.top_up(500, 4_500, payment_reference="pay_1")
    books.top_up(500, 1)
    books.ok("GrantCredits", grant="grt_1", customer="ada", credits=10, reason="gift", priority=1,
             expires_at=books.at(100))  # fmt: skip
    books.ok("TakeCredits", adjustment="adj_1", customer="ada", credits=5, reason="mistake")
    refunded, delivered, declined, expired, withdrawn, poor, held, waiting = (
        books.request(tier, project=project, **more)
        for tier, project, more in (
            ("blueprint_package", "one", {}),
            ("bom_suppliers", "two", {}),
            ("compliance_package", "three", {}),
            ("compliance_package", "four", {}),
            ("compliance_package", "five", {}),
            ("full_emergence_bundle", "six", {"credits": 10_000}),
            ("investment_report", "", {"lone_node": "shed"}),
            ("bom_suppliers", "eight", {}),
        )
    )
    item: Json = {"name": "a.dxf", "kind": "DXF", "uri": "s3://a", "sha256": "b" * 64, "bytes": 1}
    books.ok("RegisterDeliverable", charge=refunded, deliverable=item)
    books.ok("ApproveCharge", charge=refunded)
    books.ok("RefundCharge", charge=refunded, credits=20, reason="part")
    books.ok("FailDelivery", charge=refunded, reason="empty")
    books.ok("ApproveCharge", charge=delivered)
    books.ok("MarkDelivered", charge=delivered)
    books.ok("ApproveCharge", charge=declined, capture=False)
    books.ok("DeclineCharge", charge=declined, reason="too early")
    books.do("ApproveCharge", charge=poor)
    books.ok("WithdrawCharge", charge=withdrawn, how="superseded", by="emg_x", reason="bundle")
    books.ok("ApproveCharge", charge=held, capture=False)
    books.wait(72)
    books.ok("ExpireCharge", charge=expired, as_of=books.at())
    books.ok("SetAutoApproval", customer="ada", limit_credits=30)
    books.request("bom_suppliers", project="nine")
    books.do("RequestCharge", **request_body("bom_suppliers", charge="emg_n", customer="nobody"))
    books.ok("RaiseSuspicion", suspicion="sus_1", customer="ada", rule="just_over", detail="x")
    books.ok("CloseSuspicion", suspicion="sus_1", note="fine")
    books.wait(30)
    books.ok("ExpireCredits", customer="ada", as_of=books.at())
    assert books.charge(waiting).status == "requested"
    return books
