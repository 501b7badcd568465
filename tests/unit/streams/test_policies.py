"""Policies: what follows from facts, and that no record is left out on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from domain import wishes
from domain.books.facts import BooksFacts, Outcome, fact_of
from domain.books.records import Command
from domain.canonical import Json, from_json
from domain.codes import Code
from domain.emergence.facts import (
    Cover,
    Detected,
    EmergenceEvent,
    EmergenceFacts,
    Ended,
    How,
    ProjectKey,
    Suspected,
)
from domain.emergence.records import DetectionSettled
from domain.errors import Fatal, Rejected, Retryable
from schemas.node_wire import from_wire_node_source
from schemas.topics import ACCOUNT_FACTS
from streams.policies import agent, settle_detections
from streams.policies.agent import Policy

KEY = ProjectKey("t", "tower", "")
DETECTED = Detected(
    offset=7,
    detection="emg_1",
    key=KEY,
    customer="ada",
    code="blueprint",
    name="Blueprint",
    generation=2,
    covers=(Cover("blueprint", 2),),
    credits=50,
    price_minor=50_000,
    currency="PHP",
    delivers=("DXF",),
    evidence=(),
    rule_version=1,
    rule_sha256="0" * 64,
    partition=0,
    detected_at_ms=1_000,
)


def _facts(*events: EmergenceEvent) -> EmergenceFacts:
    return EmergenceFacts(0, 1, 0, events=events)


def _commands(*events: EmergenceEvent) -> list[Command]:
    return wishes.commands_of(_facts(*events))


class TestRequestCharges:
    def test_asks_for_a_charge_whose_id_is_the_detection(self) -> None:
        (command,) = _commands(DETECTED)
        body = from_json(command.body)
        assert isinstance(body, dict)
        assert (command.tenant, command.kind) == ("t", "RequestCharge")
        assert (body["charge"], body["credits"], body["covers"]) == (
            "emg_1",
            50,
            [["blueprint", 2]],
        )

    def test_asks_with_the_same_id_whenever_it_is_read(self) -> None:
        """A zombie's record, or one read twice, leads to a command that the books know."""
        assert _commands(DETECTED) == _commands(DETECTED)
        assert _commands(DETECTED)[0] == wishes.request(DETECTED)

    def test_keeps_the_order_of_a_request_and_its_withdrawal(self) -> None:
        ended = Ended(8, "emg_1", KEY, How.REVERSED, "", "gone", 2_000)
        first, second = _commands(DETECTED, ended)
        assert [first.kind, second.kind] == ["RequestCharge", "WithdrawCharge"]
        assert first.command_id != second.command_id

    def test_raises_suspicions(self) -> None:
        event = Suspected(9, "sus_1", KEY, "ada", "n", "just_over", "0.70 to 0.91", 3_000)
        (command,) = _commands(event)
        assert command.kind == "RaiseSuspicion"
        assert '"rule":"just_over"' in command.body


def _books(kind: str, **body: Json) -> BooksFacts:
    fact = fact_of(
        kind, {"charge": "emg_1", "customer": "ada", "project": "", "lone_node": "n", **body}
    )
    outcome = Outcome(0, "t", "cmd", "X", b"", "", "", False, (fact,), 5_000)
    return BooksFacts(0, 1, 0, outcomes=(outcome,))


def _settled(facts: BooksFacts) -> list[DetectionSettled]:
    events = settle_detections.events_of(facts)
    bodies = [
        from_wire_node_source(event.value, offset=0, received_at_ms=0).body for event in events
    ]
    assert all(isinstance(body, DetectionSettled) for body in bodies)
    return bodies  # type: ignore[return-value]


