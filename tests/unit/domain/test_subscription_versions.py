"""G-07: a running period keeps its catalogue version, whatever is asked of the plan it has."""

import pytest

from domain.canonical import Json
from tests.support.stories import CALLS, Story, plan

FEES = pytest.mark.parametrize("fees", ["in_arrears", "in_advance"])
ADD_ONS: list[Json] = [
    {
        "code": code,
        "name": code,
        "currency": "CAD",
        "prices": [{"key": "fee", "form": "flat", "amount": "31"}],
    }
    for code in ("support", "backup")
]


def dearer(fees: str) -> Story:
    """January on BASIC at 310; since the 10th BASIC costs 620 and PRO 1,240."""
    plans = [plan("BASIC", "310", fees=fees), plan("PRO", "930", fees=fees)]
    story = Story(*plans)
    story.subscribe("BASIC", start="2025-01-01")
    story.bill("2025-01-01")
    newer = [plan("BASIC", "620", fees=fees), plan("PRO", "1240", fees=fees)]
    assert story.publish(2, *newer, on="2025-01-10").code == ""
    return story


def january(story: Story) -> list[int]:
    """What January comes to, minor units: its invoices, and what is posted besides."""
    story.bill("2025-02-01")
    january, *rest = story.invoices
    items = [item.amount_minor for each in rest for item in each.terms.items]
    return [january.totals.total_minor, *items, story.credit_minor]


@FEES
class TestThePlanThatHolds:
    @pytest.mark.parametrize("when", ["now", "period_end"])
    def test_is_no_change(self, fees: str, when: str) -> None:
        story = dearer(fees)
        outcome = story.change("ChangePlan", on="2025-01-16", plan="BASIC", when=when)
        assert not outcome.facts
        assert january(story) == [31_000, 0]

    @pytest.mark.parametrize(
        ("planned", "when"), [("2025-01-16", "period_end"), ("2025-01-20", "now")]
    )
    def test_takes_back_what_was_planned(self, fees: str, planned: str, when: str) -> None:
        story = dearer(fees)
        before = story.subscription().phases
        story.change("ChangePlan", on=planned, plan="PRO", when=when)
        assert story.subscription().phases != before
        story.change("ChangePlan", on="2025-01-17", plan="BASIC")
        assert story.subscription().phases == before
        paid, *posted, credit = january(story)
        assert (paid, sum(posted), credit) == (31_000, 0, 0)

    def test_takes_back_what_was_changed_on_the_day(self, fees: str) -> None:
        """To PRO and back again is nothing at all, though BASIC costs more by now."""
        story = dearer(fees)
        before = story.subscription().phases
        story.change("ChangePlan", on="2025-01-16", plan="PRO")
        story.change("ChangePlan", on="2025-01-16", plan="BASIC")
        assert story.subscription().phases == before
        paid, *posted, credit = january(story)
        assert (paid, sum(posted), credit) == (31_000, 0, 0)

    def test_costs_what_it_costs_by_now_after_another_one(self, fees: str) -> None:
        """310 for 10 of 31 days, 1,240 for 5 and 620 for 16."""
        story = dearer(fees)
        story.change("ChangePlan", on="2025-01-11", plan="PRO")
        story.change("ChangePlan", on="2025-01-16", plan="BASIC")
        paid, *posted, credit = january(story)
        assert paid + sum(posted) - credit == 10_000 + 20_000 + 32_000

    def test_is_raised_with_its_next_period(self, fees: str) -> None:
        """What is planned for February and taken back is February's BASIC, at its new price."""
        story = dearer(fees)
        story.change("ChangePlan", on="2025-01-16", plan="PRO", when="period_end")
        story.change("ChangePlan", on="2025-01-17", plan="BASIC", when="period_end")
        story.bill("2025-03-01")
        assert "base 620.00 = 620.00" in story.told[-1]


def test_an_add_on_that_came_later_brings_its_version() -> None:
    """The first version has no such add-on: it could not price the days that have it."""
    usual: dict[str, Json] = {"add_ons": ADD_ONS[:1]}
    story = Story(plan("BASIC", "310", also=[CALLS]), plan("PRO", "930"), more=usual)
    story.subscribe("BASIC", start="2025-01-01")
    newer = (plan("BASIC", "620", also=[CALLS]), plan("PRO", "1240"))
    assert story.publish(2, *newer, more={"add_ons": ADD_ONS}, on="2025-01-10").code == ""
    story.change("ChangePlan", on="2025-01-22", plan="PRO")
    story.change("SetAddOn", on="2025-01-22", add_on="backup")
    story.change("ChangePlan", on="2025-01-16", plan="BASIC")
    story.bill("2025-02-01")
    versions = [part.catalogue_version for part in story.invoices[0].terms.segments]
    assert versions == [1, 2]
