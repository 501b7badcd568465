"""What `up --seed-s0` brings beside the catalogue: a customer, and a project that names them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from domain.derived_ids import derived_id

if TYPE_CHECKING:
    from runtime.commands import CommandSender
    from runtime.settings import Settings

CUSTOMER, CURRENCY = "test-customer", "PHP"
PROJECT = "test-project"
"""The project of S0's own sample request, which names no customer; so the project has to."""
EXAMPLE_CHECK = (
    ' -H "Content-Type: application/json" -d \'{"project_id": "test-project",'
    ' "node_id": "test-node", "fit_score": 0.95, "node_data": {"finalized": true,'
    ' "emergence_status": "ready", "geometry_resolved": true, "specs_complete": true}}\''
)
"""Options of the curl of S0's quick start, as it stands there."""


def seed_s0(settings: Settings, sender: CommandSender) -> None:
    """This function will make the customer and the project of S0's quick start; twice is harmless.

    Raises:
        Rejected: What the books refuse.
        Retryable: broker_away.
    """
    from cli import books
    from runtime import clock, ids
    from runtime.node_events import NodeEvent, NodeEventSender
    from schemas.node_wire import NodeReport, to_wire_node_updated

    tenant = settings.tenant
    books.send(
        settings,
        sender,
        tenant=tenant,
        command_id=derived_id("cmd", tenant, "up", CUSTOMER),
        kind="CreateCustomer",
        body={"customer": CUSTOMER, "currency": CURRENCY},
    )
    node = "test-setup"
    report = NodeReport(
        tenant=tenant,
        project=PROJECT,
        delivery_id=ids.new_id("dlv"),
        occurred_at_ms=clock.now_ms(),
        received_via="node-update",
        data=json.dumps({"project_id": PROJECT, "node_id": node, "customer_id": CUSTOMER}),
    )
    value = to_wire_node_updated(report, node=node)
    NodeEventSender(settings).send_all([NodeEvent(tenant, PROJECT, value)])
