"""Wallets: S0's credit ledger by its worked examples, and what may be given, taken and bought."""

from __future__ import annotations

import json
from typing import Any

import pytest

from domain.canonical import Json, sha256_hex
from domain.codes import Code
from domain.wallet_terms import WalletTerms
from tests.support import wallets
from tests.support.billing import bodies
from tests.support.wallets import WalletBooks, names


@pytest.fixture
def books() -> WalletBooks:
    """Ada, signed up under S0's catalogue."""
    made = WalletBooks()
    made.customer()
    return made


def terms(books: WalletBooks) -> WalletTerms:
    """The wallet part of the catalogue in force."""
    catalogue = books.state.catalogue
    assert catalogue is not None
    assert catalogue.wallet is not None
    return catalogue.wallet


class TestSignUp:
    def test_x_14_s0_11_gives_100_credits_worth_1000(self, books: WalletBooks) -> None:
        """At ₱10 each; nothing is spent."""
        assert (100, 0, 0) == (
            books.wallet().available,
            books.wallet().held,
            books.wallet().spent_minor,
        )
        assert terms(books).credit_price.amount_minor * 100 == 100_000

    def test_gives_the_bonus_once(self, books: WalletBooks) -> None:
        """The same customer cannot be made again."""
        assert (
            Code.CUSTOMER_EXISTS == books.do("CreateCustomer", customer="ada", currency="PHP").code
        )
        assert books.wallet().available == 100

    def test_s0_01_refuses_an_address_that_another_customer_has(self, books: WalletBooks) -> None:
        """Only the hash is here."""
        digest = sha256_hex("a@example.org")
        books.ok("CreateCustomer", customer="bo", currency="PHP", email_digest=digest)
        again = books.do("CreateCustomer", customer="cy", currency="PHP", email_digest=digest)
        assert Code.EMAIL_TAKEN == again.code

    def test_opens_no_wallet_in_another_currency(self, books: WalletBooks) -> None:
        """The customer is there and can be invoiced; credits are in pesos."""
        outcome = books.ok("CreateCustomer", customer="bo", currency="USD")
        assert ["CustomerCreated"] == names(outcome)
        assert Code.CURRENCY_DIFFERS == books.top_up(100, 1_000, customer="bo").code

    def test_gives_nothing_to_who_was_there_before_the_wallet(self) -> None:
        """Their wallet opens with what they buy."""
        books = WalletBooks(wallets.content_with(wallet=None, suspicions=None))
        books.customer()
        assert Code.WALLET_MISSING == books.top_up(100, 1_000).code
        books.ok("PublishCatalogue", content=wallets.content_with(2))
        assert books.top_up(100, 1_000).code == ""
        assert books.wallet().available == 100


