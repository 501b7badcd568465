"""One small pipeline for tests of single faults: start, load, wait until it is level."""

from __future__ import annotations

import time
from pathlib import Path

from tests.faults.verdict import SCHEMA
from tests.faults.world import PARTITIONS, Stage
from tests.support.oracle_log import topic_ends
from tests.support.oracle_tables import Tables

LEVEL_TIMEOUT_S = 60
LOAD_TIMEOUT_S = 60
PROGRAMS: dict[str, list[str]] = {
    "usage": ["stream", "usage"],
    "books": ["stream", "books"],
    "project": ["project"],
}
SOURCES = {"usage.facts": "usage.events", "account.facts": "account.commands"}


def start(stage: Stage, *names: str, **settings: str) -> None:
    """Start processes by name."""
    for name in names:
        stage.fleet.add(name, PROGRAMS[name], **settings)


def restart(stage: Stage, name: str, **settings: str) -> None:
    """Start a process that has ended again, with other settings."""
    log = stage.fleet.children[name].log
    child = stage.fleet.add(name, PROGRAMS[name], **settings)
    child.log = log


def journal_of(stage: Stage) -> Path:
    """Return where the loads of a stage write."""
    return stage.folder / "journal.jsonl"


def load(stage: Stage, *, events: int, seed: int, rate: int = 1_000) -> None:
    """Send some events to their end."""
    arguments = {
        "kafka": stage.settings["kafka"],
        "journal": journal_of(stage),
        "events": events,
        "rate": rate,
        "seed": seed,
        "partitions": PARTITIONS,
    }
    words = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
    child = stage.fleet.add(f"load-{seed}", words, module="tests.support.generator")
    code = child.wait(LOAD_TIMEOUT_S)
    if code:
        raise AssertionError(f"the load ended with {code}:\n{child.tail()}")


def behind(stage: Stage) -> list[str]:
    """Say which positions of the database are not at the end of their source."""
    tables = Tables(stage.database_url, SCHEMA)
    found = []
    for facts, source in SOURCES.items():
        positions = tables.positions(facts)
        for partition, end in topic_ends(stage.settings["kafka"], source).items():
            if positions.get(partition, 0) != end:
                found.append(f"{facts}/{partition} at {positions.get(partition, 0)} of {end}")
    return found


def await_level(stage: Stage) -> None:
    """Wait until the database has everything that the log has."""
    give_up_s = time.monotonic() + LEVEL_TIMEOUT_S
    while missing := behind(stage):
        ended = [name for name, child in stage.fleet.children.items() if child.exit_code]
        if time.monotonic() > give_up_s:
            raise AssertionError(f"not level: {missing}; ended: {ended}\n{stage.fleet.tails()}")
        time.sleep(0.2)