class TestSettleDetections:
    @pytest.mark.parametrize(
        ("kind", "status"),
        [
            ("ChargeCaptured", "charged"),
            ("ChargeDeclined", "declined"),
            ("ChargeExpired", "expired"),
            ("ChargeUnbilled", "unbilled"),
        ],
    )
    def test_tells_what_became_of_a_charge(self, kind: str, status: str) -> None:
        (settled,) = _settled(_books(kind))
        assert settled == DetectionSettled("t", "", "n", "emg_1", status, 5_000)

    def test_tells_of_full_refunds_only(self) -> None:
        assert _settled(_books("ChargeRefunded", is_full=False)) == []
        (settled,) = _settled(_books("ChargeRefunded", is_full=True))
        assert settled.status == "refunded"

    @pytest.mark.parametrize("kind", ["ChargeRequested", "ChargeApproved", "ChargeWithdrawn"])
    def test_is_silent_about_the_rest(self, kind: str) -> None:
        assert _settled(_books(kind)) == []


class Sends:
    """A log that fails so many times, and keeps what it took."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.taken: list[str] = []

    def __call__(self, wishes: Sequence[str]) -> None:
        if self.failures:
            self.failures -= 1
            raise Retryable(Code.BROKER_AWAY, "away", retry_after_ms=1)
        self.taken += wishes


def _refuse(_: bytes | None) -> str:
    raise Rejected(Code.UNDECODABLE, "no record")


def _policy(send: Sends, **changes: Any) -> Policy[str, str]:
    return Policy(
        **{
            "name": "p",
            "topic": ACCOUNT_FACTS,
            "decode": lambda value: (value or b"").decode(),
            "react": lambda facts: facts.split(),
            "send": send,
            **changes,
        }
    )


def _event(value: bytes) -> Any:
    return SimpleNamespace(value=value, message=SimpleNamespace(partition=0, offset=3))


class TestFollowing:
    def test_sends_again_until_the_broker_has_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(agent, "RETRY_MS_MIN", 1)
        send = Sends(failures=3)
        asyncio.run(agent.follow(_policy(send), _event(b"a b")))
        assert (send.taken, send.failures) == (["a", "b"], 0)

    def test_sends_nothing_for_nothing(self) -> None:
        send = Sends(failures=1)
        asyncio.run(agent.follow(_policy(send), _event(b"")))
        assert send.failures == 1

    def test_stops_at_what_cannot_be_read(self) -> None:
        with pytest.raises(Fatal, match="offset 3") as stopped:
            asyncio.run(agent.follow(_policy(Sends(), decode=_refuse), _event(b"x")))
        assert stopped.value.code is Code.STATE_CORRUPT


class Stream:
    """A stream of events that the agent acknowledges by hand."""

    def __init__(self, values: Sequence[bytes]) -> None:
        self.acknowledged: list[bytes] = []
        self._values = values

    def noack(self) -> Stream:
        return self

    async def events(self) -> Any:
        for value in self._values:
            yield SimpleNamespace(
                value=value,
                message=SimpleNamespace(partition=0, offset=3),
                ack=lambda value=value: self.acknowledged.append(value),
            )


class App:
    """As much of a Faust app as a policy touches."""

    def topic(self, *_: object, **__: object) -> None:
        """Have none."""

    def agent(self, *_: object, **__: object) -> Any:
        def keep(work: Any) -> Any:
            self.work = work
            return work

        return keep


class TestAcknowledging:
    def test_comes_after_the_broker_and_never_for_what_failed(self) -> None:
        """The record that cannot be followed stays unacknowledged, and so do all after it."""
        send, app, policies = Sends(), App(), agent.Policies()

        def decode(value: bytes | None) -> str:
            return _refuse(value) if value == b"bad" else (value or b"").decode()

        policies.add(app, _policy(send, decode=decode))  # type: ignore[arg-type]
        stream = Stream([b"one", b"bad", b"two"])

        async def run() -> None:
            work = asyncio.create_task(app.work(stream))
            while policies.error is None:  # noqa: ASYNC110 -- a plain field, watched as the shell does
                await asyncio.sleep(0.001)
            work.cancel()

        asyncio.run(asyncio.wait_for(run(), 30))
        assert stream.acknowledged == [b"one"]
        assert send.taken == ["one"]
        assert isinstance(policies.error, Fatal)
