"""What emergence and the wallets must be after a fault run, worked out from the logs alone.

Imports nothing of ours. The chain of emergence.facts says what was detected, that of account.facts
what was charged; a ledger of a few lines, kept here, says what each wallet must hold.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.support.oracle_facts import Chain
from tests.support.oracle_log import BOOKS_FACTS, EMERGENCE_FACTS

Owner = tuple[str, str]
"""Tenant, customer."""
OPENINGS = {"signup_bonus", "top_up", "grant"}


@dataclass(slots=True)
class Charge:
    """One charge as the facts tell it."""

    tenant: str
    customer: str
    project: str
    tier: str
    covers: list[tuple[str, int]]
    credits: int
    captures: int = 0
    refunded: int = 0

    @property
    def stands(self) -> bool:
        """Say whether credits stay taken."""
        return bool(self.captures) and self.refunded < self.credits


@dataclass(slots=True)
class Ledger:
    """Everything that account.facts say, added up.

    Args:
        balances: What each wallet has left.
        lowest: The least that a wallet ever had, after any fact.
        charges: By tenant and id.
        by_project: The same by tenant and project.
        requests: How often each was requested.
        unbilled: Requests that the books refused, on record.
        refusals: How often which command was refused, and why.
        faults: What cannot be, in words.
    """

    balances: Counter[Owner] = field(default_factory=Counter)
    lowest: Counter[Owner] = field(default_factory=Counter)
    charges: dict[tuple[str, str], Charge] = field(default_factory=dict)
    by_project: dict[tuple[str, str], list[Charge]] = field(
        default_factory=lambda: defaultdict(list)
    )
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    unbilled: set[tuple[str, str]] = field(default_factory=set)
    refusals: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def take(self, tenant: str, kind: str, body: dict[str, Any]) -> None:
        """Take one fact, in the order of the log."""
        if kind == "ChargeRequested":
            key = tenant, body["charge"]
            self.requests[key] += 1
            self.charges[key] = charge = Charge(
                tenant,
                body["customer"],
                body["project"],
                body["tier"],
                [(code, number) for code, number in body["covers"]],
                body["credits"],
            )
            self.by_project[tenant, charge.project].append(charge)
        elif kind == "ChargeCaptured":
            charge = self.charges[tenant, body["charge"]]
            for pair in charge.covers:
                if any(pair in other.covers for other in self._standing_beside(charge)):
                    self.faults.append(f"{pair} of {charge.project} was paid twice")
            charge.captures += 1
            self._move(charge, -charge.credits)
        elif kind == "ChargeRefunded":
            charge = self.charges[tenant, body["charge"]]
            charge.refunded += body["credits"]
            self._move(charge, body["credits"])
        elif kind == "ChargeUnbilled":
            self.unbilled.add((tenant, body["charge"]))
        elif kind == "CreditsPosted":
            self._take_posting(tenant, body)

    def _take_posting(self, tenant: str, body: dict[str, Any]) -> None:
        if sum(leg["credits"] for leg in body["legs"]):
            self.faults.append(f"posting {body['posting']} of {tenant} does not add up to zero")
        if body["kind"] in OPENINGS:
            gained = sum(leg["credits"] for leg in body["legs"] if leg["account"] == "available")
            self.balances[tenant, body["customer"]] += gained

    def _standing_beside(self, charge: Charge) -> list[Charge]:
        """Return the paid charges of a charge's project; one that was given back is none."""
        found = self.by_project[charge.tenant, charge.project]
        return [other for other in found if other.stands]

    def _move(self, charge: Charge, change: int) -> None:
        owner = charge.tenant, charge.customer
        self.balances[owner] += change
        self.lowest[owner] = min(self.lowest[owner], self.balances[owner])

    def standing(self) -> dict[tuple[str, str], list[Charge]]:
        """Return the charges that stay taken, by tenant and project."""
        found: dict[tuple[str, str], list[Charge]] = defaultdict(list)
        for charge in self.charges.values():
            if charge.stands:
                found[charge.tenant, charge.project].append(charge)
        return found

    def judge(self) -> list[str]:
        """Say what no run may lead to."""
        faults = list(self.faults)
        faults += [f"{owner} fell to {low}" for owner, low in self.lowest.items() if low < 0]
        faults += [
            f"charge {key} was requested {n} times" for key, n in self.requests.items() if n > 1
        ]
        for key, charge in self.charges.items():
            if charge.captures > 1:
                faults.append(f"charge {key} was captured {charge.captures} times")
            if charge.refunded > charge.credits * charge.captures:
                faults.append(f"charge {key} gave back {charge.refunded} of {charge.credits}")
        return faults


def read_ledger(bootstrap: str) -> tuple[Ledger, Chain]:
    """Replay account.facts."""
    chain = Chain.of_topic(
        bootstrap, facts="account.facts", source="account.commands", schema_id=BOOKS_FACTS
    )
    ledger = Ledger()
    for record in chain.records:
        for outcome in record["outcomes"]:
            if outcome["code"]:
                ledger.refusals[f"{outcome['kind']} {outcome['code']}"] += 1
            for fact in outcome["facts"]:
                ledger.take(outcome["tenant"], fact["kind"], json.loads(fact["body"]))
    return ledger, chain


def read_detections(bootstrap: str) -> tuple[list[dict[str, Any]], Chain]:
    """Replay emergence.facts; return every detection in force."""
    chain = Chain.of_topic(
        bootstrap, facts="emergence.facts", source="node.events", schema_id=EMERGENCE_FACTS
    )
    return list(_detections(chain)), chain


def _detections(chain: Chain) -> Iterator[dict[str, Any]]:
    for record in chain.records:
        yield from record["detections"]


def judge_detections(detections: list[dict[str, Any]], ledger: Ledger) -> list[str]:
    """Once per (project, tier, generation); each brought before the books, and no other."""
    faults = []
    answered = set(ledger.charges) | ledger.unbilled
    names = Counter(
        (item["tenant"], item["project"], item["lone_node"], item["code"], item["generation"])
        for item in detections
    )
    faults += [f"{name} was detected {n} times" for name, n in names.items() if n > 1]
    ids = Counter((item["tenant"], item["detection"]) for item in detections)
    faults += [f"the id {key} was given {n} times" for key, n in ids.items() if n > 1]
    faults += [f"{key} was never requested" for key in sorted(set(ids) - answered)[:5]]
    return faults + [
        f"{key} was requested and never detected" for key in sorted(answered - set(ids))[:5]
    ]
