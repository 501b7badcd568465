"""The same Idempotency-Key gives the same answer, also while the first is still at work."""

import asyncio

import pytest

from producers.gateway import repeats
from producers.gateway.repeats import Answer, Repeats
from runtime.web.problems import ProblemError

PLACE = ("acme", "events", "key-1")


class Worker:
    """Answers with its number."""

    def __init__(self, *, status: int = 202) -> None:
        self.calls = 0
        self.status = status
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: Exception | None = None

    async def __call__(self) -> Answer:
        self.calls += 1
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return Answer(self.status, str(self.calls).encode())


class TestRepeats:
    def test_answers_a_repeat_from_memory(self) -> None:
        async def scene() -> None:
            known, work = Repeats(), Worker()
            first = await known.once(PLACE, b"body", work)
            assert await known.once(PLACE, b"body", work) == first
            assert work.calls == 1
            assert (await known.once(("globex", *PLACE[1:]), b"body", work)).body == b"2"

        asyncio.run(scene())

    def test_refuses_another_body_also_in_flight(self) -> None:
        async def scene() -> None:
            known, work = Repeats(), Worker()
            work.gate.clear()
            first = asyncio.ensure_future(known.once(PLACE, b"body", work))
            await asyncio.sleep(0)
            with pytest.raises(ProblemError) as refused:
                await known.once(PLACE, b"other", work)
            assert refused.value.problem.code == "idempotency_conflict"
            second = asyncio.ensure_future(known.once(PLACE, b"body", work))
            await asyncio.sleep(0)
            work.gate.set()
            assert await second == await first
            assert work.calls == 1

        asyncio.run(scene())

    def test_forgets_what_was_not_accepted(self) -> None:
        """A refusal or a failure is judged again, for the reason may be gone."""

        async def scene() -> None:
            known, failing = Repeats(), Worker()
            failing.failure = ZeroDivisionError()
            with pytest.raises(ZeroDivisionError):
                await known.once(PLACE, b"body", failing)
            assert (await known.once(PLACE, b"body", Worker(status=422))).status == 422
            assert (await known.once(PLACE, b"other", Worker())).status == 202

        asyncio.run(scene())

    def test_tells_those_who_wait_when_the_first_is_cut(self) -> None:
        async def scene() -> None:
            known, work = Repeats(), Worker()
            work.gate.clear()
            first = asyncio.ensure_future(known.once(PLACE, b"body", work))
            await asyncio.sleep(0)
            second = asyncio.ensure_future(known.once(PLACE, b"body", work))
            await asyncio.sleep(0)
            first.cancel()
            with pytest.raises(ProblemError) as told:
                await second
            assert told.value.problem.code == "delivery_unknown"

        asyncio.run(scene())

    def test_keeps_so_many_for_so_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(repeats, "ANSWERS_MAX", 3)

        async def scene() -> None:
            now_ms = [0]
            known, work = Repeats(now_ms=lambda: now_ms[0]), Worker()
            for number in range(10):
                await known.once(("acme", "events", str(number)), b"", work)
            assert len(known._known) <= 4
            assert known._bytes == len("78910")
            now_ms[0] = repeats.REMEMBERED_MS + 1
            await known.once(PLACE, b"", work)
            assert list(known._known) == [PLACE]

        asyncio.run(scene())
