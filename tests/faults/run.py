"""`./dev faults`: the whole pipeline under load and faults, then every oracle.

Prints the schedule first and a report last; the same seed gives the same schedule and load. Exits
with 0 when nothing was lost, doubled or wrong, 1 when an oracle objects, 3 when time ran out.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import platform
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from tests.faults.lag import FRESH_S, SAMPLE_S, LagMeter
from tests.faults.schedule import PROFILES, Fault, Profile, cost_s, make_schedule
from tests.faults.verdict import SCHEMA, Judge
from tests.faults.world import (
    PARTITIONS,
    SESSION_TIMEOUT_MS,
    BooksLoad,
    Services,
    Stage,
    end_on_sigterm,
)
from tests.support.checkout import ROOT
from tests.support.processes import Child

SETTLED_S, RECOVERY_TIMEOUT_S = 1.0, 45.0
"""A fault is over when the lag was small for so long; it may take so long, seconds."""
PAUSE_FACTOR = 2
"""A paused worker sleeps for so many session timeouts."""
DOWN_S = {"database": 0.5, "broker": 0.5}
DRAIN_TIMEOUT_S = 90
LOAD_BEYOND_FAULTS = 1.2
"""The load is paced to last longer than the faults; what is left then goes at full speed; if
nothing is left because the faults took longer, it has gone on beyond its number of events."""
UNFENCED_WRITERS = 3
UNEXPECTED, OUT_OF_TIME = 1, 3


class OutOfTimeError(Exception):
    """The run took longer than its profile allows."""


@dataclass(slots=True)
class Injected:
    """One fault as it happened.

    Args:
        fault: What was planned.
        at_s: When it began, monotonic.
        until_s: When its recovery had settled, or was given up.
        recovery_s: From its beginning to lag below 1 s for good.
    """

    fault: Fault
    at_s: float
    until_s: float
    recovery_s: float


@dataclass(slots=True)
class Run:
    """One fault run.

    Args:
        stage: Where it happens.
        seed: Of schedule and load.
        events: Different events of the load.
        schedule: The faults.
    """

    stage: Stage
    seed: int
    events: int
    schedule: list[Fault]
    injected: list[Injected] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def journal(self) -> Path:
        """Return where the load's intents lie."""
        return self.stage.folder / "journal.jsonl"

    def execute(self) -> dict[str, Any]:
        """Start everything, let the faults happen, drain, and ask every oracle."""
        with self._timed("start"):
            self.stage.publish_catalogue()
            self._start_processes()
            as_of = self.stage.open_books()
            books = BooksLoad(self.stage.typed_settings())
            lag = LagMeter(
                self.stage.settings["kafka"], self.stage.database_url, SCHEMA, PARTITIONS
            )
            lag.start()
            self._await(lag, "the pipeline to be ready")
        with self._timed("faults"):
            load = self._start_load()
            self._await_load(load)
            books.start()
            for fault in self.schedule:
                self._inject(fault, lag)
        with self._timed("drain"):
            load_code = self._end_load(load)
            books.stop()
            self._await(lag, "the pipeline to drain")
            lag.stop()
        with self._timed("oracles"):
            judge = Judge(self.stage, self.journal)
            judge.judge_facts()
            judge.judge_database()
            judge.judge_dead_letters()
            judge.judge_commands(books.sent)
        with self._timed("invoices"):
            judge.judge_invoices(as_of=as_of)
        with self._timed("rebuild"):
            judge.judge_rebuild()
        verdict = judge.verdict
        verdict.fault("process ended by itself", self.stage.fleet.unexpected)
        if load_code:
            verdict.fault("load", [f"the generator ended with {load_code}:\n{load.tail()}"])
        return self._figures(verdict.figures, verdict.faults)

    def _start_processes(self) -> None:
        fleet = self.stage.fleet
        for number in (1, 2):
            fleet.add(f"usage-{number}", ["stream", "usage"])
            fleet.add(f"project-{number}", ["project"])
        fleet.add("books-1", ["stream", "books"])
        fleet.watch()

    def _start_load(self) -> Child:
        rate = self.events / (cost_s(self.schedule) * LOAD_BEYOND_FAULTS)
        arguments = {
            "kafka": self.stage.settings["kafka"],
            "journal": self.journal,
            "events": self.events,
            "rate": f"{rate:.1f}",
            "seed": self.seed,
            "partitions": PARTITIONS,
        }
        words = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
        words.append("--until-told")
        child = self.stage.fleet.add("load", words, module="tests.support.generator")
        self.stage.fleet.release("load")
        return child

    def _await_load(self, load: Child) -> None:
        """Wait until events flow: a fault before the load proves nothing."""
        give_up_s = time.monotonic() + DRAIN_TIMEOUT_S
        while '"acked"' not in load.output():
            if time.monotonic() > give_up_s or not load.is_running:
                raise OutOfTimeError(f"the load did not start:\n{load.tail()}")
            time.sleep(0.1)

    def _end_load(self, load: Child) -> int:
        if load.is_running:
            load.hurry()
        return load.wait(DRAIN_TIMEOUT_S)

    def _inject(self, fault: Fault, lag: LagMeter) -> None:
        """Make one fault happen, and wait until its harm is over."""
        at_s = time.monotonic()
        match fault.kind:
            case "kill":
                self.stage.fleet.kill(fault.target)
            case "pause":
                child = self.stage.fleet.children[fault.target]
                child.pause()
                time.sleep(PAUSE_FACTOR * SESSION_TIMEOUT_MS / 1000)
                child.go_on()
            case "database" | "broker":
                name: Any = "postgres" if fault.kind == "database" else "kafka"
                self.stage.services.control.kill(name)
                time.sleep(DOWN_S[fault.kind])
                self.stage.services.control.restart(name)
            case "join":
                self.stage.fleet.add(fault.target, ["stream", "usage"])
            case "unfenced":
                self._start_unfenced()
            case "fence":
                for number in range(UNFENCED_WRITERS):
                    self.stage.fleet.end(f"unfenced-{number}")
        is_over = self._settles(lag)
        until_s = time.monotonic()
        recovery_s = lag.recovery_s(at_s, until_s)
        self.injected.append(Injected(fault, at_s, until_s, recovery_s))
        place = f"{len(self.injected):3}/{len(self.schedule)}"
        fate = f"{recovery_s:5.1f} s" if is_over else f"NOT over after {RECOVERY_TIMEOUT_S} s"
        print(f"  {place} {fault.kind:9} {fault.target:10} lag < 1 s after {fate}", flush=True)
        time.sleep(fault.gap_s)

    def _start_unfenced(self) -> None:
        for number in range(UNFENCED_WRITERS):
            self.stage.fleet.add(
                f"unfenced-{number}",
                [f"tests.unfenced.{number}"],
                module="tests.faults.unfenced_writer",
                state_dir=str(self.stage.folder / f"state-unfenced-{number}"),
            )

    def _settles(self, lag: LagMeter) -> bool:
        give_up_s = time.monotonic() + RECOVERY_TIMEOUT_S
        time.sleep(FRESH_S + SETTLED_S + SAMPLE_S)  # the harm of a fault shows after FRESH_S
        while not lag.is_fresh_for(SETTLED_S):
            if time.monotonic() > give_up_s:
                return False
            self.stage.fleet.check()
            time.sleep(0.05)
        return True

    def _await(self, lag: LagMeter, what: str) -> None:
        give_up_s = time.monotonic() + DRAIN_TIMEOUT_S
        while not (lag.is_fresh_for(SETTLED_S) and lag.is_level):
            if time.monotonic() > give_up_s:
                raise OutOfTimeError(f"waited {DRAIN_TIMEOUT_S} s for {what}: {lag.state()}")
            self.stage.fleet.check()
            time.sleep(0.05)

    @contextlib.contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        started_s = time.monotonic()
        yield
        self.seconds[what] = round(time.monotonic() - started_s, 1)
        print(f"{what}: {self.seconds[what]} s", flush=True)

    def _figures(self, figures: dict[str, Any], faults: list[str]) -> dict[str, Any]:
        kinds = Counter(item.fault.kind for item in self.injected)
        recoveries: dict[str, list[float]] = {}
        is_contended = False
        for item in self.injected:
            kind = item.fault.kind
            is_contended = kind == "unfenced" or (is_contended and kind != "fence")
            name = f"{kind} beside unfenced writers" if is_contended else kind
            recoveries.setdefault(name, []).append(round(item.recovery_s, 2))
        return {
            "events": figures["acked"] + figures["unknown"] + figures["refused"],
            "events_wanted": self.events,
            **figures,
            "kills": kinds["kill"],
            "pauses": kinds["pause"],
            "faults": dict(kinds),
            "recovery_p99_s": percentile(recoveries.get("kill", []), 99),
            "recovery_s": recoveries,
            "session_timeout_s": SESSION_TIMEOUT_MS / 1000,
            "seed": self.seed,
            **provenance(),
            "seconds": self.seconds,
            "objections": faults,
        }


