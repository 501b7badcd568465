"""The books' facts become rows; the answer to a command is there with what it changed."""

from decimal import Decimal

import psycopg
import pytest

from api.representations_credit import to_representation_credit, to_representation_credit_note
from cli.customers import credit_line
from domain.books.dispatch import FACTS
from domain.books.facts import BooksFacts, Fact, Outcome
from domain.canonical import Json, sha256_hex
from domain.codes import Code
from domain.errors import Fatal
from domain.usage.facts import Reject
from projections.account_binding import PROJECTIONS, AccountBinding
from projections.flush import Database
from projections.position import Position
from projections.queries import credit_notes, invoice_documents, ledger
from projections.queries.connection import tenant_connection
from projections.span import Intake
from runtime import postgres
from runtime.settings import Settings
from schemas.command_wire import to_wire_books_facts
from tests.support import billing
from tests.support.billing import bodies
from tests.support.invoices import BillingBooks, per_call, tax
from tests.support.tables import rows

MIDNIGHT = "2025-01-01 00:00:00+00"


def _project(settings: Settings, facts: list[BooksFacts]) -> Position:
    binding = AccountBinding()
    database = Database(settings, binding)
    intake = Intake(binding, partition=0, position=database.place((0,))[0])
    for offset, each in enumerate(facts):
        intake.take(to_wire_books_facts(each, writer="test"), facts_offset=offset)
    span = intake.drain()
    assert span is not None
    database.flush({0: span})
    position = database.place((0,))[0]
    database.close()
    return position


@pytest.fixture
def books() -> BillingBooks:
    """Books that invoiced a period, made and revoked a key, and refused something."""
    books = BillingBooks()
    books.subscribed()
    books.billed()
    for kind, body in (
        ("CreateApiKey", {"key_id": "key_1", "secret_sha256": sha256_hex("s"), "label": "ops",
                          "scopes": ["usage:write"]}),
        ("RevokeApiKey", {"key_id": "key_1"}),
    ):  # fmt: skip
        assert books.send(kind, body).code == ""
    refused = books.send("CreateCustomer", {"customer": "acme", "currency": "CAD"})
    assert refused.code == Code.CUSTOMER_EXISTS
    books.send("CreateCustomer", {"customer": "acme", "currency": "CAD"}, command_id="cmd_1")
    return books


def _credited() -> tuple[BillingBooks, str]:
    """Books with a paid invoice of 130.00, promotions of 100.00 off it, and a note of 80.00."""
    books = BillingBooks()
    books.agreed(per_call("calls", "1"), taxes=[tax("19")])
    books.grant(10_000)
    line = books.billed(usage={"calls": "130"}).lines[0].line_id
    paid: dict[str, Json] = {
        "payment": "pay_1",
        "invoice": "inv_1",
        "amount_minor": 3_570,
        "currency": "USD",
        "method": "wire",
        "paid_at": "2025-02-03T00:00:00Z",
    }
    note: dict[str, Json] = {
        "credit_note": "crn_1",
        "invoice": "inv_1",
        "lines": [{"line": line, "amount_minor": 8_000}],
        "reason": "outage",
        "to": "account_credit",
    }
    for kind, body in (("RecordPayment", paid), ("IssueCreditNote", note)):
        assert books.send(kind, body).code == ""
    return books, line


