"""Wallets and charges as rows: they are what the books say, they add up, and readers find them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
import sqlalchemy

from domain.books.facts import BooksFacts
from domain.money import Money
from domain.period import from_ms
from projections.account_binding import AccountBinding
from projections.flush import Database
from projections.queries import charges, notifications, receipts, suspicions, wallets
from projections.queries.connection import tenant_connection
from projections.span import Intake
from runtime import postgres
from runtime.settings import Settings
from schemas.command_wire import to_wire_books_facts
from tests.support.tables import rows
from tests.support.wallets import WalletBooks, everything


def project(settings: Settings, facts: list[BooksFacts]) -> None:
    """Write facts records as the projector does."""
    binding = AccountBinding()
    database = Database(settings, binding)
    intake = Intake(binding, partition=0, position=database.place((0,))[0])
    for offset, each in enumerate(facts):
        intake.take(to_wire_books_facts(each, writer="test"), facts_offset=offset)
    span = intake.drain()
    assert span is not None
    database.flush({0: span})
    database.close()


@pytest.fixture
def books(settings: Settings) -> WalletBooks:
    """Everything that can happen, in the tables."""
    books = everything()
    project(settings, books.facts)
    return books


@pytest.fixture
def connection(settings: Settings) -> Iterator[sqlalchemy.Connection]:
    """The tenant's eyes."""
    engine = postgres.new_engine(settings, role="app")
    with tenant_connection(engine, tenant="tenant") as connection:
        yield connection
    engine.dispose()


class TestRows:
    def test_are_what_the_books_say(self, settings: Settings, books: WalletBooks) -> None:
        """Balances, what was spent, grants, and the status of every charge."""
        wallet = books.wallet()
        query = "SELECT available, held, total_spent_minor, auto_approval_credits FROM wallet"
        assert [(wallet.available, wallet.held, wallet.spent_minor, 30)] == rows(settings, query)
        grants = rows(
            settings,
            "SELECT grant_id, available, held, priority, age FROM wallet_grant "
            "WHERE available + held > 0 ORDER BY age",
        )
        assert [
            (
                *(each.opening.grant, each.available, each.held),
                *(each.opening.priority, each.age),
            )
            for each in sorted(wallet.grants, key=lambda each: each.age)
        ] == grants
        found = rows(settings, "SELECT charge, status, refunded_credits FROM charge")
        assert {
            (each.charge, each.status.value, each.refunded_credits)
            for each in books.state.charges.values()
        } == set(found)

    def test_s0_13_postings_add_up(self, settings: Settings, books: WalletBooks) -> None:
        """Each posting to 0, a customer's to the balance, all of them to 0."""
        assert rows(settings, "SELECT count(DISTINCT posting) > 10 FROM wallet_posting") == [
            (True,)
        ]
        uneven = "SELECT posting FROM wallet_posting GROUP BY posting HAVING sum(credits) <> 0"
        assert [] == rows(settings, uneven)
        wrong = """
            SELECT w.customer FROM wallet w LEFT JOIN LATERAL (
                SELECT coalesce(sum(credits) FILTER (WHERE account = 'available'), 0) AS available,
                    coalesce(sum(credits) FILTER (WHERE account = 'held'), 0) AS held
                FROM wallet_posting p WHERE p.tenant = w.tenant AND p.customer = w.customer
            ) s ON true
            LEFT JOIN LATERAL (
                SELECT sum(available) AS available, sum(held) AS held FROM wallet_grant g
                WHERE g.tenant = w.tenant AND g.customer = w.customer
            ) g ON true
            WHERE (w.available, w.held) <> (s.available, s.held)
                OR (w.available, w.held) <> (g.available, g.held)
        """
        assert [] == rows(settings, wrong)

    def test_s0_r13_transactions_have_their_last_status(
        self, settings: Settings, books: WalletBooks
    ) -> None:
        """One row each, however often its status changed."""
        found = rows(
            settings, "SELECT kind, status, credits, amount_minor FROM wallet_transaction"
        )
        assert sorted(books.transactions()) == sorted(found)

    def test_s0_04_lead_from_a_transaction_to_its_customer(
        self, settings: Settings, books: WalletBooks, owner: psycopg.Connection
    ) -> None:
        """By foreign keys: what names an unknown charge or customer cannot be stored."""
        del books
        query = (
            "SELECT DISTINCT c.customer FROM wallet_transaction JOIN charge USING (tenant, charge)"
            " JOIN customer c ON (c.tenant, c.customer) = (charge.tenant, charge.customer)"
        )
        assert rows(settings, query) == [("ada",)]
        for change in (
            "UPDATE wallet_transaction SET charge = 'emg_unknown' WHERE charge IS NOT NULL",
            "UPDATE charge SET customer = 'unknown'",
        ):
            with pytest.raises(psycopg.errors.ForeignKeyViolation):
                owner.execute(change)

    def test_keep_receipts_as_they_were_written(
        self, settings: Settings, books: WalletBooks
    ) -> None:
        """Byte by byte, so that their hashes mean something."""
        content = rows(settings, "SELECT receipt, content FROM receipt ORDER BY receipt")
        assert [(body["receipt"], body["content"]) for body in books.kept("ReceiptIssued")] == (
            content
        )


