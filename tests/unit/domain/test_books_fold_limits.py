"""What one command may lead to: no more than a facts record holds."""

import pytest

from domain.books import fold
from domain.canonical import Json
from domain.codes import Code
from tests.support.stories import Story, plan


def test_more_than_a_record_holds_is_refused_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A longer grace moves every subscription of the customer: its facts are as many documents."""
    story = Story(plan("PRO", "1"))
    for number in range(3):
        dimensions = {"site": f"s{number}"}
        story.subscribe("PRO", start="2025-01-01", name=f"sub_{number}", dimensions=dimensions)
    before = story.customer
    monkeypatch.setattr(fold, "FACTS_BYTES_MAX", 2_000)
    wish: dict[str, Json] = {"customer": "acme", "grace_hours": 48}
    outcome = story.sent("ChangeCustomer", wish)
    assert (outcome.code, outcome.facts, story.customer) == (Code.OVERSIZED, (), before)
    monkeypatch.setattr(fold, "FACTS_BYTES_MAX", 200_000)
    assert len(story.accepted("ChangeCustomer", wish, on="2025-01-02").facts) == 4
