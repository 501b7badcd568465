"""The rest of S0's worked examples through HTTP: each tier, the bundle, the ledger's limits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.s0_world import READY, S0World, Tenant, node, until

EVERY = ("blueprint_package", "bom_suppliers", "compliance_package", "investment_report")
PRICES = {
    "blueprint_package": (50, "500.00"),
    "bom_suppliers": (30, "250.00"),
    "compliance_package": (35, "300.00"),
    "investment_report": (60, "700.00"),
    "full_emergence_bundle": (120, "1499.00"),
}
"""Credits and price of each tier, from the requirements."""


def _bought(tenant: Tenant, customer: str, quantity: int, paid: int) -> None:
    path, body = f"/customers/{customer}/topup", {"credits": quantity, "amount_paid": paid}
    assert tenant.post(path, body).status_code == 200


def _event(tenant: Tenant, project: str, state: dict[str, Any], customer: str) -> str:
    found: str = tenant.check(project, state, customer_id=customer)["emergence_event_id"]
    return found


class TestTiers:
    def test_x_02_the_limit_is_included(self, tenant: Tenant) -> None:
        state = node("blueprint_package", fit=0.9)
        found = tenant.check("p1", state, customer_id=tenant.customer())
        assert found["emergence_type"] == "blueprint_package"

    def test_x_08_gates_guard_every_tier(self, tenant: Tenant) -> None:
        found = tenant.check("p1", node(*EVERY, fit=0.89), customer_id=tenant.customer())
        assert (found["emergence_detected"], found["emergence_type"]) == (False, None)
        assert found["reason"] == "fit_too_low"

    @pytest.mark.parametrize("tier", EVERY[1:])
    def test_x_09_each_tier_alone(self, tenant: Tenant, tier: str) -> None:
        found = tenant.check("p1", node(tier), customer_id=tenant.customer())
        assert found["emergence_type"] == tier
        expected = PRICES[tier][0], float(PRICES[tier][1])
        assert (found["credits_required"], found["fiat_equivalent"]) == expected

    def test_x_11_a_pulse_checks_its_target_node(self, world: S0World) -> None:
        tenant = world.tenant(world.open_name)
        customer = tenant.customer()
        state = node(investment_node_resolved=True)
        assert tenant.check("pulsed", state, customer_id=customer)["emergence_type"] is None
        data = {"project_id": "pulsed", "target_node": "pulsed-node"}
        silent = tenant.webhook("pulse", {"data": {**data, "roi_complete": False}})
        assert silent.status_code == 202, silent.text
        # The next report is read behind the pulse: what that one started would be there too.
        assert tenant.check("pulsed", state, customer_id=customer)["emergence_type"] is None
        sent = tenant.webhook("pulse", {"data": {**data, "roi_complete": True}})
        assert sent.status_code == 202, sent.text
        charges = until(
            lambda: tenant.data("/charges?project=pulsed"), lambda found: len(found) > 0
        )
        assert [(item["tier"], item["credits"]) for item in charges] == [("investment_report", 60)]


class TestLedger:
    def test_x_14_sign_up_gives_100_credits(self, tenant: Tenant) -> None:
        assert tenant.credits(tenant.customer()) == (100, "0.00")

    def test_x_20_x_21_the_bundle_costs_120(self, tenant: Tenant) -> None:
        customer = tenant.customer()
        event = _event(tenant, "p1", node(*EVERY), customer)
        refused = tenant.process(customer, event)
        assert (refused.status_code, refused.json()["code"]) == (402, "insufficient_credits")
        assert tenant.credits(customer) == (100, "0.00")
        _bought(tenant, customer, 100, 1_000)
        paid = json.loads(tenant.process(customer, event).text, parse_float=str)
        assert (paid["credits_charged"], paid["fiat_equivalent"]) == PRICES[
            "full_emergence_bundle"
        ]
        assert tenant.credits(customer) == (80, "1499.00")

    def test_x_22_two_projects_leave_exactly_0(self, tenant: Tenant) -> None:
        customer = tenant.customer()
        for project in ("p1", "p2"):
            event = _event(tenant, project, READY, customer)
            assert tenant.process(customer, event).status_code == 200
        assert tenant.credits(customer) == (0, "1000.00")

    def test_x_27_the_bundle_saves_55_credits_and_251(self, tenant: Tenant) -> None:
        """Four projects with one tier each against one with all of them."""
        singles, whole = tenant.customer(), tenant.customer()
        for customer in (singles, whole):
            _bought(tenant, customer, 100, 1_000)
        for tier in EVERY:
            event = _event(tenant, f"single-{tier}", node(tier), singles)
            assert tenant.process(singles, event).status_code == 200
        assert tenant.process(whole, _event(tenant, "whole", node(*EVERY), whole)).is_success
        assert tenant.credits(singles) == (200 - 175, "1750.00")
        assert tenant.credits(whole) == (200 - 175 + 55, "1499.00")

    @pytest.mark.parametrize("tier", PRICES)
    def test_x_28_to_x_32_the_price_is_the_tiers_own(self, tenant: Tenant, tier: str) -> None:
        customer = tenant.customer()
        _bought(tenant, customer, 100, 1_000)
        reached = EVERY if tier == "full_emergence_bundle" else (tier,)
        answer = tenant.process(customer, _event(tenant, "p1", node(*reached), customer))
        paid = json.loads(answer.text, parse_float=str)
        assert (paid["credits_charged"], paid["fiat_equivalent"]) == PRICES[tier]
