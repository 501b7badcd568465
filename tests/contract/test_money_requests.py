"""Requests about money, sent twice or with strange figures: the real books, and no tables."""

from __future__ import annotations

import asyncio
import json
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import psycopg
import pytest
from fastapi import Response
from fastapi.testclient import TestClient

from api.app import create_app
from api.backend import Backend
from api.commands import CommandGate
from api.routes import invoices, payments
from api.routes.allowances import AHEAD_DAYS_MAX, moment_of
from domain.books.records import Command as Wish
from domain.codes import Code
from domain.errors import Rejected, Retryable
from domain.fields import Fields
from projections.queries import clocks, drafts
from projections.queries import invoices as invoice_queries
from projections.queries.clocks import TenantClock
from projections.queries.connection import tenant_connection
from projections.queries.outcomes import CommandOutcome
from runtime import clock
from runtime.settings import Settings
from runtime.web.authentication import Caller
from runtime.web.problems import ProblemError
from runtime.web.scopes import Scope
from tests.contract.test_api import ADMIN_KEY, SCOPED, _backend
from tests.support.api_world import bearer
from tests.support.stories import Story, plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from domain.books.facts import Outcome
    from domain.canonical import Json

WRITER = bearer(SCOPED[Scope.BILLING_WRITE])
ADMIN = bearer(ADMIN_KEY)
NOW = datetime(2026, 11, 21, tzinfo=UTC)


class BooksLog:
    """A log that the books read at once.

    Args:
        story: The books behind it.
    """

    def __init__(self, story: Story) -> None:
        self.story = story
        self.answers: list[CommandOutcome] = []
        self.outcomes: list[Outcome] = []
        self.sent: list[tuple[str, dict[str, Json]]] = []

    def send(
        self,
        *,
        tenant: str,
        command_id: str,
        kind: str,
        body: Mapping[str, Json],
        actor: str = "",
    ) -> int:
        """Append a command, and have it decided."""
        self.sent.append((kind, dict(body)))
        outcome = self.story.books.send(
            kind, json.dumps(body), command_id=command_id, received_at="2025-02-10"
        )
        self.outcomes.append(outcome)
        self.answers.append(
            CommandOutcome(outcome.command_id, outcome.kind, outcome.code, outcome.reason)
        )
        return len(self.answers) - 1

    def find(self, tenant: str, offset: int) -> CommandOutcome:
        """Return what the books answered."""
        return self.answers[offset]

    @property
    def codes(self) -> list[str]:
        """Return the code of every answer."""
        return [answer.code for answer in self.answers]


@pytest.fixture
def log() -> BooksLog:
    story = Story(plan("PRO", "9000"))
    story.subscribe("PRO", start="2025-01-01")
    story.bill("2025-02-02")
    return BooksLog(story)


