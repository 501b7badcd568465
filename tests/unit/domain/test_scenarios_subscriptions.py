"""A year in the life of subscriptions, told so that finance can check each figure by hand.

Every line is one thing that happened: an item or credit on the day of a change, an invoice on the
day it was made. Amounts are Canadian dollars; there is no grace: invoices come as a period ends.
"""

from tests.support.stories import CALLS, SEATS, Story, plan

S1 = (plan("STARTER", "4000"), plan("PRO", "9000"), plan("ENTERPRISE", "18000"))
S3 = (plan("STARTER", "99", also=[CALLS]), plan("PROFESSIONAL", "499", also=[CALLS]))


def told(text: str) -> list[str]:
    """One thing that happened per line; a line that begins with a bar goes on with the last."""
    joined: list[str] = []
    for line in map(str.strip, text.strip().splitlines()):
        if line.startswith("| "):
            joined[-1] += line[1:]
        else:
            joined.append(line)
    return joined


class TestChangesOfPlan:
    def test_x_54_s1_r17_an_upgrade_costs_the_difference_for_the_days_left(self) -> None:
        """(18,000 - 9,000) x 10 / 31 = 2,903.2258…: 22 January and the nine days after it.

        The fee by parts is the 9,000.00 and this, to the cent: parts of one fee are rounded once.
        """
        story = Story(*S1)
        story.subscribe("PRO", start="2025-01-01")
        story.change("ChangePlan", on="2025-01-22", plan="ENTERPRISE")
        story.bill("2025-03-01")
        assert story.told == told("""
            2025-02-01 sub_1 period 2025-01-01 to 2025-02-01:
            | base 6096.77, base 5806.46 = 11903.23
            2025-03-01 sub_1 period 2025-02-01 to 2025-03-01: base 18000.00 = 18000.00
        """)

    def test_x_84_s3_27_starter_to_professional_in_mid_month(self) -> None:
        """(499 - 99) x 15 / 30 = 200.00."""
        story = Story(*S3)
        story.subscribe("STARTER", start="2025-06-01")
        story.change("ChangePlan", on="2025-06-16", plan="PROFESSIONAL")
        story.bill("2025-07-01")
        assert story.told == told("""
            2025-07-01 sub_1 period 2025-06-01 to 2025-07-01:
            | base 49.50, base 249.50 = 299.00
        """)

    def test_s3_r8_a_downgrade_before_the_fee_is_charged_lowers_it(self) -> None:
        """400 x 15 / 30 less, without a negative line and without credit."""
        story = Story(*S3)
        story.subscribe("PROFESSIONAL", start="2025-06-01")
        story.change("ChangePlan", on="2025-06-16", plan="STARTER")
        assert story.credit_minor == 0
        story.bill("2025-08-01")
        assert story.credit_minor == 0
        assert story.told == told("""
            2025-07-01 sub_1 period 2025-06-01 to 2025-07-01:
            | base 249.50, base 49.50 = 299.00
            2025-08-01 sub_1 period 2025-07-01 to 2025-08-01: base 99.00 = 99.00
        """)

    def test_usage_is_rated_part_by_part_with_the_allowance_of_its_days(self) -> None:
        """3,100 calls of June are free, so 1,550 in each half.

        2,000 calls in the first half leave 450 to pay, at 0.10; 1,000 in the second leave none.
        """
        story = Story(*S3)
        story.subscribe("STARTER", start="2025-06-01")
        story.change("ChangePlan", on="2025-06-16", plan="PROFESSIONAL")
        story.use("calls", at="2025-06-15", value="2000")
        story.use("calls", at="2025-06-16", value="1000")
        story.bill("2025-07-01")
        assert story.told[-1] == (
            "2025-07-01 sub_1 period 2025-06-01 to 2025-07-01: "
            "base 49.50, base 249.50, calls 45.00 = 344.00"
        )

    def test_several_changes_of_a_month_add_up(self) -> None:
        """Up on the 11th, down on the 21st: ten days of the larger plan, and not a cent more."""
        story = Story(*S1)
        story.subscribe("PRO", start="2025-04-01")
        story.change("ChangePlan", on="2025-04-11", plan="ENTERPRISE")
        story.change("ChangePlan", on="2025-04-21", plan="PRO")
        story.bill("2025-06-01")
        assert story.told == told("""
            2025-05-01 sub_1 period 2025-04-01 to 2025-05-01:
            | base 3000.00, base 6000.00, base 3000.00 = 12000.00
            2025-06-01 sub_1 period 2025-05-01 to 2025-06-01: base 9000.00 = 9000.00
        """)

    def test_a_change_at_the_end_of_the_period_costs_nothing_until_then(self) -> None:
        """And what is planned can be planned otherwise before it counts."""
        story = Story(*S1)
        story.subscribe("ENTERPRISE", start="2025-01-01")
        story.change("ChangePlan", on="2025-01-10", plan="STARTER", when="period_end")
        story.change("ChangePlan", on="2025-01-20", plan="PRO", when="period_end")
        story.bill("2025-03-01")
        assert story.told == told("""
            2025-02-01 sub_1 period 2025-01-01 to 2025-02-01: base 18000.00 = 18000.00
            2025-03-01 sub_1 period 2025-02-01 to 2025-03-01: base 9000.00 = 9000.00
        """)

    def test_fees_in_advance_are_made_up_for_on_the_next_invoice(self) -> None:
        """Opening invoice on the first day; the difference of a change comes with the next."""
        story = Story(plan("SMALL", "310", fees="in_advance"), plan("LARGE", "620"))
        story.subscribe("SMALL", start="2025-01-01")
        story.bill("2025-01-01")
        story.change("ChangePlan", on="2025-01-22", plan="LARGE")
        story.bill("2025-03-01")
        assert story.told == told("""
            2025-01-01 sub_1 opening 2025-01-01 to 2025-02-01: base 310.00 = 310.00
            2025-01-22 item Plan SMALL to LARGE, 10 of 31 days: 100.00
            2025-02-01 sub_1 period 2025-01-01 to 2025-02-01:
            | base 620.00, Plan SMALL to LARGE, 10 of 31 days 100.00 = 720.00
            2025-03-01 sub_1 period 2025-02-01 to 2025-03-01: base 620.00 = 620.00
        """)


