"""What counts as recurring, told by stories of one customer; amounts are Canadian dollars."""

from __future__ import annotations

from fractions import Fraction

import pytest

from domain.recurring import recurring_at
from tests.support.billing import moment
from tests.support.stories import CALLS, SEATS, Story, plan

PLANS = (
    plan("TEAM", "62", also=[SEATS, CALLS]),
    plan("QUARTER", "100", interval="quarter"),
    plan("YEAR", "1188", interval="year"),
    plan("LIFETIME", "5000", interval="lifetime"),
    plan("TRIAL", "180", trial_days=7),
)


def annual(story: Story, *, on: str) -> Fraction | None:
    """What the subscription comes to a year on a day; None when it is not active."""
    found = recurring_at(
        moment(on),
        subscription=story.subscription(),
        customer=story.customer,
        catalogues=story.state.catalogues,
        published_at=story.state.published_at,
    )
    return None if found is None else found.annual


class TestRecurringRevenue:
    """domain.recurring.recurring_at."""

    @pytest.mark.parametrize(
        ("code", "year"),
        [("TEAM", 12 * 62), ("QUARTER", 400), ("YEAR", 1188), ("LIFETIME", 0)],
    )
    def test_s3_r7_c_08_is_what_a_year_of_the_plan_costs(self, code: str, year: int) -> None:
        """Twelve months, four quarters, one year; a lifetime does not recur."""
        story = Story(*PLANS)
        story.subscribe(code, start="2025-01-01")
        assert annual(story, on="2025-01-10") == year

    def test_counts_seats_and_add_ons_and_no_usage(self) -> None:
        """(62 + 3 seats above the 2 of the plan at 31 + 2 x 62 of support) x 12."""
        story = Story(*PLANS)
        story.subscribe("TEAM", start="2025-01-01", seats=5)
        story.change("SetAddOn", on="2025-01-05", add_on="support", quantity=2)
        story.use("calls", at="2025-01-03", value="1000000")
        assert annual(story, on="2025-01-06") == (62 + 3 * 31 + 2 * 62) * 12
        assert annual(story, on="2025-01-04") == (62 + 3 * 31) * 12

    def test_takes_off_percentages_for_good_alone(self) -> None:
        """10 % for good come off, 20 % for three periods do not: they pass."""
        story = Story(*PLANS)
        story.subscribe("TEAM", start="2025-01-01", discounts=["launch"])
        assert annual(story, on="2025-01-10") == 12 * 62
        story.change("GrantDiscount", on="2025-01-11", discount="loyal")
        assert annual(story, on="2025-01-12") == Fraction(12 * 62 * 9, 10)

    def test_goes_by_the_customers_own_price(self) -> None:
        """S3-21."""
        story = Story(*PLANS)
        own = '{"key": "base", "form": "flat", "amount": "31"}'
        body = {"customer": "acme", "plan": "TEAM", "price": "base", "document": own}
        story.accepted("SetPriceOverride", body)
        story.subscribe("TEAM", start="2025-01-01")
        assert annual(story, on="2025-01-10") == 12 * 31

    def test_ends_and_rests_with_the_subscription(self) -> None:
        """On trial, paused, not begun and cancelled nothing recurs; up to the end it does."""
        story = Story(*PLANS)
        story.subscribe("TRIAL", start="2025-01-10")
        assert [annual(story, on=f"2025-01-{day}") for day in ("09", "16", "17")] == [
            None,
            None,
            12 * 180,
        ]
        story.change("PauseSubscription", on="2025-01-20")
        story.change("ResumeSubscription", on="2025-01-25")
        story.change("CancelSubscription", on="2025-01-28", when="period_end")
        assert annual(story, on="2025-01-22") is None
        assert annual(story, on="2025-02-16") == 12 * 180
        assert annual(story, on="2025-02-17") is None

    def test_follows_a_new_version_from_the_next_period_on(self) -> None:
        """G-07, whether or not the month before was billed."""
        story = Story(*PLANS)
        story.subscribe("TEAM", start="2025-01-01")
        story.publish(2, plan("TEAM", "93", also=[SEATS, CALLS]), *PLANS[1:], on="2025-01-10")
        assert annual(story, on="2025-01-31") == 12 * 62
        assert annual(story, on="2025-02-01") == 12 * 93
        story.bill("2025-02-01")
        assert annual(story, on="2025-02-01") == 12 * 93
