"""Charges: S0's ledger of approvals by its worked examples, and every way a charge may end."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest

from domain.books.charge import ChargeStatus, refund_minor
from domain.canonical import Json
from domain.codes import Code
from tests.support import wallets
from tests.support.billing import bodies
from tests.support.wallets import WalletBooks, names

BUNDLE = "full_emergence_bundle"
SHA = "b" * 64


@pytest.fixture
def books() -> WalletBooks:
    """Ada, signed up under S0's catalogue, with 100 credits."""
    made = WalletBooks()
    made.customer()
    return made


class TestLedger:
    def test_x_15_s0_32_nothing_is_deducted_without_approval(self, books: WalletBooks) -> None:
        """Detected, asked for, not approved: 100 credits, no transaction."""
        books.request("blueprint_package")
        assert (100, 0) == (books.wallet().available, books.wallet().held)
        assert [] == books.transactions()
        assert [] == books.kept("ReceiptIssued")

    def test_x_15_s0_50_the_notice_says_what_is_paid_for(self, books: WalletBooks) -> None:
        """Tier, credits, price, what is delivered, and until when."""
        books.request("blueprint_package")
        (notice,) = books.kept("Notified")
        assert "approval_requested" == notice["kind"]
        for part in ("Blueprint Package", "50 credits", "500.00 PHP", "DXF files", "house",
                     "2025-01-04T00:00:00Z"):  # fmt: skip
            assert part in notice["title"] + notice["body"]

    def test_x_16_to_x_19_the_ledger_of_s0(self, books: WalletBooks) -> None:
        """100 → 50 → 20, refused for the balance, and 85 after a top-up."""
        assert "" == books.approved("blueprint_package").code
        assert (50, 500_00) == (books.wallet().available, books.wallet().spent_minor)
        assert ("charge", "completed", 50, 500_00) == books.transactions()[-1]
        assert "" == books.approved("bom_suppliers").code
        assert (20, 750_00) == (books.wallet().available, books.wallet().spent_minor)
        charge = books.request("compliance_package")
        refused = books.do("ApproveCharge", charge=charge)
        assert Code.INSUFFICIENT_CREDITS == refused.code
        assert "35 credits are needed, 20 are there" == refused.reason
        assert ["ChargeFailed", "TransactionRecorded"] == names(refused)
        assert ("charge", "failed", 35, 300_00) == books.transactions()[-1]
        assert (20, 750_00) == (books.wallet().available, books.wallet().spent_minor)
        assert "" == books.top_up(100, 1_000).code
        books.ok("ApproveCharge", charge=charge)
        assert (85, 1_050_00) == (books.wallet().available, books.wallet().spent_minor)

    def test_x_20_x_21_the_bundle_costs_120(self, books: WalletBooks) -> None:
        """100 < 120 is refused; with 100 more 80 are left."""
        charge = books.request(BUNDLE)
        assert Code.INSUFFICIENT_CREDITS == books.do("ApproveCharge", charge=charge).code
        assert 100 == books.wallet().available
        books.top_up(100, 1_000)
        books.ok("ApproveCharge", charge=charge)
        assert (80, 1_499_00) == (books.wallet().available, books.wallet().spent_minor)

    def test_x_22_a_charge_may_leave_exactly_0(self, books: WalletBooks) -> None:
        """The same tier of two projects."""
        for project in ("one", "two"):
            assert "" == books.approved("blueprint_package", project=project).code
        assert 0 == books.wallet().available

    def test_x_27_s0_26_the_bundle_never_comes_on_top_of_its_tiers(
        self, books: WalletBooks
    ) -> None:
        """A tier of this generation was charged: the bundle is not, and the other way round."""
        books.top_up(500, 4_500)
        bundle, single = books.request(BUNDLE), books.request("bom_suppliers")
        books.ok("ApproveCharge", charge=single)
        assert Code.TIER_CHARGED == books.do("ApproveCharge", charge=bundle).code
        other = books.request(BUNDLE, project="other")
        late = books.request("bom_suppliers", project="other")
        books.ok("ApproveCharge", charge=other)
        assert Code.TIER_CHARGED == books.do("ApproveCharge", charge=late).code
        assert 600 - 30 - 120 == books.wallet().available

    def test_s0_28_a_later_generation_is_charged_anew(self, books: WalletBooks) -> None:
        """Another generation is another emergence."""
        books.approved("blueprint_package")
        again = books.approved(
            "blueprint_package", generation=2, covers=[["blueprint_package", 2]]
        )
        assert ("", 0) == (again.code, books.wallet().available)