class TestFacts:
    def test_have_a_projection_each(self) -> None:
        assert set(FACTS) == set(PROJECTIONS)

    def test_become_rows(self, settings: Settings, books: BillingBooks) -> None:
        end = len(books.facts)
        assert _project(settings, books.facts) == Position(end, end - 1)
        assert rows(settings, "SELECT tenant, customer, currency FROM customer") == [
            ("tenant", "acme", "CAD")
        ]
        assert rows(settings, "SELECT version, content, content_sha256 FROM catalogue") == [
            (1, billing.s1_catalogue().content, billing.s1_catalogue().sha256)
        ]
        renewed = "SELECT period_index, period_start::text, period_end::text FROM subscription"
        assert rows(settings, renewed) == [(1, "2025-02-01 00:00:00+00", "2025-03-01 00:00:00+00")]
        key = "SELECT key_id, secret_sha256, label, scopes, revoked_at IS NULL FROM api_key"
        assert rows(settings, key) == [("key_1", sha256_hex("s"), "ops", ["usage:write"], False)]

    def test_become_an_invoice_with_its_lines(
        self, settings: Settings, books: BillingBooks
    ) -> None:
        _project(settings, books.facts)
        (content,) = (
            body for facts in books.facts for one in facts.outcomes
            for kind, body in bodies(one) if kind == "InvoiceFinalized"
        )  # fmt: skip
        assert rows(
            settings,
            "SELECT invoice, number, total_minor, content, content_sha256, period_index "
            "FROM invoice",
        ) == [
            (
                *("inv_1", content["number"], content["total_minor"]),
                *(content["content"], content["content_sha256"], 0),
            )
        ]
        lines = rows(
            settings,
            "SELECT line, net, quantity, jsonb_typeof(steps) FROM invoice_line ORDER BY line",
        )
        assert [line for line, *_ in lines] == list(range(1, len(lines) + 1))
        net = sum(net for _, net, *_ in lines)
        assert isinstance(net, Decimal)
        assert net * 100 == content["total_minor"]
        assert all(isinstance(quantity, Decimal) for _, _, quantity, _ in lines)
        assert {kind for *_, kind in lines} == {"array"}

    def test_of_a_credit_note_say_what_promotions_had_paid(self, settings: Settings) -> None:
        """80.00 of a line of 130.00, of which promotions paid 100.00: 30.00 money, 50.00 not."""
        books, line = _credited()
        _project(settings, books.facts)
        engine = postgres.new_engine(settings, role="app")
        with tenant_connection(engine, tenant=books.tenant) as connection:
            found = credit_notes.find_credit_note(connection, credit_note="crn_1")
            head = invoice_documents.find_credit_note_head(connection, name="crn_1")
            credit = ledger.find_account_credit(connection, customer="acme")
        engine.dispose()
        assert found is not None
        assert head is not None
        shown = to_representation_credit_note(found)
        drawn = shown.lines[0].drawn
        assert ("85.70", "50.00") == (shown.total.amount, shown.promotion.amount)
        assert ["30.00", "5.70", "50.00", "0.00"] == [
            each.amount
            for each in (drawn.money, drawn.money_tax, drawn.promotion, drawn.promotion_tax)
        ]
        assert credit is not None
        balances = to_representation_credit("acme", credit)
        assert ("85.70", "50.00", "35.70") == (
            *(balances.balance.amount, balances.promotion.amount),
            balances.money.amount,
        )
        shown_to_finance = "account credit 85.70: promotions 50.00, money 35.70"
        assert shown_to_finance == credit_line(credit)
        assert ((line, "", 8_000, 570, 5_000, 0),) == head.lines
        assert (8_000, 570, 5_000, 8_570) == (
            *(head.net_minor, head.tax_minor, head.promotion_minor),
            head.total_minor,
        )

    def test_take_their_times_from_the_log(self, settings: Settings, books: BillingBooks) -> None:
        """A rebuild a year later writes the same bytes."""
        _project(settings, books.facts)
        for table, column in (("customer", "created_at"), ("invoice", "finalized_at")):
            (moment,) = rows(settings, f"SELECT date_trunc('second', {column})::text FROM {table}")
            assert moment == (MIDNIGHT,)

    def test_that_nobody_knows_stop_the_projector(self, settings: Settings) -> None:
        """Leaving one out in silence would make the tables wrong for good."""
        outcome = Outcome(
            *(0, "tenant", "cmd_0", "Wonder", bytes(32), "", "", False),
            (Fact("WonderHappened", "{}"),),
            0,
        )
        with pytest.raises(Fatal, match="nothing projects the fact WonderHappened"):
            _project(settings, [BooksFacts(0, 1, 0, (outcome,))])
        assert rows(settings, "SELECT count(*) FROM command_outcome") == [(0,)]


class TestOutcomes:
    def test_are_all_there_repeats_too(self, settings: Settings, books: BillingBooks) -> None:
        _project(settings, books.facts)
        query = (
            "SELECT source_offset, command_id, code, repeat, jsonb_array_length(facts) "
            "FROM command_outcome ORDER BY source_offset"
        )
        assert rows(settings, query) == [
            (offset, f"cmd_{offset}", "", False, count)
            for offset, count in enumerate((1, 1, 1, 3, 1, 1))
        ] + [(6, "cmd_6", "customer_exists", False, 0), (7, "cmd_1", "", True, 0)]

    def test_hold_hostile_reasons(self, settings: Settings) -> None:
        """Half a character or a NUL in a reason must not stop everybody's projections."""
        reject = Reject(0, -1, 1, "te\x00nant", "c\x00", Code.COMMAND_INVALID, "got \x00", 0)
        _project(settings, [BooksFacts(0, 1, 0, (), (reject,))])
        query = "SELECT tenant, customer, reason, topic FROM reject"
        assert rows(settings, query) == [("", "c\ufffd", "got \ufffd", "account.commands")]


class TestVisibility:
    def test_comes_in_one_commit(
        self, settings: Settings, books: BillingBooks, owner: psycopg.Connection
    ) -> None:
        """A failure late in the flush leaves nothing of it behind."""
        owner.execute("REVOKE INSERT ON invoice_line FROM tidegauge_projector")
        with pytest.raises(Fatal, match="permission denied for table invoice_line"):
            _project(settings, books.facts)
        for table in ("customer", "command_outcome", "position"):
            assert rows(settings, f"SELECT count(*) FROM {table}") == [(0,)]
