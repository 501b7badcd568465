"""System S0 on the real pipeline: every process, asked over HTTP by tenants of their own."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from cli import catalogues, checkout
from cli.catalogue_file import read_catalogue_file
from runtime.commands import CommandSender
from runtime.settings import Settings
from tests.support.api_world import Rows, bearer
from tests.support.processes import Fleet
from tests.support.topics import fresh_topics

CATALOGUE = checkout.ROOT / "deploy" / "catalogues" / "s0_bem_emergence.yaml"
BILLING = "/api/v1/billing"
WAIT_S = 60
ADMIN = ("billing:read", "billing:write", "billing:admin", "usage:write")
READY = {
    "fit_score": 0.95,
    "node_data": {
        "finalized": True,
        "emergence_status": "ready",
        "geometry_resolved": True,
        "specs_complete": True,
    },
}
"""The node of S0's sample request (X-01)."""
FLAGS = {
    "blueprint_package": ("geometry_resolved", "specs_complete"),
    "bom_suppliers": ("material_complete", "component_logic_complete"),
    "compliance_package": ("region_resolved", "compliance_resolved"),
    "investment_report": ("investment_node_resolved", "project_roi_complete"),
}
Seen = TypeVar("Seen")


def until(look: Callable[[], Seen], is_there: Callable[[Seen], bool]) -> Seen:
    """Look until something is there, or the time is over; return what was seen last."""
    give_up_s = time.monotonic() + WAIT_S
    while not is_there(found := look()) and time.monotonic() < give_up_s:
        time.sleep(0.05)
    return found


def node(*tiers: str, fit: float | str = 0.95, **more: Any) -> dict[str, Any]:
    """A node that passes the gates, and reaches these tiers."""
    flags = {flag: True for tier in tiers for flag in FLAGS[tier]}
    return {
        "fit_score": fit,
        "node_data": {"finalized": True, "emergence_status": "ready", **flags, **more},
    }


@dataclass
class Tenant:
    """A tenant with S0's catalogue, and a key of each kind.

    Args:
        name: Tenant.
        url: Address of the API.
        http: Asks it.
        admin, plain: Headers of an admin's key and of an ordinary one.
        secret: Of its webhooks; empty for none.
    """

    name: str
    url: str
    gateway: str
    http: httpx.Client
    admin: Mapping[str, str]
    plain: Mapping[str, str]
    projects: list[str] = field(default_factory=list)

    def get(self, path: str, *, key: Mapping[str, str] | None = None) -> httpx.Response:
        """Ask, as an admin unless another key is given."""
        return self.http.get(f"{self.url}{path}", headers=dict(key or self.admin))

    def data(self, path: str) -> list[dict[str, Any]]:
        """The rows of a list of ours."""
        answer = self.get(f"{BILLING}{path}")
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    def post(
        self, path: str, body: Any, *, key: Mapping[str, str] | None = None, idem: str = ""
    ) -> httpx.Response:
        """Send a document; our own addresses get a fresh Idempotency-Key unless one is given."""
        headers = {**(key or self.admin), "Content-Type": "application/json"}
        if idem or path.startswith(BILLING):
            headers["Idempotency-Key"] = idem or uuid.uuid4().hex
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.http.post(f"{self.url}{path}", content=content, headers=headers)

    def customer(self, name: str = "") -> str:
        """Make a customer, who starts with 100 credits."""
        name = name or f"customer-{uuid.uuid4().hex[:8]}"
        answer = self.post(f"{BILLING}/customers", {"customer": name, "currency": "PHP"})
        assert answer.status_code == 201, answer.text
        return name

    def check(self, project: str, state: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """S0's check of a node."""
        body = {"project_id": project, "node_id": f"{project}-node", **state, **more}
        answer = self.post("/emergence/check", body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def process(self, customer: str, event: str, *, approved: bool = True) -> httpx.Response:
        """S0's charge for an emergence event."""
        return self.post(
            "/billing/process",
            {"customer_id": customer, "emergence_event_id": event, "approved": approved},
        )

    def balance(self, customer: str) -> dict[str, Any]:
        """S0's balance."""
        answer = self.get(f"/customers/{customer}/balance")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def credits(self, customer: str) -> tuple[int, str]:
        """Balance and total spent, the latter as it was written."""
        answer = self.get(f"/customers/{customer}/balance")
        found = json.loads(answer.text, parse_float=str)
        return found["credit_balance"], found["total_spent"]

    def charge(self, event: str, *statuses: str) -> dict[str, Any]:
        """Wait until a charge has one of these statuses, and return it."""

        def look() -> dict[str, Any]:
            answer = self.get(f"{BILLING}/charges/{event}")
            found: dict[str, Any] = answer.json() if answer.status_code == 200 else {}
            return found

        found = until(look, lambda seen: seen.get("status") in statuses)
        assert found.get("status") in statuses, found
        return found

    def webhook(self, path: str, body: Any) -> httpx.Response:
        """Send a webhook without a signature."""
        return self.http.post(f"{self.gateway}/webhook/{path}", json=body)


@dataclass
class S0World:
    """The running system.

    Args:
        settings: Where broker and database are.
        url, gateway: Addresses of API and gateway.
        fleet: Its processes.
        open_name: The open tenant.
    """

    settings: Settings
    url: str
    gateway: str
    fleet: Fleet
    rows: Rows
    sender: CommandSender
    http: httpx.Client
    open_name: str

    def tenant(self, name: str = "") -> Tenant:
        """Make a tenant with S0's catalogue."""
        name = name or f"tenant-{uuid.uuid4().hex[:8]}"
        catalogues.publish_catalogue(
            self.settings, self.sender, tenant=name, content=read_catalogue_file(CATALOGUE)
        )
        return Tenant(
            name,
            self.url,
            self.gateway,
            self.http,
            bearer(self.rows.api_key(name, scopes=ADMIN)),
            bearer(self.rows.api_key(name)),
        )


@contextmanager
def s0_world(settings: Settings, folder: Path) -> Iterator[S0World]:
    """Start every process on topics that are empty."""
    fresh_topics(settings)
    open_name = f"open-{uuid.uuid4().hex[:8]}"
    api_port, gateway_port = checkout.free_port(), checkout.free_port()
    fleet = Fleet(
        folder,
        {
            "kafka": settings.kafka,
            "database_url": settings.database_url.get_secret_value(),
            "state_dir": str(folder / "state"),
            "worker_port": "0",
            "api_port": str(api_port),
            "gateway_port": str(gateway_port),
            "open_tenant": open_name,
            "partitions": str(settings.partitions),
        },
    )
    fleet.add("books", ["stream", "books"])
    fleet.add("emergence", ["stream", "emergence"])
    fleet.add("project", ["project"])
    fleet.add("api", ["api"])
    fleet.add("gateway", ["gateway"])
    url, gateway = f"http://127.0.0.1:{api_port}", f"http://127.0.0.1:{gateway_port}"
    try:
        with httpx.Client(timeout=30) as http:
            for address in (url, gateway):
                await_ready(http, address, fleet)
            yield S0World(
                settings,
                url,
                gateway,
                fleet,
                Rows(settings),
                CommandSender(settings, actor="tests"),
                http,
                open_name,
            )
    finally:
        fleet.stop()


def await_ready(http: httpx.Client, address: str, fleet: Fleet) -> None:
    """Wait until a server can answer."""

    def look() -> int:
        try:
            return http.get(f"{address}/readyz").status_code
        except httpx.TransportError:
            return 0

    assert until(look, lambda status: status == 200) == 200, fleet.tails()
