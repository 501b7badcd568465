"""Which changes of subscriptions, customers and clocks are refused, and that nothing is left."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from domain.canonical import Json
from domain.codes import Code
from domain.fields import TEXT_LENGTH_MAX
from domain.period import time_text
from tests.support.billing import bodies, moment
from tests.support.stories import CALLS, CUSTOMER, SEATS, Story, plan

PLANS = (
    plan("PRO", "9000", also=[CALLS]),
    plan("BIG", "18000"),
    plan("YEAR", "1188", interval="year"),
    plan("LIFE", "1000", interval="lifetime"),
    plan("LIFE_MORE", "1500", interval="lifetime"),
    plan("LIFE_LESS", "500", interval="lifetime"),
    plan("EURO", "31") | {"currency": "EUR"},  # type: ignore[operator]
)


def at(text: str) -> str:
    return time_text(moment(text))


@pytest.fixture
def story() -> Story:
    """The customer acme on PRO from 2025-01-01; January has its invoice."""
    story = Story(*PLANS)
    story.subscribe("PRO", start="2025-01-01")
    story.bill("2025-02-01")
    return story


DEAR_SEATS: Json = {"key": "seats", "form": "seats", "amount": "1000000000000"}


class TestRefusals:
    # What is sent beside the subscription and a day in February, and what comes back.
    ROWS: tuple[tuple[str, dict[str, Json], Code, str], ...] = (
        ("ChangePlan", {"plan": "GOLD"}, Code.PLAN_UNKNOWN, "GOLD"),
        ("ChangePlan", {"plan": "EURO"}, Code.CURRENCY_DIFFERS, "EUR"),
        ("ChangePlan", {"plan": "YEAR"}, Code.INTERVAL_DIFFERS, "period_end"),
        ("ChangePlan", {"plan": "LIFE", "when": "period_end"}, Code.INTERVAL_DIFFERS, "cancel"),
        ("ChangePlan", {"plan": "BIG", "when": "soon"}, Code.COMMAND_INVALID, "ChangePlan.when"),
        ("ChangePlan", {"when": "now"}, Code.COMMAND_INVALID, "ChangePlan.plan"),
        ("ChangePlan", {"plan": "BIG", "x": 1}, Code.COMMAND_INVALID, "ChangePlan.x"),
        ("ChangeSeats", {"seats": -1}, Code.COMMAND_INVALID, "ChangeSeats.seats"),
        ("ChangeSeats", {"seats": True}, Code.COMMAND_INVALID, "ChangeSeats.seats"),
        ("SetAddOn", {"add_on": "gold"}, Code.ADD_ON_UNKNOWN, "gold"),
        ("SetAddOn", {"add_on": "support", "quantity": -1}, Code.COMMAND_INVALID, "quantity"),
        ("UndoCancel", {}, Code.NOT_CANCELLED, "no end"),
        ("PauseSubscription", {"when": "now"}, Code.COMMAND_INVALID, "PauseSubscription.when"),
        ("CancelSubscription", {"when": "never"}, Code.COMMAND_INVALID, "when"),
    )

    @pytest.mark.parametrize(("kind", "body", "code", "place"), ROWS)
    def test_name_the_code_and_the_place(
        self, story: Story, kind: str, body: Mapping[str, Json], code: Code, place: str
    ) -> None:
        """And the subscription is what it was."""
        before = story.subscription()
        outcome = story.sent(
            kind, {"subscription": "sub_1", "as_of": at("2025-02-10"), **body}, on="2025-02-10"
        )
        assert (outcome.code, outcome.facts) == (code, ())
        assert place in outcome.reason
        assert story.subscription() is before

    @pytest.mark.parametrize(
        ("kind", "more"),
        [
            ("ChangePlan", {"plan": "BIG"}),
            ("ChangeSeats", {"seats": 2}),
            ("SetAddOn", {"add_on": "support"}),
            ("CancelSubscription", {}),
            ("PauseSubscription", {}),
            ("ResumeSubscription", {}),
        ],
    )
    def test_of_a_day_that_cannot_be(
        self, story: Story, kind: str, more: Mapping[str, Json]
    ) -> None:
        """Before the open period, too far ahead, after the end, or of nobody."""

        def code(as_of: str, name: str = "sub_1") -> str:
            body: dict[str, Json] = {"subscription": name, "as_of": at(as_of), **more}
            return story.sent(kind, body, on="2025-02-10").code

        assert code("2025-01-31") == Code.PERIOD_INVOICED
        assert code("2027-01-01") == Code.COMMAND_INVALID
        assert code("2025-02-10", "sub_9") == Code.SUBSCRIPTION_UNKNOWN
        story.change("CancelSubscription", on="2025-02-20")
        assert code("2025-02-20") == Code.SUBSCRIPTION_ENDED

    def test_a_subscription_that_is_over_takes_no_discount(self, story: Story) -> None:
        """Nor one that it has, nor one that nobody knows."""
        body: dict[str, Json] = {"subscription": "sub_1", "discount": "loyal"}
        assert story.sent("GrantDiscount", body).code == ""
        assert story.sent("GrantDiscount", body).code == Code.DISCOUNT_GRANTED
        unknown = {**body, "discount": "gold"}
        assert story.sent("GrantDiscount", unknown).code == Code.DISCOUNT_UNKNOWN
        story.change("CancelSubscription", on="2025-02-20")
        story.bill("2025-03-01")
        assert story.sent("GrantDiscount", {**body, "discount": "launch"}).code == (
            Code.SUBSCRIPTION_ENDED
        )

    def test_an_end_cannot_be_taken_back_once_it_has_come(self, story: Story) -> None:
        """From its first moment on."""
        story.change("CancelSubscription", on="2025-02-10", when="period_end")
        undo = {"subscription": "sub_1", "as_of": at("2025-03-01")}
        assert story.sent("UndoCancel", undo).code == Code.SUBSCRIPTION_ENDED
        undo = {"subscription": "sub_1", "as_of": at("2025-02-28T23:59:59")}
        assert story.sent("UndoCancel", undo).code == ""

    def test_changes_ahead_are_bounded(self, story: Story) -> None:
        """The document of a subscription stays small."""
        codes = set()
        for day in range(120):
            month, number = divmod(day, 28)
            as_of = f"2025-{month + 3:02}-{number + 1:02}"
            body: dict[str, Json] = {"subscription": "sub_1", "seats": day + 2}
            body["as_of"] = at(as_of)
            codes.add(story.sent("ChangeSeats", body).code)
        assert codes == {"", Code.CHANGE_LIMIT}
        assert len(story.subscription().phases) == 100


class TestDays:
    def test_a_change_counts_from_midnight_of_its_day(self, story: Story) -> None:
        """At noon of the 22nd as at its first moment."""
        story.change("ChangePlan", on="2025-02-22T12:00:00", plan="BIG")
        assert [phase.start for phase in story.subscription().phases] == [
            moment("2025-02-01"),
            moment("2025-02-22"),
        ]

    def test_without_as_of_the_received_day_counts(self, story: Story) -> None:
        """A command that says nothing means now."""
        story.accepted("PauseSubscription", {"subscription": "sub_1"}, on="2025-02-14")
        assert story.subscription().status_at(moment("2025-02-14")) == "paused"
        assert story.subscription().status_at(moment("2025-02-13")) == "active"

    def test_a_change_before_the_start_counts_from_it(self, story: Story) -> None:
        """Who upgrades what is yet to begin begins on the larger plan."""
        story.subscribe("BIG", start="2025-06-01", name="sub_2")
        story.change("ChangeSeats", on="2025-05-01", seats=9, name="sub_2")
        (phase,) = story.subscription("sub_2").phases
        assert (phase.start, phase.seats) == (moment("2025-06-01"), 9)

    def test_a_later_change_overrules_what_was_planned(self, story: Story) -> None:
        """The plan is planned otherwise; the seats that were planned stay."""
        story.change("ChangePlan", on="2025-02-10", plan="BIG", when="period_end")
        story.change("ChangeSeats", on="2025-02-12", seats=5)
        story.change("ChangePlan", on="2025-02-14", plan="PRO")
        held = story.subscription().phase_at(moment("2025-03-01"))
        assert (held.plan, held.seats) == ("PRO", 5)


class TestLifetime:
    def test_a_larger_one_costs_the_whole_difference(self) -> None:
        """There are no days left to count."""
        story = Story(*PLANS)
        story.subscribe("LIFE", start="2025-01-01")
        story.bill("2025-01-01")
        story.change("ChangePlan", on="2035-01-01", plan="LIFE_MORE")
        assert story.told[-1] == "2035-01-01 item Plan LIFE to LIFE_MORE: 500.00"

    @pytest.mark.parametrize(
        ("kind", "more"), [("ChangePlan", {"plan": "LIFE_LESS"}), ("CancelSubscription", {})]
    )
    def test_gives_nothing_back(self, kind: str, more: dict[str, Any]) -> None:
        """It was paid once and for good."""
        story = Story(*PLANS)
        story.subscribe("LIFE", start="2025-01-01")
        story.bill("2025-01-01")
        story.change(kind, on="2025-01-10", **more)
        assert (len(story.told), story.credit_minor) == (1, 0)

    def test_has_no_end_of_a_period(self) -> None:
        """So nothing can be put off until then."""
        story = Story(*PLANS)
        story.subscribe("LIFE", start="2025-01-01")
        body = {"subscription": "sub_1", "when": "period_end", "as_of": at("2025-01-10")}
        outcome = story.sent("CancelSubscription", body)
        assert outcome.code == Code.COMMAND_INVALID
        assert "CancelSubscription.when" in outcome.reason


class TestSeats:
    """S3-R4: nobody has more seats than the plan sells."""

    SOLO = plan("SOLO", "10", seats_max=1)
    TEAM = plan("TEAM", "90", also=[SEATS], seats_max=5)

    @pytest.fixture
    def story(self) -> Story:
        """A team of five."""
        made = Story(self.SOLO, self.TEAM)
        made.subscribe("TEAM", start="2025-01-01", seats=5)
        return made

    @pytest.mark.parametrize(
        ("kind", "body", "place"),
        [
            ("CreateSubscription", {"plan": "SOLO", "seats": 2}, "seats"),
            ("ChangeSeats", {"seats": 6}, "seats"),
            ("ChangeSeats", {"seats": 6, "when": "period_end"}, "seats"),
            ("ChangePlan", {"plan": "SOLO"}, "plan"),
            ("ChangePlan", {"plan": "SOLO", "when": "period_end"}, "plan"),
        ],
    )
    def test_s3_r4_seats_are_those_the_plan_sells(
        self, story: Story, kind: str, body: Mapping[str, Json], place: str
    ) -> None:
        """Refused with the place, and nothing is changed."""
        more: dict[str, Json] = {"subscription": "sub_1"}
        if kind == "CreateSubscription":
            start = "2025-01-01T00:00:00Z"
            more = {"subscription": "sub_2", "customer": CUSTOMER, "start": start}
        outcome = story.sent(kind, {**more, **body})
        assert (outcome.code, outcome.facts) == (Code.SEATS_LIMIT, ())
        assert outcome.reason.startswith(f"{kind}.{place} asks for ")

    def test_a_planned_plan_counts_too(self, story: Story) -> None:
        """Seats from today would be there when it begins."""
        story.change("ChangeSeats", on="2025-01-10", seats=1)
        story.change("ChangePlan", on="2025-01-10", plan="SOLO", when="period_end")
        body: dict[str, Json] = {"subscription": "sub_1", "seats": 2}
        outcome = story.sent("ChangeSeats", body, on="2025-01-11")
        assert outcome.code == Code.SEATS_LIMIT
        assert "'SOLO' sells at most 1" in outcome.reason

    def test_who_has_more_than_a_later_version_sells_keeps_them(self, story: Story) -> None:
        """And may have fewer, and pause; more than it sells are not to be had."""
        story.publish(2, self.SOLO, plan("TEAM", "90", also=[SEATS], seats_max=2), on="2025-01-20")
        story.bill("2025-02-02")
        assert story.subscription().phase_at(moment("2025-02-02")).catalogue_version == 2
        sent = [
            story.sent(kind, {"subscription": "sub_1", **body}, on="2025-02-03").code
            for kind, body in (
                ("ChangePlan", {"plan": "TEAM"}),
                ("PauseSubscription", {}),
                ("ChangeSeats", {"seats": 6}),
                ("ChangeSeats", {"seats": 4}),
                ("ChangeSeats", {"seats": 5}),
            )
        ]
        # On one day the last change counts, so the seats of the day before are kept.
        assert sent == ["", "", Code.SEATS_LIMIT, "", ""]

    def test_so_with_a_change_that_is_planned(self) -> None:
        """Fewer from today, though fewer still are planned; and the plan itself again."""
        free, pro = plan("FREE", "0", also=[SEATS]), plan("PRO", "9", also=[SEATS])
        story = Story(free, pro)
        story.subscribe("FREE", start="2025-01-01", seats=50)
        less = plan("FREE", "0", also=[SEATS], seats_max=5)
        story.publish(2, less, pro, on="2025-01-20")
        body: dict[str, Json] = {"subscription": "sub_1"}
        later: dict[str, Json] = {"when": "period_end"}
        sent = [
            story.sent(kind, {**body, **more}, on="2025-01-21").code
            for kind, more in (
                ("ChangePlan", {"plan": "PRO", **later}),
                ("ChangePlan", {"plan": "FREE", **later}),
                ("ChangeSeats", {"seats": 1, **later}),
                ("ChangeSeats", {"seats": 49}),
                ("ChangeSeats", {"seats": 51}),
            )
        ]
        assert sent == ["", "", "", "", Code.SEATS_LIMIT]

    def test_more_than_the_version_in_force_sells_are_not_to_be_had(self, story: Story) -> None:
        """The running period is of the version before; the next one would keep the seats."""
        story.change("ChangeSeats", on="2025-01-10", seats=1)
        story.publish(2, self.SOLO, plan("TEAM", "90", also=[SEATS], seats_max=2), on="2025-01-20")
        body: dict[str, Json] = {"subscription": "sub_1"}
        sent = [
            story.sent("ChangeSeats", {**body, "seats": seats}, on="2025-01-21").code
            for seats in (3, 2)
        ]
        assert sent == [Code.SEATS_LIMIT, ""]


class TestCustomers:
    def test_s3_31_the_currency_may_be_the_catalogues(self) -> None:
        """A customer who is created without one pays in the default currency."""
        story = Story(*PLANS, more={"billing": {"default_currency": "EUR"}})
        story.accepted("CreateCustomer", {"customer": "other"})
        assert story.state.customers["other"].currency == "EUR"

    def test_terms_are_changed_one_by_one(self, story: Story) -> None:
        """What is not named stays; null goes back to the catalogue's."""
        tax: Json = {"treatment": "exempt", "region": "QC"}
        terms: dict[str, Json] = {"customer": CUSTOMER, "due_days": 14, "tax": tax}
        story.accepted("ChangeCustomer", terms)
        story.accepted("ChangeCustomer", {"customer": CUSTOMER, "grace_hours": 0})
        kept = story.customer
        assert (kept.due_days, kept.grace_hours, kept.tax.region) == (14, 0, "QC")
        story.accepted("ChangeCustomer", {"customer": CUSTOMER, "due_days": None, "tax": None})
        assert (story.customer.due_days, story.customer.tax.region) == (None, "")
        again = story.accepted("ChangeCustomer", {"customer": CUSTOMER, "grace_hours": 0})
        assert again.facts == ()

    @pytest.mark.parametrize(
        ("kind", "body", "code", "place"),
        [
            ("ChangeCustomer", {"currency": "USD"}, Code.CURRENCY_DIFFERS, "CAD"),
            ("ChangeCustomer", {"seller": "nobody"}, Code.SELLER_UNKNOWN, "nobody"),
            ("ChangeCustomer", {"due_days": -1}, Code.COMMAND_INVALID, "due_days"),
            ("ChangeCustomer", {"due_days": 366}, Code.COMMAND_INVALID, "due_days"),
            ("ChangeCustomer", {"grace_hours": 745}, Code.COMMAND_INVALID, "grace_hours"),
            (
                "ChangeCustomer",
                {"tax": {"treatment": "none"}},
                Code.COMMAND_INVALID,
                "tax.treatment",
            ),
            (
                "ChangeCustomer",
                {"tax": {"treatment": "standard", "region": "qc"}},
                Code.COMMAND_INVALID,
                "ChangeCustomer.tax.region",
            ),
            ("ChangeCustomer", {"customer": "other"}, Code.CUSTOMER_UNKNOWN, "other"),
            ("SetPriceOverride", {"customer": "other"}, Code.CUSTOMER_UNKNOWN, "other"),
            ("SetPriceOverride", {"plan": "GOLD"}, Code.PLAN_UNKNOWN, "GOLD"),
            ("SetPriceOverride", {"price": "gold"}, Code.PRICE_UNKNOWN, "gold"),
            ("SetPriceOverride", {"document": "{"}, Code.COMMAND_INVALID, "document"),
            (
                "SetPriceOverride",
                {"document": '{"key":"base","form":"flat","amount":"-1"}'},
                Code.COMMAND_INVALID,
                "SetPriceOverride.document.amount",
            ),
            (
                "SetPriceOverride",
                {"document": '{"key":"other","form":"flat","amount":"1"}'},
                Code.COMMAND_INVALID,
                "SetPriceOverride.document.key",
            ),
            (
                "SetPriceOverride",
                {"document": '{"key":"base","form":"flat","amount":"1","tax":"standrad"}'},
                Code.COMMAND_INVALID,
                "SetPriceOverride.document.tax",
            ),
            (
                "SetPriceOverride",
                {"document": '{"key":"base","form":"per_unit","meter":"calls","rate":"1"}'},
                Code.COMMAND_INVALID,
                "SetPriceOverride.document.meter",
            ),
        ],
    )
    def test_refuses_with_the_code_and_the_place(
        self, story: Story, kind: str, body: Mapping[str, Json], code: Code, place: str
    ) -> None:
        """And the customer is what it was."""
        price = {"key": "base", "form": "flat", "amount": "79"}
        default: dict[str, Json] = {"customer": CUSTOMER}
        if kind == "SetPriceOverride":
            default |= {"plan": "PRO", "price": "base", "document": json.dumps(price)}
        before = story.customer
        outcome = story.sent(kind, {**default, **body})
        assert (outcome.code, outcome.facts) == (code, ())
        assert place in outcome.reason
        assert story.customer is before

    def test_an_override_of_another_tenant_is_nobodys(self, story: Story) -> None:
        """The same customer id means nothing there."""
        story.books.tenant = "other"
        body = {"customer": CUSTOMER, "plan": "PRO", "price": "base", "document": None}
        assert story.sent("SetPriceOverride", body).code == Code.CUSTOMER_UNKNOWN