class TestRequest:
    def test_of_unknown_customers_is_told_to_the_fold(self, books: WalletBooks) -> None:
        """The refusal is noted, so that the tier is offered again."""
        body = wallets.request_body("blueprint_package", customer="nobody")
        outcome = books.do("RequestCharge", **body)
        assert (Code.CUSTOMER_UNKNOWN, ["ChargeUnbilled"]) == (outcome.code, names(outcome))
        ((_, fact),) = bodies(outcome)
        assert ("emg_0", "house", "", "customer_unknown") == tuple(
            fact[name] for name in ("charge", "project", "lone_node", "code")
        )
        assert [] == list(books.state.charges)

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"currency": "USD"}, Code.CURRENCY_DIFFERS),
            ({"customer": "dora"}, Code.CURRENCY_DIFFERS),
        ],
    )
    def test_in_another_currency_is_unbilled(
        self, books: WalletBooks, changes: dict[str, Any], code: Code
    ) -> None:
        """Of the price, and of the customer."""
        books.customer("dora", "USD")
        body = wallets.request_body("blueprint_package", **changes)
        outcome = books.do("RequestCharge", **body)
        assert (code, ["ChargeUnbilled"]) == (outcome.code, names(outcome))

    def test_without_wallets_is_unbilled(self) -> None:
        """The catalogue has emergence and no wallet."""
        books = WalletBooks(wallets.content_with(wallet=None))
        books.customer()
        outcome = books.do("RequestCharge", **wallets.request_body("blueprint_package"))
        assert Code.WALLET_MISSING == outcome.code

    def test_of_something_charged_is_unbilled(self, books: WalletBooks) -> None:
        """It could never be approved, so nobody is asked."""
        books.approved("blueprint_package")
        body = wallets.request_body("blueprint_package", charge="emg_x")
        outcome = books.do("RequestCharge", **body)
        assert (Code.TIER_CHARGED, ["ChargeUnbilled"]) == (outcome.code, names(outcome))

    def test_of_something_given_back_whole_is_taken(self, books: WalletBooks) -> None:
        """Nobody pays for it any more; a part that was given back leaves it paid."""
        paid = books.request("blueprint_package")
        books.ok("ApproveCharge", charge=paid)
        books.ok("RefundCharge", charge=paid, credits=49, reason="part")
        body = wallets.request_body("blueprint_package", charge="emg_x")
        assert Code.TIER_CHARGED == books.do("RequestCharge", **body).code
        books.ok("RefundCharge", charge=paid, reason="the rest")
        assert "" == books.approved("blueprint_package", charge="emg_y").code
        assert 50 == books.wallet().available

    def test_twice_is_refused(self, books: WalletBooks) -> None:
        """Its id is the detection's, which is asked for once."""
        books.request("blueprint_package")
        outcome = books.do("RequestCharge", **wallets.request_body("blueprint_package"))
        assert (Code.CHARGE_EXISTS, []) == (outcome.code, names(outcome))

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("charge", "chg_1"),
            ("covers", []),
            ("covers", [["a", 0]]),
            ("covers", [["a", True]]),
            ("covers", [["a", 1], ["a", 1]]),
            ("covers", [["a", 1, 2]]),
            ("credits", -1),
            ("price_minor", "500"),
            ("project", None),
            ("rule_sha256", "x"),
            ("evidence", "n1"),
        ],
    )
    def test_is_refused_when_malformed(self, books: WalletBooks, field: str, value: Any) -> None:
        """With the field's name."""
        body = wallets.request_body("blueprint_package", **{field: value})
        outcome = books.do("RequestCharge", **body)
        assert Code.COMMAND_INVALID == outcome.code
        assert f"RequestCharge.{field}" in outcome.reason

    def test_keeps_evidence_that_a_table_can_hold(self, books: WalletBooks) -> None:
        """NUL comes from a customer's node; it must not stop everybody's projections."""
        evidence: list[Json] = [{"v\0": ["a\0b", {"x": 1, "y": None, "z": True}]}]
        books.request("blueprint_package", evidence=evidence)
        kept = books.kept("ChargeRequested")[0]["evidence"]
        assert [{"v\ufffd": ["a\ufffdb", {"x": 1, "y": None, "z": True}]}] == kept


