"""From HTTP to the window to the query: the seeds' usage examples through every real process.

Each test is named after its example. What needs the state of a subscription (X-33) or credits is
decided by the books; here stand the units that each example sends, and what a query shows of them.
"""

from __future__ import annotations

from typing import Any

import pytest

from runtime.web.keys import NewApiKey
from tests.support.gateway_pipeline import Pipeline, until

TRACK = "/functions/v1/billing-api/usage/track"
USAGE = "/api/v1/billing/usage"
LOG_USAGE = "/admin-api.php?action=log_usage"


class Tenant:
    """A tenant of our own, whose customers nobody else has."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.key: NewApiKey = pipeline.key(pipeline.tenant())

    def send(self, url: str, **body: Any) -> dict[str, Any]:
        """Send one use; return the answer."""
        answer = self.pipeline.post(url, self.key, body)
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def shown(self, customer: str, sums: dict[str, str]) -> dict[str, str]:
        """Return what the query shows of a customer, once it shows these sums."""
        return until(lambda: self.pipeline.usage(self.key, customer), lambda found: found == sums)


@pytest.fixture
def tenant(pipeline: Pipeline) -> Tenant:
    return Tenant(pipeline)


def test_x_34_twelve_units_of_tokens(tenant: Tenant) -> None:
    answer = tenant.send(TRACK, tenant_id="pro", event_type="LLM_token_usage", units=12)
    assert answer["ok"] is True
    wanted = {"LLM_token_usage": "12"}
    assert wanted == tenant.shown("pro", wanted)


def test_x_35_to_x_37_one_unit_of_each_after_the_other(tenant: Tenant) -> None:
    """X-35 a batch of frames, X-36 an optimizer job, X-37 a simulator run: a unit of each."""
    wanted = {}
    for event_type in ("vision_frame_batch", "optimizer_job", "simulator_run"):
        tenant.send(TRACK, tenant_id="pro", event_type=event_type, units=1)
        wanted[event_type] = "1"
    assert wanted == tenant.shown("pro", wanted)


@pytest.mark.parametrize(
    ("tokens", "units"),
    [(0, "0"), (1, "1"), (1_000, "1"), (1_001, "2"), (11_001, "12"), (12_000, "12")],
)
def test_x_38_a_started_thousand_of_tokens_is_a_unit(
    tenant: Tenant, tokens: int, units: str
) -> None:
    tenant.send(TRACK, tenant_id="pro", event_type="LLM_token_usage", tokens=tokens)
    wanted = {"LLM_token_usage": units}
    assert wanted == tenant.shown("pro", wanted)


def test_x_39_a_started_hundred_of_frames_is_a_unit(tenant: Tenant) -> None:
    tenant.send(TRACK, tenant_id="pro", event_type="vision_frame_batch", frames=250)
    wanted = {"vision_frame_batch": "3"}
    assert wanted == tenant.shown("pro", wanted)


def test_x_41_an_unknown_type_is_refused_and_counts_nothing(tenant: Tenant) -> None:
    """The log takes it, so that it can be driven again; the fold refuses it, visibly."""
    tenant.send(TRACK, tenant_id="pro", event_type="nobody_sells_this", units=1)
    tenant.send(TRACK, tenant_id="pro", event_type="LLM_token_usage", units=1)
    wanted = {"LLM_token_usage": "1"}
    assert wanted == tenant.shown("pro", wanted)
    found = until(lambda: tenant.pipeline.get("rejects", tenant.key)["data"], bool)
    assert ["unknown_type"] == [reject["code"] for reject in found]


@pytest.mark.parametrize("count", ["53687091200", "1073741824"])
def test_x_73_gigabytes_are_counted_in_bytes(tenant: Tenant, count: str) -> None:
    tenant.send(USAGE, customer="organization", type="bytes", quantity=int(count))
    wanted = {"bytes": count}
    assert wanted == tenant.shown("organization", wanted)


def test_s3_35_a_call_to_graphql_is_one_call(tenant: Tenant) -> None:
    tenant.send(
        USAGE, organization_id="organization", type="api_call", dimensions={"path": "/graphql"}
    )
    wanted = {"api_call": "1"}
    assert wanted == tenant.shown("organization", wanted)


def test_x_96_a_message_without_options_counts_one(tenant: Tenant) -> None:
    tenant.send(LOG_USAGE, tenant_id="shop", resource_type="message")
    wanted = {"message": "1"}
    assert wanted == tenant.shown("shop", wanted)


def test_x_97_three_messages_of_a_stay_three_beside_five_of_b(tenant: Tenant) -> None:
    """The units alone; who may see whose is decided by the API's tenants."""
    for customer, messages in (("a", 3), ("b", 5)):
        for _ in range(messages):
            tenant.send(LOG_USAGE, tenant_id=customer, resource_type="message")
    for customer, wanted in (("a", {"message": "3"}), ("b", {"message": "5"})):
        assert wanted == tenant.shown(customer, wanted)
