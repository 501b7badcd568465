"""A crash at any named point loses nothing and doubles nothing."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from runtime.failpoints import FAILPOINTS
from tests.faults import pipeline
from tests.faults.verdict import SCHEMA, Judge
from tests.faults.world import Services, Stage
from tests.support import workload
from tests.support.oracle_tables import Tables, judge_invoices
from tests.support.processes import run_command

VICTIMS = {"fold": "usage", "projector": "project", "builder": "bill", "archive": "archive"}
"""Beginning of a point's name → who passes it."""
PASSES = {"fold": 2, "projector": 2, "builder": 1, "archive": 2}
"""At which pass it is killed: not the first, so that something was done before; a builder passes
once for all invoices of a batch."""
COMMANDS = {"bill", "archive"}
"""Victims that do their work and end, instead of running all the time."""
REACHED_TIMEOUT_S = 40
EVENTS_PER_ROUND = 400
POINTS = tuple(name for name in FAILPOINTS if not name.startswith("books."))
"""Those of the books' state need thousands of facts: tests/unit/streams/test_kept_books.py."""


def _rounds() -> list[tuple[str, ...]]:
    """Pair points of different victims: a round kills each of them at one point."""
    folds = [name for name in POINTS if name.startswith("fold.")]
    others = [name for name in POINTS if not name.startswith("fold.")]
    return [
        tuple(name for name in pair if name)
        for pair in itertools.zip_longest(folds, others, fillvalue="")
    ]


class Crashes:
    """One pipeline that lives through all rounds, and what was billed in them."""

    def __init__(self, stage: Stage, as_of: datetime) -> None:
        self.stage = stage
        self.as_of = as_of
        self.covered: set[str] = set()
        self.periods = 0
        self.number = 0

    def crash(self, points: tuple[str, ...]) -> None:
        """Arm the points, load, see each of them kill its process, and start those again."""
        self.number += 1
        victims = {name: VICTIMS[name.partition(".")[0]] for name in points}
        for name, victim in victims.items():
            if victim not in COMMANDS:
                self.stage.fleet.end(victim)
                pipeline.restart(self.stage, victim, failpoint=_armed(name))
        pipeline.load(self.stage, events=EVENTS_PER_ROUND, seed=self.number)
        for name, victim in victims.items():
            if victim not in COMMANDS:
                self._await_death(name, victim)
                pipeline.restart(self.stage, victim)
        for name, victim in victims.items():
            if victim == "bill":
                self._bill(name)
            if victim == "archive":
                self._archive(name)
        pipeline.await_level(self.stage)

    def _await_death(self, name: str, victim: str) -> None:
        child = self.stage.fleet.children[victim]
        give_up_s = time.monotonic() + REACHED_TIMEOUT_S
        while child.exit_code is None and time.monotonic() < give_up_s:
            time.sleep(0.05)
        assert child.exit_code == -signal.SIGKILL, f"{name} was never reached:\n{child.tail()}"
        self.covered.add(name)

    def _bill(self, name: str) -> None:
        """Bill a period with the point armed, then again as an operator would."""
        moment = f"{self.as_of + timedelta(days=31 * self.periods):%Y-%m-%dT%H:%M:%SZ}"
        self.periods += 1
        words = ["bill", "--ahead", "--as-of", moment, "--tenant"]
        tenants = list(workload.TENANTS)
        settings = {**self.stage.settings, "failpoint": _armed(name)}
        killed = run_command([*words, tenants[0]], settings, cwd=self.stage.folder)
        assert killed.returncode == -signal.SIGKILL, f"{name} was never reached: {killed}"
        self.covered.add(name)
        for tenant in tenants:
            self.stage.tidegauge(*words, tenant)

    def _archive(self, name: str) -> None:
        """Archive with the point armed, then again, and read all of it back."""
        folder = {"archive_dir": str(self.stage.folder / "archive")}
        words = ["archive", "run", "--until-end"]
        armed = {**self.stage.settings, **folder, "failpoint": _armed(name)}
        killed = run_command(words, armed, cwd=self.stage.folder)
        assert killed.returncode == -signal.SIGKILL, f"{name} was never reached: {killed}"
        self.covered.add(name)
        for again in (words, ["archive", "check", "--with-log"]):
            done = run_command(again, {**self.stage.settings, **folder}, cwd=self.stage.folder)
            assert done.returncode == 0, f"{again}: {done}"

    def objections(self) -> list[str]:
        """Ask every oracle about all rounds so far."""
        judge = Judge(self.stage, pipeline.journal_of(self.stage))
        judge.judge_facts()
        judge.judge_database()
        judge.judge_dead_letters()
        tables = Tables(self.stage.database_url, SCHEMA)
        expected = self.stage.subscriptions * self.periods
        invoices = judge_invoices(judge.truth, tables, expected=expected)
        return judge.verdict.faults + invoices.faults


def _armed(name: str) -> str:
    return f"{name}:{PASSES[name.partition('.')[0]]}"


@pytest.fixture(scope="module")
def crashes(own_services: Services) -> Iterator[Crashes]:
    """A running pipeline with customers, subscriptions and frequent checkpoints."""
    stage = Stage.set_up(
        own_services,
        kafka_session_timeout_ms="1500",
        checkpoint_interval_ms="100",
        seen_memory_keys="60",  # so that keys leave memory in every round
    )
    stage.publish_catalogue()
    pipeline.start(stage, "usage", "books", "project")
    as_of = stage.open_books()
    pipeline.await_level(stage)
    yield Crashes(stage, as_of)
    stage.tear_down()


@pytest.mark.parametrize("points", _rounds(), ids=" and ".join)
def test_a_crash_there_changes_no_figure(crashes: Crashes, points: tuple[str, ...]) -> None:
    crashes.crash(points)

    objections = crashes.objections()
    assert objections == [], "\n".join(objections)


def test_every_point_was_reached(crashes: Crashes) -> None:
    """A point that no test reaches proves nothing: n of n, or this fails."""
    assert crashes.covered == set(POINTS)
