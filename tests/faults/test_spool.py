"""Every event for which record() returned survives kill -9, and counts once.

A short run; the full one (20 kills, 200,000 events, 2 broker kills, both policies) is
`python -m tests.faults.spool_run`, or this test with TIDEGAUGE_SPOOL_KILLS and
TIDEGAUGE_SPOOL_EVENTS in the environment.
"""

from __future__ import annotations

import os

import pytest

from tests.faults import spool_run
from tests.faults.world import Services

KILLS = int(os.environ.get("TIDEGAUGE_SPOOL_KILLS", "4"))
# A disk confirms about a thousand events a second, so "always" has fewer by default.
EVENTS = {
    fsync: int(os.environ.get("TIDEGAUGE_SPOOL_EVENTS", default))
    for fsync, default in {"always": "3000", "interval": "40000"}.items()
}
SEED = int(os.environ.get("TIDEGAUGE_SPOOL_SEED", "20261121"))


@pytest.mark.timeout(180 + 20 * KILLS)
@pytest.mark.parametrize("fsync", EVENTS)
def test_no_recorded_event_is_lost_or_counted_twice(own_services: Services, fsync: str) -> None:
    """Killed at random and started again; the journal and the topic tell the same."""
    plan = spool_run.Plan(SEED, EVENTS[fsync], KILLS, 0, fsync)

    figures = spool_run.run(plan, own_services)
    print(figures)

    assert {name: figures[name] for name in spool_run.ZEROS if figures[name]} == {}
    # It proves something only when kills hit recording.
    assert len(figures["end"]) == 1
    assert figures["returned"] >= plan.events - plan.kills
    assert figures["returned"] <= figures["intended"] == plan.events
    assert figures["copies"] >= figures["delivered"] >= figures["returned"]
    assert figures["killed_at_work"] > 0