def percentile(values: list[float], rank: int) -> float:
    """Return the smallest value that so many of 100 do not exceed; 0 of nothing."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * rank // 100) - 1)] if ordered else 0.0


def provenance() -> dict[str, Any]:
    """Return what ran: the commit and the versions."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    commit = git("rev-parse", "--verify", "HEAD") or "uncommitted"
    if git("status", "--porcelain") and commit != "uncommitted":
        commit += "-dirty"
    packages = ("tidegauge", "tidegauge-sdk", "confluent-kafka", "faust-streaming", "duckdb")
    versions = {name: importlib.metadata.version(name) for name in packages}
    return {"commit": commit, "versions": {"python": platform.python_version(), **versions}}


def report(figures: dict[str, Any]) -> None:
    """Print what a person wants to know."""
    print()
    for name, value in figures.items():
        if name not in {"objections", "dump_live", "dump_rebuilt"}:
            print(f"{name:24} {json.dumps(value) if isinstance(value, dict | list) else value}")
    for text in figures["objections"][:40]:
        print(f"OBJECTION {text}")
    print("PASSED" if is_good(figures) else "FAILED")


def is_good(figures: dict[str, Any]) -> bool:
    """Say whether no oracle objects."""
    zeros = ("lost", "double", "windows_wrong", "lines_wrong")
    return not figures["objections"] and all(figures[name] == 0 for name in zeros)


