"""What a newer catalogue may change, and how a difference reads before it is published."""

from __future__ import annotations

import json
from typing import Any

import pytest

from domain.catalogue import Catalogue, parse_catalogue
from domain.catalogue_diff import diff_catalogues, new_event_names
from domain.codes import Code
from tests.support import billing


def catalogue(version: int, **parts: Any) -> Catalogue:
    """S1 with other parts, and the alias "credit" of the type credits."""
    document = {
        **json.loads(billing.s1_document(version)),
        "event_types": [{"name": "credits", "aliases": ["credit"]}],
    }
    return parse_catalogue(json.dumps(document | parts))


def outcome(before: Catalogue, after: Catalogue) -> tuple[str, str]:
    """What the books say to a document when another one is in force."""
    books = billing.Books()
    assert "" == books.send("PublishCatalogue", {"content": before.content}).code
    answer = books.send("PublishCatalogue", {"content": after.content})
    return answer.code, answer.reason


BEFORE = catalogue(1)
OTHER = [billing.meter("assets", aggregation="latest", unit="asset"), billing.meter("calls")]
REFUSED: tuple[tuple[str, Catalogue], ...] = (
    ("version 1 was published with another content", catalogue(1, plans=[])),
    (
        "meter 'credits' of version 1 is missing: a meter stays; give a new meaning a new key",
        catalogue(
            2, meters=OTHER, plans=[], event_types=[{"name": "calls", "aliases": ["credit"]}]
        ),
    ),
    (
        (
            "meter 'assets' of version 1 has another aggregation and unit: "
            "give a new meaning a new key"
        ),
        catalogue(2, meters=[billing.meter("assets"), billing.S1_METERS[1]]),
    ),
    (
        "alias 'credit' of version 1 is missing: an alias stays with its type",
        catalogue(2, event_types=[]),
    ),
    (
        (
            "alias 'credit' of version 1 moved from 'credits' to 'assets': "
            "an alias stays with its type"
        ),
        catalogue(2, event_types=[{"name": "assets", "aliases": ["credit"]}]),
    ),
)


class TestRefusals:
    @pytest.mark.parametrize(("words", "after"), REFUSED, ids=range(len(REFUSED)))
    def test_are_those_of_the_books_in_the_same_words(self, words: str, after: Catalogue) -> None:
        """A person who reads the difference knows what publishing will answer."""
        refusals = diff_catalogues(before=BEFORE, after=after).refusals
        assert words in [refusal.reason for refusal in refusals]
        assert (refusals[0].code, refusals[0].reason) == outcome(BEFORE, after)

    def test_of_an_older_version_name_the_newer_one(self) -> None:
        """The books hold version 9; 2 comes too late, whatever is in it."""
        found = diff_catalogues(before=catalogue(9), after=catalogue(2))
        assert [Code.CATALOGUE_VERSION_OLD] == [refusal.code for refusal in found.refusals]

    def test_list_everything_at_once(self) -> None:
        """Not one more at every try."""
        found = diff_catalogues(before=BEFORE, after=catalogue(1, meters=OTHER[:0], plans=[],
                                                               event_types=[]))  # fmt: skip
        assert 4 == len(found.refusals)

    def test_are_none_for_what_only_adds_and_reprices(self) -> None:
        """New aliases, meters and plans, other prices, and plans that go."""
        after = catalogue(
            2,
            meters=[*billing.S1_METERS, billing.meter("calls")],
            plans=[billing.s1_plan("NEW", base="1", assets=("1", "1"), credits_=("1", "1"))],
            event_types=[
                {"name": "calls", "aliases": ["call"]},
                {"name": "credits", "aliases": ["burn", "credit"]},
            ],
        )
        assert () == diff_catalogues(before=BEFORE, after=after).refusals
        assert ("", "") == outcome(BEFORE, after)


class TestChanges:
    def test_name_every_field_that_differs(self) -> None:
        """Aliases, meters, plans, prices: each with what it was and what it becomes."""
        plans = json.loads(BEFORE.content)["plans"]
        starter, pro = plans[0], plans[1]
        starter["currency"] = "USD"
        starter["prices"][2] |= {"rate": "0.0021", "per": "10"}
        pro["prices"] = [pro["prices"][1], pro["prices"][0]]
        after = catalogue(
            2,
            meters=[*billing.S1_METERS, billing.meter("calls")],
            plans=[starter, pro],
            event_types=[{"name": "credits", "aliases": ["credit", "burn"]}],
        )
        found = {
            (str(each.how), each.what, each.name): each.detail
            for each in diff_catalogues(before=BEFORE, after=after).changes
        }
        assert {
            ("added", "alias", "burn"): "of credits",
            ("added", "meter", "calls"): "sum of quantity of calls, in unit",
            ("changed", "plan", "STARTER"): "currency CAD → USD",
            ("changed", "price", "STARTER/credit_overage"): "rate 0.0020 → 0.0021, per none → 10",
            ("removed", "price", "PRO/credit_overage"): (
                "form per_unit, included 1000000, meter credits, rate 0.0020"
            ),
            ("changed", "plan", "PRO"): "its invoice lines come in another order",
            ("removed", "plan", "ENTERPRISE"): "refused while a live subscription is on it",
            ("removed", "plan", "CUSTOM"): "refused while a live subscription is on it",
        } == found

    def test_are_none_when_the_meaning_is_the_same(self) -> None:
        """A rate of 3.0 is a rate of 3.00; the documents differ, what they say does not."""
        plans = json.loads(BEFORE.content)["plans"]
        plans[0]["prices"][1]["rate"] = "3.0"
        after = catalogue(2, plans=plans)
        assert after.sha256 != catalogue(2).sha256
        assert () == diff_catalogues(before=BEFORE, after=after).changes

    def test_of_a_first_version_are_all_of_it(self) -> None:
        """Nothing was there before."""
        changes = diff_catalogues(before=None, after=BEFORE).changes
        assert {"added"} == {str(each.how) for each in changes}
        assert 1 + 2 + 4 + 4 * 3 == len(changes)

    def test_tell_the_names_that_were_unknown_before(self) -> None:
        """Usage of these may wait among the dead letters."""
        after = catalogue(2, event_types=[{"name": "credits", "aliases": ["credit", "burn"]}])
        assert {"burn"} == new_event_names(before=BEFORE, after=after)
        assert {"assets", "credits", "credit"} == new_event_names(before=None, after=BEFORE)
