"""The whole pipeline under load, kills, pauses, zombies and outages loses and doubles nothing."""

from __future__ import annotations

import pytest

from tests.faults import run
from tests.faults.schedule import PROFILES
from tests.faults.world import Services

SEED = 20_261_120
LIMIT_S = PROFILES["quick"].limit_s + 120
"""The run ends itself; this is for what it cannot end."""


@pytest.mark.timeout(LIMIT_S)
def test_nothing_is_lost_doubled_or_wrong(own_services: Services) -> None:
    """100,000 events, 10 kills, 3 pauses, 3 unfenced writers, 2 dead databases, 2 dead brokers."""
    profile = PROFILES["quick"]

    figures = run.run(profile, seed=SEED, services=own_services)
    run.report(figures)

    assert figures["objections"] == []
    zeros = ("lost", "double", "phantom", "facts_windows_wrong", "windows_wrong", "lines_wrong")
    assert {name: figures[name] for name in zeros} == dict.fromkeys(zeros, 0)
    # It proves something only when it really happened.
    assert figures["events"] >= profile.events
    assert figures["faults"] == {
        "kill": 10,
        "pause": 3,
        "database": 2,
        "broker": 2,
        "join": 1,
        "unfenced": 1,
        "fence": 1,
    }
    assert figures["zombie_records_ignored"] > 0
    assert figures["attempts_unknown"] > 0
    assert figures["fates"]["duplicate"] > 0
    assert figures["fates"]["conflict"] > 0
    assert figures["windows"] > 10_000
    assert figures["lines"] == 96
    assert figures["dump_live"] == figures["dump_rebuilt"]