class TestApproval:
    def test_twice_is_refused_and_says_why(self, books: WalletBooks) -> None:
        """Under another command id; under the same it is a repeat."""
        charge = books.request("blueprint_package")
        books.ok("ApproveCharge", charge=charge, command_id="key")
        again = books.do("ApproveCharge", charge=charge)
        assert (Code.CHARGE_NOT_OPEN, True) == (again.code, "was billed before" in again.reason)
        assert books.do("ApproveCharge", charge=charge, command_id="key").repeat
        assert 50 == books.wallet().available

    def test_is_refused_from_the_expiry_on(self, books: WalletBooks) -> None:
        """The last millisecond before it is in time."""
        late, early = books.request("blueprint_package"), books.request("bom_suppliers")
        books.wait(72)
        books.now_ms -= 1
        books.ok("ApproveCharge", charge=early)
        books.now_ms += 1
        refused = books.do("ApproveCharge", charge=late)
        assert (Code.APPROVAL_EXPIRED, []) == (refused.code, names(refused))

    def test_is_refused_to_another_customer(self, books: WalletBooks) -> None:
        """Whoever is named must own it; declining too."""
        charge = books.request("blueprint_package")
        books.customer("bo")
        for kind in ("ApproveCharge", "DeclineCharge"):
            assert Code.CUSTOMER_DIFFERS == books.do(kind, charge=charge, customer="bo").code
        assert "" == books.do("ApproveCharge", charge=charge, customer="ada").code

    @pytest.mark.parametrize(
        "kind",
        ["ApproveCharge", "DeclineCharge", "CaptureCharge", "ReleaseCharge", "MarkDelivered"],
    )
    def test_of_unknown_charges_is_refused(self, books: WalletBooks, kind: str) -> None:
        """So is everything else."""
        assert Code.CHARGE_UNKNOWN == books.do(kind, charge="emg_x").code

    def test_may_hold_first_and_capture_later(self, books: WalletBooks) -> None:
        """Held credits cannot be spent; the transaction is pending meanwhile (S0-R13)."""
        charge = books.request("blueprint_package")
        books.ok("ApproveCharge", charge=charge, capture=False)
        assert (50, 50, 0) == (
            books.wallet().available,
            books.wallet().held,
            books.wallet().spent_minor,
        )
        assert [("charge", "pending", 50, 500_00)] == books.transactions()
        books.ok("CaptureCharge", charge=charge)
        assert (50, 0, 500_00) == (
            books.wallet().available,
            books.wallet().held,
            books.wallet().spent_minor,
        )
        assert [("charge", "completed", 50, 500_00)] == books.transactions()
        assert Code.CHARGE_NOT_HELD == books.do("CaptureCharge", charge=charge).code

    @pytest.mark.parametrize(
        ("kind", "more", "status"),
        [
            ("ReleaseCharge", {}, ChargeStatus.DECLINED),
            ("DeclineCharge", {}, ChargeStatus.DECLINED),
            (
                "WithdrawCharge",
                {"how": "superseded", "by": "emg_9", "reason": "r"},
                ChargeStatus.WITHDRAWN,
            ),
            ("ExpireCharge", {"as_of": "2025-01-04T00:00:00Z"}, ChargeStatus.EXPIRED),
        ],
    )
    def test_that_ends_gives_held_credits_back_where_they_came_from(
        self, books: WalletBooks, kind: str, more: dict[str, Any], status: ChargeStatus
    ) -> None:
        """Also what it stands for may be charged by another one then."""
        books.ok("GrantCredits", grant="grt_1", customer="ada", credits=10, reason="r", priority=1)
        before = books.wallet().grants
        charge = books.request("blueprint_package")
        books.ok("ApproveCharge", charge=charge, capture=False)
        other = books.request("full_emergence_bundle")
        assert Code.TIER_CHARGED == books.do("ApproveCharge", charge=other).code
        books.wait(72)
        books.ok(kind, charge=charge, **more)
        assert {each.opening.grant: each for each in before} == {
            each.opening.grant: each for each in books.wallet().grants
        }
        assert (status, ()) == (books.charge(charge).status, books.charge(charge).hold)
        assert ("charge", "failed", 50, 500_00) in books.transactions()
        assert {} == books.state.covered
        assert Code.CHARGE_NOT_OPEN == books.do("ApproveCharge", charge=charge).code

    def test_s0_11_auto_approves_within_the_customers_limit(self, books: WalletBooks) -> None:
        """Above it, or without the credits, the customer is asked."""
        books.ok("SetAutoApproval", customer="ada", limit_credits=50)
        assert [] == names(books.ok("SetAutoApproval", customer="ada", limit_credits=50))
        first = books.request("blueprint_package")
        assert ChargeStatus.CAPTURED == books.charge(first).status
        assert ["auto"] == [each["approved_by"] for each in books.kept("ChargeApproved")]
        assert ChargeStatus.REQUESTED == books.charge(books.request("investment_report")).status
        books.request("bom_suppliers")
        poor = books.request("compliance_package")
        assert (ChargeStatus.REQUESTED, 20) == (
            books.charge(poor).status,
            books.wallet().available,
        )
        books.ok("SetAutoApproval", customer="ada", limit_credits=0)
        off = books.request("bom_suppliers", project="other")
        assert ChargeStatus.REQUESTED == books.charge(off).status

    def test_of_nothing_costs_nothing(self, books: WalletBooks) -> None:
        """A tier of 0 credits has a receipt and no posting; it can be given back."""
        charge = books.request("blueprint_package", credits=0)
        postings = len(books.kept("CreditsPosted"))
        books.ok("ApproveCharge", charge=charge)
        books.ok("RefundCharge", charge=charge, reason="r")
        assert postings == len(books.kept("CreditsPosted"))
        assert (0, ChargeStatus.REFUNDED) == (
            books.wallet().spent_minor,
            books.charge(charge).status,
        )


