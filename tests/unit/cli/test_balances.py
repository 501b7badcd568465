"""What the gateway is told of credits: with the event in the tables, without, with nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from cli import balances
from cli.balances import ProjectedBalances, balance_of
from domain.allowances import allowances_of
from domain.catalogue import Catalogue
from domain.codes import Code
from domain.errors import Fatal, Rejected, Retryable
from producers.gateway.balances import Balance, Use
from projections.queries import allowances, catalogues
from projections.queries.allowances import State
from runtime import clock
from runtime.settings import Settings
from tests.support.allowances import catalogue, standing
from tests.support.billing import moment, window

USE = Use(
    tenant="acme",
    customer="plant",
    subscription="sub_1",
    event_type="optimizer_job",
    nanos=10**9,
    occurred_at=moment("2025-01-20"),
    partition=3,
    offset=7,
)


def state(tokens: str = "0") -> State:
    """Return PRO with some tokens used."""
    held = standing()
    assert held is not None
    rows = [window("tokens", value=tokens)]
    found, limits = allowances_of(
        held, rows=[(held.number, row) for row in rows], catalogues={1: catalogue()}
    )
    return State(held, "plant", found, limits, ())


class TestTheBalanceAfterAnEvent:
    """balance_of."""

    def test_is_what_the_tables_say_when_they_hold_it(self) -> None:
        """The event is in the figure once."""
        assert Balance(500, 0, "LOW_CREDITS") == balance_of(
            (state("1000000"),), use=USE, is_in_it=True
        )

    def test_has_the_event_added_when_they_do_not(self) -> None:
        """S1-76: the answer holds the new balance, however far the tables are."""
        assert Balance(500, 0, "LOW_CREDITS") == balance_of(
            (state("999500"),), use=USE, is_in_it=False
        )
        assert Balance(500, 0, "OVERAGE") == balance_of(
            (state("999501"),), use=USE, is_in_it=False
        )

    def test_is_of_the_first_subscription_that_counts_the_type(self) -> None:
        """A subscription without such a price is passed over."""
        other = replace(state(), allowances=())
        assert Balance(500, 999_500, None) == balance_of((other, state()), use=USE, is_in_it=False)

    def test_is_nothing_where_nobody_counts_it(self) -> None:
        """Null, not 0: nothing is known."""
        assert Balance() == balance_of((), use=USE, is_in_it=True)
        unknown = replace(USE, event_type="no_such_type")
        assert Balance() == balance_of((state(),), use=unknown, is_in_it=True)

    def test_of_a_part_of_a_unit_is_decimal_text(self) -> None:
        """No answer holds a float."""
        half = replace(USE, event_type="LLM_token_usage", nanos=10**9 // 2)
        assert Balance("0.5", "999999.5", None) == balance_of((state(),), use=half, is_in_it=False)


class Database:
    """Tables that are behind, up to date, or away.

    Args:
        levels: What each look at the position answers; the last one for good.
        failure: Raised by every question; None for none.
    """

    def __init__(self, *levels: bool, failure: Exception | None = None) -> None:
        self.levels = list(levels)
        self.failure = failure
        self.looks = 0

    def is_projected(self, _connection: object, *, partition: int, offset: int) -> bool:
        """Answer a look at the position."""
        assert (3, 7) == (partition, offset)
        self.looks += 1
        if self.failure is not None:
            raise self.failure
        return self.levels.pop(0) if len(self.levels) > 1 else self.levels[0]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Database], Balance]:
    """Ask for the balance of USE over given tables, on a clock that moves with each pause."""
    now_ms = [0]

    async def sleep(seconds: float) -> None:
        now_ms[0] += round(seconds * 1000)

    @contextmanager
    def connection(*_: object, **__: object) -> Any:
        yield object()

    def ask(database: Database) -> Balance:
        monkeypatch.setattr(clock, "monotonic_ms", lambda: now_ms[0])
        monkeypatch.setattr(asyncio, "sleep", sleep)
        monkeypatch.setattr(balances, "tenant_connection", connection)
        monkeypatch.setattr(allowances, "is_projected", database.is_projected)
        monkeypatch.setattr(catalogues, "read_published", lambda _: None)
        monkeypatch.setattr(allowances, "find_states", lambda *_, **__: (state("999500"),))
        projected = ProjectedBalances(Settings(database_url="postgresql://nobody@127.0.0.1:1/x"))  # type: ignore[arg-type]
        try:
            return asyncio.run(projected.after(USE))
        finally:
            projected.close()

    return ask


class TestWaiting:
    """ProjectedBalances.after."""

    def test_ends_when_the_event_is_in_the_tables(
        self, asked: Callable[[Database], Balance]
    ) -> None:
        """Three looks until it is there, and one for the view that is read."""
        database = Database(False, False, True)
        assert Balance(500, 500, None) == asked(database)._replace(alert=None)
        assert 4 == database.looks

    def test_ends_after_two_seconds_and_adds_the_event(
        self, asked: Callable[[Database], Balance]
    ) -> None:
        """Whoever tracks usage waits for no projector that lags."""
        database = Database(False)
        assert Balance(500, 0, "LOW_CREDITS") == asked(database)
        assert balances.FRESH_MS // balances.LOOK_MS + 2 == database.looks

    @pytest.mark.parametrize(
        "failure",
        [
            Retryable(Code.DATABASE_AWAY, "away", retry_after_ms=1),
            Rejected(Code.CATALOGUE_INVALID, "of a newer version"),
            Fatal(Code.STATE_CORRUPT, "broken", next_step="look"),
            ValueError("a defect"),
        ],
    )
    def test_never_fails_for_the_event_is_taken(
        self, asked: Callable[[Database], Balance], failure: Exception
    ) -> None:
        """Nothing is known, and the answer is 202 all the same."""
        assert Balance() == asked(Database(True, failure=failure))


class TestATypeThatIsAskedFor:
    """ProjectedBalances.is_known."""

    @pytest.mark.parametrize(
        ("event_type", "known"), [("optimizer_job", True), ("no_such_type", False)]
    )
    def test_is_known_when_the_catalogue_in_force_counts_it(
        self, event_type: str, known: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """S1-24; asked twice within a second, it is read once."""
        reads = []

        def read(_: object) -> Catalogue | None:
            reads.append(1)
            return catalogue()

        projected = asking(monkeypatch, read)
        for _ in range(2):
            assert known is asyncio.run(projected.is_known(tenant="acme", event_type=event_type))
        assert 1 == len(reads)

    @pytest.mark.parametrize("has_failed", [True, False])
    def test_is_known_where_nobody_can_tell(
        self, has_failed: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without a catalogue, and without a database, the fold decides."""

        def read(_: object) -> Catalogue | None:
            if has_failed:
                raise Retryable(Code.DATABASE_AWAY, "away", retry_after_ms=1)
            return None

        projected = asking(monkeypatch, read)
        assert asyncio.run(projected.is_known(tenant="acme", event_type="anything"))


def asking(
    monkeypatch: pytest.MonkeyPatch, read: Callable[[object], Catalogue | None]
) -> ProjectedBalances:
    """Return balances that read catalogues in a given way."""

    @contextmanager
    def connection(*_: object, **__: object) -> Any:
        yield object()

    monkeypatch.setattr(balances, "tenant_connection", connection)
    monkeypatch.setattr(catalogues, "catalogue_in_force", read)
    return ProjectedBalances(Settings(database_url="postgresql://nobody@127.0.0.1:1/x"))  # type: ignore[arg-type]
