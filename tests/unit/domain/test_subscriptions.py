"""How a subscription begins, goes on and ends, and why each refusal is given."""

from collections.abc import Mapping
from typing import Any

import pytest

from domain.billing_terms import Fees
from domain.books.subscription import Subscription
from domain.canonical import Json
from domain.codes import Code
from domain.period import time_text
from tests.support.billing import bodies, moment
from tests.support.stories import CALLS, CUSTOMER, SEATS, Story, plan

PRO = plan("PRO", "9000", also=[CALLS])
FLAT = plan("FLAT", "31")
JOBS = plan("JOBS", "31", also=[{"key": "jobs", "form": "per_unit", "meter": "jobs", "rate": "1"}])
PLANS = (
    PRO,
    FLAT,
    JOBS,
    plan("ADVANCE", "310", fees="in_advance"),
    plan("TRIAL", "31", trial_days=14),
    plan("QUARTER", "300", interval="quarter"),
    plan("YEAR", "1188", interval="year"),
    plan("LIFE", "1000", interval="lifetime"),
    plan("LAUNCH", "100", discounts=["launch"]),
    plan("TEAM", "62", also=[SEATS]),
    plan("EURO", "31") | {"currency": "EUR"},  # type: ignore[operator]
)
BODY: Mapping[str, Json] = {
    "subscription": "sub_1",
    "customer": CUSTOMER,
    "plan": "PRO",
    "start": "2025-01-01T00:00:00Z",
}


@pytest.fixture
def story() -> Story:
    """A tenant with all plans, and the customer acme who pays CAD."""
    return Story(*PLANS)


