"""The load that faults are thrown at: tenants, customers, catalogue, events, from one seed.

Plain values only: the generator sends them through the SDK, the oracle reads the JSON.
"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

from tests.support.journal import COUNTED, Intent

TENANTS: dict[str, int] = {"acme": 40, "globex": 20}
"""Tenants and how many customers each has."""
SOURCE = "faults"
"""Where ids that are no UUIDs are unique."""
HOURS = 30
"""Events that are in time occurred within so many hours before the start."""
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
REGIONS, MODELS, TIERS = ("eu", "us", "ap"), ("small", "large"), ("hot", "cold")
CURRENCIES = {"eur": "EUR", "yen": "JPY", "dinar": "KWD"}
"""Plan code → its currency: two, no and three decimal places."""

METERS: list[dict[str, Any]] = [
    {"key": "requests", "event_type": "request", "aggregation": "count", "group_by": ["region"]},
    {
        "key": "slowest_request",
        "event_type": "request",
        "aggregation": "max",
        "value": "property:latency_ms",
    },
    {
        "key": "tokens",
        "event_type": "tokens",
        "aggregation": "sum",
        "group_by": ["model", "region"],
    },
    {"key": "tokens_total", "event_type": "tokens", "aggregation": "sum"},
    {"key": "storage", "event_type": "storage", "aggregation": "latest", "group_by": ["tier"]},
    {"key": "storage_peak", "event_type": "storage", "aggregation": "max"},
    {"key": "egress", "event_type": "egress", "aggregation": "sum", "group_by": ["region"]},
    {"key": "egress_least", "event_type": "egress", "aggregation": "min"},
]
TYPES = ("request", "tokens", "storage", "egress")


def catalogue() -> dict[str, Any]:
    """Return the catalogue document of every tenant."""
    return {
        "version": 1,
        "meters": [{**meter, "unit": "unit"} for meter in METERS],
        "plans": [
            {"code": code, "name": code, "currency": currency, "prices": _prices()}
            for code, currency in CURRENCIES.items()
        ],
    }


def _prices() -> list[dict[str, Any]]:
    return [
        {"key": "base", "form": "flat", "amount": "49.905"},
        {
            "key": "tokens",
            "form": "graduated",
            "meter": "tokens",
            "per": "1000",
            "included": "100",
            "tiers": [
                {"up_to": "5000", "rate": "0.0123"},
                {"up_to": "20000", "rate": "0.00777"},
                {"rate": "0.003333333333"},
            ],
        },
        {
            "key": "requests",
            "form": "per_unit",
            "meter": "requests",
            "rate": "0.000125",
            "included": "25",
        },
        {"key": "egress", "form": "per_unit", "meter": "egress", "rate": "0.08375", "per": "10"},
        {"key": "storage", "form": "per_unit", "meter": "storage", "rate": "0.0021"},
        {"key": "peak", "form": "per_unit", "meter": "storage_peak", "rate": "0.01"},
        {"key": "slow", "form": "per_unit", "meter": "slowest_request", "rate": "0.005"},
        {"key": "least", "form": "per_unit", "meter": "egress_least", "rate": "1.5"},
    ]


@dataclass(frozen=True, slots=True)
class Event:
    """One event as the SDK takes it, and the intent that the journal keeps of it."""

    id: str
    intent: Intent

    @property
    def occurred_at(self) -> datetime:
        """When it happened."""
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=self.intent.occurred_ms)


class Workload:
    """Makes events one after the other; the same seed and base time make the same ones.

    5 of 100 are out of order by up to two hours, 1 is late by days, 1 in 100 is to be refused.
    """

    def __init__(self, *, seed: int, base_ms: int) -> None:
        self._random = random.Random(seed)
        self._base_ms = base_ms
        self._made = 0
        self._customers = [
            (tenant, f"{tenant}-customer-{number:03d}")
            for tenant, count in TENANTS.items()
            for number in range(count)
        ]

    def next(self, *, now_ms: int) -> Event:
        """Make the next event, about to be sent at now_ms."""
        draw = self._random
        # A few customers have much of the traffic, as in life.
        tenant, customer = self._customers[int(len(self._customers) * draw.random() ** 2)]
        event_type = draw.choice(TYPES)
        expect, occurred_ms = self._time(now_ms)
        dimensions = {"region": draw.choice(REGIONS), "trace": str(draw.randrange(3))}
        if event_type == "tokens":
            dimensions["model"] = draw.choice(MODELS)
        if event_type == "storage" and draw.random() < 0.8:
            dimensions["tier"] = draw.choice(TIERS)
        properties = {"latency_ms": self._decimal(4)} if event_type == "request" else {}
        if expect == COUNTED and draw.random() < 0.003:
            expect, event_type = "unknown_type", "unheard_of"
        elif expect == COUNTED and properties and draw.random() < 0.01:
            expect, properties = "bad_value", {"latency_ms": "soon"}
        self._made += 1
        event_id, key = self._identity(tenant)
        intent = Intent(
            key=key,
            tenant=tenant,
            customer=customer,
            type=event_type,
            occurred_ms=occurred_ms,
            quantity=self._decimal(draw.choice((0, 0, 2, 9))),
            dimensions=dimensions,
            properties=properties,
            expect=expect,
        )
        return Event(event_id, intent)

    def conflicting(self, event: Event) -> Event:
        """Make an event of the same id with another payload: its fold must not count both."""
        other = event.intent
        changed = {name: getattr(other, name) for name in other.__slots__}
        return Event(event.id, Intent(**{**changed, "quantity": f"{self._made}.5", "attempt": 1}))

    def _time(self, now_ms: int) -> tuple[str, int]:
        draw, chance = self._random, self._random.random()
        if chance < 0.002:
            return "too_late", now_ms - 36 * DAY_MS - draw.randrange(DAY_MS)
        if chance < 0.004:
            return "future", now_ms + HOUR_MS + draw.randrange(DAY_MS)
        if chance < 0.014:
            return COUNTED, now_ms - 2 * DAY_MS - draw.randrange(20 * DAY_MS)
        if chance < 0.06:
            return COUNTED, now_ms - draw.randrange(2 * HOUR_MS)
        return COUNTED, self._base_ms - draw.randrange(HOURS * HOUR_MS)

    def _decimal(self, places: int) -> str:
        whole = self._random.randrange(200)
        if not places:
            return str(whole)
        return f"{whole}.{self._random.randrange(10**places):0{places}d}"

    def _identity(self, tenant: str) -> tuple[str, str]:
        """Return an id and its key: mostly UUIDs, some ids of another system."""
        if self._random.random() < 0.2:
            text = f"order-{tenant}-{self._made}"
            return text, blake2b(f"{SOURCE}\x1f{text}".encode(), digest_size=16).hexdigest()
        value = uuid.UUID(int=self._random.getrandbits(128), version=4)
        return str(value), value.hex
