"""Safe mode: nothing that goes wrong with usage reaches the host."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.sdk.memory_transport import MemoryTransport
from tidegauge import Meter, TidegaugeError, limits

WAIT_S = 10


class Explosive(dict[str, str]):
    def items(self) -> Any:  # type: ignore[explicit-override]
        raise ZeroDivisionError


def a_meter(**options: Any) -> Meter:
    way_out = MemoryTransport(partitions=1, answers=options.pop("answers", True))
    return Meter("x", tenant="acme", way_out=lambda: way_out, safe=True, **options)


def record(meter: Meter, **changes: Any) -> str:
    event: dict[str, Any] = {"customer": "c", "type": "t", "quantity": 1}
    return meter.record(**(event | changes))


class TestSafeMode:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"quantity": 1.5},
            {"customer": None},
            {"id": ""},
            {"occurred_at": datetime(2026, 1, 1)},  # noqa: DTZ001
            {"dimensions": Explosive(a="b")},
            {"quantity": object()},
            {"properties": [1]},
        ],
    )
    def test_returns_nothing_for_a_wrong_event(self, wrong: dict[str, Any]) -> None:
        """Whatever is wrong, also in objects of the host: "", and a count."""
        with a_meter() as meter:
            assert record(meter, **wrong) == ""
            assert (meter.counters.refused, meter.counters.recorded) == (1, 0)
            assert record(meter) != ""

    def test_survives_the_hosts_clock(self) -> None:
        """A clock that raises later costs the event and not the host."""
        times: list[Callable[[], datetime]] = [lambda: datetime(2026, 1, 1, tzinfo=UTC)]

        def clock() -> datetime:
            return times[-1]()

        with a_meter(clock=clock) as meter:
            times.append(lambda: datetime.fromtimestamp(10**30, UTC))
            assert record(meter) == ""
            times.pop()
            assert record(meter) != ""

    def test_returns_nothing_when_full_closed_or_stopped(self) -> None:
        """A full buffer, a closed meter: the host goes on."""
        meter = a_meter(buffer_events_max=1, answers=False)
        assert record(meter) != ""
        assert record(meter) == ""
        meter.close(0)
        assert record(meter) == ""
        assert meter.counters.refused == 2

    def test_returns_what_is_pending_from_flush(self) -> None:
        """Where flush would raise that the meter stopped, it returns a number."""
        way_out = MemoryTransport()
        way_out.fatal = True
        with Meter("x", tenant="acme", way_out=lambda: way_out, safe=True) as meter:
            record(meter)
            assert meter.flush(WAIT_S) == 1

    def test_logs_each_code_once_a_minute(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A thousand wrong events make one line per code, then one that says how many more."""
        with a_meter() as meter:
            for _ in range(1_000):
                record(meter, quantity=1.5)
                record(meter, customer="")
            lines = [one.getMessage() for one in caplog.records]
            assert [line.split(" ")[1] for line in lines] == [
                "code=quantity_float",
                "code=customer_empty",
            ]
            monkeypatch.setattr(limits, "SAFE_LOG_S", 0.0)
            for code, (_, left_out) in tuple(meter._refusals._seen.items()):
                meter._refusals._seen[code] = (0.0, left_out)
            record(meter, quantity=1.5)
        assert "left_out=999" in caplog.records[2].getMessage()
        assert {one.levelno for one in caplog.records} == {logging.ERROR}

    def test_does_not_hide_a_wrong_option(self) -> None:
        """Making a meter still raises: that is found at start, not in production."""
        with pytest.raises(TidegaugeError):
            a_meter(linger_ms=-1)