class TestTopUp:
    @pytest.mark.parametrize(
        ("quantity", "amount", "percent", "per_credit"),
        [
            pytest.param(100, 1_000, 0, "10.00", id="x_23"),
            pytest.param(250, 2_400, 4, "9.60", id="x_24"),
            pytest.param(500, 4_500, 10, "9.00", id="x_25"),
        ],
    )
    def test_x_23_x_24_x_25_s0_36_adds_exactly_what_was_bought(
        self, books: WalletBooks, quantity: int, amount: int, percent: int, per_credit: str
    ) -> None:
        """The percentage is a price cut, not more credits (S0-R9)."""
        assert books.top_up(quantity, amount).code == ""
        assert 100 + quantity == books.wallet().available
        price = terms(books).price_of(quantity=quantity)
        assert amount * 100 == price.amount_minor
        listed = terms(books).credit_price.amount_minor * quantity
        assert percent * listed == 100 * (listed - price.amount_minor)
        whole, rest = divmod(price.amount_minor, quantity)
        assert (per_credit, 0) == (f"{whole // 100}.{whole % 100:02}", rest)

    def test_x_26_refuses_a_listed_package_at_another_amount(self, books: WalletBooks) -> None:
        """1,000 ≠ 4,500: the balance stays, the attempt is on record and looked at."""
        outcome = books.top_up(500, 1_000)
        assert Code.AMOUNT_WRONG == outcome.code
        assert "500 credits cost 4500.00 PHP, not 1000.00 PHP" == outcome.reason
        assert ["TopUpRefused", "TransactionRecorded", "SuspicionRaised"] == names(outcome)
        assert [("top_up", "failed", 500, 100_000)] == books.transactions()
        assert 100 == books.wallet().available

    def test_s0_r10_other_quantities_cost_ten_each(self, books: WalletBooks) -> None:
        """No interpolation between packages."""
        assert Code.AMOUNT_WRONG == books.top_up(101, 1_000).code
        assert "" == books.top_up(101, 1_010).code

    def test_s0_51_leaves_a_receipt(self, books: WalletBooks) -> None:
        """Customer, top-up, credits, amount, date and transaction; its hash is its content's."""
        outcome = books.top_up(100, 1_000, payment_reference="pay_7")
        (receipt,) = [body for kind, body in bodies(outcome) if kind == "ReceiptIssued"]
        content = json.loads(str(receipt["content"]))
        assert receipt["content_sha256"] == sha256_hex(str(receipt["content"]))
        assert {
            "number": "RCP-2025-000001",
            "kind": "top_up",
            "customer": "ada",
            "name": "Top-up of 100 credits",
            "credits": 100,
            "amount": "1000.00",
            "amount_minor": 100_000,
            "currency": "PHP",
            "date": "2025-01-01T00:00:00Z",
            "payment_reference": "pay_7",
            "credits_available_after": 200,
        }.items() <= content.items()
        assert [content["transaction"]] == [
            body["transaction"] for kind, body in bodies(outcome) if kind == "TransactionRecorded"
        ]

    def test_takes_an_id_once(self, books: WalletBooks) -> None:
        """Another command with the same top-up is no second top-up; a refused one took nothing."""
        assert Code.AMOUNT_WRONG == books.top_up(100, 999, top_up="top_a").code
        assert "" == books.top_up(100, 1_000, top_up="top_a").code
        assert Code.TOP_UP_EXISTS == books.top_up(100, 1_000, top_up="top_a").code
        assert 200 == books.wallet().available

    def test_twice_under_one_command_id_acts_once(self, books: WalletBooks) -> None:
        """The same body is a repeat, another one a conflict."""
        body: dict[str, Any] = {"top_up": "top_a", "command_id": "key"}
        assert "" == books.top_up(100, 1_000, **body).code
        assert books.top_up(100, 1_000, **body).repeat
        assert Code.IDEMPOTENCY_CONFLICT == books.top_up(250, 2_400, **body).code
        assert 200 == books.wallet().available

    @pytest.mark.parametrize("credits_", [0, -1, 10**9 + 1, "100", True, None])
    def test_refuses_quantities_that_are_none(self, books: WalletBooks, credits_: Json) -> None:
        """Zero, negative, too many, and other types."""
        outcome = books.top_up(100, 1_000, credits=credits_)
        assert (Code.COMMAND_INVALID, True) == (outcome.code, "TopUp.credits" in outcome.reason)


class TestGrants:
    def test_burn_by_priority_then_expiry_then_age(self, books: WalletBooks) -> None:
        """Among equals what is over first goes first, what never is goes last."""
        for grant, more in (
            ("grt_late", {"expires_at": books.at(48)}),
            ("grt_soon", {"expires_at": books.at(24)}),
            ("grt_first", {"priority": 1}),
        ):
            books.ok("GrantCredits", grant=grant, customer="ada", credits=10, reason="r", **more)
        books.ok("TakeCredits", adjustment="adj_1", customer="ada", credits=35, reason="r")
        legs = books.kept("CreditsPosted")[-1]["legs"]
        assert [("grt_first", -10), ("grt_soon", -10), ("grt_late", -10)] == [
            (leg["grant"], leg["credits"]) for leg in legs[:3]
        ]
        assert ("adjusted", 35) == (legs[4]["account"], legs[4]["credits"])
        assert 95 == books.wallet().available

    def test_are_gone_from_their_expiry_on(self, books: WalletBooks) -> None:
        """Nobody has to post it first: the decision itself sees it."""
        books.ok("TakeCredits", adjustment="adj_1", customer="ada", credits=100, reason="r")
        books.ok("GrantCredits", grant="grt_1", customer="ada", credits=50, reason="r",
                 expires_at=books.at(1))  # fmt: skip
        books.wait(1)
        outcome = books.approved("blueprint_package")
        assert Code.INSUFFICIENT_CREDITS == outcome.code
        assert 50 == books.wallet().available
        assert "" == books.top_up(100, 1_000).code
        assert (100, "expiry") == (
            books.wallet().available,
            books.kept("CreditsPosted")[-2]["kind"],
        )

    def test_are_posted_away_when_somebody_says_so(self, books: WalletBooks) -> None:
        """ExpireCredits judges by as_of, which must have come; twice changes nothing."""
        books.ok("GrantCredits", grant="grt_1", customer="ada", credits=50, reason="r",
                 expires_at=books.at(2))  # fmt: skip
        early = books.do("ExpireCredits", customer="ada", as_of=books.at(3))
        assert Code.NOT_DUE == early.code
        books.wait(3)
        assert [] == names(books.ok("ExpireCredits", customer="ada", as_of=books.at(-2)))
        assert ["CreditsPosted"] == names(books.ok("ExpireCredits", customer="ada",
                                                   as_of=books.at(-1)))  # fmt: skip
        assert [] == names(books.ok("ExpireCredits", customer="ada", as_of=books.at()))
        assert 100 == books.wallet().available

    def test_cannot_take_another_ones_place(self, books: WalletBooks) -> None:
        """An id that a posting made is taken too: what is on it would be gone."""
        signup = books.kept("CreditsPosted")[0]["opens"]["grant"]
        outcome = books.do("GrantCredits", grant=signup, customer="ada", credits=1, reason="r")
        assert Code.GRANT_EXISTS == outcome.code
        assert 100 == books.wallet().available

    def test_end_somewhere(self, books: WalletBooks) -> None:
        """A wallet has at most 1,000 grants with credits; a refund finds room all the same."""
        charge = books.request("blueprint_package")
        books.ok("ApproveCharge", charge=charge)
        for number in range(999):
            books.ok("GrantCredits", grant=f"grt_{number}", customer="ada", credits=1, reason="r",
                     expires_at=books.at(9))  # fmt: skip
        full = books.do("GrantCredits", grant="grt_x", customer="ada", credits=1, reason="r")
        assert Code.WALLET_FULL == full.code
        assert Code.WALLET_FULL == books.top_up(100, 1_000).code
        books.ok("RefundCharge", charge=charge, reason="r")
        assert (100 + 999, 1_000) == (books.wallet().available, len(books.wallet().grants))


