"""The gateway with the usage fold and the projector behind it, and what the API shows then."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import httpx
from fastapi.testclient import TestClient

from cli.checkout import free_port
from runtime.commands import CommandSender
from runtime.settings import Settings
from runtime.web.keys import NewApiKey
from tests.support.api_world import Rows, api_client, bearer
from tests.support.gateway_process import Gateway
from tests.support.processes import Fleet

LEVEL_TIMEOUT_S = 90
TYPES = (
    "LLM_token_usage", "vision_frame_batch", "optimizer_job", "simulator_run", "api_call",
    "bytes", "message", "llm.request",
)  # fmt: skip
CATALOGUE = {
    "version": 1,
    "meters": [
        {"key": name, "event_type": name, "aggregation": "sum", "unit": "unit", "group_by": []}
        for name in TYPES
    ],
    "plans": [],
}
BILLING = "/api/v1/billing"


@dataclass
class Pipeline:
    """A gateway, a fold, a projector and an API.

    Args:
        settings: Where they are.
        gateway: The gateway.
        rows: Makes API keys.
        api: Asks the API.
        http: Asks the gateway; its connections stay open.
    """

    settings: Settings
    gateway: Gateway
    rows: Rows
    api: TestClient
    http: httpx.Client

    def key(self, tenant: str, *scopes: str) -> NewApiKey:
        """Make an API key."""
        return self.rows.api_key(tenant, scopes=scopes)

    def tenant(self) -> str:
        """Make a tenant with a catalogue, which nobody else has used."""
        tenant = f"tenant-{uuid.uuid4().hex[:8]}"
        publish(self.settings, tenant)
        return tenant

    def post(
        self, url: str, key: NewApiKey, body: Any, *, kind: str = "application/json", **more: str
    ) -> httpx.Response:
        """Send a document, or bytes as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {**bearer(key), "Content-Type": kind, **more}
        return self.http.post(f"{self.gateway.url}{url}", content=content, headers=headers)

    def get(self, path: str, key: NewApiKey, **parameters: str) -> Any:
        """Ask the API."""
        answer = self.api.get(f"{BILLING}/{path}", params=parameters, headers=bearer(key))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def intake(self, key: NewApiKey) -> dict[str, int]:
        """Return what became of a tenant's events."""
        found: dict[str, int] = self.get("intake", key)
        return found

    def usage(
        self, key: NewApiKey, customer: str, *, around: datetime | None = None
    ) -> dict[str, str]:
        """Return the sums of a customer by meter, of two hours before and after a time."""
        hour = (around or datetime.now(UTC)).replace(minute=0, second=0, microsecond=0)
        answer = self.get(
            "usage",
            key,
            customer=customer,
            **{
                "from": f"{hour - timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}",
                "to": f"{hour + timedelta(hours=3):%Y-%m-%dT%H:%M:%SZ}",
            },
        )
        sums: dict[str, Decimal] = {}
        for row in answer["data"]:  # a test may run over the end of an hour
            sums[row["meter"]] = sums.get(row["meter"], Decimal(0)) + Decimal(row["sum"])
        return {meter: str(total) for meter, total in sums.items()}


Seen = TypeVar("Seen")


def until(look: Callable[[], Seen], is_there: Callable[[Seen], bool]) -> Seen:
    """Look until something is there, or the time is over; return what was seen last."""
    give_up_s = time.monotonic() + LEVEL_TIMEOUT_S
    while not is_there(found := look()) and time.monotonic() < give_up_s:
        time.sleep(0.2)
    return found


def publish(settings: Settings, tenant: str) -> None:
    """Publish the catalogue of a tenant to the usage fold."""
    content = json.dumps(CATALOGUE, sort_keys=True, separators=(",", ":"))
    CommandSender(settings, actor="tests").publish_catalogue(
        tenant=tenant, version=1, content=content
    )


@contextmanager
def pipeline_behind(
    gateway: Gateway, settings: Settings, rows: Rows, folder: Path
) -> Iterator[Pipeline]:
    """Start a usage fold and a projector, and ask the API in this process."""
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
    try:
        with api_client(settings, object()) as api, httpx.Client(timeout=30) as http:
            yield Pipeline(settings, gateway, rows, api, http)
    finally:
        fleet.stop()
