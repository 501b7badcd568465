"""Errors become problems in one place, with a status by code and without our secrets."""

import json
from typing import Any

import pytest
from starlette.exceptions import HTTPException

from domain.codes import Code
from domain.errors import Fatal, Rejected, Retryable, TidegaugeError
from runtime import clock
from runtime.web import problems
from runtime.web.problems import Problem, ProblemError


def _document(problem: Problem) -> dict[str, Any]:
    response = problems.to_response(problem, request_id="req_1")
    assert response.media_type == "application/problem+json"
    found: dict[str, Any] = json.loads(bytes(response.body))
    return found


class TestProblemOf:
    @pytest.mark.parametrize(
        ("error", "status", "code"),
        [
            (Rejected(Code.CUSTOMER_UNKNOWN, "x"), 404, "customer_unknown"),
            (Rejected(Code.PLAN_UNKNOWN, "x"), 422, "plan_unknown"),
            (Rejected(Code.CUSTOMER_EXISTS, "x"), 409, "customer_exists"),
            (Rejected(Code.INVALID_REQUEST, "x"), 400, "invalid_request"),
            (Retryable(Code.DATABASE_AWAY, "x", retry_after_ms=1), 503, "database_away"),
            (Fatal(Code.STATE_CORRUPT, "x"), 500, "internal"),
            (TidegaugeError(Code.BAD_VALUE, "x"), 500, "internal"),
            (ZeroDivisionError("x"), 500, "internal"),
            (HTTPException(404), 404, "not_found"),
            (HTTPException(405), 405, "invalid_request"),
            (HTTPException(400, "secret"), 400, "invalid_request"),
        ],
    )
    def test_gives_status_and_code(self, error: Exception, status: int, code: str) -> None:
        problem = problems.problem_of(error)
        assert (problem.status, problem.code) == (status, code)
        assert "secret" not in problem.detail

    def test_keeps_the_field_that_is_meant(self) -> None:
        error = Rejected(Code.INVALID_REQUEST, "body.plan must be text", param="body.plan")
        assert problems.problem_of(error).param == "plan"

    @pytest.mark.parametrize(("wait_ms", "header"), [(1, "1"), (1_000, "1"), (1_001, "2")])
    def test_rounds_the_wait_up(self, wait_ms: int, header: str) -> None:
        """Whoever comes back after Retry-After is not too early."""
        error = Retryable(Code.BROKER_AWAY, "10.1.2.3 is away", retry_after_ms=wait_ms)
        problem = problems.problem_of(error)
        assert problem.headers == (("Retry-After", header),)
        assert "10.1.2.3" not in problem.detail

    def test_of_a_defect_tells_nothing_of_it(self) -> None:
        problem = problems.problem_of(KeyError("password=hunter2"))
        assert "hunter2" not in json.dumps(_document(problem))


class TestRefusal:
    def test_names_the_field_of_a_malformed_command(self) -> None:
        found = problems.refusal("command_invalid", "CreateSubscription.start must lie at 00:00")
        assert (found.status, found.param) == (422, "start")

    def test_of_an_unknown_code_is_still_a_refusal(self) -> None:
        """A newer fold may refuse with a code that this process has never heard of."""
        found = problems.refusal("wallet_empty", "no credit")
        assert (found.status, found.code) == (422, Code.COMMAND_INVALID)
        assert "wallet_empty" in found.detail


class TestToResponse:
    def test_has_every_member(self) -> None:
        found = _document(problems.not_found().problem)
        assert set(found) == {"type", "title", "status", "detail", "code", "param", "request_id"}
        assert found["param"] is None
        assert found["type"] == "/docs#not_found"

    @pytest.mark.parametrize("text", ["\ud800", "\x00\x1b[31m", "x" * 10_000, "</script>"])
    def test_survives_what_a_request_held(self, text: str) -> None:
        found = _document(problems.invalid(text, text).problem)
        assert len(found["detail"]) <= problems.DETAIL_LENGTH_MAX
        assert len(found["param"]) <= problems.PARAM_LENGTH_MAX


def test_every_code_has_a_status_of_a_refusal() -> None:
    assert all(400 <= problems.status_of(code) < 600 for code in Code)


def test_a_problem_error_is_its_problem() -> None:
    problem = Problem(418, Code.INTERNAL, "tea")
    assert problems.problem_of(ProblemError(problem)) is problem


class TestAway:
    def test_is_logged_once_in_a_while(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """An outage under load must not fill the disk; the count tells how many were like it."""
        now_ms = [10_000]
        monkeypatch.setattr(clock, "monotonic_ms", lambda: now_ms[0])
        monkeypatch.setattr(problems, "_away", {})
        error = Retryable(Code.BROKER_AWAY, "no broker", retry_after_ms=1)
        for _ in range(5):
            problems.problem_of(error)
        now_ms[0] += problems.AWAY_LOG_MS
        problems.problem_of(error)
        said = capsys.readouterr()
        lines = [line for line in (said.out + said.err).splitlines() if "part_away" in line]
        assert len(lines) == 2
        assert "4" in lines[1].partition("before")[2]
