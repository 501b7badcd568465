"""Which fault comes when: a list from a seed, the same each time."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

Kind = Literal["kill", "pause", "database", "broker", "join", "unfenced", "fence"]
COSTS_S: dict[Kind, float] = {
    "kill": 6.5,
    "pause": 9,
    "database": 7,
    "broker": 12,
    "join": 4,
    "unfenced": 4,
    "fence": 1,
}
"""About how long each takes with its recovery, seconds; the load is paced by it."""
ROTATION = ("usage-1", "project-1", "usage-2", "books-1", "project-2", "usage-3")
"""Kills go around these; the last one joins half way."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry of the schedule.

    Args:
        kind: What happens. "join" adds the third fold worker, "unfenced" starts writers outside
            the group, "fence" ends them.
        target: Process it happens to; empty for services.
        gap_s: Pause after the recovery, seconds.
    """

    kind: Kind
    target: str
    gap_s: float


@dataclass(frozen=True, slots=True)
class Profile:
    """How much a run bears.

    Args:
        kills, pauses, databases, brokers: Faults of each kind.
        limit_s: Longest the whole run may take, seconds.
    """

    kills: int
    pauses: int
    databases: int
    brokers: int
    events: int
    limit_s: int


PROFILES = {
    "quick": Profile(kills=10, pauses=3, databases=2, brokers=2, events=100_000, limit_s=420),
    "soak": Profile(
        kills=150, pauses=40, databases=20, brokers=20, events=3_000_000, limit_s=4_500
    ),
}


def make_schedule(profile: Profile, *, seed: int) -> list[Fault]:
    """Shuffle the faults of a profile; the third worker joins half way, zombies write then."""
    draw = random.Random(seed)
    kill: Kind = "kill"
    kinds: list[Kind] = (
        [kill] * profile.kills
        + ["pause"] * profile.pauses
        + ["database"] * profile.databases
        + ["broker"] * profile.brokers
    )
    draw.shuffle(kinds)
    middle = len(kinds) // 2
    kinds.insert(middle + len(kinds) // 4, "fence")
    kinds.insert(middle, "join")
    kinds.insert(middle - len(kinds) // 4, "unfenced")
    schedule = []
    kills = pauses = workers = 0
    workers = 2
    for kind in kinds:
        target = ""
        if kind == "kill":
            names = [name for name in ROTATION if name != "usage-3" or workers > 2]
            target = names[kills % len(names)]
            kills += 1
        elif kind == "pause":
            target = f"usage-{1 + pauses % workers}"
            pauses += 1
        elif kind == "join":
            workers, target = 3, "usage-3"
        schedule.append(Fault(kind, target, round(draw.uniform(0.2, 1.2), 2)))
    return schedule


def cost_s(schedule: list[Fault]) -> float:
    """Return about how long a schedule takes, seconds."""
    return sum(COSTS_S[fault.kind] + fault.gap_s for fault in schedule)
