"""Prices of a customer's own: of plans and add-ons, over the meter that they were made for."""

import json
from collections.abc import Mapping

import pytest

from domain.books.subscription import Subscription
from domain.canonical import Json, to_canonical_json
from domain.catalogue import parse_catalogue
from domain.catalogue_check import check_catalogue
from domain.codes import Code
from tests.support.billing import meter
from tests.support.stories import CUSTOMER, Story, plan

METERS: dict[str, Json] = {"meters": [meter("calls"), meter("storage"), meter("jobs")]}


def per_unit(key: str, rate: str, *, of: str = "") -> dict[str, Json]:
    return {"key": key, "form": "per_unit", "meter": of or key, "rate": rate}


def fee(key: str, amount: str) -> dict[str, Json]:
    return {"key": key, "form": "flat", "amount": amount}


def add_on(code: str, *prices: Json) -> Json:
    return {"code": code, "name": code.title(), "currency": "CAD", "prices": list(prices)}


def give(story: Story, price: Mapping[str, Json], *, on: str, **of: Json) -> None:
    """Give the customer a price of their own."""
    body: dict[str, Json] = {
        "customer": CUSTOMER,
        "price": price["key"],
        "document": json.dumps(price),
    }
    story.accepted("SetPriceOverride", body | of, on=on)


class TestAnotherMeter:
    MORE = METERS | {"add_ons": [add_on("extra", per_unit("jobs", "1"))]}

    @pytest.mark.parametrize(
        ("of", "own", "place"),
        [
            ({"plan": "PRO"}, "calls", "catalogue.plans[1].prices[1].meter"),
            ({"add_on": "extra"}, "jobs", "catalogue.add_ons[0].prices[0].meter"),
        ],
    )
    def test_of_a_price_that_somebody_has_differently_is_refused(
        self, of: dict[str, Json], own: str, place: str
    ) -> None:
        """The customer would pay the catalogue's price, and nobody would notice."""
        plans = (plan("OTHER", "1"), plan("PRO", "1", also=[per_unit("calls", "1")]))
        story = Story(*plans, more=self.MORE)
        give(story, per_unit(own, "0.5"), on="2025-01-02", **of)
        moved = (
            plan("OTHER", "1"),
            plan("PRO", "1", also=[per_unit("calls", "1", of="storage")]),
        )
        others = METERS | {"add_ons": [add_on("extra", per_unit("jobs", "1", of="storage"))]}
        newer = (moved, self.MORE) if "plan" in of else (plans, others)
        outcome = story.publish(2, *newer[0], more=newer[1], on="2025-01-10")
        assert outcome.code == Code.PLAN_IN_USE
        assert outcome.reason.startswith(f"{place}: customer {CUSTOMER!r}")
        assert f"/{own}" in outcome.reason

    def test_under_another_key_is_free(self) -> None:
        story = Story(plan("PRO", "0", also=[per_unit("calls", "1")]), more=METERS)
        give(story, per_unit("calls", "0.5"), on="2025-01-01", plan="PRO")
        story.subscribe("PRO", start="2025-01-01")
        both = [per_unit("calls", "2"), per_unit("storage", "2")]
        assert (
            story.publish(2, plan("PRO", "0", also=both), more=METERS, on="2025-01-10").code == ""
        )
        for used in ("calls", "storage"):
            story.use(used, at="2025-02-05", value="10")
        story.bill("2025-03-01")
        assert "calls 5.00, storage 20.00 = 25.00" in story.told[-1]

    def test_of_an_older_version_has_the_prices_of_that_version(self) -> None:
        """January is billed by the first version, whose `calls` are calls: each use once."""
        story = Story(plan("PRO", "0", also=[per_unit("calls", "1")]), more=METERS)
        story.subscribe("PRO", start="2025-01-01")
        moved = [per_unit("calls", "2", of="storage"), per_unit("api", "2", of="calls")]
        newer = plan("PRO", "0", also=moved)
        assert story.publish(2, newer, more=METERS, on="2025-01-10").code == ""
        give(story, per_unit("calls", "0.5", of="storage"), on="2025-01-11", plan="PRO")
        for day in ("2025-01-20", "2025-02-05"):
            story.use("calls", at=day, value="100")
            story.use("storage", at=day, value="10")
        story.bill("2025-03-01")
        assert [line.rpartition(": ")[2] for line in story.told] == [
            "calls 100.00 = 100.00",
            "calls 5.00, api 200.00 = 205.00",
        ]


