"""One subscription billed on request (S1-53) passes the same safety rail as a billing run."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Self, cast

import pytest

from domain.codes import Code
from domain.errors import Rejected
from projections.invoicing import builder
from projections.invoicing.builder import subscription_draft


class OneDraft:
    """A snapshot with one draft in it.

    Args:
        total_minor: What its invoice comes to.
        released_minor: What somebody released; None for nothing.
    """

    def __init__(self, total_minor: int, released_minor: int | None) -> None:
        self.terms = SimpleNamespace(
            currency="USD",
            subscription="sub_1",
            customer="acme",
            tenant="t",
            kind="period",
            period=None,
        )
        self.total_minor = total_minor
        self.released_minor = released_minor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def draft(self, _: str) -> SimpleNamespace:
        return SimpleNamespace(
            key="sub_1",
            terms=self.terms,
            earlier=(100, 100, 100),
            released_minor=self.released_minor,
            attempt=0,
        )

    def next_content(self, terms: object) -> SimpleNamespace:
        totals = SimpleNamespace(total_minor=self.total_minor, credit_minor=0, carry_minor=0)
        return SimpleNamespace(terms=terms, totals=totals, sha256="x", text="{}")


def ask(
    monkeypatch: pytest.MonkeyPatch, total_minor: int, *, released_minor: int | None = None
) -> str:
    """Return the command that would be sent."""
    monkeypatch.setattr(
        builder, "Snapshot", lambda *_, **__: OneDraft(total_minor, released_minor)
    )
    monkeypatch.setattr(builder, "await_projected", lambda *_, **__: None)
    settings = SimpleNamespace(billing_outlier_times=10, command_timeout_ms=1)
    return subscription_draft(
        cast("Any", settings),
        tenant="t",
        subscription="sub_1",
        as_of=datetime(2026, 1, 1, tzinfo=UTC),
    ).kind


class TestADraftOfOneSubscription:
    """subscription_draft."""

    def test_of_a_strange_total_waits_for_a_person(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Else the one address that customers call is the one without the rail."""
        assert ask(monkeypatch, 1000) == "FinalizeInvoice"
        with pytest.raises(Rejected) as raised:
            ask(monkeypatch, 1001)
        assert raised.value.code is Code.INVOICE_PARKED

    def test_of_a_total_that_was_released_goes_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Somebody has looked at it."""
        assert ask(monkeypatch, 1001, released_minor=1001) == "FinalizeInvoice"
