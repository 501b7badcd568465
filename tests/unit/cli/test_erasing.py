"""Whose details are kept when a customer is erased: those that an invoice to come will show."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from cli import erasing
from cli.erasing import _buyers
from projections.queries.paging import PAGE_ROWS_MAX
from runtime import postgres
from tests.support.stories import Story, plan

if TYPE_CHECKING:
    from domain.books.subscription import Subscription


def subscriptions(*, over: int, live: int) -> list[Subscription]:
    """Return subscriptions, those that are over first."""
    story = Story(plan("PRO", "9000"))
    story.subscribe("PRO", start="2025-01-01")
    running = story.subscription()
    story.change("CancelSubscription", on="2025-01-10", when="now")
    story.bill("2026-01-01")
    assert story.subscription().is_over
    return [story.subscription()] * over + [running] * live


def kept(
    monkeypatch: pytest.MonkeyPatch, found: list[Subscription], *, items: int = 0
) -> tuple[int, ...]:
    """Return the versions that are kept of a customer without an invoice in its years."""

    def page(_: object, *, limit: int, after: str | None, customer: str) -> SimpleNamespace:
        assert customer == "acme"
        start = 0 if after is None else limit  # no more than two pages
        rows = [
            SimpleNamespace(agreed=each, subscription=each.subscription)
            for each in found[start : start + limit]
        ]
        return SimpleNamespace(rows=rows, has_more=len(found) > start + limit)

    engine = SimpleNamespace(dispose=lambda: None)
    monkeypatch.setattr(postgres, "new_engine", lambda *_, **__: engine)
    monkeypatch.setattr(erasing, "tenant_connection", lambda *_, **__: nullcontext())
    monkeypatch.setattr(
        erasing, "find_details", lambda *_, **__: SimpleNamespace(version=7, sealed={"name": "x"})
    )
    monkeypatch.setattr(erasing, "invoiced_versions", lambda *_, **__: ())
    monkeypatch.setattr(erasing, "list_subscriptions", page)
    monkeypatch.setattr(
        erasing, "list_items", lambda *_, **__: SimpleNamespace(rows=[None] * items)
    )
    opened = SimpleNamespace(details="details", is_gone=False)
    buyers = _buyers(
        cast("Any", SimpleNamespace(vault_buyer_years=10)),
        cast("Any", SimpleNamespace(open=lambda **_: opened)),
        tenant="t",
        customer="acme",
    )
    return tuple(buyer.version for buyer in buyers)


class TestTheNewestDetails:
    """_buyers."""

    def test_are_not_kept_where_no_invoice_is_to_come(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A cancelled subscription, billed to its end, shows them to nobody any more."""
        assert kept(monkeypatch, []) == ()
        assert kept(monkeypatch, subscriptions(over=1, live=0)) == ()

    def test_are_kept_for_any_subscription_that_goes_on(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also behind one that is over, and on the second page."""
        assert kept(monkeypatch, subscriptions(over=1, live=1)) == (7,)
        assert kept(monkeypatch, subscriptions(over=PAGE_ROWS_MAX, live=1)) == (7,)

    def test_are_kept_for_items_that_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """They get an invoice of their own."""
        assert kept(monkeypatch, subscriptions(over=1, live=0), items=1) == (7,)
