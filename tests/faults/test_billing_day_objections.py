"""The billing day's proofs object to what is wrong: a proof that cannot fail proves nothing."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from projections.usage_days import DAYS_BACK
from tests.faults import billing_day
from tests.faults.billing_day import TENANTS, BillingDay
from tests.faults.billing_script import calls_of
from tests.faults.world import Stage
from tests.support.checkout import ROOT

SUBSCRIPTIONS = 40
UP_S, DOWN_S = 90, 60
"""How long services may take to start, and a run to end, on a slow machine, seconds."""


@pytest.fixture
def day() -> BillingDay:
    """A day whose stage has nothing on it."""
    stage = SimpleNamespace(
        database_url="", settings={"kafka": ""}, typed_settings=lambda: None, services=None
    )
    return BillingDay(cast("Stage", stage), seed=1, subscriptions=SUBSCRIPTIONS, kills=1)


def tables_of(answers: Mapping[str, Sequence[tuple[Any, ...]]]) -> type:
    """Tables that answer a statement by the table that it reads."""

    class Answers:
        def __init__(self, *_: object) -> None:
            pass

        def rows(self, statement: str) -> list[tuple[Any, ...]]:
            table = statement.partition(" FROM ")[2].split()[0]
            return list(answers[table])

    return Answers


def used_by(tenant: str) -> int:
    return sum(
        calls_of(number) for number in range(TENANTS.index(tenant), SUBSCRIPTIONS, len(TENANTS))
    )


class TestDaysAddedUp:
    @pytest.mark.parametrize(
        ("days", "missing", "objections"),
        [
            (DAYS_BACK, 0, 0),
            (DAYS_BACK + 1, 0, 0),
            (DAYS_BACK // 2, 0, 2),
            (DAYS_BACK, 1, 2),
            (0, 0, 2),
        ],
    )
    def test_are_whole_and_all_of_them(
        self,
        day: BillingDay,
        monkeypatch: pytest.MonkeyPatch,
        days: int,
        missing: int,
        objections: int,
    ) -> None:
        """Half of the days, or days that lack one call, of either tenant."""
        answers: dict[str, list[tuple[Any, ...]]] = {
            "usage_day_made": [(tenant, days) for tenant in TENANTS if days],
            "usage_day": [(tenant, Decimal(used_by(tenant) - missing)) for tenant in TENANTS],
        }
        monkeypatch.setattr(billing_day, "Tables", tables_of(answers))
        day._judge_days()
        assert len(day.faults) == objections, day.faults


class TestKills:
    @pytest.mark.parametrize(
        ("figure", "objections"), [("", 0), ("kills_at_work", 1), ("roll_up_kills_at_work", 1)]
    )
    def test_met_work(self, day: BillingDay, figure: str, objections: int) -> None:
        """A kill of who had nothing to do proves nothing."""
        day.figures |= {"roll_up_kills_at_work": 1, "kills_at_work": 1} | (
            {figure: 0} if figure else {}
        )
        day._judge_kills()
        assert len(day.faults) == objections


class TestReplay:
    @pytest.mark.parametrize(
        ("replayed", "equal", "objections"),
        [
            (SUBSCRIPTIONS // 2, True, 0),
            (0, True, 2),
            (SUBSCRIPTIONS // 2 - 1, True, 2),
            (SUBSCRIPTIONS // 2, False, SUBSCRIPTIONS),
        ],
    )
    def test_looked_at_as_many_as_it_says_and_they_are_equal(
        self,
        day: BillingDay,
        monkeypatch: pytest.MonkeyPatch,
        replayed: int,
        equal: bool,
        objections: int,
    ) -> None:
        """None at all, one too few, or all of them to other bytes."""

        def replay_all(*_: object, **__: object) -> Iterator[SimpleNamespace]:
            for number in range(replayed):
                yield SimpleNamespace(is_equal=equal, original=SimpleNamespace(number=number))

        monkeypatch.setattr(billing_day, "replay_all", replay_all)
        day._judge_replay()
        assert len(day.faults) == objections, day.faults[:3]
        assert day.figures["replayed_equal"] == (2 * replayed if equal else 0)


class TestRunByHand:
    def test_that_is_told_to_end_ends_what_it_started(self, tmp_path: Path) -> None:
        """SIGTERM while the broker answers: nothing answers afterwards."""
        script = (
            "import sys; from pathlib import Path; from tests.faults import billing_day, world;"
            f" world.FOLDER = Path({str(tmp_path)!r});"
            " sys.argv[1:] = ['--subscriptions', '20', '--kills', '1'];"
            " sys.exit(billing_day.main())"
        )
        process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
        try:
            state = tmp_path / "services" / "services.json"
            kafka = _await_broker(state, process)
            process.terminate()
            assert process.wait(DOWN_S) != 0
        finally:
            process.kill()
            process.wait()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(kafka, timeout=5)
        assert not state.exists()


def _await_broker(state: Path, process: subprocess.Popen[bytes]) -> tuple[str, int]:
    """Return where the broker answers, once the services are up."""
    deadline = time.monotonic() + UP_S
    while not state.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    host, _, port = json.loads(state.read_text())["kafka"].partition(":")
    return host, int(port)