class TestAdjustments:
    def test_never_go_below_0(self, books: WalletBooks) -> None:
        """An admin may take what is there, and no more."""
        take: dict[str, Any] = {"customer": "ada", "reason": "r"}
        refused = books.do("TakeCredits", adjustment="adj_1", credits=101, **take)
        assert Code.INSUFFICIENT_CREDITS == refused.code
        books.ok("TakeCredits", adjustment="adj_1", credits=100, **take)
        assert 0 == books.wallet().available

    def test_s0_63_leave_a_transaction_and_a_receipt(self, books: WalletBooks) -> None:
        """With who did it and why."""
        outcome = books.ok(
            "TakeCredits", adjustment="adj_1", customer="ada", credits=1, reason="r"
        )
        assert ["CreditsPosted", "ReceiptIssued", "TransactionRecorded"] == names(outcome)
        assert [("adjustment", "completed", -1, 0)] == books.transactions()

    def test_cannot_touch_held_credits(self, books: WalletBooks) -> None:
        """What a charge holds belongs to it."""
        books.ok("ApproveCharge", charge=books.request("blueprint_package"), capture=False)
        refused = books.do(
            "TakeCredits", adjustment="adj_1", customer="ada", credits=51, reason="r"
        )
        assert Code.INSUFFICIENT_CREDITS == refused.code
        assert (50, 50) == (books.wallet().available, books.wallet().held)


class TestReceipts:
    def test_are_numbered_by_year_of_receipt(self, books: WalletBooks) -> None:
        """One sequence per tenant and year, without gaps, whatever was refused in between."""
        books.top_up(100, 1_000)
        books.top_up(100, 1)
        books.top_up(100, 1_000)
        books.wait(24 * 366)
        books.top_up(100, 1_000)
        assert ["RCP-2025-000001", "RCP-2025-000002", "RCP-2026-000001"] == [
            body["receipt"] for body in books.kept("ReceiptIssued")
        ]


class TestPrices:
    @pytest.mark.parametrize(
        ("tier", "list_value", "price", "per_credit"),
        [
            pytest.param("blueprint_package", 500, 500, 10_00, id="x_28"),
            pytest.param("bom_suppliers", 300, 250, 8_33, id="x_29"),
            pytest.param("compliance_package", 350, 300, 8_57, id="x_30"),
            pytest.param("investment_report", 600, 700, 11_67, id="x_31"),
            pytest.param("full_emergence_bundle", 1_200, 1_499, 12_49, id="x_32"),
        ],
    )
    def test_x_28_to_x_32_s0_r1_do_not_follow_the_credits(
        self, books: WalletBooks, tier: str, list_value: int, price: int, per_credit: int
    ) -> None:
        """Credits are what is deducted, the price is the tier's own."""
        body = wallets.request_body(tier)
        quantity, minor = body["credits"], body["price_minor"]
        assert isinstance(quantity, int)
        assert isinstance(minor, int)
        assert (list_value * 100, price * 100) == (
            terms(books).credit_price.amount_minor * quantity,
            minor,
        )
        assert per_credit == (2 * minor + quantity) // (2 * quantity)

    def test_x_27_the_bundle_saves_55_credits_and_251(self, books: WalletBooks) -> None:
        """175 less 120, and 1,750 less 1,499."""
        catalogue = books.state.catalogue
        assert catalogue is not None
        singles = [tier.terms for tier in catalogue.emergence.tiers]
        (bundle,) = [each.terms for each in catalogue.emergence.bundles]
        assert 55 == sum(each.credits for each in singles) - bundle.credits
        saved = sum(each.price.amount_minor for each in singles) - bundle.price.amount_minor
        assert 251_00 == saved
