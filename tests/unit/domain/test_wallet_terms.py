"""The catalogue parts `wallet` and `suspicions`: what is refused, and where."""

from __future__ import annotations

import json
from typing import Any

import pytest

from domain.catalogue import parse_catalogue
from domain.errors import Rejected
from domain.money import Money
from tests.support import wallets

WALLET: dict[str, Any] = json.loads(wallets.s0_content())["wallet"]
RULE: dict[str, Any] = {
    "key": "jump",
    "kind": "score_jump",
    "field": "fit_score",
    "threshold": "0.90",
    "margin": "0.02",
    "rise": "0.10",
    "within_hours": 24,
}


class TestWallet:
    def test_is_not_needed(self) -> None:
        """Without it nobody has credits."""
        assert parse_catalogue(wallets.content_with(wallet=None)).wallet is None

    def test_has_defaults(self) -> None:
        """Only currency and price have to be said."""
        content = wallets.content_with(wallet={"currency": "JPY", "credit_price": "150"})
        terms = parse_catalogue(content).wallet
        assert terms is not None
        assert (0, 72, True, ()) == (
            terms.signup_credits,
            terms.approval_hours,
            terms.refund_on_reversal,
            terms.packages,
        )
        assert Money(450, "JPY") == terms.price_of(quantity=3)

    @pytest.mark.parametrize(
        ("changes", "place"),
        [
            ({"currency": "ABC"}, "wallet.currency"),
            ({"credit_price": "9.999"}, "wallet.credit_price"),
            ({"credit_price": 10}, "wallet.credit_price"),
            ({"signup_credits": -1}, "wallet.signup_credits"),
            ({"approval_hours": 0}, "wallet.approval_hours"),
            ({"refund_on_reversal": "true"}, "wallet.refund_on_reversal"),
            ({"packages": [{"credits": 1, "price": "1"}] * 2}, "wallet.packages"),
            ({"packages": [{"credits": 0, "price": "1"}]}, "wallet.packages[0].credits"),
            ({"packages": [{"credits": 1, "price": "0.001"}]}, "wallet.packages[0].price"),
            ({"bonus": 1}, "wallet.bonus"),
        ],
    )
    def test_is_refused_with_its_place(self, changes: dict[str, Any], place: str) -> None:
        """An editor underlines it."""
        with pytest.raises(Rejected) as refusal:
            parse_catalogue(wallets.content_with(wallet={**WALLET, **changes}))
        assert f"catalogue.{place}" in refusal.value.reason


class TestSuspicions:
    @pytest.mark.parametrize(
        ("changes", "place"),
        [
            ({"kind": "hunch"}, "kind"),
            ({"field": "finalized"}, "field"),
            ({"field": "nothing"}, "field"),
            ({"rise": "-1"}, "rise"),
            ({"within_hours": 0}, "within_hours"),
            ({"attempts": 1}, "attempts"),
            ({"kind": "failed_attempts"}, "field"),
        ],
    )
    def test_are_refused_with_their_place(self, changes: dict[str, Any], place: str) -> None:
        """A rule has the fields of its kind, and no others."""
        with pytest.raises(Rejected) as refusal:
            parse_catalogue(wallets.content_with(suspicions=[{**RULE, **changes}]))
        assert f"suspicions[0].{place}" in refusal.value.reason

    def test_have_a_name_each(self) -> None:
        """A suspicion says which rule raised it."""
        with pytest.raises(Rejected, match="holds 'jump' twice"):
            parse_catalogue(wallets.content_with(suspicions=[RULE, RULE]))
