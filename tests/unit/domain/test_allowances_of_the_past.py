"""Allowances of a moment whose agreement the books have let go of."""

from __future__ import annotations

from domain.books.subscription import Phase
from domain.period import Interval, Period
from tests.support.allowances import START, standing, subscribed
from tests.support.billing import moment


class TestATrial:
    """standing_at."""

    def test_that_is_long_past_has_no_allowance(self) -> None:
        """Its phase went with the first invoice; the question is a 404 and not a defect."""
        later = subscribed(
            starts_at=moment("2024-12-18"),
            trial_ends_at=moment(START),
            period_index=1,
            period=Period(moment("2025-02-01"), moment("2025-03-01")),
            phases=[Phase(moment("2025-02-01"), "PRO", Interval.MONTH, 1)],
        )
        assert standing(later, at="2024-12-20") is None
