"""Bytes held at once and sends in time are bounded, and what was taken is given back."""

import contextlib

import pytest

from domain.errors import Retryable
from producers.gateway.admission import Budget, Limits
from runtime.settings import Settings
from runtime.web.problems import ProblemError


class TestBudget:
    def test_refuses_what_is_over_and_takes_nothing_of_it(self) -> None:
        budget = Budget(100)
        with budget.open() as share:
            share.take(60)
            with pytest.raises(Retryable) as refused, budget.open() as other:
                other.take(41)
            assert refused.value.code == "overloaded"
            with budget.open() as other:
                other.take(40)

    def test_gives_back_when_the_request_fails(self) -> None:
        budget = Budget(100)
        share = budget.open()
        with contextlib.suppress(ZeroDivisionError), share:
            share.take(100)
            raise ZeroDivisionError
        with budget.open() as share:
            share.take(100)


class TestLimits:
    def test_counts_each_key_by_itself(self) -> None:
        limits = Limits(Settings.model_validate({"gateway_requests_per_minute": 2}))
        for _ in range(2):
            limits.take_request("one")
        limits.take_request("other")
        with pytest.raises(ProblemError) as refused:
            limits.take_request("one")
        problem = refused.value.problem
        assert (problem.status, problem.code) == (429, "rate_limited")
        assert 1 <= int(dict(problem.headers)["Retry-After"]) <= 60

    def test_takes_all_events_of_a_request_or_none(self) -> None:
        limits = Limits(Settings.model_validate({"gateway_events_per_minute": 5_000}))
        limits.take_events("one", 4_000)
        with pytest.raises(ProblemError):
            limits.take_events("one", 1_001)
        limits.take_events("one", 1_000)
