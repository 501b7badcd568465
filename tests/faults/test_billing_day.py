"""A billing day under kills of everybody: one invoice each, numbers gapless, corrections right."""

from __future__ import annotations

import pytest

from tests.faults.billing_day import REPLAYED, BillingDay, report_text
from tests.faults.billing_script import LATE_EVERY
from tests.faults.world import Services, Stage

SEED = 20_261_121
SUBSCRIPTIONS = 2_000
KILLS = 6
LIMIT_S = 420


@pytest.mark.timeout(LIMIT_S)
def test_every_subscription_gets_one_right_invoice(own_services: Services) -> None:
    """2,000 subscriptions, 6 rounds of kills: builders, a fold or the projector, and services."""
    stage = Stage.set_up(own_services, kafka_session_timeout_ms="1500")
    day = BillingDay(stage, seed=SEED, subscriptions=SUBSCRIPTIONS, kills=KILLS)

    try:
        day.execute()
    finally:
        print(report_text(day), stage.fleet.tails())
        stage.tear_down()

    assert day.faults == []
    # It proves something only when it really happened.
    assert day.figures["invoices"] == SUBSCRIPTIONS
    assert day.figures["kills"]["builders"] >= KILLS
    assert {"postgres", "kafka"} <= day.figures["kills"].keys()
    assert day.figures["replayed_equal"] == REPLAYED
    assert day.figures["corrected"] > SUBSCRIPTIONS // LATE_EVERY // 2
