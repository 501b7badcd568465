"""Helpers record what was used, and never disturb what is used."""

import asyncio
import runpy
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tidegauge.helpers import (
    LiteLLMUsage,
    UsageMiddleware,
    count_calls,
    measure_duration,
    record_tokens,
    tokens_of,
)
from tidegauge.testing import MemoryMeter

EXAMPLES = Path(__file__).resolve().parents[3] / "producers" / "sdk" / "examples"


@pytest.fixture
def meter() -> Iterator[MemoryMeter]:
    with MemoryMeter() as meter:
        yield meter


class TestCountCalls:
    def test_counts_what_returns(self, meter: MemoryMeter) -> None:
        """One per call of a function, for the customer of its arguments; failures are none."""

        @count_calls(meter, customer=lambda who, **_: who, type="calls", dimensions={"f": "g"})
        def work(who: str, *, fails: bool = False) -> str:
            """Work."""
            if fails:
                raise ValueError(who)
            return who.upper()

        assert (work("a"), work("a"), work("b")) == ("A", "A", "B")
        with pytest.raises(ValueError, match="a"):
            work("a", fails=True)

        assert (work.__name__, work.__doc__) == ("work", "Work.")
        meter.assert_recorded(
            customer="a", type="calls", quantity=1, dimensions={"f": "g"}, times=2
        )
        assert meter.total("b", "calls") == 1

    def test_counts_coroutines_when_they_end(self, meter: MemoryMeter) -> None:
        """A coroutine function stays one, and is counted after it was awaited."""

        @count_calls(meter, customer="a", type="calls", even_failed=True)
        async def work(*, fails: bool) -> int:
            await asyncio.sleep(0)
            if fails:
                raise ValueError
            return 7

        pending = work(fails=False)
        assert meter.events() == []
        assert asyncio.run(pending) == 7
        with pytest.raises(ValueError):  # noqa: PT011 - its own
            asyncio.run(work(fails=True))
        assert meter.total("a", "calls") == 2

    def test_never_disturbs(self, meter: MemoryMeter) -> None:
        """A customer that cannot be found, or an event that is refused, costs the event only."""

        @count_calls(meter, customer=lambda: 1 // 0, type="calls")  # type: ignore[arg-type, return-value]
        def broken() -> int:
            return 1

        @count_calls(meter, customer="", type="calls")
        def nameless() -> int:
            return 2

        assert (broken(), nameless()) == (1, 2)
        assert meter.events() == []
        assert meter.counters.refused == 1


class TestMeasureDuration:
    def test_measures_blocks_and_functions_exactly(self, meter: MemoryMeter) -> None:
        """Seconds as an exact decimal of nanoseconds, also of a block that raises."""
        with measure_duration(meter, customer="a", type="seconds"):
            pass
        with (
            pytest.raises(ValueError),  # noqa: PT011 - its own
            measure_duration(meter, customer="a", type="seconds"),
        ):
            raise ValueError
        measure_duration(meter, customer="a", type="seconds")(lambda: None)()

        events = meter.events()
        assert len(events) == 3
        assert all(Decimal(0) < one.quantity < 10 for one in events)
        assert all(-9 <= int(one.quantity.as_tuple().exponent) <= 0 for one in events)


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    if scope["path"] == "/boom":
        raise ZeroDivisionError
    scope["user"] = "a"
    scope["route"] = SimpleNamespace(path="/items/{id}")
    await send({"type": "http.response.start", "status": 201, "headers": []})
    await send({"type": "http.response.body", "body": b"12345", "more_body": True})
    await send({"type": "http.response.body", "body": b"678"})


def request(app: UsageMiddleware, path: str = "/items/7", **scope: Any) -> list[Any]:
    parts = [b"abc", b"de"]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Any) -> None:
        sent.append(message)

    whole = {"type": "http", "method": "POST", "path": path} | scope
    asyncio.run(app(whole, receive, send))
    return sent