class TestCreate:
    def test_x_33_s1_40_s1_49_starts_a_month_from_midnight(self, story: Story) -> None:
        """PRO from 2025-01-01 is active and runs to 2025-02-01, by the version in force (G-07)."""
        ((kind, body),) = bodies(story.accepted("CreateSubscription", BODY))
        document = body["document"]
        assert isinstance(document, dict)
        assert kind == "SubscriptionCreated"
        assert body["status"] == "active"
        assert document["period"] == {
            "start": "2025-01-01T00:00:00Z",
            "end": "2025-02-01T00:00:00Z",
        }
        assert [phase["catalogue_version"] for phase in document["phases"]] == [1]
        assert body["next_invoice_at"] == "2025-02-01T00:00:00Z"

    def test_the_fact_holds_all_there_is(self, story: Story) -> None:
        """What the books keep is what the document says, to the byte."""
        story.subscribe(
            "TEAM",
            start="2025-01-31",
            seats=7,
            add_ons=[{"code": "support", "quantity": 2}],
            trial_days=3,
            discounts=["loyal"],
            dimensions={"site": "north"},
            cycle="calendar",
            end="2026-01-01T00:00:00Z",
        )
        kept = story.subscription()
        assert Subscription.from_document(kept.document) == kept
        assert kept.phases[0].add_ons == (("support", 2),)
        assert kept.ends_at == moment("2026-01-01")

    @pytest.mark.parametrize(
        ("plan_code", "start", "more", "first", "end"),
        [
            ("PRO", "2025-01-31", {}, "2025-01-31", "2025-02-28"),
            ("PRO", "2025-01-10", {"cycle": "calendar"}, "2025-01-10", "2025-02-01"),
            ("QUARTER", "2025-01-10", {}, "2025-01-10", "2025-04-10"),
            ("QUARTER", "2025-01-10", {"cycle": "calendar"}, "2025-01-10", "2025-04-01"),
            ("YEAR", "2024-02-29", {}, "2024-02-29", "2025-02-28"),
            ("YEAR", "2025-05-01", {"cycle": "calendar"}, "2025-05-01", "2026-01-01"),
            ("TRIAL", "2025-01-01", {}, "2025-01-15", "2025-02-15"),
            ("TRIAL", "2025-01-01", {"trial_days": 0}, "2025-01-01", "2025-02-01"),
            ("TRIAL", "2025-01-01", {"cycle": "calendar"}, "2025-01-15", "2025-02-01"),
            ("PRO", "2025-01-01", {"end": "2025-01-11T00:00:00Z"}, "2025-01-01", "2025-01-11"),
            ("LIFE", "2025-01-01", {}, "2025-01-01", "9999-01-01"),
        ],
    )
    def test_s4_07_c_12_the_first_period(
        self,
        story: Story,
        plan_code: str,
        start: str,
        more: dict[str, Any],
        first: str,
        end: str,
    ) -> None:
        """By interval, cycle, trial and end; a trial lies before the first period."""
        story.subscribe(plan_code, start=start, **more)
        period = story.subscription().period
        assert (period.start, period.end) == (moment(first), moment(end))

    def test_midnight_is_that_of_utc(self, story: Story) -> None:
        """02:00 at +02:00 is midnight in UTC (G-03)."""
        body = {**BODY, "start": "2025-01-01T02:00:00+02:00"}
        assert story.sent("CreateSubscription", body).code == ""

    @pytest.mark.parametrize(
        "start",
        [
            "2025-01-01T00:00:01Z",
            "2025-01-01T00:00:00.000001Z",
            "2025-01-01T00:00:00+02:00",
            "2025-01-01",
            "1999-12-31T00:00:00Z",
            "9999-12-01T00:00:00Z",
            "",
        ],
    )
    def test_s1_40_refuses_a_start_within_a_day(self, story: Story, start: str) -> None:
        """The field is named; nothing is floored in silence."""
        outcome = story.sent("CreateSubscription", {**BODY, "start": start})
        assert outcome.code == Code.COMMAND_INVALID
        assert "CreateSubscription.start" in outcome.reason

    @pytest.mark.parametrize(
        ("change", "code", "place"),
        [
            ({"subscription": "inv_2"}, Code.COMMAND_INVALID, "subscription"),
            ({"subscription": "sub_a b"}, Code.COMMAND_INVALID, "subscription"),
            ({"customer": "other"}, Code.CUSTOMER_UNKNOWN, "other"),
            ({"plan": "GOLD"}, Code.PLAN_UNKNOWN, "GOLD"),
            ({"plan": "EURO"}, Code.CURRENCY_DIFFERS, "EUR"),
            ({"end": "2025-01-01T00:00:00Z"}, Code.COMMAND_INVALID, "end must lie after"),
            ({"end": "2024-12-31T00:00:00Z"}, Code.COMMAND_INVALID, "end must lie after"),
            ({"seats": -1}, Code.COMMAND_INVALID, "seats"),
            ({"seats": "3"}, Code.COMMAND_INVALID, "seats"),
            ({"trial_days": 731}, Code.COMMAND_INVALID, "trial_days"),
            ({"cycle": "weekly"}, Code.COMMAND_INVALID, "cycle"),
            ({"add_ons": [{"code": "gold"}]}, Code.ADD_ON_UNKNOWN, "gold"),
            ({"add_ons": [{"code": "support"}] * 2}, Code.COMMAND_INVALID, "each add-on once"),
            ({"discounts": ["gold"]}, Code.DISCOUNT_UNKNOWN, "gold"),
            ({"dimensions": {"site": ""}}, Code.COMMAND_INVALID, "site"),
            ({"colour": "red"}, Code.COMMAND_INVALID, "colour"),
        ],
    )
    def test_refuses_with_the_code_and_the_place(
        self, story: Story, change: Mapping[str, Json], code: Code, place: str
    ) -> None:
        """One cause, one code; and nothing is left of what was refused."""
        outcome = story.sent("CreateSubscription", {**BODY, **change})
        assert (outcome.code, outcome.facts) == (code, ())
        assert place in outcome.reason
        assert story.state.subscriptions == {}

    def test_refuses_a_taken_id_and_a_missing_catalogue(self, story: Story) -> None:
        """The id stays taken, also under another command."""
        story.accepted("CreateSubscription", BODY)
        assert story.sent("CreateSubscription", BODY).code == Code.SUBSCRIPTION_EXISTS
        assert Story(PRO).sent("CreateSubscription", BODY).code == ""