@pytest.fixture
def client(log: BooksLog, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """An API before these books; what it would read of the tables is told here."""

    def make_backend(settings: Settings) -> Backend:
        gate = CommandGate(sender=log, find=log.find, timeout_ms=1_000)
        return replace(_backend(settings), commands=gate)

    found = SimpleNamespace(invoice="inv_1", total=SimpleNamespace(currency="CAD"))
    monkeypatch.setattr(payments, "find_invoice", lambda *_: found)
    monkeypatch.setattr(payments, "_find", _not_shown)
    settings = Settings.model_validate({"database_url": "postgresql://nobody@127.0.0.1:1/none"})
    with TestClient(
        create_app(settings, make_backend=make_backend), raise_server_exceptions=False
    ) as client:
        yield client


def _not_shown(*_: object) -> None:
    raise Retryable(Code.NOT_READY, "taken; there is no table to show it from", retry_after_ms=1)


def _pay(client: TestClient, amount: int, *, key: str, headers: dict[str, str]) -> int:
    return client.post(
        "/api/v1/billing/invoices/inv_1/payments",
        json={"amount_minor": amount, "method": "wire"},
        headers={**headers, "Idempotency-Key": key},
    ).status_code


class TestAPayment:
    """POST /invoices/{invoice}/payments."""

    def test_without_its_time_can_be_repeated(
        self, client: TestClient, log: BooksLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The second request is minutes later, and the same wish."""
        for minutes in (0, 5):
            monkeypatch.setattr(clock, "now", lambda late=minutes: NOW + timedelta(minutes=late))
            assert _pay(client, 1000, key="one", headers=WRITER) == 503
        assert log.codes == ["", ""]
        assert len(log.story.state.billing.payments) == 1

    def test_of_more_than_is_open_needs_an_admin(self, client: TestClient, log: BooksLog) -> None:
        """Account credit is money: billing:write makes none."""
        assert _pay(client, 10**9, key="one", headers=WRITER) == 403
        assert log.codes == [Code.PAYMENT_TOO_LARGE]
        assert log.story.credit_minor == 0
        assert _pay(client, 10**9, key="two", headers=ADMIN) == 503
        assert log.story.credit_minor > 0


class TestANumberOfS1:
    """What the addresses of S1 take as JSON numbers."""

    @pytest.mark.parametrize(
        "number", ["1e5000000000", "-1e-5000000000", "0e5000000000", "1e41", "1e-41"]
    )
    def test_of_a_far_exponent_is_refused_before_it_is_written_out(
        self, client: TestClient, number: str
    ) -> None:
        """Twelve characters of a body must not ask for gigabytes."""
        body = (
            '{"tenant_id": "p", "period_start": "2024-01-01", "period_end": "2024-12-31",'
            f' "share_pct": {number}}}'
        )
        answer = client.post(
            "/functions/v1/billing-gainshare",
            content=body,
            headers={**WRITER, "Content-Type": "application/json"},
        )
        assert (answer.status_code, answer.json()["param"]) == (400, "share_pct")


class TestTheMomentOfAQuestion:
    """moment_of."""

    @pytest.fixture(autouse=True)
    def _now(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(clock, "now", lambda: NOW)

    @staticmethod
    def _ask(
        monkeypatch: pytest.MonkeyPatch, at: datetime | None, *, test: datetime | None = None
    ) -> datetime:
        found = None if test is None else TenantClock(test, test)
        monkeypatch.setattr(clocks, "find_clock", lambda _: found)
        return moment_of(cast("Any", None), at)

    def test_is_as_asked_up_to_two_years_ahead(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The past has no limit: it costs nothing."""
        last = NOW + timedelta(days=AHEAD_DAYS_MAX)
        for at in (datetime(1, 1, 1, tzinfo=UTC), NOW, last):
            assert self._ask(monkeypatch, at) == at
        assert self._ask(monkeypatch, None) == NOW

    @pytest.mark.parametrize("at", [NOW + timedelta(days=732), datetime(9999, 12, 31, tzinfo=UTC)])
    def test_is_refused_beyond(self, monkeypatch: pytest.MonkeyPatch, at: datetime) -> None:
        """Periods are counted one by one up to it, and calendars end."""
        with pytest.raises(ProblemError) as raised:
            self._ask(monkeypatch, at)
        assert (400, "at") == (raised.value.problem.status, raised.value.problem.param)

    def test_is_measured_from_the_test_clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A test tenant lives in another year."""
        test = datetime(2040, 1, 1, tzinfo=UTC)
        assert self._ask(monkeypatch, test, test=test) == test


class TestTheConnectionOfAQuestion:
    """tenant_connection, where a statement runs on the driver's connection."""

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (psycopg.errors.QueryCanceled("too long"), Code.NOT_READY),
            (psycopg.OperationalError("gone"), Code.DATABASE_AWAY),
        ],
    )
    def test_translates_what_the_driver_says(self, error: psycopg.Error, code: Code) -> None:
        """503, and not 500: the same question may be asked again."""
        inside = SimpleNamespace(begin=nullcontext, execute=lambda *_: None)
        engine = SimpleNamespace(connect=lambda: nullcontext(inside))
        with (
            pytest.raises(Retryable) as raised,
            tenant_connection(cast("Any", engine), tenant="t"),
        ):
            raise error
        assert raised.value.code is code


