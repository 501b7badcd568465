"""Rows of emergence billing as the projectors write them, for tests that need no pipeline."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from domain.canonical import sha256_hex, to_canonical_json
from domain.derived_ids import derived_id
from tests.support.api_world import RECEIVED_AT, Rows, insert

DAY = timedelta(days=1)
BLUEPRINT = ("blueprint_package", "Blueprint Package", 50, 50_000)
BOM = ("bom_suppliers", "BOM + Suppliers", 30, 25_000)
COMPLIANCE = ("compliance_package", "Compliance Package", 35, 30_000)
INVESTMENT = ("investment_report", "Investment Report", 60, 70_000)
BUNDLE = ("full_emergence_bundle", "Full Emergence Bundle", 120, 149_900)
TIERS = (BLUEPRINT, BOM, COMPLIANCE, INVESTMENT, BUNDLE)
"""Code, name, credits, price in centavos."""
CHARGED = frozenset({"captured", "delivered", "refunded"})


class EmergenceRows:
    """Writes rows of one tenant.

    Args:
        rows: Writes as the projector.
        tenant: Whose.
    """

    def __init__(self, rows: Rows, tenant: str) -> None:
        self._rows = rows
        self.connection = rows.connection
        self.tenant = tenant
        self._numbers = itertools.count(1)

    def customer(
        self,
        customer: str,
        *,
        available: int = 100,
        held: int = 0,
        spent_minor: int = 0,
        currency: str = "PHP",
        auto_approval_credits: int = 0,
    ) -> None:
        self._rows.customer(self.tenant, customer, currency=currency)
        insert(
            self.connection,
            "wallet",
            tenant=self.tenant,
            customer=customer,
            currency=currency,
            available=available,
            held=held,
            total_spent_minor=spent_minor,
            auto_approval_credits=auto_approval_credits,
            opened_at=RECEIVED_AT,
        )
        if available:
            insert(
                self.connection,
                "wallet_grant",
                tenant=self.tenant,
                grant_id=f"grt_{customer}",
                customer=customer,
                kind="signup_bonus",
                priority=100,
                expires_at=None,
                age=1,
                credits=available,
                available=available,
                held=0,
                opened_at=RECEIVED_AT,
            )

    def charge(
        self,
        customer: str,
        tier: tuple[str, str, int, int] = BLUEPRINT,
        *,
        project: str = "project-1",
        status: str = "requested",
        at: datetime = RECEIVED_AT,
        currency: str = "PHP",
        refunded_credits: int = 0,
        refunded_minor: int = 0,
        evidence: Sequence[Mapping[str, Any]] | None = None,
        **more: object,
    ) -> str:
        code, name, credits_, price_minor = tier
        charge = derived_id("emg", self.tenant, customer, code, str(next(self._numbers)))
        captured_at = at if status in CHARGED else None
        if status == "refunded" and not refunded_credits:
            refunded_credits, refunded_minor = credits_, price_minor
        row: dict[str, object] = {
            "project": project,
            "lone_node": "",
            "tier": code,
            "name": name,
            "generation": 1,
            "covers": Jsonb([[code, 1]]),
            "credits": credits_,
            "price_minor": price_minor,
            "currency": currency,
            "delivers": ["DXF files", "IFC models"],
            "evidence": Jsonb(list(evidence if evidence is not None else [_evidence(code)])),
            "rule_version": 3,
            "rule_sha256": "ab" * 32,
            "status": status,
            "requested_at": at,
            "expires_at": at + timedelta(hours=72),
            "approved_at": captured_at,
            "approved_by": "api:test" if captured_at else "",
            "captured_at": captured_at,
            "delivered_at": at if status == "delivered" else None,
            "ended_at": at if status in {"declined", "expired", "withdrawn", "refunded"} else None,
            "end_reason": "",
            "refunded_credits": refunded_credits,
            "refunded_minor": refunded_minor,
            "transaction": "",
            "receipt": "",
        }
        row |= more
        insert(
            self.connection, "charge", tenant=self.tenant, charge=charge, customer=customer, **row
        )
        return charge

    def transaction(
        self,
        customer: str,
        kind: str,
        *,
        at: datetime = RECEIVED_AT,
        charge: str | None = None,
        credits_: int = 50,
        amount_minor: int = 50_000,
        currency: str = "PHP",
        status: str = "completed",
        **more: object,
    ) -> str:
        transaction = derived_id("txn", self.tenant, customer, kind, str(next(self._numbers)))
        row: dict[str, object] = {
            "reference": charge or "",
            "receipt": "",
            "payment_reference": "",
            "code": "",
            "reason": "",
            "actor": "api:test",
            "changed_at": at,
        }
        insert(
            self.connection,
            "wallet_transaction",
            tenant=self.tenant,
            transaction=transaction,
            kind=kind,
            customer=customer,
            charge=charge,
            credits=credits_,
            amount_minor=amount_minor,
            currency=currency,
            status=status,
            recorded_at=at,
            **row | more,
        )
        return transaction

    def receipt(self, customer: str, number: str, transaction: str, **more: object) -> None:
        content = to_canonical_json(
            {
                "number": number,
                "kind": "charge",
                "tenant": self.tenant,
                "customer": customer,
                "name": "Blueprint Package",
                "credits": 50,
                "amount_minor": 50_000,
                "amount": "500.00",
                "currency": "PHP",
                "date": "2026-03-01T00:00:00Z",
                "transaction": transaction,
                "credits_available_after": 50,
                "credits_held_after": 0,
            }
        )
        insert(
            self.connection,
            "receipt",
            tenant=self.tenant,
            receipt=number,
            kind="charge",
            customer=customer,
            transaction=transaction,
            content=content,
            content_sha256=sha256_hex(content),
            issued_at=RECEIVED_AT,
            **more,
        )

    def activity(
        self, customer: str, day: date, *, updates: int = 1, pulses: int = 0, project: str = "p"
    ) -> None:
        at = datetime(day.year, day.month, day.day, 12, tzinfo=RECEIVED_AT.tzinfo)
        insert(
            self.connection,
            "node_activity",
            tenant=self.tenant,
            customer=customer,
            project=project,
            day=day,
            updates=updates,
            pulses=pulses,
            first_at=at,
            last_at=at,
        )

    def node(
        self,
        node: str,
        *,
        project: str = "project-1",
        lone_node: str = "",
        data: str = "{}",
        values: Mapping[str, str] | None = None,
        at: datetime = RECEIVED_AT,
    ) -> None:
        insert(
            self.connection,
            "emergence_node",
            tenant=self.tenant,
            project=project,
            lone_node=lone_node,
            node=node,
            data=data,
            data_sha256=sha256_hex(data),
            values=Jsonb(dict(values or {})),
            version=-1,
            occurred_at=at,
            received_at=at,
            partition=0,
            source_offset=next(self._numbers),
            pulses=Jsonb({}),
        )

    def project(self, project: str, customer: str, *, lone_node: str = "") -> None:
        insert(
            self.connection,
            "emergence_project",
            tenant=self.tenant,
            project=project,
            lone_node=lone_node,
            customer=customer,
            customer_occurred_ms=0,
            customer_offset=0,
        )

    def suspicion(self, customer: str, *, is_open: bool = True, **more: object) -> str:
        suspicion = derived_id("sus", self.tenant, customer, str(next(self._numbers)))
        row: dict[str, object] = {
            "rule": "many_failures",
            "detail": "5 failed attempts within 1 hour",
            "raised_at": RECEIVED_AT,
            "closed_at": None if is_open else RECEIVED_AT,
            "closed_by": "" if is_open else "api:test",
            "note": "" if is_open else "a typing error",
        }
        insert(
            self.connection,
            "suspicion",
            tenant=self.tenant,
            suspicion=suspicion,
            customer=customer,
            is_open=is_open,
            **row | more,
        )
        return suspicion


def _evidence(tier: str) -> dict[str, Any]:
    return {
        "tier": tier,
        "node": "node-1",
        "partition": 2,
        "offset": 41,
        "data_sha256": "cd" * 32,
        "values": {"fit_score": "0.95", "finalized": "true", "emergence_status": "ready"},
        "pulses": {},
    }