class TestCycles:
    def test_s1_38_s1_39_s1_41_a_year_of_months_from_day_31(self) -> None:
        """Short months end on their last day, and the 31st comes back (G-05)."""
        story = Story(*S1)
        story.subscribe("STARTER", start="2024-01-31")
        story.bill("2025-01-31")
        ends = [line.split()[0] for line in story.told]
        assert ends == [
            *("2024-02-29", "2024-03-31", "2024-04-30", "2024-05-31", "2024-06-30", "2024-07-31"),
            *("2024-08-31", "2024-09-30", "2024-10-31", "2024-11-30", "2024-12-31", "2025-01-31"),
        ]
        assert {line.rpartition("= ")[2] for line in story.told} == {"4000.00"}

    def test_x_89_s3_r7_a_year_of_a_yearly_plan(self) -> None:
        """12 x 99 once a year; a twelfth of it, 99.00, is the month's share."""
        story = Story(plan("STARTER_YEAR", "1188", interval="year"))
        story.subscribe("STARTER_YEAR", start="2024-02-29")
        story.bill("2028-02-29")
        assert story.told == told("""
            2025-02-28 sub_1 period 2024-02-29 to 2025-02-28: base 1188.00 = 1188.00
            2026-02-28 sub_1 period 2025-02-28 to 2026-02-28: base 1188.00 = 1188.00
            2027-02-28 sub_1 period 2026-02-28 to 2027-02-28: base 1188.00 = 1188.00
            2028-02-29 sub_1 period 2027-02-28 to 2028-02-29: base 1188.00 = 1188.00
        """)
        assert story.invoices[0].totals.total_minor == 12 * 9_900

    def test_s4_07_quarters(self) -> None:
        """Four a year, from the day it began."""
        story = Story(plan("QUARTER", "300", interval="quarter"))
        story.subscribe("QUARTER", start="2024-11-30")
        story.bill("2025-11-30")
        assert story.told == told("""
            2025-02-28 sub_1 period 2024-11-30 to 2025-02-28: base 300.00 = 300.00
            2025-05-30 sub_1 period 2025-02-28 to 2025-05-30: base 300.00 = 300.00
            2025-08-30 sub_1 period 2025-05-30 to 2025-08-30: base 300.00 = 300.00
            2025-11-30 sub_1 period 2025-08-30 to 2025-11-30: base 300.00 = 300.00
        """)

    def test_c_09_s4_108_calendar_months_begin_with_a_part(self) -> None:
        """22 of 31 days of January, then whole months on the first."""
        story = Story(plan("BASIC", "310"))
        story.subscribe("BASIC", start="2025-01-10", cycle="calendar")
        story.bill("2025-03-01")
        assert story.told == told("""
            2025-02-01 sub_1 period 2025-01-10 to 2025-02-01: base 220.00 = 220.00
            2025-03-01 sub_1 period 2025-02-01 to 2025-03-01: base 310.00 = 310.00
        """)

    def test_c_09_calendar_quarters(self) -> None:
        """81 of 90 days of the first quarter of 2025."""
        story = Story(plan("QUARTER", "300", interval="quarter"))
        story.subscribe("QUARTER", start="2025-01-10", cycle="calendar")
        story.bill("2025-07-01")
        assert story.told == told("""
            2025-04-01 sub_1 period 2025-01-10 to 2025-04-01: base 270.00 = 270.00
            2025-07-01 sub_1 period 2025-04-01 to 2025-07-01: base 300.00 = 300.00
        """)

    def test_from_months_to_years_at_the_end_of_a_month(self) -> None:
        """The year begins where the month ends; the wished day 31 is not forgotten."""
        story = Story(plan("MONTH", "100"), plan("YEAR", "1000", interval="year"))
        story.subscribe("MONTH", start="2025-01-31")
        story.change("ChangePlan", on="2025-02-10", plan="YEAR", when="period_end")
        story.bill("2026-02-28")
        story.change("ChangePlan", on="2026-03-01", plan="MONTH", when="period_end")
        story.bill("2027-03-31")
        assert story.told == told("""
            2025-02-28 sub_1 period 2025-01-31 to 2025-02-28: base 100.00 = 100.00
            2026-02-28 sub_1 period 2025-02-28 to 2026-02-28: base 1000.00 = 1000.00
            2027-02-28 sub_1 period 2026-02-28 to 2027-02-28: base 1000.00 = 1000.00
            2027-03-31 sub_1 period 2027-02-28 to 2027-03-31: base 100.00 = 100.00
        """)

    def test_c_12_a_trial_costs_nothing_and_periods_begin_after_it(self) -> None:
        """Usage of the trial is counted and not billed."""
        story = Story(plan("TRIAL", "31", trial_days=14, also=[CALLS]))
        story.subscribe("TRIAL", start="2025-01-01")
        story.use("calls", at="2025-01-14", value="100000")
        story.use("calls", at="2025-01-15", value="3110")
        story.bill("2025-02-15")
        assert story.told == told("""
            2025-02-15 sub_1 period 2025-01-15 to 2025-02-15: base 31.00, calls 1.00 = 32.00
        """)

    def test_a_trial_that_is_cancelled_costs_nothing(self) -> None:
        """It ends with the trial at the latest, and no invoice is ever due."""
        story = Story(plan("TRIAL", "31", trial_days=14, fees="in_advance"))
        story.subscribe("TRIAL", start="2025-01-01")
        story.change("CancelSubscription", on="2025-01-10", when="period_end")
        story.bill("2026-01-01")
        assert (story.told, story.due()) == ([], None)


