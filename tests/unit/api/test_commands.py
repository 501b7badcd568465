"""The command gate: one append, then looking for the answer, within one deadline."""

import asyncio
import threading
from collections.abc import Mapping

import pytest

from api import commands
from api.commands import Command, CommandGate
from domain.canonical import Json
from domain.codes import Code
from domain.errors import Retryable
from projections.queries.outcomes import CommandOutcome
from runtime.web.problems import ProblemError

COMMAND = Command(tenant="t", command_id="cmd_1", kind="CreateCustomer", body={"customer": "c"})


class Log:
    """Takes commands at offset 7; may be told to wait or to fail."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.is_open = threading.Event()
        self.is_open.set()
        self.error: Exception | None = None

    def send(
        self,
        *,
        tenant: str,
        command_id: str,
        kind: str,
        body: Mapping[str, Json],
        actor: str = "",
    ) -> int:
        self.is_open.wait(5)
        if self.error is not None:
            raise self.error
        self.sent.append((tenant, command_id))
        return 7


class Answers:
    """Shows the outcome of offset 7 from the n-th look on."""

    def __init__(self, *, code: str = "", looks: int = 1) -> None:
        self._code = code
        self._looks = looks
        self.looked = 0

    def find(self, tenant: str, offset: int) -> CommandOutcome | None:
        assert (tenant, offset) == ("t", 7)
        self.looked += 1
        if self.looked < self._looks:
            return None
        return CommandOutcome("cmd_1", "CreateCustomer", self._code, "because")


def _gate(log: Log, answers: Answers, *, timeout_ms: int = 2_000) -> CommandGate:
    return CommandGate(sender=log, find=answers.find, timeout_ms=timeout_ms)


class TestCommandGate:
    def test_returns_when_the_outcome_is_visible(self) -> None:
        log, answers = Log(), Answers(looks=3)
        asyncio.run(_gate(log, answers).execute(COMMAND))
        assert log.sent == [("t", "cmd_1")]
        assert answers.looked == 3

    def test_raises_the_refusal_of_the_books(self) -> None:
        with pytest.raises(ProblemError) as raised:
            asyncio.run(_gate(Log(), Answers(code="customer_exists")).execute(COMMAND))
        assert raised.value.problem.code is Code.CUSTOMER_EXISTS

    def test_gives_up_at_its_deadline_with_the_command_id(self) -> None:
        gate = _gate(Log(), Answers(looks=10_000), timeout_ms=100)
        with pytest.raises(ProblemError) as raised:
            asyncio.run(gate.execute(COMMAND))
        assert raised.value.problem.code is Code.COMMAND_TIMEOUT
        assert ("command_id", "cmd_1") in raised.value.problem.members

    @pytest.mark.parametrize(
        "error",
        [Retryable(Code.BROKER_AWAY, "away", retry_after_ms=1), BufferError("queue full")],
    )
    def test_says_when_the_log_is_away(self, error: Exception) -> None:
        log = Log()
        log.error = error
        with pytest.raises(Retryable) as raised:
            asyncio.run(_gate(log, Answers()).execute(COMMAND))
        assert raised.value.code is Code.BROKER_AWAY

    def test_does_not_wait_longer_for_the_log_than_its_deadline(self) -> None:
        log = Log()
        log.is_open.clear()
        gate = _gate(log, Answers(), timeout_ms=50)
        with pytest.raises(Retryable) as raised:
            asyncio.run(gate.execute(COMMAND))
        log.is_open.set()
        assert raised.value.code is Code.BROKER_AWAY

    def test_takes_only_so_many_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A place is taken until its thread is done, even when its caller has gone."""
        monkeypatch.setattr(commands, "SENDERS_MAX", 2)
        log = Log()
        log.is_open.clear()
        gate = _gate(log, Answers(), timeout_ms=50)

        async def attempt() -> Code | None:
            try:
                await gate.execute(COMMAND)
            except Retryable as error:
                return error.code
            return None

        async def fill_and_wait() -> list[Code | None]:
            found = list(await asyncio.gather(attempt(), attempt()))
            found.append(await attempt())
            log.is_open.set()
            later = await attempt()
            while later is not None:  # the two threads end in their own time
                later = await attempt()
            return [*found, later]

        found = asyncio.run(fill_and_wait())

        assert found == [Code.BROKER_AWAY, Code.BROKER_AWAY, Code.NOT_READY, None]
