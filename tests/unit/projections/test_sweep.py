"""Delivering: one wish that cannot be sent keeps no other, and nothing is sent for nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from domain.books.records import Command
from domain.codes import Code
from domain.emergence.records import DetectionSettled
from domain.errors import Rejected, Retryable
from projections.effects.sweep import Wish, deliver, key_of, kind_of

GOOD, HUGE, OTHER = (Command("t", name, "RequestCharge", name) for name in "ghi")
SETTLED = DetectionSettled("t", "p", "", "emg_1", "charged", 1)


class Log:
    """A log that refuses a batch with something too large in it, before it takes anything."""

    def __init__(self) -> None:
        self.taken: list[Command] = []

    def send(self, commands: Sequence[Command]) -> None:
        assert commands, "nothing was to be sent"
        if HUGE in commands:
            raise Rejected(Code.OVERSIZED, "too large")
        self.taken += commands


def _away(_: Sequence[Command]) -> None:
    raise Retryable(Code.BROKER_AWAY, "away", retry_after_ms=1)


class TestDelivering:
    def test_leaves_out_what_cannot_be_sent(self) -> None:
        log = Log()
        assert deliver([GOOD, HUGE, OTHER], log.send) == [GOOD, OTHER]
        assert log.taken == [GOOD, OTHER]

    def test_sends_nothing_for_nothing(self) -> None:
        assert deliver([], Log().send) == []

    def test_lets_an_absent_broker_be_known(self) -> None:
        with pytest.raises(Retryable):
            deliver([GOOD], _away)


class TestNames:
    def test_tell_wishes_apart(self) -> None:
        """By tenant and command, or by detection and what became of it."""
        others = [SETTLED, DetectionSettled("t", "p", "", "emg_1", "refunded", 1)]
        strangers = [Command("u", GOOD.command_id, GOOD.kind, GOOD.body)]
        wishes: list[Wish] = [GOOD, HUGE, OTHER, *others, *strangers]
        names = [key_of(wish) for wish in wishes]
        assert len(set(names)) == len(names)
        assert (kind_of(GOOD), kind_of(SETTLED)) == ("RequestCharge", "EmergenceSettled")