class TestUsageMiddleware:
    def test_counts_calls_and_bytes_both_ways(self, meter: MemoryMeter) -> None:
        """The body's bytes as they passed, with method, status class and route pattern."""
        app = UsageMiddleware(application, meter=meter, customer=lambda scope: scope.get("user"))

        sent = request(app)

        assert [message["type"] for message in sent] == [
            "http.response.start",
            "http.response.body",
            "http.response.body",
        ]
        where = {"method": "POST", "status": "2xx", "route": "/items/{id}"}
        for event_type, quantity in (("api.call", 1), ("api.bytes_in", 5), ("api.bytes_out", 8)):
            meter.assert_recorded(
                customer="a", type=event_type, quantity=quantity, dimensions=where
            )

    def test_counts_a_request_that_raised_as_failed(self, meter: MemoryMeter) -> None:
        """The exception goes on to the server, and the call is 5xx."""
        app = UsageMiddleware(application, meter=meter, customer=lambda scope: "a")
        with pytest.raises(ZeroDivisionError):
            request(app, "/boom")
        meter.assert_recorded(customer="a", type="api.call", dimensions={"status": "5xx"})

    def test_passes_over_what_is_nobodys(self, meter: MemoryMeter) -> None:
        """No customer, a customer that raises, or no HTTP: the request works, unrecorded."""
        for customer in (lambda scope: None, lambda scope: scope["missing"]):
            assert len(request(UsageMiddleware(application, meter=meter, customer=customer))) == 3
        request(
            UsageMiddleware(application, meter=meter, customer=lambda s: "a"), type="websocket"
        )
        assert meter.events() == []

    def test_records_only_the_types_it_was_told(self, meter: MemoryMeter) -> None:
        """A type that is None is left out."""
        app = UsageMiddleware(
            application, meter=meter, customer=lambda s: "a", calls=None, bytes_in=None
        )
        request(app)
        assert [one.type for one in meter.events()] == ["api.bytes_out"]


USAGE = {"prompt_tokens": 12, "completion_tokens": 34, "total_tokens": 46}
CHAT = {
    "id": "chatcmpl-1",
    "model": "gpt-x",
    "created": 1_767_225_600,
    "usage": USAGE,
}


class TestTokens:
    @pytest.mark.parametrize(
        "response",
        [
            CHAT,
            SimpleNamespace(**{**CHAT, "usage": SimpleNamespace(**USAGE)}),
            {
                "id": "chatcmpl-1",
                "model": "gpt-x",
                "usage": {"input_tokens": 12, "output_tokens": 34},
            },
        ],
    )
    def test_are_found_in_objects_and_dicts(self, meter: MemoryMeter, response: Any) -> None:
        """Chat completions, responses and messages, whatever their type, count the same."""
        found = record_tokens(meter, response, customer="a", dimensions={"team": "x"})

        assert found is not None
        assert (found.tokens_in, found.tokens_out) == (12, 34)
        where = {"model": "gpt-x", "team": "x"}
        meter.assert_recorded(customer="a", type="llm.tokens_in", quantity=12, dimensions=where)
        meter.assert_recorded(customer="a", type="llm.tokens_out", quantity=34, dimensions=where)

    def test_of_one_answer_count_once(self, meter: MemoryMeter) -> None:
        """An answer reported twice has the same ids and the same payload."""
        for _ in range(2):
            record_tokens(meter, CHAT, customer="a")

        assert {one.id for one in meter.events()} == {"chatcmpl-1:in", "chatcmpl-1:out"}
        assert meter.total("a", "llm.tokens_out") == 34
        assert len({(one.id, one.occurred_at) for one in meter.events()}) == 2

    @pytest.mark.parametrize(
        "response",
        [None, {}, {"usage": None}, {"usage": {}}, {"usage": {"prompt_tokens": True}}, 7, "x"],
    )
    def test_that_are_not_there_are_none(self, meter: MemoryMeter, response: Any) -> None:
        """Parts of a stream and odd answers are passed over."""
        assert tokens_of(response) is None
        assert record_tokens(meter, response, customer="a") is None
        assert meter.events() == []

    @pytest.mark.parametrize(
        ("kwargs", "customer"),
        [
            ({"litellm_params": {"metadata": {"customer": "a"}}, "user": "b"}, "a"),
            ({"litellm_params": {"metadata": None}, "user": "b"}, "b"),
            ({"optional_params": {"user": "c"}}, "c"),
        ],
    )
    def test_reach_litellms_customer(
        self, meter: MemoryMeter, kwargs: dict[str, Any], customer: str
    ) -> None:
        """The callback is what LiteLLM calls: (kwargs, response, start, end)."""
        LiteLLMUsage(meter)(kwargs, CHAT, None, None)
        assert meter.total(customer, "llm.tokens_in") == 12

    def test_without_a_customer_are_nobodys(self, meter: MemoryMeter) -> None:
        """A call of nobody is not recorded, and nothing raises."""
        callback = LiteLLMUsage(meter)
        for kwargs in ({}, {"user": 7}, {"litellm_params": "odd"}):
            callback(kwargs, CHAT, None, None)
        assert meter.events() == []


class TestExamples:
    @pytest.mark.parametrize(
        "path", sorted(EXAMPLES.glob("[a-z]*.py")), ids=lambda path: path.stem
    )
    def test_run_and_are_short(self, path: Path) -> None:
        """Each example runs as it stands, asserts what it claims, and has about ten lines."""
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        assert len(lines) <= 14

        names = runpy.run_path(str(path))

        assert names["meter"].counters.acknowledged > 0

    def test_are_there(self) -> None:
        """One for each helper, and for tests."""
        assert len(sorted(EXAMPLES.glob("[a-z]*.py"))) >= 6