class TestExpiry:
    def test_needs_its_time_to_have_come(self, books: WalletBooks) -> None:
        """By as_of and by the log's own clock; twice changes nothing."""
        charge = books.request("blueprint_package")
        for as_of in (books.at(71), books.at(72)):
            assert Code.NOT_DUE == books.do("ExpireCharge", charge=charge, as_of=as_of).code
        books.wait(72)
        early = books.do("ExpireCharge", charge=charge, as_of=books.at(-1))
        assert Code.NOT_DUE == early.code
        assert ["ChargeExpired", "Notified"] == names(
            books.ok("ExpireCharge", charge=charge, as_of=books.at())
        )
        assert [] == names(books.ok("ExpireCharge", charge=charge, as_of=books.at()))

    def test_never_takes_back_what_was_paid(self, books: WalletBooks) -> None:
        """A scheduler that is late finds it done."""
        charge = books.request("blueprint_package")
        books.ok("ApproveCharge", charge=charge)
        books.wait(72)
        assert [] == names(books.ok("ExpireCharge", charge=charge, as_of=books.at()))


class TestRefund:
    def test_s0_r18_gives_all_back(self, books: WalletBooks) -> None:
        """Credits, what was spent, a receipt, and the transaction is refunded."""
        charge = books.request("blueprint_package")
        books.ok("ApproveCharge", charge=charge)
        books.ok("RefundCharge", charge=charge, reason="not as shown")
        assert (100, 0) == (books.wallet().available, books.wallet().spent_minor)
        assert [("charge", "refunded", 50, 500_00), ("refund", "completed", 50, 500_00)] == (
            books.transactions()
        )
        receipt = json.loads(books.kept("ReceiptIssued")[-1]["content"])
        assert ("refund", "not as shown", "500.00") == tuple(
            receipt[name] for name in ("kind", "reason", "amount")
        )
        again = books.do("RefundCharge", charge=charge, reason="r")
        assert (Code.CHARGE_NOT_CAPTURED, True) == (again.code, "given back" in again.reason)

    def test_above_the_charge_is_refused(self, books: WalletBooks) -> None:
        """At once, and in parts."""
        charge = books.request("blueprint_package")
        assert Code.CHARGE_NOT_CAPTURED == books.do("RefundCharge", charge=charge, reason="r").code
        books.ok("ApproveCharge", charge=charge)
        refund: dict[str, Any] = {"charge": charge, "reason": "r"}
        assert Code.REFUND_TOO_LARGE == books.do("RefundCharge", credits=51, **refund).code
        books.ok("RefundCharge", credits=20, **refund)
        assert ("charge", "completed", 50, 500_00) == books.transactions()[0]
        assert Code.REFUND_TOO_LARGE == books.do("RefundCharge", credits=31, **refund).code
        books.ok("RefundCharge", credits=30, **refund)
        assert (100, 0, ChargeStatus.REFUNDED) == (
            books.wallet().available,
            books.wallet().spent_minor,
            books.charge(charge).status,
        )

    def test_in_parts_adds_up_to_the_price(self, books: WalletBooks) -> None:
        """₱250.00 for 30 credits: 8.33 for one, and the last one takes the rest."""
        charge = books.request("bom_suppliers")
        books.ok("ApproveCharge", charge=charge)
        assert 8_33 == refund_minor(books.charge(charge), quantity=1)
        for _ in range(30):
            books.ok("RefundCharge", charge=charge, credits=1, reason="r")
        amounts = [each["amount_minor"] for each in books.kept("ChargeRefunded")]
        assert ([8_33] * 29, 8_43) == (amounts[:-1], amounts[-1])
        assert 250_00 == sum(amounts)

    def test_goes_into_a_grant_that_stays(self, books: WalletBooks) -> None:
        """The credits it was paid with are over by now; the customer has them back."""
        books.ok("GrantCredits", grant="grt_1", customer="ada", credits=50, reason="r", priority=1,
                 expires_at=books.at(1))  # fmt: skip
        charge = books.request("blueprint_package")
        books.ok("ApproveCharge", charge=charge)
        books.wait(2)
        books.ok("RefundCharge", charge=charge, reason="r")
        assert 150 == books.wallet().spendable(now_ms=books.now_ms)

    def test_s0_66_comes_by_itself_when_nothing_can_be_delivered(self, books: WalletBooks) -> None:
        """All that is left goes back; once it was delivered nothing does."""
        charge = books.request("blueprint_package")
        assert Code.CHARGE_NOT_CAPTURED == books.do("FailDelivery", charge=charge, reason="r").code
        books.ok("ApproveCharge", charge=charge)
        books.ok("RefundCharge", charge=charge, credits=10, reason="r")
        books.ok("FailDelivery", charge=charge, reason="the drawing is empty")
        assert (100, 0) == (books.wallet().available, books.wallet().spent_minor)
        done = books.request("bom_suppliers")
        books.ok("ApproveCharge", charge=done)
        books.ok("MarkDelivered", charge=done)
        refused = books.do("FailDelivery", charge=done, reason="r")
        assert Code.CHARGE_NOT_CAPTURED == refused.code