def test_a_discount_for_add_ons_alone_is_refused_and_read() -> None:
    """Who writes it learns where; a version that was published before still prices its periods."""
    support = {"add_ons": [add_on("support", fee("fee", "62"))]}
    off = {"code": "d", "name": "D", "kind": "percent", "value": "50", "prices": ["base", "fee"]}
    document: dict[str, Json] = {
        "version": 1,
        "plans": [plan("PRO", "100")],
        "discounts": [off],
        **support,
    }
    place = "catalogue.discounts[0].prices"
    assert parse_catalogue(json.dumps(document)).discounts
    assert [problem.place for problem in check_catalogue(document)[1]] == [place]
    story = Story(plan("PRO", "100"))
    outcome = story.publish(2, plan("PRO", "100"), more={"discounts": [off], **support})
    assert outcome.code == Code.CATALOGUE_INVALID
    assert outcome.reason.startswith(f"{place} name 'fee'")


class TestAddOns:
    MORE = METERS | {
        "add_ons": [
            add_on("support", fee("fee", "62"), per_unit("jobs", "1")),
            add_on("backup", fee("fee", "62")),
        ]
    }

    def test_s3_21_have_own_prices_whatever_the_plan(self) -> None:
        """Two of them at 31 and 0.25 a job; the other add-on keeps what the catalogue says."""
        story = Story(plan("PRO", "100"), plan("BIG", "200"), more=self.MORE)
        story.subscribe("PRO", start="2025-01-01")
        story.change("SetAddOn", on="2025-01-01", add_on="support", quantity=2)
        story.change("SetAddOn", on="2025-01-01", add_on="backup")
        give(story, fee("fee", "31"), on="2025-01-15", add_on="support")
        give(story, per_unit("jobs", "0.25"), on="2025-01-15", add_on="support")
        story.use("jobs", at="2025-01-02", value="100")
        story.change("ChangePlan", on="2025-01-20", plan="BIG", when="period_end")
        story.bill("2025-02-01")
        body: dict[str, Json] = {"customer": CUSTOMER, "add_on": "support", "price": "fee"}
        story.accepted("SetPriceOverride", {**body, "document": None}, on="2025-02-10")
        story.bill("2025-03-01")
        assert [line.rpartition(": ")[2] for line in story.told] == [
            "base 100.00, fee 62.00, fee 62.00, jobs 25.00 = 249.00",
            "base 200.00, fee 62.00, fee 124.00 = 386.00",
        ]

    def test_paid_in_advance_stay_as_they_were_charged(self) -> None:
        """62 were paid; dropped after half of June 31 come back, whatever is agreed since."""
        story = Story(plan("PRO", "100", fees="in_advance"), more=self.MORE)
        story.subscribe("PRO", start="2025-06-01")
        story.change("SetAddOn", on="2025-06-01", add_on="support")
        story.bill("2025-06-01")
        give(story, fee("fee", "10"), on="2025-06-05", add_on="support")
        assert story.credit_minor == 0
        story.change("SetAddOn", on="2025-06-16", add_on="support", quantity=0)
        assert story.credit_minor == 3_100

    def test_paid_in_advance_by_an_own_price_give_no_more_back(self) -> None:
        story = Story(plan("PRO", "100", fees="in_advance"), more=self.MORE)
        give(story, fee("fee", "10"), on="2025-05-01", add_on="support")
        story.subscribe("PRO", start="2025-06-01")
        story.change("SetAddOn", on="2025-06-01", add_on="support")
        story.bill("2025-06-01")
        body: dict[str, Json] = {"customer": CUSTOMER, "add_on": "support", "price": "fee"}
        story.accepted("SetPriceOverride", {**body, "document": None}, on="2025-06-02")
        story.change("SetAddOn", on="2025-06-16", add_on="support", quantity=0)
        assert story.credit_minor == 500

    def test_bought_within_a_paid_period_cost_what_is_agreed_by_then(self) -> None:
        """Half of June at 10; once it is 20, the other half's item follows."""
        story = Story(plan("PRO", "100", fees="in_advance"), more=self.MORE)
        story.subscribe("PRO", start="2025-06-01")
        story.bill("2025-06-01")
        give(story, fee("fee", "10"), on="2025-06-05", add_on="support")
        story.change("SetAddOn", on="2025-06-16", add_on="support")
        give(story, fee("fee", "20"), on="2025-06-17", add_on="support")
        assert sum(item.amount_minor for item in story.content().terms.items) == 1_000

    @pytest.mark.parametrize(
        ("body", "code", "place"),
        [
            ({}, Code.COMMAND_INVALID, "SetPriceOverride.plan"),
            ({"plan": "PRO", "add_on": "support"}, Code.COMMAND_INVALID, "SetPriceOverride.plan"),
            ({"plan": "support"}, Code.PLAN_UNKNOWN, "support"),
            ({"add_on": "PRO"}, Code.ADD_ON_UNKNOWN, "PRO"),
            ({"add_on": "support", "price": "base"}, Code.PRICE_UNKNOWN, "base"),
            (
                {"add_on": "support", "document": '{"key":"fee","form":"seats","amount":"1"}'},
                Code.COMMAND_INVALID,
                "SetPriceOverride.document.form",
            ),
        ],
    )
    def test_refuse_what_no_add_on_could_have(
        self, body: dict[str, Json], code: Code, place: str
    ) -> None:
        story = Story(plan("PRO", "100"), more=self.MORE)
        default: dict[str, Json] = {
            "customer": CUSTOMER,
            "price": "fee",
            "document": json.dumps(fee("fee", "1")),
        }
        outcome = story.sent("SetPriceOverride", default | body)
        assert (outcome.code, outcome.facts) == (code, ())
        assert place in outcome.reason

    def test_are_unknown_to_subscriptions_from_before(self) -> None:
        """What was charged then names plans alone, and is read as it was written."""
        story = Story(plan("PRO", "100", fees="in_advance"), more=self.MORE)
        story.subscribe("PRO", start="2025-06-01")
        story.bill("2025-06-01")
        written = story.subscription().to_json()
        charged = written["charged"]
        assert isinstance(charged, dict)
        del charged["add_ons"]
        assert Subscription.from_document(to_canonical_json(written)) == story.subscription()