def _out_of_time(*_: object) -> NoReturn:
    raise OutOfTimeError("the run took longer than its profile allows")


def run(
    profile: Profile, *, seed: int, services: Services, is_kept: bool = False
) -> dict[str, Any]:
    """Execute one run on services that are up; return its figures.

    Raises:
        OutOfTimeError: After the last words of every process were printed.
    """
    schedule = make_schedule(profile, seed=seed)
    print(f"seed {seed}, {profile.events} events, schedule:")
    print(" ".join(f"{f.kind}{':' + f.target if f.target else ''}" for f in schedule), flush=True)
    stage = Stage.set_up(services)
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.alarm(profile.limit_s)
    try:
        return Run(stage, seed, profile.events, schedule).execute()
    except BaseException:
        signal.alarm(0)
        print(stage.fleet.tails(), file=sys.stderr)
        raise
    finally:
        signal.alarm(0)
        stage.tear_down(keep=is_kept)
        if is_kept:
            print(f"kept: {stage.folder} and {stage.database_without_password()}")


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="dev faults", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--profile", choices=PROFILES, default="quick")
    parser.add_argument("--events", type=int, help="different events; default: the profile's")
    parser.add_argument("--kills", type=int, help="kills -9 of processes; default: the profile's")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--keep", action="store_true", help="keep logs, journal and database")
    options = parser.parse_args()
    profile = PROFILES[options.profile]
    profile = replace(
        profile, events=options.events or profile.events, kills=options.kills or profile.kills
    )
    end_on_sigterm()
    services = Services()
    try:
        figures = run(profile, seed=options.seed, services=services, is_kept=options.keep)
    except OutOfTimeError as error:
        print(f"OUT OF TIME: {error}. Next: read the logs above", file=sys.stderr)
        return OUT_OF_TIME
    finally:
        if not options.keep:
            services.down()
    report(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0 if is_good(figures) else UNEXPECTED


if __name__ == "__main__":
    sys.exit(main())
