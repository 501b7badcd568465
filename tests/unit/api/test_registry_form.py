"""Confluent's form of an error, whatever the error is, and their way to send a key."""

from __future__ import annotations

import asyncio
import base64
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from api import registry_form
from api.registry_form import RefusalError, get_caller
from domain.codes import Code
from domain.errors import Rejected, Retryable
from runtime.web.authentication import Caller
from runtime.web.problems import ProblemError, unauthenticated

KEY = "tg_live_abcdefgh_" + "k" * 32


class TestError:
    @pytest.mark.parametrize(
        ("error", "status", "error_code"),
        [
            (RefusalError(40401, "m"), 404, 40401),
            (RefusalError(413, "m"), 413, 413),
            (Rejected(Code.SCHEMA_INVALID, "m"), 422, 42201),
            (Rejected(Code.SCHEMA_INCOMPATIBLE, "m"), 409, 409),
            (Rejected(Code.SUBJECT_CLOSED, "m"), 422, 42205),
            (Rejected(Code.SCHEMA_LIMIT, "m"), 422, 42205),
            (Rejected(Code.OVERSIZED, "m"), 413, 413),
            (Retryable(Code.BROKER_AWAY, "m", retry_after_ms=1), 503, 50001),
            (Retryable(Code.DATABASE_AWAY, "m", retry_after_ms=1), 503, 50001),
            (unauthenticated(), 401, 401),
            (HTTPException(405), 405, 405),
        ],
    )
    def test_has_a_status_a_code_and_a_message(
        self, error: Exception, status: int, error_code: int
    ) -> None:
        answer = registry_form._answer_of(error)
        body = json.loads(bytes(answer.body))
        assert (status, error_code) == (answer.status_code, body["error_code"])
        assert {"error_code", "message"} == body.keys()
        assert body["message"]
        assert (status == 503) == ("retry-after" in answer.headers)

    def test_never_names_a_host_of_ours(self) -> None:
        """What a part that is away says of itself stays in our logs."""
        error = Retryable(Code.BROKER_AWAY, "kafka-7.internal:9092 refused", retry_after_ms=1)
        assert b"internal" not in bytes(registry_form._answer_of(error).body)

    def test_has_a_message_that_ends(self) -> None:
        answer = registry_form._answer_of(RefusalError(422, "x" * 1_000_000))
        assert len(answer.body) < 2_000


class Keys:
    """Knows one key."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def caller(self, key: str) -> Caller:
        self.asked.append(key)
        if key != KEY:
            raise unauthenticated()
        return Caller("acme", "key_abcdefgh")


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def asked(header: str) -> Caller:
    request = Request({"type": "http", "headers": [(b"authorization", header.encode())]})
    backend = SimpleNamespace(authenticator=Keys())
    return asyncio.run(get_caller(request, cast("Any", backend)))


class TestKey:
    @pytest.mark.parametrize(
        "header", [f"Bearer {KEY}", f"bearer  {KEY}", basic(f"any:{KEY}"), basic(f":{KEY}")]
    )
    def test_comes_as_bearer_or_as_the_password_of_basic(self, header: str) -> None:
        assert "acme" == asked(header).tenant

    @pytest.mark.parametrize(
        "header",
        ["", "Bearer", "Basic", "Basic ????", "Basic /w==", basic(KEY), basic(f"{KEY}:"), KEY],
    )
    def test_that_is_missing_or_elsewhere_is_refused(self, header: str) -> None:
        with pytest.raises(ProblemError):
            asked(header)