class TestClock:
    def test_takes_the_place_of_the_received_time(self) -> None:
        """Of everything: what is created on the clock's day was created on it."""
        story = Story(*PLANS)
        story.accepted("StartClock", {"as_of": at("2031-05-05")}, on="2025-01-01")
        outcome = story.accepted("CreateCustomer", {"customer": "other", "currency": "CAD"})
        ((_, body),) = bodies(outcome)
        assert body["changed_at"] == "2031-05-05T00:00:00Z"
        story.publish(2, *PLANS)
        assert story.state.published_at[2] == moment("2031-05-05")

    def test_moves_forward_only(self) -> None:
        """To where it stands is no move, and back there is none."""
        story = Story(*PLANS)
        body = {"as_of": at("2031-05-05")}
        assert story.sent("AdvanceClock", body).code == Code.CLOCK_MISSING
        assert bodies(story.accepted("StartClock", body)) == [
            ("ClockStarted", {"now_at": "2031-05-05T00:00:00Z"})
        ]
        assert story.sent("StartClock", body).code == Code.CLOCK_EXISTS
        assert story.accepted("AdvanceClock", body).facts == ()
        assert story.sent("AdvanceClock", {"as_of": at("2031-05-04")}).code == (
            Code.CLOCK_BACKWARDS
        )
        story.accepted("AdvanceClock", {"as_of": at("2031-06-01T12:00:00")})
        assert story.state.clock == moment("2031-06-01T12:00:00")
        outcome = story.sent("AdvanceClock", {"as_of": at("3001-01-01")})
        assert outcome.code == Code.COMMAND_INVALID

    def test_is_not_for_a_tenant_that_is_live(self, story: Story) -> None:
        """Its customers live in real time."""
        assert story.sent("StartClock", {"as_of": at("2031-05-05")}).code == Code.TENANT_LIVE


