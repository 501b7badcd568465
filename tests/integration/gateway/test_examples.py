"""From HTTP to the window to the query: the seeds' usage examples through every real process."""

import json
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.checkout import free_port
from runtime.commands import CommandSender
from runtime.settings import Settings
from tests.support.api_world import Rows, api_client
from tests.support.gateway_process import Gateway
from tests.support.gateway_world import BATCH, FRAMED, TENANT, URL, event
from tests.support.processes import Fleet
from tidegauge.intake import Intake
from tidegauge.wire import batch

TYPES = (
    "LLM_token_usage", "vision_frame_batch", "optimizer_job", "simulator_run", "api_call",
    "bytes", "message", "llm.request",
)  # fmt: skip
JSON = "application/json"
TRACK = "/functions/v1/billing-api/usage/track"
USAGE = "/api/v1/billing/usage"
LOG_USAGE = "/admin-api.php?action=log_usage"
LEVEL_TIMEOUT_S = 60
CATALOGUE = {
    "version": 1,
    "meters": [
        {"key": name, "event_type": name, "aggregation": "sum", "unit": "unit", "group_by": []}
        for name in TYPES
    ],
    "plans": [],
}
SENT: dict[str, tuple[str, list[dict[str, Any]], str]] = {
    "x_34": (TRACK, [{"event_type": "LLM_token_usage", "units": 12}], "12"),
    "x_35": (TRACK, [{"event_type": "vision_frame_batch", "units": 1}], "1"),
    "x_36": (TRACK, [{"event_type": "optimizer_job", "units": 1}], "1"),
    "x_37": (TRACK, [{"event_type": "simulator_run", "units": 1}], "1"),
    "x_38": (
        TRACK,
        [
            {"event_type": "LLM_token_usage", "tokens": tokens}
            for tokens in (0, 1, 1_000, 1_001, 11_001, 12_000)
        ],
        "28",
    ),
    "x_39": (TRACK, [{"event_type": "vision_frame_batch", "frames": 250}], "3"),
    "x_73": (USAGE, [{"type": "bytes", "quantity": 53_687_091_200}], "53687091200"),
    "s3_35": (USAGE, [{"type": "api_call", "dimensions": {"path": "/graphql"}}], "1"),
    "x_96": (LOG_USAGE, [{"resource_type": "message"}], "1"),
}
"""Example → address, bodies without their customer, and the sum that the query must show."""


@pytest.fixture(scope="module")
def pipeline(
    settings: Settings, gateway: Gateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """The gateway, the usage fold and the projector."""
    folder: Path = tmp_path_factory.mktemp("pipeline")
    content = json.dumps(CATALOGUE, sort_keys=True, separators=(",", ":"))
    CommandSender(settings, actor="tests").publish_catalogue(
        tenant=TENANT, version=1, content=content
    )
    fleet = Fleet(
        folder,
        {
            "kafka": settings.kafka,
            "database_url": settings.database_url.get_secret_value(),
            "state_dir": str(folder / "state"),
            "worker_port": str(free_port()),
        },
    )
    fleet.add("usage", ["stream", "usage"])
    fleet.add("project", ["project"])
    yield gateway
    fleet.stop()


def _usage(settings: Settings, rows: Rows, customer: str, *, wanted: str) -> dict[str, str]:
    """What the API shows of a customer, by meter, once it shows what is wanted."""
    headers = {"Authorization": f"Bearer {rows.api_key(TENANT).key}"}
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    period = {
        "from": f"{hour - timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}",
        "to": f"{hour + timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}",
        "customer": customer,
    }
    give_up_s = time.monotonic() + LEVEL_TIMEOUT_S
    found: dict[str, str] = {}
    with api_client(settings, object()) as client:
        while time.monotonic() < give_up_s:
            answer = client.get("/api/v1/billing/usage", params=period, headers=headers).json()
            found = {}
            for row in answer["data"]:  # the test may run over the end of an hour
                before = Decimal(found.get(row["meter"], "0"))
                found[row["meter"]] = str(before + Decimal(row["sum"]))
            if wanted in found.values():
                return found
            time.sleep(0.2)
    return found


@pytest.mark.parametrize("example", SENT)
def test_example_is_shown_by_the_query(
    pipeline: Gateway, settings: Settings, rows: Rows, example: str
) -> None:
    url, bodies, wanted = SENT[example]
    customer = f"{example}-{uuid.uuid4().hex[:8]}"
    for body in bodies:
        answer = httpx.post(
            f"{pipeline.url}{url}", json={"tenant_id": customer, **body}, headers=pipeline.headers
        )
        assert answer.status_code == 202, answer.text
    assert list(_usage(settings, rows, customer, wanted=wanted).values()) == [wanted]


def test_one_id_by_every_way_counts_once(
    pipeline: Gateway, settings: Settings, rows: Rows
) -> None:
    """The same event as CloudEvent, in batches and framed by the SDK: one, not thirty."""
    customer, now = f"e1-{uuid.uuid4().hex[:8]}", datetime.now(UTC).replace(microsecond=0)
    sent = event(
        subject=customer, time=now.isoformat(), data={"quantity": 5}, id=str(uuid.uuid4())
    )
    row = Intake(source="/tests", clock=lambda: now).row(
        customer, "llm.request", 5, now, None, None, sent["id"]
    )
    frame = batch.encode(batch.BatchHeader(TENANT, "/tests", bytes(16), 0, 0, False), [row])
    for _ in range(10):
        for kind, content in (
            (BATCH, json.dumps([sent, sent])),
            ("application/cloudevents+json", json.dumps(sent)),
            (FRAMED, frame),
        ):
            answer = httpx.post(
                f"{pipeline.url}{URL}",
                content=content,
                headers={**pipeline.headers, "Content-Type": kind},
            )
            assert answer.status_code == 202, answer.text
    other = event(2, subject=customer, time=now.isoformat(), data={"quantity": "0.5"})
    httpx.post(
        f"{pipeline.url}{URL}",
        content=json.dumps(other),
        headers={**pipeline.headers, "Content-Type": "application/cloudevents+json"},
    )
    assert _usage(settings, rows, customer, wanted="5.5") == {"llm.request": "5.5"}