class TestOfValues:
    """A matrix is over a meter with few sets of values; a version may have it with many."""

    MATRIX: Mapping[str, Json] = {
        "key": "calls",
        "form": "matrix",
        "meter": "calls",
        "dimensions": ["model"],
        "rates": [{"where": {"model": "a"}, "rate": "1"}],
        "rate": "1",
    }
    PRO = plan("PRO", "1", also=[per_unit("calls", "1")])

    @staticmethod
    def sets(most: int) -> dict[str, Json]:
        found = meter("calls")
        assert isinstance(found, dict)
        found |= {"group_by": ["model"], "dimension_sets_max": most}
        return {"meters": [found], "discounts": []}

    def test_a_version_that_cannot_hold_it_is_refused(self) -> None:
        """Else nothing of the tenant would be billed any more."""
        story = Story(self.PRO, more=self.sets(1_000))
        story.subscribe("PRO", start="2025-01-01")
        give(story, self.MATRIX, on="2025-01-02", plan="PRO")
        answer = story.publish(2, self.PRO, more=self.sets(100_000), on="2025-01-10")
        assert answer.code == Code.PLAN_IN_USE
        assert answer.reason.startswith("catalogue.plans[0].prices[1]: customer ")

    def test_it_is_refused_where_the_running_period_cannot_hold_it(self) -> None:
        """The version in force could."""
        story = Story(self.PRO, more=self.sets(100_000))
        story.subscribe("PRO", start="2025-01-01")
        story.publish(2, self.PRO, more=self.sets(1_000), on="2025-01-10")
        own: dict[str, Json] = {"customer": CUSTOMER, "plan": "PRO", "price": "calls"}
        body = own | {"document": json.dumps(self.MATRIX)}
        answer = story.sent("SetPriceOverride", body, on="2025-01-11")
        assert answer.code == Code.COMMAND_INVALID
        assert "cannot be held by version 1" in answer.reason
        story.bill("2025-02-02")
        assert "" == story.sent("SetPriceOverride", body, on="2025-02-03").code


def test_of_what_is_sold_no_more_can_be_taken_away() -> None:
    """Else it would rest for good, and count among the most that a customer may have."""
    extra = METERS | {"add_ons": [add_on("extra", per_unit("jobs", "1"))]}
    story = Story(plan("PRO", "1"), more=extra)
    give(story, per_unit("jobs", "0.5"), on="2025-01-02", add_on="extra")
    story.publish(2, plan("PRO", "1"), more=METERS | {"add_ons": []}, on="2025-01-03")
    gone: dict[str, Json] = {"customer": CUSTOMER, "add_on": "extra", "price": "jobs"}
    assert "" == story.sent("SetPriceOverride", gone | {"document": None}, on="2025-01-04").code
    assert story.customer.overrides == ()
    assert Code.ADD_ON_UNKNOWN == story.sent("SetPriceOverride", gone | {"document": "{}"}).code
