"""Items that wait for an invoice, and account credit."""

import pytest

from domain.books.items import WAITING_MAX
from domain.canonical import Json
from domain.codes import Code
from tests.support.billing import bodies
from tests.support.invoices import BillingBooks, catalogue_text, flat, plan, tax

ITEMS_MAX = 20
DUE = "2025-02-02T00:00:00Z"


@pytest.fixture
def books() -> BillingBooks:
    """Acme on a plan of 100.00 a month."""
    made = BillingBooks()
    made.agreed(flat("base", "100"))
    return made


class TestAddItem:
    def test_goes_on_the_next_invoice_once(self, books: BillingBooks) -> None:
        """January has it, February does not."""
        assert books.item(4999).code == ""
        january = books.billed()
        assert [(line.label, line.net) for line in january.lines] == [
            ("base", 10000),
            ("Setup", 4999),
        ]
        february = books.billed(invoice="inv_2", as_of="2025-03-02T00:00:00Z")
        assert len(february.lines) == 1

    def test_x_53_a_fee_in_addition_is_on_one_invoice(self) -> None:
        """S1-46: ENTERPRISE 18,000 and 480,000 are 498,000.00, and 18,000.00 after it."""
        books = BillingBooks()
        books.subscribed(plan_code="ENTERPRISE")
        books.item(48_000_000, label="Gain-share", currency="CAD")
        books.billed()
        books.billed(invoice="inv_2", as_of="2025-03-02T00:00:00Z")
        assert books.invoice("inv_1").total_minor == 49_800_000
        assert books.invoice("inv_2").total_minor == 1_800_000

    def test_is_taxed_by_its_category(self) -> None:
        """10 % of 20.00 and of the fee."""
        books = BillingBooks()
        books.agreed(flat("base", "100"), taxes=[tax("10")])
        books.item(2000)
        books.billed()
        assert books.invoice().total_minor == 13200

    def test_of_another_subscription_waits_for_that_one(self, books: BillingBooks) -> None:
        """An item of none goes on whichever comes first."""
        body: dict[str, Json] = {"subscription": "sub_2", "customer": "acme", "plan": "BASIC"}
        books.send("CreateSubscription", body | {"start": "2025-01-01T00:00:00Z"})
        books.item(1, item="itm_1", subscription="sub_2")
        books.item(2, item="itm_2")
        first, second = books.billed(), books.billed(subscription="sub_2", invoice="inv_2")
        assert [line.line_id for line in first.lines[1:]] == ["item/itm_2"]
        assert [line.line_id for line in second.lines[1:]] == ["item/itm_1"]

    def test_may_have_an_invoice_of_its_own(self, books: BillingBooks) -> None:
        """A one-off invoice: no period, no subscription; and no second one without items."""
        books.item(700)
        content = books.content("")
        outcome = books.finalize(content, as_of="2025-01-05T00:00:00Z")
        (_, body), _ = bodies(outcome)
        assert (body["kind"], body["period"], body["total_minor"]) == ("items", None, 700)
        again = books.finalize(content, as_of="2025-01-05T00:00:00Z", invoice="inv_2")
        assert again.code == Code.ITEM_UNKNOWN
        assert books.content().terms.items == ()

    def test_more_than_fit_wait_in_their_order(
        self, books: BillingBooks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first ITEMS_MAX are billed, the others come next."""
        monkeypatch.setattr("domain.books.items.ITEMS_MAX", ITEMS_MAX)
        for number in range(ITEMS_MAX + 2):
            assert books.item(1, item=f"itm_{number}").code == ""
        first = books.billed()
        assert first.lines[1].line_id == "item/itm_0"
        assert len(first.lines) == 1 + ITEMS_MAX
        second = books.billed(invoice="inv_2", as_of="2025-03-02T00:00:00Z")
        assert [line.line_id for line in second.lines[1:]] == [
            f"item/itm_{ITEMS_MAX}",
            f"item/itm_{ITEMS_MAX + 1}",
        ]

    def test_has_a_limit(self, books: BillingBooks) -> None:
        """WAITING_MAX per customer."""
        for number in range(WAITING_MAX):
            assert books.item(1, item=f"itm_{number}").code == ""
        assert books.item(1, item="itm_more").code == Code.ITEM_LIMIT

    def test_of_an_amount_that_no_invoice_holds_is_refused(self, books: BillingBooks) -> None:
        """Else every run of the tenant stopped at it where invoices are rounded once."""
        assert books.item(10**14 + 1).code == Code.AMOUNT_LIMIT
        assert books.item(10**14).code == ""
        exact = catalogue_text(
            version=2, plans=[plan(flat("base", "100"))], billing={"rounding": "invoice"}
        )
        assert books.send("PublishCatalogue", {"content": exact}).code == ""
        content = books.content("")
        assert books.finalize(content, as_of=DUE).code == ""

    def test_needs_no_catalogue(self) -> None:
        """A tenant that sells nothing yet bills by the default terms, untaxed."""
        books = BillingBooks()
        assert books.send("CreateCustomer", {"customer": "acme", "currency": "USD"}).code == ""
        assert books.item(4999).code == ""
        assert books.finalize(books.content(""), as_of=DUE).code == ""
        assert books.invoice().total_minor == 4999

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"item": "itm_taken"}, Code.ITEM_EXISTS),
            ({"item": "inv_1"}, Code.COMMAND_INVALID),
            ({"customer": "nobody"}, Code.CUSTOMER_UNKNOWN),
            ({"subscription": "sub_9"}, Code.SUBSCRIPTION_UNKNOWN),
            ({"currency": "EUR"}, Code.CURRENCY_DIFFERS),
            ({"amount_minor": -1}, Code.COMMAND_INVALID),
            ({"amount_minor": 10**18 + 1}, Code.COMMAND_INVALID),
            ({"amount_minor": "5"}, Code.COMMAND_INVALID),
            ({"label": ""}, Code.COMMAND_INVALID),
            (
                {"start": "2025-01-02T00:00:00Z", "end": "2025-01-01T00:00:00Z"},
                Code.COMMAND_INVALID,
            ),
            ({"kind": "correction"}, Code.COMMAND_INVALID),
        ],
    )
    def test_refuses(self, books: BillingBooks, change: dict[str, Json], code: Code) -> None:
        """Negative amounts come from corrections alone."""
        books.item(1, item="itm_taken")
        body: dict[str, Json] = {
            "item": "itm_1",
            "customer": "acme",
            "label": "Setup",
            "amount_minor": 1,
            "currency": "USD",
        }
        outcome = books.send("AddItem", body | change)
        assert (outcome.code, outcome.facts) == (code, ())

    def test_of_a_category_without_a_rate_is_refused(self) -> None:
        """It would be sold untaxed; a category of the catalogue, and the standard one, are not."""
        books = BillingBooks()
        books.agreed(flat("base", "100"), taxes=[tax("10"), tax("5", code="b", category="books")])
        refused = books.item(2000, tax="standrad")
        assert (refused.code, refused.facts) == (Code.COMMAND_INVALID, ())
        assert refused.reason.startswith("AddItem.tax is 'standrad'")
        taken = [books.item(1, item=f"itm_{each}", tax=each) for each in ("books", "standard")]
        assert [each.code for each in taken] == ["", ""]
        assert Code.COMMAND_INVALID == self.empty().item(1, tax="books").code

    def empty(self) -> BillingBooks:
        """A customer of a tenant that sells nothing yet."""
        books = BillingBooks()
        books.send("CreateCustomer", {"customer": "acme", "currency": "USD"})
        return books


class TestRemoveItem:
    def test_is_no_longer_billed(self, books: BillingBooks) -> None:
        """And its id stays taken."""
        books.item(700)
        assert books.send("RemoveItem", {"item": "itm_1", "reason": "waived"}).code == ""
        assert books.content().terms.items == ()
        assert books.item(700).code == Code.ITEM_EXISTS

    def test_of_an_invoice_is_refused(self, books: BillingBooks) -> None:
        """What is billed is billed."""
        books.item(700)
        books.billed()
        outcome = books.send("RemoveItem", {"item": "itm_1", "reason": "waived"})
        assert outcome.code == Code.ITEM_UNKNOWN


class TestGrantAccountCredit:
    def test_x_83_what_is_not_used_stays(self) -> None:
        """S3-R6: 150.00 against 99.00 leave 51.00."""
        books = BillingBooks()
        books.agreed(flat("base", "99"), taxes=[tax("10")])
        books.grant(15000)
        books.billed()
        assert (books.invoice().total_minor, books.credit()) == (0, 5100)
        assert books.invoice().status == "paid"

    def test_says_the_balance(self, books: BillingBooks) -> None:
        """Each grant says what there is after it."""
        books.grant(100)
        books.grant(250, credit="crd_2")
        assert [body["balance_minor"] for body in books.kept("AccountCreditGranted")] == [100, 350]

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"credit": "crd_taken"}, Code.CREDIT_EXISTS),
            ({"credit": "xxx_1"}, Code.COMMAND_INVALID),
            ({"customer": "nobody"}, Code.CUSTOMER_UNKNOWN),
            ({"currency": "EUR"}, Code.CURRENCY_DIFFERS),
            ({"amount_minor": 0}, Code.COMMAND_INVALID),
            ({"amount_minor": 10**18}, Code.CREDIT_LIMIT),
            ({"reason": ""}, Code.COMMAND_INVALID),
        ],
    )
    def test_refuses(self, books: BillingBooks, change: dict[str, Json], code: Code) -> None:
        """Nothing is given twice, or in another currency."""
        books.grant(1, credit="crd_taken")
        body: dict[str, Json] = {
            "credit": "crd_1",
            "customer": "acme",
            "amount_minor": 100,
            "currency": "USD",
            "reason": "goodwill",
        }
        outcome = books.send("GrantAccountCredit", body | change)
        assert (outcome.code, outcome.facts) == (code, ())
        assert books.credit() == 1

    def test_two_subscriptions_do_not_use_it_twice(self, books: BillingBooks) -> None:
        """Both contents were built with the same credit: the second is built again."""
        body: dict[str, Json] = {"subscription": "sub_2", "customer": "acme", "plan": "BASIC"}
        books.send("CreateSubscription", body | {"start": "2025-01-01T00:00:00Z"})
        books.grant(12000)
        first, second = books.content(), books.content("sub_2")
        assert books.finalize(first, as_of=DUE).code == ""
        assert books.finalize(second, as_of=DUE, invoice="inv_2").code == Code.TERMS_DIFFER
        books.billed(subscription="sub_2", invoice="inv_2")
        assert [books.invoice(name).total_minor for name in ("inv_1", "inv_2")] == [0, 8000]
        assert books.credit() == 0
