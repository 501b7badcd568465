"""Sending commands: each one's size is its own affair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

import pytest

from domain.books.records import Command
from domain.codes import Code
from domain.errors import Rejected
from runtime import commands
from runtime.appending import Append
from runtime.commands import CommandSender
from runtime.settings import Settings
from schemas.topics import ACCOUNT_COMMANDS


class Log:
    """Takes records, and remembers which came together."""

    def __init__(self, _: Settings) -> None:
        self.appended: list[list[int]] = []
        self._next = count()

    def append(self, _: str, records: Sequence[Append]) -> list[int]:
        self.appended.append([len(record.value) for record in records])
        return [next(self._next) for _ in records]


@pytest.fixture
def sender(monkeypatch: pytest.MonkeyPatch) -> CommandSender:
    """A sender of records of at most 1,000 bytes, 1,500 together."""
    topic = replace(ACCOUNT_COMMANDS, message_bytes_max=1_000)
    monkeypatch.setattr(commands, "ACCOUNT_COMMANDS", topic)
    monkeypatch.setattr(commands, "PART_BYTES_MAX", 1_500)
    monkeypatch.setattr(commands, "Appender", Log)
    return CommandSender(Settings(), actor="test")


def command(size: int) -> Command:
    return Command("acme", f"cmd_{size}", "CreateCustomer", "x" * size)


class TestSendFitting:
    def test_leaves_out_what_is_too_large_and_sends_the_others(
        self, sender: CommandSender
    ) -> None:
        """In the place of each its offset, or why it has none."""
        first, refused, last = sender.send_fitting([command(10), command(2_000), command(20)])

        assert (first, last) == (0, 1)
        assert isinstance(refused, Rejected)
        assert refused.code == Code.OVERSIZED

    def test_sends_no_more_at_once_than_a_part_holds(self, sender: CommandSender) -> None:
        """Two of 700 bytes fit together, the third goes after them."""
        offsets = sender.send_fitting([command(600), command(601), command(602)])

        assert offsets == [0, 1, 2]
        log = sender._log
        assert isinstance(log, Log)
        assert [len(part) for part in log.appended] == [2, 1]


class TestSendAll:
    def test_sends_nothing_when_one_is_too_large(self, sender: CommandSender) -> None:
        """Who sends several that belong together gets all of them on the log, or none."""
        with pytest.raises(Rejected):
            sender.send_all([command(10), command(2_000)])

        log = sender._log
        assert isinstance(log, Log)
        assert log.appended == []