class Tables:
    """What POST /invoices reads and sends.

    Args:
        is_shared: Whether another request of the same key makes the invoice in between.
    """

    def __init__(self, *, is_shared: bool = False) -> None:
        self.made: dict[str, str] = {}
        self.waiting = 1
        self.is_shared = is_shared

    def find_invoice(self, _: object, *, invoice: str) -> SimpleNamespace | None:
        customer = self.made.get(invoice)
        if customer is None:
            return None
        return SimpleNamespace(invoice=SimpleNamespace(customer=customer, invoice=invoice))

    def items_draft(
        self, _: object, *, tenant: str, customer: str, as_of: datetime, invoice: str
    ) -> Wish:
        if self.is_shared:
            self.made[invoice] = customer
            self.waiting = 0
        if not self.waiting:
            raise Rejected(Code.ITEM_UNKNOWN, "nothing waits")
        body = {"invoice": invoice, "customer": customer, "as_of": as_of.isoformat()}
        return Wish(tenant, f"cmd_{as_of}", "FinalizeInvoice", json.dumps(body))

    async def execute(self, command: Any) -> None:
        self.made[command.body["invoice"]] = command.body["customer"]
        self.waiting -= 1


def _bill(
    monkeypatch: pytest.MonkeyPatch, tables: Tables, *, key: str = "one", customer: str = "acme"
) -> Any:
    async def read_object(_: object) -> Fields:
        return Fields("body", {"customer": customer}, Code.INVALID_REQUEST)

    monkeypatch.setattr(invoices, "read_object", read_object)
    monkeypatch.setattr(invoices, "tenant_connection", lambda *_, **__: nullcontext())
    monkeypatch.setattr(invoices, "moment_of", lambda *_: clock.now())
    monkeypatch.setattr(invoice_queries, "find_invoice", tables.find_invoice)
    monkeypatch.setattr(drafts, "items_draft", tables.items_draft)
    monkeypatch.setattr(
        invoices, "to_representation_invoice_document", lambda found: found.invoice.invoice
    )
    backend = SimpleNamespace(engine=None, settings=None, commands=tables)
    caller = Caller("t", "key")
    return asyncio.run(
        invoices.create_invoice(
            cast("Any", None), Response(), cast("Any", backend), caller, idempotency_key=key
        )
    )


class TestItemsThatAreBilledNow:
    """POST /invoices."""

    def test_are_on_one_invoice_however_often_it_is_asked_for(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The repeat answers as the first, though an item was added meanwhile."""
        tables = Tables()
        first = _bill(monkeypatch, tables)
        tables.waiting = 1
        assert first == _bill(monkeypatch, tables)
        assert (1, 1) == (len(tables.made), tables.waiting)
        assert first != _bill(monkeypatch, tables, key="two")

    def test_are_answered_where_the_same_request_was_first(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two at once: the later one finds nothing to bill, and the invoice."""
        tables = Tables(is_shared=True)
        assert _bill(monkeypatch, tables) in tables.made

    def test_of_nobody_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing waits, and the key made nothing."""
        tables = Tables()
        tables.waiting = 0
        with pytest.raises(Rejected) as raised:
            _bill(monkeypatch, tables)
        assert raised.value.code is Code.ITEM_UNKNOWN

    def test_of_another_customer_are_another_wish(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One key is one wish: 409."""
        tables = Tables()
        _bill(monkeypatch, tables)
        with pytest.raises(ProblemError) as raised:
            _bill(monkeypatch, tables, customer="other")
        assert raised.value.problem.code is Code.IDEMPOTENCY_CONFLICT