class TestWithdrawal:
    WITHDRAW: ClassVar[dict[str, Any]] = {"how": "reversed", "by": "", "reason": "fit_score fell"}

    @pytest.mark.parametrize("is_delivered", [False, True])
    def test_of_a_paid_charge_gives_it_back(self, books: WalletBooks, is_delivered: bool) -> None:
        """The evidence went away in time: refund_on_reversal."""
        charge = books.request("blueprint_package")
        books.ok("ApproveCharge", charge=charge)
        if is_delivered:
            books.ok("MarkDelivered", charge=charge)
        outcome = books.ok("WithdrawCharge", charge=charge, **self.WITHDRAW)
        assert "ChargeRefunded" in names(outcome)
        assert 100 == books.wallet().available
        assert [] == names(books.ok("WithdrawCharge", charge=charge, **self.WITHDRAW))

    def test_gives_nothing_back_where_that_was_the_deal(self) -> None:
        """What the catalogue said when it was asked for, whatever it says later."""
        deal = {**json.loads(wallets.s0_content())["wallet"], "refund_on_reversal": False}
        books = WalletBooks(wallets.content_with(wallet=deal))
        books.customer()
        charge = books.request("blueprint_package")
        books.ok("ApproveCharge", charge=charge)
        books.ok("PublishCatalogue", content=wallets.content_with(2))
        assert [] == names(books.ok("WithdrawCharge", charge=charge, **self.WITHDRAW))
        assert 50 == books.wallet().available

    def test_of_a_superseded_one_gives_nothing_back(self, books: WalletBooks) -> None:
        """The money moved: the fold hears that it was charged, and judges the bundle again."""
        charge = books.request("blueprint_package")
        books.ok("ApproveCharge", charge=charge)
        superseded = {**self.WITHDRAW, "how": "superseded", "by": "emg_9"}
        assert [] == names(books.ok("WithdrawCharge", charge=charge, **superseded))

    def test_says_why_for_the_longest_code(self, books: WalletBooks) -> None:
        """The fold's reason holds a code of 200 characters, and words around it."""
        charge = books.request("blueprint_package")
        reason = f"{'c' * 200} is no longer reached"
        books.ok("WithdrawCharge", charge=charge, how="reversed", by="", reason=reason)
        assert ChargeStatus.WITHDRAWN == books.charge(charge).status

    def test_ends_an_open_one(self, books: WalletBooks) -> None:
        """Nobody can approve it any more."""
        charge = books.request("blueprint_package")
        outcome = books.ok("WithdrawCharge", charge=charge, **self.WITHDRAW)
        assert ["ChargeWithdrawn", "Notified"] == names(outcome)
        refused = books.do("ApproveCharge", charge=charge)
        assert (Code.CHARGE_NOT_OPEN, True) == (refused.code, "withdrawn" in refused.reason)


