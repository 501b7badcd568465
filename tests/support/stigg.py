"""S1's operator with a running pipeline, an API and a gateway; those of other systems too."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from api.app import create_app as create_api
from cli.balances import ProjectedBalances
from cli.books import send
from cli.catalogue_file import read_catalogue_file
from producers.gateway.app import create_app as create_gateway
from producers.gateway.backend import new_backend
from projections.invoicing.outcomes import await_projected
from runtime.postgres import connect
from runtime.web.keys import NewApiKey, new_api_key
from tests.support.gateway_pipeline import until
from tests.support.pipeline_world import START, TENANT, World, running_world

TRACK = "/functions/v1/billing-api/usage/track"
SNAPSHOTS = "/rest/v1/asset_snapshots"
BILLING = "/api/v1/billing"
S1 = "/functions/v1/billing-api"
CATALOGUE = Path("deploy/catalogues/s1_stigg_reliability.yaml")
SECRET = "never-seen-by-others"
TODAY = datetime.now(UTC).date().isoformat()


class Stigg:
    """An operator of S1, or of another system, with a pipeline, an API and a gateway.

    Args:
        world: Folds and projector.
        api: Asks the API.
        gateway: Asks the gateway.
        key: A key that may do everything.
    """

    def __init__(self, world: World, api: TestClient, gateway: TestClient, key: NewApiKey) -> None:
        self.world, self.api, self.gateway, self.key = world, api, gateway, key

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key.key}"}

    def post(self, url: str, body: Any, *, status: int = 201, key: str = "") -> Any:
        """Ask the API for a change."""
        headers = {**self.headers, "Idempotency-Key": key or uuid.uuid4().hex}
        answer = self.api.post(url, json=body, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    def put(self, url: str, body: Any, *, status: int = 200) -> Any:
        """Ask the API for a change of something that is there."""
        headers = {**self.headers, "Idempotency-Key": uuid.uuid4().hex}
        answer = self.api.put(url, json=body, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    def get(self, url: str, *, status: int = 200, **parameters: Any) -> Any:
        """Ask the API."""
        answer = self.api.get(url, params=parameters, headers=self.headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    def take(self, url: str, body: Any, *, status: int = 202) -> Any:
        """Ask the gateway to take something."""
        answer = self.gateway.post(url, json=body, headers=self.headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    def subscribe(self, customer: str, plan: str) -> str:
        """Subscribe a tenant of S1 from the first of this month."""
        body = {"tenant_id": customer, "plan_code": plan, "start_date": START.date().isoformat()}
        made = self.post(f"{S1}/subscriptions", body)
        return str(made["subscription_id"])

    def track(self, customer: str, event_type: str, units: int) -> tuple[Any, Any, Any]:
        """Track usage; return what S1 is told of credits."""
        told = self.take(TRACK, {"tenant_id": customer, "event_type": event_type, "units": units})
        assert told["ok"] is True
        return told["credits_burned"], told["remaining_credits"], told["alert"]

    def allowances(self, subscription: str) -> Any:
        """What is used and left now."""
        return self.get(f"{BILLING}/subscriptions/{subscription}/allowances")


@contextmanager
def running_stigg(
    *,
    kafka: str,
    database_admin_url: str,
    state_dir: Path,
    catalogue: Path = CATALOGUE,
    scopes: tuple[str, ...] = (),
) -> Iterator[Stigg]:
    """Start everything on a catalogue, S1's own unless another is given, for a key of scopes."""
    content = json.loads(read_catalogue_file(catalogue))
    key = new_api_key()
    with ExitStack() as stack:
        world = stack.enter_context(
            running_world(
                kafka=kafka,
                database_admin_url=database_admin_url,
                state_dir=state_dir,
                catalogue=content,
                name="operator_test",
            )
        )
        send(
            world.settings,
            world.sender,
            tenant=TENANT,
            command_id="key",
            kind="CreateApiKey",
            body={
                "key_id": key.key_id,
                "secret_sha256": key.secret_sha256,
                "label": "test",
                "scopes": list(scopes),
            },
        )
        await_projected(world.settings, tenant=TENANT)
        balances = ProjectedBalances(world.settings)
        gateway = create_gateway(
            world.settings, make_backend=partial(new_backend, balances=balances)
        )
        api = stack.enter_context(TestClient(create_api(world.settings)))
        taking = stack.enter_context(TestClient(gateway))
        ready = until(lambda: taking.get("/readyz").status_code, lambda status: status == 200)
        assert ready == 200
        yield Stigg(world, api, taking, key)


def projected(stigg: Stigg, look: Callable[[], Any]) -> Any:
    """Return what is seen once everything that was sent is projected."""
    await_projected(stigg.world.settings, tenant=TENANT)
    return look()


def rows(stigg: Stigg, statement: str, *, tenant: str = TENANT) -> list[tuple[Any, ...]]:
    """Return what a reader of one tenant sees."""
    with connect(stigg.world.settings, role="app") as connection:
        connection.execute("SELECT set_config('tidegauge.tenant', %s, true)", (tenant,))
        found: list[tuple[Any, ...]] = connection.execute(statement).fetchall()
    return found