class TestMeters:
    def test_one_meter_is_priced_by_one_subscription(self, story: Story) -> None:
        """Two would bill the same usage twice; a plan of other meters is welcome."""
        story.subscribe("PRO", start="2025-01-01")
        body = {**BODY, "subscription": "sub_2"}
        outcome = story.sent("CreateSubscription", body)
        assert outcome.code == Code.METER_TAKEN
        assert "'calls'" in outcome.reason
        story.subscribe("JOBS", start="2025-01-01", name="sub_3")

    @pytest.mark.parametrize(
        ("one", "other", "code"),
        [
            ({"site": "north"}, {"site": "south"}, ""),
            ({"site": "north"}, {"site": "north"}, Code.METER_TAKEN),
            ({"site": "north"}, {"team": "red"}, Code.METER_TAKEN),
            ({"site": "north"}, {}, Code.METER_TAKEN),
            ({"site": "a", "team": "red"}, {"site": "a", "team": "blue"}, ""),
        ],
    )
    def test_different_dimensions_keep_them_apart(
        self, story: Story, one: Json, other: Json, code: str
    ) -> None:
        """Only where no window can have both."""
        story.subscribe("JOBS", start="2025-01-01", dimensions=one)
        body = {**BODY, "plan": "JOBS", "subscription": "sub_2", "dimensions": other}
        assert story.sent("CreateSubscription", body).code == code

    @pytest.mark.parametrize(
        ("start", "code"), [("2025-03-01", ""), ("2025-02-28", Code.METER_TAKEN)]
    )
    def test_one_may_follow_the_other(self, story: Story, start: str, code: str) -> None:
        """From the day on which the first has ended."""
        story.subscribe("PRO", start="2025-01-01", end="2025-03-01T00:00:00Z")
        body = {**BODY, "subscription": "sub_2", "start": time_text(moment(start))}
        assert story.sent("CreateSubscription", body).code == code

    @pytest.mark.parametrize(("end", "code"), [("01", ""), ("02", Code.METER_TAKEN)])
    def test_a_planned_change_may_follow_an_end(self, story: Story, end: str, code: str) -> None:
        """FLAT becomes PRO on 1 February: the day on which the other PRO ends, or a day before."""
        story.subscribe("PRO", start="2025-01-01", end=f"2025-02-{end}T00:00:00Z")
        story.subscribe("FLAT", start="2025-01-01", name="sub_2")
        body = {"subscription": "sub_2", "plan": "PRO", "when": "period_end"}
        assert story.sent("ChangePlan", body, on="2025-01-10").code == code
        story.change("ChangeSeats", on="2025-01-12", name="sub_2", seats=2)

    def test_another_customer_is_another_matter(self, story: Story) -> None:
        """Windows belong to one customer."""
        story.subscribe("PRO", start="2025-01-01")
        story.accepted("CreateCustomer", {"customer": "other", "currency": "CAD"})
        body = {**BODY, "subscription": "sub_2", "customer": "other"}
        assert story.sent("CreateSubscription", body).code == ""

    def test_a_change_of_plan_and_an_undone_end_are_looked_at_too(self, story: Story) -> None:
        """They would take the meter just as well."""
        story.subscribe("PRO", start="2025-01-01")
        story.subscribe("FLAT", start="2025-01-01", name="sub_2")
        change = {"subscription": "sub_2", "plan": "PRO", "as_of": "2025-01-10T00:00:00Z"}
        assert story.sent("ChangePlan", change).code == Code.METER_TAKEN
        story.change("CancelSubscription", on="2025-01-10", when="period_end")
        story.subscribe("PRO", start="2025-02-01", name="sub_3")
        undo = {"subscription": "sub_1", "as_of": "2025-01-20T00:00:00Z"}
        assert story.sent("UndoCancel", undo).code == Code.METER_TAKEN