class TestEnds:
    def test_s4_08_s4_28_cancelled_now_the_days_until_then_are_paid(self) -> None:
        """9 of 28 days: the day on which it is cancelled, at noon, is one of them."""
        story = Story(plan("BASIC", "280"))
        story.subscribe("BASIC", start="2025-01-01")
        story.change("CancelSubscription", on="2025-02-09T12:00:00")
        story.bill("2025-06-01")
        assert story.told == told("""
            2025-02-01 sub_1 period 2025-01-01 to 2025-02-01: base 280.00 = 280.00
            2025-02-10 sub_1 period 2025-02-01 to 2025-02-10: base 90.00 = 90.00
        """)
        assert story.due() is None

    def test_cancelled_now_in_advance_the_rest_comes_back_as_credit(self) -> None:
        """310 was paid for January; 10 of 31 days are left."""
        story = Story(plan("BASIC", "310", fees="in_advance"))
        story.subscribe("BASIC", start="2025-01-01")
        story.bill("2025-01-01")
        story.change("CancelSubscription", on="2025-01-22")
        story.bill("2025-06-01")
        assert story.told == told("""
            2025-01-01 sub_1 opening 2025-01-01 to 2025-02-01: base 310.00 = 310.00
            2025-01-22 credit Subscription ends on 2025-01-22, 10 of 31 days: 100.00
            2025-01-22 sub_1 period 2025-01-01 to 2025-01-22: nothing = 0.00
        """)
        assert story.credit_minor == 10_000

    def test_s4_28_cancelled_at_the_end_of_the_period_and_taken_back(self) -> None:
        """It goes on as if nothing had been said."""
        story = Story(plan("BASIC", "280"))
        story.subscribe("BASIC", start="2025-01-01")
        story.change("CancelSubscription", on="2025-01-10", when="period_end")
        story.change("UndoCancel", on="2025-01-31")
        story.change("CancelSubscription", on="2025-02-10", when="period_end")
        story.bill("2025-06-01")
        assert story.told == told("""
            2025-02-01 sub_1 period 2025-01-01 to 2025-02-01: base 280.00 = 280.00
            2025-03-01 sub_1 period 2025-02-01 to 2025-03-01: base 280.00 = 280.00
        """)

    def test_paused_and_resumed(self) -> None:
        """16 of 31 days, then 14 of 28 are charged; what is used meanwhile is not billed."""
        story = Story(plan("BASIC", "310", also=[CALLS]))
        story.subscribe("BASIC", start="2025-01-01")
        story.change("PauseSubscription", on="2025-01-17")
        story.use("calls", at="2025-01-20", value="1000000")
        story.bill("2025-02-01")
        story.change("ResumeSubscription", on="2025-02-15")
        story.bill("2025-04-01")
        assert story.told == told("""
            2025-02-01 sub_1 period 2025-01-01 to 2025-02-01: base 160.00 = 160.00
            2025-03-01 sub_1 period 2025-02-01 to 2025-03-01: base 155.00 = 155.00
            2025-04-01 sub_1 period 2025-03-01 to 2025-04-01: base 310.00 = 310.00
        """)