class TestQueries:
    def test_find_a_wallet_with_its_grants(
        self, books: WalletBooks, connection: sqlalchemy.Connection
    ) -> None:
        """In burn order, without those that are used up."""
        found = wallets.find_wallet(connection, customer="ada")
        assert found is not None
        wallet = books.wallet()
        assert Money(wallet.spent_minor, "PHP") == found.total_spent
        assert [
            each.opening.grant for each in sorted(wallet.grants, key=lambda each: each.burn_order)
        ] == [each.grant for each in found.grants]
        assert wallets.find_wallet(connection, customer="nobody") is None

    def test_page_through_postings(
        self, books: WalletBooks, connection: sqlalchemy.Connection
    ) -> None:
        """The newest first, also within one command."""
        found: list[wallets.Posting] = []
        after = None
        while True:
            page = wallets.list_postings(connection, customer="ada", limit=3, after=after)
            found += page.rows
            if not page.has_more:
                break
            after = page.rows[-1].key
        expected = [body["posting"] for body in books.kept("CreditsPosted")]
        assert expected[::-1] == [each.posting for each in found]
        assert (found[0].available, found[0].held) == (
            books.wallet().available,
            books.wallet().held,
        )
        assert all(sum(leg.credits for leg in each.legs) == 0 for each in found)

    def test_page_through_transactions(
        self, books: WalletBooks, connection: sqlalchemy.Connection
    ) -> None:
        """All of them, or those of a kind and status."""
        first = wallets.list_transactions(connection, limit=2, after=None)
        last = first.rows[-1]
        rest = wallets.list_transactions(
            connection,
            limit=100,
            after=wallets.TransactionKey(last.recorded_at, last.transaction),
        )
        assert len(books.transactions()) == len({*first.rows, *rest.rows})
        failed = wallets.list_transactions(
            connection, limit=100, after=None, kind="top_up", status="failed"
        )
        (row,) = failed.rows
        assert ("amount_wrong", "") == (row.code, row.receipt)
        assert row == wallets.find_transaction(connection, transaction=row.transaction)

    def test_find_charges(self, books: WalletBooks, connection: sqlalchemy.Connection) -> None:
        """By status, customer, project or node, with all that they rest on."""
        everyone = charges.list_charges(connection, limit=100, after=None, customer="ada")
        assert len(books.state.charges) == len(everyone.rows)
        (refunded,) = charges.list_charges(connection, limit=9, after=None, status="refunded").rows
        assert ("one", 50, Money(500_00, "PHP"), "empty") == (
            refunded.project,
            refunded.refunded_credits,
            refunded.refunded,
            refunded.end_reason,
        )
        assert (("blueprint_package", 1),) == refunded.covers
        assert "n1" == refunded.evidence[0]["node"]
        (held,) = charges.list_charges(connection, limit=9, after=None, lone_node="shed").rows
        assert held == charges.find_charge(connection, charge=held.charge)
        assert ("approved", "customer") == (held.status, held.approved_by)
        (made,) = charges.list_deliverables(connection, charge=refunded.charge)
        assert ("a.dxf", 1) == (made.name, made.size_bytes)

    def test_find_receipts(self, books: WalletBooks, connection: sqlalchemy.Connection) -> None:
        """By number, and listed; the content is the books' own."""
        page = receipts.list_receipts(connection, limit=100, after=None, customer="ada")
        assert len(books.kept("ReceiptIssued")) == len(page.rows)
        found = receipts.find_receipt(connection, receipt="RCP-2025-000001")
        assert found is not None
        assert "pay_1" == json.loads(found.content)["payment_reference"]

    def test_find_notices_backwards_and_forwards(
        self, books: WalletBooks, connection: sqlalchemy.Connection
    ) -> None:
        """A list shows the newest first, a stream goes on from the last one."""
        newest = notifications.list_notifications(connection, limit=100, after=None).rows
        assert len(books.kept("Notified")) == len(newest)
        oldest = newest[-1]
        since = notifications.list_notifications_since(
            connection, limit=100, since=(oldest.booked_at, oldest.notification)
        )
        assert newest[:-1] == since.rows[::-1]

    def test_find_suspicions(self, books: WalletBooks, connection: sqlalchemy.Connection) -> None:
        """Open ones and closed ones."""
        del books
        (still,) = suspicions.list_suspicions(connection, limit=9, after=None, is_open=True).rows
        assert "wrong_amount" == still.rule
        closed = suspicions.find_suspicion(connection, suspicion="sus_1")
        assert closed is not None
        assert (False, "fine") == (closed.is_open, closed.note)

    def test_know_what_is_due(self, settings: Settings, books: WalletBooks) -> None:
        """Of every tenant, from the moment on and not before."""
        with postgres.connect(settings, role="projector") as connection:
            now = from_ms(books.now_ms)
            due = charges.due_charges(connection, as_of=now, limit=10)
            open_ = [
                each
                for each in books.state.charges.values()
                if each.status in {"requested", "approved"} and each.expires_at_ms <= books.now_ms
            ]
            assert {("tenant", each.charge) for each in open_} == {
                (each.tenant, each.charge) for each in due
            }
            assert due
            first = min(each.expires_at for each in due)
            early = charges.due_charges(
                connection, as_of=first - timedelta(milliseconds=1), limit=10
            )
            assert () == early
            assert () == wallets.due_grants(connection, as_of=now, limit=10)
            connection.execute(
                "UPDATE wallet_grant SET available = 1 WHERE expires_at IS NOT NULL"
            )
            (grant,) = wallets.due_grants(connection, as_of=now, limit=10)
            assert ("tenant", "ada") == (grant.tenant, grant.customer)
            connection.rollback()


class TestTenants:
    def test_see_nothing_of_each_other(self, settings: Settings, books: WalletBooks) -> None:
        """Row level security holds on every new table."""
        del books
        engine = postgres.new_engine(settings, role="app")
        with tenant_connection(engine, tenant="other") as connection:
            for table in ("wallet", "wallet_grant", "wallet_posting", "wallet_transaction",
                          "charge", "receipt", "deliverable", "notification",
                          "suspicion"):  # fmt: skip
                count = connection.execute(sqlalchemy.text(f"SELECT count(*) FROM {table}"))
                assert 0 == count.scalar_one()
        engine.dispose()
