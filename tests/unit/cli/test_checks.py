"""The demo's audit: it must notice a single token too many."""

import dataclasses
import datetime as dt
from decimal import Decimal

import pytest

from cli import checkout
from cli.demo import checks
from cli.demo.figures import Counts
from cli.demo.sends import Sends, plan_sends
from cli.demo.trace import Trace, read_trace
from cli.failures import CommandFailure

NOW = dt.datetime(2026, 3, 5, 12, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def trace() -> Trace:
    return read_trace(checkout.TRACE, today=NOW.date())


@pytest.fixture(scope="module")
def sends(trace: Trace) -> Sends:
    return plan_sends(trace, now=NOW, new_id=lambda: "broken")


def _right(sends: Sends) -> Counts:
    return Counts(
        received=sends.total,
        accepted=8_819,
        duplicates=265,
        conflicts=5,
        rejected=5,
        rejects=sends.codes,
    )


class TestCounts:
    def test_that_are_right_pass(self, trace: Trace, sends: Sends) -> None:
        assert checks.check_counts(sends, trace, _right(sends)) == []

    def test_of_a_second_run_pass(self, trace: Trace, sends: Sends) -> None:
        """On a log that knows the trace every request is a duplicate."""
        again = dataclasses.replace(_right(sends), accepted=0, duplicates=8_819 + 265)
        assert checks.check_counts(sends, trace, again) == []

    @pytest.mark.parametrize(
        "field", ["received", "accepted", "duplicates", "conflicts", "rejected"]
    )
    def test_that_are_off_by_one_fail(self, trace: Trace, sends: Sends, field: str) -> None:
        right = _right(sends)
        wrong = dataclasses.replace(right, **{field: getattr(right, field) + 1})
        assert checks.check_counts(sends, trace, wrong)

    def test_with_another_code_fail(self, trace: Trace, sends: Sends) -> None:
        wrong = dataclasses.replace(_right(sends), rejects={"bad_value": 5})
        assert checks.check_counts(sends, trace, wrong)

    def test_since_an_earlier_moment_are_the_difference(self, sends: Sends) -> None:
        right = _right(sends)
        assert right.since(right) == Counts()
        assert right.since(Counts()) == right


class TestUsage:
    def test_of_the_trace_adds_up(self, trace: Trace) -> None:
        assert checks.totals_of(checks.usage_of(trace)) == {
            "requests": "8819",
            "context_tokens": "18059974",
            "generated_tokens": "245896",
            "largest_context": "7437",
        }

    def test_that_is_one_token_off_fails(self, trace: Trace) -> None:
        expected = checks.usage_of(trace)
        found = {**expected}
        found["blue-harbor", "context_tokens"] += Decimal(1)
        (mismatch,) = checks.check_usage(expected, found)
        assert mismatch.what == "context_tokens of blue-harbor"

    def test_that_is_missing_or_too_much_fails(self, trace: Trace) -> None:
        expected = checks.usage_of(trace)
        assert len(checks.check_usage(expected, {})) == len(expected)
        assert len(checks.check_usage({}, expected)) == len(expected)


def test_a_mismatch_ends_the_demo_with_its_figures() -> None:
    mismatch = checks.Mismatch("tokens", "1", "2")
    checks.require_none([])
    with pytest.raises(CommandFailure) as caught:
        checks.require_none([mismatch])
    assert "tokens: expected 1, found 2" in caught.value.text()
