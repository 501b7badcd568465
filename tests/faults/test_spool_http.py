"""A spool over HTTP: recording process and gateway are killed, and every event counts once.

`spool_run` kills the recording process; here its meter posts to a real gateway, which is killed
meanwhile, at moments when the meter has something on its way.
"""

from __future__ import annotations

import os
import random
import threading
import time
from contextlib import closing

import pytest
from confluent_kafka import Consumer, TopicPartition

from cli.checkout import free_port
from tests.faults import spool_run
from tests.faults.spool_child import TENANT
from tests.faults.world import PARTITIONS, Stage
from tests.support.api_world import Rows
from tests.support.gateway_process import await_ready
from tests.support.processes import Child

KILLS, GATEWAY_KILLS = 4, 3
EVENTS = 20_000
SEED = int(os.environ.get("TIDEGAUGE_SPOOL_SEED", "20261121"))
WORK_TIMEOUT_S = 30


class GatewayOutage:
    """The gateway is killed at a moment of chance while batches flow, and started again.

    Args:
        gateway: Its process.
        url: Where it answers.
        kafka: The broker.
        pause_s: From the first batch of a life to the kill.
    """

    def __init__(self, gateway: Child, url: str, kafka: str, pause_s: float) -> None:
        self._gateway = gateway
        self._url = url
        self._kafka = kafka
        self._pause_s = pause_s
        self._before = self._records()
        self._struck = threading.Event()

    def has_struck(self) -> bool:
        """Say whether it is dead: a child that died earlier would not have felt it."""
        return self._struck.is_set()

    def __call__(self) -> None:
        """Kill it once the log grows, which says that the child has begun to send."""
        give_up_s = time.monotonic() + WORK_TIMEOUT_S
        while self._records() == self._before:
            assert time.monotonic() < give_up_s, "the child sends nothing"
            time.sleep(0.002)
        time.sleep(self._pause_s)
        self._gateway.kill()
        self._struck.set()
        self._gateway.start()
        await_ready(self._url, self._gateway)

    def _records(self) -> int:
        settings = {"bootstrap.servers": self._kafka, "group.id": "spool-http"}
        with closing(Consumer(settings)) as consumer:
            return sum(
                consumer.get_watermark_offsets(TopicPartition("usage.events", number), 10)[1]
                for number in range(PARTITIONS)
            )


@pytest.mark.timeout(300)
def test_no_event_is_lost_or_counted_twice_over_http(stage: Stage) -> None:
    """What record() took is on the log, each key with one payload, whoever was killed."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    rows = Rows(stage.typed_settings())
    key = rows.api_key(TENANT).key
    rows.connection.close()
    gateway = stage.fleet.add(
        "gateway", ["gateway"], gateway_port=str(port), gateway_requests_per_minute="1000000"
    )
    await_ready(url, gateway)
    kafka = stage.settings["kafka"]
    plan = spool_run.Plan(SEED, EVENTS, KILLS, 0, "interval")
    chance = random.Random(SEED)

    def outage_of(life: int) -> GatewayOutage | None:
        if life >= GATEWAY_KILLS:
            return None
        return GatewayOutage(gateway, url, kafka, chance.uniform(0, 0.1))

    way = spool_run.Way(url, key, kafka, "usage.events")
    figures = spool_run.prove(plan, way, outage_of)
    print(figures)

    assert {name: figures[name] for name in spool_run.ZEROS if figures[name]} == {}
    assert figures["returned"] >= plan.events - plan.kills
    assert figures["returned"] <= figures["intended"] == plan.events
    # It proves something only when kills hit work; those of the gateway do as they are made.
    assert figures["killed_at_work"] > 0
    assert gateway.starts == GATEWAY_KILLS + 1