class TestRenewal:
    def test_g_07_a_period_takes_the_version_in_force_at_its_start(self) -> None:
        """Version 2 of 2025-02-10 prices nothing of February and all of March."""
        story = Story(plan("PRO", "100"))
        story.subscribe("PRO", start="2025-01-01")
        assert story.publish(2, plan("PRO", "200"), on="2025-02-10").code == ""
        story.bill("2025-04-01")
        assert [line.rpartition(": ")[2] for line in story.told] == [
            "base 100.00 = 100.00",
            "base 100.00 = 100.00",
            "base 200.00 = 200.00",
        ]

    def test_g_07_fees_in_advance_take_the_version_of_the_period_they_are_for(self) -> None:
        """January's invoice has February's fee; the new version is in force when it starts."""
        story = Story(plan("PRO", "100", fees="in_advance"))
        story.subscribe("PRO", start="2025-01-01")
        story.bill("2025-01-01")
        story.publish(2, plan("PRO", "200", fees="in_advance"), on="2025-01-20")
        story.bill("2025-02-01")
        assert story.told == [
            "2025-01-01 sub_1 opening 2025-01-01 to 2025-02-01: base 100.00 = 100.00",
            "2025-02-01 sub_1 period 2025-01-01 to 2025-02-01: base 200.00 = 200.00",
        ]

    @pytest.mark.parametrize(
        "plans",
        [
            pytest.param((plan("OTHER", "1"),), id="deleted"),
            pytest.param((plan("PRO", "1") | {"currency": "USD"},), id="in another currency"),  # type: ignore[operator]
            pytest.param((plan("PRO", "1", interval="year"),), id="of another interval"),
        ],
    )
    def test_a_plan_in_use_stays_in_the_catalogue(self, plans: tuple[Json, ...]) -> None:
        """Refused with the place, and the version before stays in force."""
        story = Story(plan("PRO", "100"))
        story.subscribe("PRO", start="2025-01-01")
        outcome = story.publish(2, *plans)
        assert outcome.code == Code.PLAN_IN_USE
        assert "catalogue.plans" in outcome.reason
        assert story.state.catalogue is story.state.catalogues[1]
        story.change("CancelSubscription", on="2025-01-10")
        story.bill("2025-02-01")
        assert story.publish(2, *plans).code == ""

    def test_an_add_on_in_use_stays_too(self) -> None:
        """Its fee could not be charged any more."""
        story = Story(plan("PRO", "100"))
        story.subscribe("PRO", start="2025-01-01", add_ons=[{"code": "support"}])
        outcome = story.publish(2, plan("PRO", "100"), more={"add_ons": []})
        assert outcome.code == Code.PLAN_IN_USE
        assert "'support'" in outcome.reason

    def test_s4_r19_a_lifetime_is_invoiced_once(self, story: Story) -> None:
        """After its opening invoice nothing is due for ever."""
        story.subscribe("LIFE", start="2025-01-01")
        assert story.subscription().fees is Fees.IN_ADVANCE
        story.bill("2999-01-01")
        assert story.told == [
            "2025-01-01 sub_1 opening 2025-01-01 to 9999-01-01: base 1000.00 = 1000.00"
        ]
        assert story.due() is None

    def test_s4_16_assigning_a_plan_in_advance_makes_the_first_invoice(self, story: Story) -> None:
        """It is due on the first day, without any grace."""
        story.subscribe("ADVANCE", start="2025-01-01")
        assert story.due() == moment("2025-01-01")

    def test_grace_is_the_customers_own_before_the_catalogues(self) -> None:
        """Of the period's invoice; a change of it moves invoices to come."""
        story = Story(PRO, more={"billing": {"grace_hours": 24}})
        story.subscribe("PRO", start="2025-01-01")
        assert story.due() == moment("2025-02-02")
        outcome = story.accepted("ChangeCustomer", {"customer": CUSTOMER, "grace_hours": 2})
        assert story.due() == moment("2025-02-01T02:00:00")
        kinds = [(kind, body.get("next_invoice_at")) for kind, body in bodies(outcome)]
        assert kinds == [
            ("CustomerChanged", None),
            ("SubscriptionChanged", "2025-02-01T02:00:00Z"),
        ]

    def test_discounts_count_down_invoice_by_invoice(self, story: Story) -> None:
        """Launch is for three invoices, loyal for good, in the order in which they were given."""
        story.subscribe("LAUNCH", start="2025-01-01")
        story.change("GrantDiscount", on="2025-01-02", discount="loyal")
        story.bill("2025-05-01")
        assert [line.rpartition(": ")[2] for line in story.told] == [
            *["base 100.00, discount -28.00 = 72.00"] * 3,
            "base 100.00, discount -10.00 = 90.00",
        ]

    def test_a_new_plans_discounts_begin_with_its_first_period(self, story: Story) -> None:
        """Those of the plan that is left end with it."""
        story.subscribe("LAUNCH", start="2025-01-01")
        story.change("ChangePlan", on="2025-01-10", plan="FLAT", when="period_end")
        assert [each.code for each in story.subscription().discounts] == ["launch"]
        story.bill("2025-02-01")
        assert story.subscription().discounts == ()


class TestStatus:
    @pytest.mark.parametrize(
        ("at", "status"),
        [
            ("2024-12-31", "scheduled"),
            ("2025-01-01", "trialing"),
            ("2025-01-14T23:59:59", "trialing"),
            ("2025-01-15", "active"),
            ("2025-01-20", "paused"),
            ("2025-01-25", "active"),
            ("2025-02-15", "cancelled"),
        ],
    )
    def test_s4_06_s4_08_follows_the_calendar(self, story: Story, at: str, status: str) -> None:
        """One subscription goes through all of them."""
        story.subscribe("TRIAL", start="2025-01-01")
        story.change("PauseSubscription", on="2025-01-20")
        story.change("ResumeSubscription", on="2025-01-25")
        story.change("CancelSubscription", on="2025-01-26", when="period_end")
        assert story.subscription().status_at(moment(at)) == status
