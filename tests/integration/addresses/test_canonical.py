"""S3's canonical addresses over a running pipeline with S3's own catalogue."""

from __future__ import annotations

import uuid

from domain.period import time_text
from tests.support.pipeline_world import START
from tests.support.stigg import BILLING, Stigg


def subscribed(mesh: Stigg, plan: str) -> str:
    """A new organisation on a plan since the first of this month."""
    customer = f"org-{uuid.uuid4().hex[:8]}"
    mesh.post(f"{BILLING}/customers", {"customer": customer, "currency": "USD"})
    wish = {"customer": customer, "plan": plan, "start": time_text(START)}
    return str(mesh.post(f"{BILLING}/subscriptions", wish)["subscription"])


class TestLimits:
    def test_s3_r10_answers_with_a_code_and_the_limit(self, mesh: Stigg) -> None:
        """Starter has 5 adapters, and Enterprise no end of them."""
        told = []
        for plan, count in (("starter", 5), ("starter", 6), ("enterprise", 10**6)):
            checked = mesh.get(
                f"{BILLING}/subscriptions/{subscribed(mesh, plan)}/allowances/check",
                event_type="adapter_count",
                quantity=str(count),
            )
            told.append((checked["allowed"], checked["code"], checked["refused_by"]))
        assert [
            (True, None, None),
            (False, "limit_exceeded", "adapters"),
            (True, None, None),
        ] == told