class TestFactsThatApply:
    """What a decision writes is applied at once and after every restart: else the books stop."""

    def test_labels_of_the_longest_codes_are_cut(self) -> None:
        """Two plan codes of 200 characters, down and up again: account credit and an item."""
        small, large = "S" * TEXT_LENGTH_MAX, "L" * TEXT_LENGTH_MAX
        story = Story(plan(small, "31"), plan(large, "310", fees="in_advance"))
        story.subscribe(large, start="2025-01-01")
        story.bill("2025-01-01")
        for code, day in ((small, "2025-01-16"), (large, "2025-01-20")):
            body: dict[str, Json] = {"subscription": "sub_1", "plan": code, "as_of": at(day)}
            assert story.sent("ChangePlan", body, on=day).code == ""
        facts = [
            fact
            for record in story.books.facts
            for outcome in record.outcomes
            for fact in outcome.facts
        ]
        credits_ = [json.loads(each.body) for each in facts if each.kind == "AccountCreditGranted"]
        items = [json.loads(each.body) for each in facts if each.kind == "ItemAdded"]
        labels = [json.loads(each["document"])["label"] for each in items]
        assert [len(label) for label in labels] == [TEXT_LENGTH_MAX]
        assert [len(each["reason"]) for each in credits_] == [TEXT_LENGTH_MAX]

    def test_fees_beyond_an_amount_are_refused(self) -> None:
        """A million seats at 10^12 each."""
        story = Story(plan("SEATS", "1", fees="in_advance", also=[DEAR_SEATS]))
        story.subscribe("SEATS", start="2025-01-01", seats=0)
        story.bill("2025-01-01")
        body: dict[str, Json] = {
            "subscription": "sub_1",
            "seats": 1_000_000,
            "as_of": at("2025-01-05"),
        }
        assert story.sent("ChangeSeats", body, on="2025-01-05").code == Code.AMOUNT_LIMIT

    @pytest.mark.parametrize("as_of", ["9999-12-31T12:00:00Z", "0001-01-01T00:00:00Z"])
    def test_a_day_at_the_end_of_time_is_refused(self, as_of: str) -> None:
        """A lifetime ends in 9999: the day after the last one is none."""
        story = Story(*PLANS)
        story.subscribe("LIFE", start="2025-01-01")
        body: dict[str, Json] = {"subscription": "sub_1", "as_of": as_of}
        assert story.sent("CancelSubscription", body).code == Code.COMMAND_INVALID
