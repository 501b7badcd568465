"""Detections, charges and credits under kills of every process: each once, wallets right."""

from __future__ import annotations

import pytest

from tests.faults.emergence_run import PROGRAMS, EmergenceRun
from tests.faults.world import Services, Stage

SEED = 20_261_121
UPDATES = 20_000
KILLS = 15
LIMIT_S = 480


@pytest.mark.timeout(LIMIT_S)
def test_every_fact_and_charge_is_there_once(own_services: Services) -> None:
    """20,000 node updates, 15 kills -9 in rotation, 2 pauses, a dead database, a dead broker."""
    stage = Stage.set_up(own_services, kafka_session_timeout_ms="1500", **EmergenceRun.settings())
    run = EmergenceRun(stage, seed=SEED, updates=UPDATES, kills=KILLS)

    try:
        run.execute()
    finally:
        print(run.figures, stage.fleet.tails())
        stage.tear_down()

    assert run.faults == []
    # It proves something only when it really happened.
    assert run.figures["updates"] >= UPDATES
    assert all(run.figures["kills"][name] >= KILLS // len(PROGRAMS) for name in PROGRAMS)
    assert run.figures["kills"]["kafka"] == run.figures["kills"]["postgres"] == 1
    assert run.figures["kills"]["pauses"] == 2
    assert run.figures["sent_again"] > 0
    assert run.figures["captured"] > 400
    assert run.figures["refunded"] > 100