class TestDelivery:
    @pytest.fixture
    def deliverable(self) -> dict[str, Any]:
        """A drawing."""
        return {"name": "plan.dxf", "kind": "DXF", "uri": "s3://b/plan.dxf", "sha256": SHA,
                "bytes": 12}  # fmt: skip

    def test_s0_34_needs_the_charge(self, books: WalletBooks, deliverable: dict[str, Any]) -> None:
        """It may be registered before, and is handed over after the capture."""
        charge = books.request("blueprint_package")
        books.ok("RegisterDeliverable", charge=charge, deliverable=deliverable)
        assert Code.CHARGE_NOT_CAPTURED == books.do("MarkDelivered", charge=charge).code
        books.ok("ApproveCharge", charge=charge)
        assert ["ChargeDelivered", "Notified"] == names(books.ok("MarkDelivered", charge=charge))
        assert [] == names(books.ok("MarkDelivered", charge=charge))
        assert ChargeStatus.DELIVERED == books.charge(charge).status

    def test_registers_content_once(self, books: WalletBooks, deliverable: dict[str, Any]) -> None:
        """The same is fine, other content under the name is not."""
        charge = books.request("blueprint_package")
        books.ok("RegisterDeliverable", charge=charge, deliverable=deliverable)
        again = books.ok("RegisterDeliverable", charge=charge, deliverable=deliverable)
        assert [] == names(again)
        other = {**deliverable, "sha256": "c" * 64}
        refused = books.do("RegisterDeliverable", charge=charge, deliverable=other)
        assert Code.DELIVERABLE_DIFFERS == refused.code

    def test_ends_somewhere(self, books: WalletBooks, deliverable: dict[str, Any]) -> None:
        """At 100 of one charge."""
        charge = books.request("blueprint_package")
        for number in range(100):
            item = {**deliverable, "name": f"{number}"}
            books.ok("RegisterDeliverable", charge=charge, deliverable=item)
        refused = books.do("RegisterDeliverable", charge=charge, deliverable=deliverable)
        assert Code.DELIVERABLE_LIMIT == refused.code
