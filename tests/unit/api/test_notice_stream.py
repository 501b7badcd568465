"""The stream of notices: nothing left out, nothing sent twice, and nothing after the key's end."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Self, cast

import pytest

from api import live
from api.live import LISTENERS_MAX, LISTENERS_OF_TENANT_MAX, Listener, Live
from api.routes.notifications import HEARTBEAT_S, NoticeStream, Place
from domain.codes import Code
from domain.errors import Retryable
from projections.queries.notifications import Notification
from projections.queries.paging import PAGE_ROWS_MAX
from runtime import clock
from runtime.settings import Settings
from runtime.web.authentication import Caller
from runtime.web.problems import unauthenticated

AT = datetime(2026, 3, 1, tzinfo=UTC)
START: Place = (AT, "")


def notice(name: str, *, after_ms: int = 1) -> Notification:
    """A notice of a moment after AT."""
    at = AT + timedelta(milliseconds=after_ms)
    return Notification(f"ntf_{name}", "c", "charged", "emg_1", "title", "body", at)


class Busy:
    """A listener that others' news wake at once, and what happens meanwhile."""

    def __init__(self, happens: Callable[[int], None] = lambda _: None) -> None:
        self.woken = 0
        self._happens = happens

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Hold nothing."""

    async def changed(self, timeout_s: float) -> bool:
        assert timeout_s == HEARTBEAT_S
        self.woken += 1
        self._happens(self.woken)
        return True


class Table:
    """The notices of one tenant, as the query returns them."""

    def __init__(self, *rows: Notification) -> None:
        self.rows = list(rows)

    def look(self, place: Place) -> tuple[Notification, ...]:
        found = [row for row in self.rows if (row.booked_at, row.notification) > place]
        found.sort(key=lambda row: (row.booked_at, row.notification))
        return tuple(found[:PAGE_ROWS_MAX])


async def _caller() -> Caller:
    return Caller(tenant="t", key_id="k")


def _heard(stream: NoticeStream, *, words: int) -> list[str]:
    """Read so many words of a stream, or all until its end."""

    async def read() -> list[str]:
        found: list[str] = []
        async for word in stream.events(START):
            found.append(word)
            if len(found) == words:
                break
        return found

    return asyncio.run(asyncio.wait_for(read(), 60))


def _ids(words: list[str]) -> list[str]:
    return [word.split('"notification":"')[1].split('"')[0] for word in words if "data:" in word]


class TestStream:
    def test_sends_what_is_projected_later_at_the_same_moment(self) -> None:
        """Two commands of one millisecond, and the projector commits between them."""
        table = Table(notice("b"))
        busy = Busy(lambda woken: table.rows.append(notice("a" if woken == 1 else f"c{woken}")))
        stream = NoticeStream(cast("Listener", busy), look=table.look, ask_again=_caller)
        assert ["ntf_b", "ntf_a", "ntf_c2", "ntf_c3"] == _ids(_heard(stream, words=5))

    def test_sends_more_of_one_moment_than_a_page_holds(self) -> None:
        table = Table(*(notice(f"{number:04}") for number in range(3 * PAGE_ROWS_MAX)))
        table.rows.append(notice("last", after_ms=2))
        stream = NoticeStream(cast("Listener", Busy()), look=table.look, ask_again=_caller)
        sent = _ids(_heard(stream, words=3 * PAGE_ROWS_MAX + 2))
        assert [row.notification for row in table.rows] == sent

    def test_shows_signs_of_life_while_others_are_busy(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Woken all the time and never with news of its own, it must not look dead to a proxy."""
        now_ms = [0]
        monkeypatch.setattr(clock, "monotonic_ms", lambda: now_ms[0])

        def later(_: int) -> None:
            now_ms[0] += 500

        busy = Busy(later)
        stream = NoticeStream(cast("Listener", busy), look=Table().look, ask_again=_caller)
        words = _heard(stream, words=4)
        assert ["retry: 2000\n\n", *[": still here\n\n"] * 3] == words
        assert 3 * HEARTBEAT_S * 1000 == now_ms[0]

    def test_ends_with_its_key(self) -> None:
        asked: list[int] = []

        async def ask() -> Caller:
            asked.append(1)
            if len(asked) > 2:
                raise unauthenticated()
            return await _caller()

        table = Table()
        busy = Busy(lambda woken: table.rows.append(notice(str(woken), after_ms=woken)))
        stream = NoticeStream(cast("Listener", busy), look=table.look, ask_again=ask)
        assert ["ntf_1"] == _ids(_heard(stream, words=1_000))

    def test_goes_on_when_the_database_was_away(self) -> None:
        table = Table(notice("a"))
        looked: list[int] = []

        def look(place: Place) -> tuple[Notification, ...]:
            looked.append(1)
            if len(looked) < 3:
                raise Retryable(Code.DATABASE_AWAY, "away", retry_after_ms=1)
            return table.look(place)

        stream = NoticeStream(cast("Listener", Busy()), look=look, ask_again=_caller)
        assert ["ntf_a"] == _ids(_heard(stream, words=2))


class TestPlaces:
    def test_of_one_tenant_leave_room_for_others(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(live.Live, "_run", lambda _: None)

        async def scenario() -> None:
            all_of_them = Live(Settings())
            mine = [all_of_them.listen("mine") for _ in range(LISTENERS_OF_TENANT_MAX)]
            with pytest.raises(Retryable):
                all_of_them.listen("mine")
            for number in range(LISTENERS_MAX - LISTENERS_OF_TENANT_MAX):
                all_of_them.listen(f"other-{number}")
            with pytest.raises(Retryable):
                all_of_them.listen("one-more")
            all_of_them.leave(mine[0])
            all_of_them.listen("mine")

        asyncio.run(scenario())