class TestPartsOfASubscription:
    def test_s3_18_s3_20_seats_come_and_go(self) -> None:
        """31 for each seat above 2: one for 16 days, three for 10, none for 5."""
        story = Story(plan("TEAM", "62", also=[SEATS]))
        story.subscribe("TEAM", start="2025-01-01", seats=3)
        story.change("ChangeSeats", on="2025-01-17", seats=5)
        story.change("ChangeSeats", on="2025-01-27", seats=2)
        story.bill("2025-03-01")
        assert story.told == told("""
            2025-02-01 sub_1 period 2025-01-01 to 2025-02-01:
            | base 62.00, seats 16.00, seats 30.00 = 108.00
            2025-03-01 sub_1 period 2025-02-01 to 2025-03-01: base 62.00 = 62.00
        """)

    def test_add_ons(self) -> None:
        """Two supports at 62 for 15 of 31 days, then for whole months, then none."""
        story = Story(plan("BASIC", "100"))
        story.subscribe("BASIC", start="2025-01-01")
        story.change("SetAddOn", on="2025-01-17", add_on="support", quantity=2)
        story.change("SetAddOn", on="2025-02-10", add_on="support", quantity=0, when="period_end")
        story.bill("2025-04-01")
        assert story.told == told("""
            2025-02-01 sub_1 period 2025-01-01 to 2025-02-01: base 100.00, fee 60.00 = 160.00
            2025-03-01 sub_1 period 2025-02-01 to 2025-03-01: base 100.00, fee 124.00 = 224.00
            2025-04-01 sub_1 period 2025-03-01 to 2025-04-01: base 100.00 = 100.00
        """)

    def test_several_subscriptions_of_one_customer(self) -> None:
        """Each site has its own; usage goes to the one whose dimension it has."""
        jobs = {"key": "jobs", "form": "per_unit", "meter": "jobs", "rate": "2"}
        story = Story(plan("SITE", "100", also=[jobs]))
        for number, site in enumerate(("north", "south"), start=1):
            story.subscribe(
                "SITE", start=f"2025-01-0{number}", name=f"sub_{number}", dimensions={"site": site}
            )
        story.use("jobs", at="2025-01-10", value="7", site="north")
        story.use("jobs", at="2025-01-11", value="5", site="south")
        story.bill_all("2025-02-02")
        assert story.told == told("""
            2025-02-01 sub_1 period 2025-01-01 to 2025-02-01: base 100.00, jobs 14.00 = 114.00
            2025-02-02 sub_2 period 2025-01-02 to 2025-02-02: base 100.00, jobs 10.00 = 110.00
        """)

    def test_s3_21_a_price_of_the_customers_own(self) -> None:
        """79 instead of 99 from the open period on, and 99 again when it is taken back."""
        story = Story(*S3)
        story.subscribe("STARTER", start="2025-01-01")
        own = '{"key":"base","form":"flat","amount":"79"}'
        body = {"customer": "acme", "plan": "STARTER", "price": "base", "document": own}
        story.accepted("SetPriceOverride", body, on="2025-01-15")
        story.bill("2025-02-01")
        story.accepted("SetPriceOverride", {**body, "document": None}, on="2025-02-15")
        story.bill("2025-03-01")
        assert [line.rpartition("= ")[2] for line in story.told] == ["79.00", "99.00"]

    def test_a_whole_year_with_everything(self) -> None:
        """Trial, launch discount, upgrade, seats, add-on, pause, downgrade, end."""
        story = Story(
            plan("TEAM", "60", trial_days=31, discounts=["launch"], also=[SEATS]),
            plan("BUSINESS", "180", also=[SEATS]),
        )
        story.subscribe("TEAM", start="2024-12-01", seats=2)
        story.bill("2025-03-01")
        story.change("ChangePlan", on="2025-03-17", plan="BUSINESS")
        story.bill("2025-04-01")
        story.change("ChangeSeats", on="2025-04-16", seats=4)
        story.change("SetAddOn", on="2025-05-01", add_on="support", when="period_end")
        story.bill("2025-06-01")
        story.change("PauseSubscription", on="2025-07-01")
        story.change("ResumeSubscription", on="2025-09-01")
        story.bill("2025-09-01")
        story.change("ChangePlan", on="2025-09-16", plan="TEAM")
        story.change("CancelSubscription", on="2025-10-20", when="period_end")
        story.bill("2026-12-31")
        assert story.told == told("""
            2025-02-01 sub_1 period 2025-01-01 to 2025-02-01: base 60.00, discount -12.00 = 48.00
            2025-03-01 sub_1 period 2025-02-01 to 2025-03-01: base 60.00, discount -12.00 = 48.00
            2025-04-01 sub_1 period 2025-03-01 to 2025-04-01:
            | base 30.97, base 87.09, discount -23.61 = 94.45
            2025-05-01 sub_1 period 2025-04-01 to 2025-05-01: base 180.00, seats 31.00 = 211.00
            2025-06-01 sub_1 period 2025-05-01 to 2025-06-01: base 180.00, seats 62.00 = 242.00
            2025-07-01 sub_1 period 2025-06-01 to 2025-07-01:
            | base 180.00, seats 62.00, fee 62.00 = 304.00
            2025-08-01 sub_1 period 2025-07-01 to 2025-08-01: nothing = 0.00
            2025-09-01 sub_1 period 2025-08-01 to 2025-09-01: nothing = 0.00
            2025-10-01 sub_1 period 2025-09-01 to 2025-10-01:
            | base 90.00, seats 62.00, fee 62.00, base 30.00 = 244.00
            2025-11-01 sub_1 period 2025-10-01 to 2025-11-01:
            | base 60.00, seats 62.00, fee 62.00 = 184.00
        """)


class TestMistakesThatCancelOut:
    def test_an_upgrade_that_is_taken_back_on_the_same_day_costs_nothing(self) -> None:
        """Nothing shows it on the invoice: the fee is the same all along."""
        story = Story(*S1)
        story.subscribe("PRO", start="2025-01-01")
        story.change("ChangePlan", on="2025-01-22", plan="ENTERPRISE")
        story.change("ChangePlan", on="2025-01-22", plan="PRO")
        story.bill("2025-02-01")
        assert story.told[-1].endswith(": base 9000.00 = 9000.00")
        assert len(story.subscription().phases) == 1

    def test_the_same_change_twice_is_one(self) -> None:
        """The second changes nothing and leaves no fact."""
        story = Story(*S1)
        story.subscribe("PRO", start="2025-01-01")
        story.change("ChangePlan", on="2025-01-22", plan="ENTERPRISE")
        again = story.change("ChangePlan", on="2025-01-22", plan="ENTERPRISE")
        assert (again.code, again.facts) == ("", ())
