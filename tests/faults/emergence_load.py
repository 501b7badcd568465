"""Node updates whose end is known beforehand: projects that follow scripts, made from a seed.

What a project must have been charged for in the end is written here by hand, from the requirements
(S0-06 … S0-28), and never worked out by the rules under test.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import queue
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

TENANTS = ("studio", "workshop")
CUSTOMERS = 24
"""Customers of a tenant; every eighth has nothing but its signup credits."""
PROJECTS_PER_CUSTOMER = 12
REPEATS = 0.1
"""Share of updates that are sent again later: older by then, so they change nothing."""
TOP_UP_CREDITS = 2_500
CREDITS = {
    "blueprint_package": 50,
    "bom_suppliers": 30,
    "compliance_package": 35,
    "investment_report": 60,
    "full_emergence_bundle": 120,
}
FLAGS = {
    "blueprint_package": ("geometry_resolved", "specs_complete"),
    "bom_suppliers": ("material_complete", "component_logic_complete"),
    "compliance_package": ("region_resolved", "compliance_resolved"),
    "investment_report": ("investment_node_resolved", "project_roi_complete"),
}
SINGLES = tuple(FLAGS)
RACER = "racer-"
"""Nodes whose reports follow each other without a pause."""
BUNDLE = "full_emergence_bundle"


@dataclass(frozen=True, slots=True)
class Update:
    """One report of a node.

    Args:
        tenant, project, node: Where it belongs.
        data: What is reported.
        turn: Its place in time; a later one of the same node wins.
    """

    tenant: str
    project: str
    node: str
    data: Mapping[str, Any]
    turn: int


@dataclass(slots=True)
class Project:
    """One project and what it must come to.

    Args:
        tenant, customer, project: Whose it is.
        charged: Codes that stay charged in the end; None where it depends on how far a charge had
            come when the next tier was reached: then all four tiers are covered, each once.
        updates: Its reports, in order.
    """

    tenant: str
    customer: str
    project: str
    charged: frozenset[str] | None
    updates: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)


def report(*tiers: str, customer: str, fit: str = "0.95", **changes: Any) -> dict[str, Any]:
    """Return the data of a node that passes the gates and reaches some tiers."""
    flags = dict.fromkeys((flag for tier in tiers for flag in FLAGS[tier]), True)
    node = {"finalized": True, "emergence_status": "ready", **flags, **changes}
    return {"customer_id": customer, "fit_score": fit, "node_data": node}


def explorations(rng: random.Random, customer: str) -> Iterator[dict[str, Any]]:
    """Yield reports that cost nothing (S0-17): a gate fails, or one flag of two is missing."""
    while True:
        kind = rng.randrange(4)
        tiers = rng.sample(SINGLES, k=rng.randint(1, 4))
        data = report(*tiers, customer=customer)
        if kind == 0:
            data["fit_score"] = rng.choice(["0.899", "0.89", "0.5", "0"])
        elif kind == 1:
            data["node_data"]["finalized"] = False
        elif kind == 2:
            data["node_data"]["emergence_status"] = "pending"
        else:
            for tier in tiers:
                data["node_data"][FLAGS[tier][rng.randrange(2)]] = False
        yield data


def _nothing(_: random.Random, __: str) -> tuple[list[tuple[str, dict[str, Any]]], frozenset[str]]:
    return [], frozenset()


def _one(rng: random.Random, customer: str) -> tuple[Any, frozenset[str]]:
    tier = rng.choice(SINGLES)
    return [("a", report(tier, customer=customer))], frozenset({tier})


def _two_nodes(rng: random.Random, customer: str) -> tuple[Any, frozenset[str]]:
    first, second = rng.sample(SINGLES, k=2)
    reports = [("a", report(first, customer=customer)), ("b", report(second, customer=customer))]
    return reports, frozenset({first, second})


def _bundle(_: random.Random, customer: str) -> tuple[Any, frozenset[str]]:
    return [("a", report(*SINGLES, customer=customer))], frozenset({BUNDLE})


def _withdrawn(rng: random.Random, customer: str) -> tuple[Any, frozenset[str]]:
    tier = rng.choice(SINGLES)
    return [
        ("a", report(tier, customer=customer)),
        ("a", report(tier, customer=customer, finalized=False)),
    ], frozenset()


def _again(rng: random.Random, customer: str) -> tuple[Any, frozenset[str]]:
    reports, _ = _withdrawn(rng, customer)
    tier = next(tier for tier in SINGLES if reports[0][1]["node_data"].get(FLAGS[tier][0]))
    return [*reports, ("a", report(tier, customer=customer, fit="0.97"))], frozenset({tier})


def _bundle_falls_apart(rng: random.Random, customer: str) -> tuple[Any, frozenset[str]]:
    """The bundle is given back, and the three that are left are offered singly (S0-R4)."""
    lost = rng.choice(SINGLES)
    left = [tier for tier in SINGLES if tier != lost]
    return [
        ("a", report(*SINGLES, customer=customer)),
        ("a", report(*left, customer=customer)),
    ], frozenset(left)


def _racing(_: random.Random, customer: str) -> tuple[Any, None]:
    """One tier after the other: whether the bundle still applies depends on the charges."""
    return [(f"{RACER}{tier}", report(tier, customer=customer)) for tier in SINGLES], None


SCRIPTS: tuple[Callable[[random.Random, str], tuple[Any, frozenset[str] | None]], ...] = (
    _nothing,
    _one,
    _two_nodes,
    _bundle,
    _withdrawn,
    _again,
    _bundle_falls_apart,
    _racing,
)


def make_projects(*, seed: int, updates: int) -> list[Project]:
    """Make projects with about so many updates in all; each script comes equally often."""
    rng = random.Random(seed)
    names = [
        (tenant, f"{tenant}-customer-{customer:02}", f"{tenant}-project-{customer:02}-{number:02}")
        for tenant in TENANTS
        for customer in range(CUSTOMERS)
        for number in range(PROJECTS_PER_CUSTOMER)
    ]
    made = []
    for place, (tenant, customer, name) in enumerate(names):
        steps, charged = SCRIPTS[place % len(SCRIPTS)](rng, customer)
        each = max(1, round(updates / len(names)) - len(steps))
        free = explorations(rng, customer)
        project = Project(tenant, customer, name, charged)
        # Exploration is on nodes of its own, so that it does not take a reached node back.
        breaks = sorted(rng.randrange(each + 1) for _ in steps)
        if charged is None:
            breaks = breaks[:1] * len(steps)  # at once, so that charges and offers cross
        for number in range(each + 1):
            project.updates += [
                step for step, at in zip(steps, breaks, strict=True) if at == number
            ]
            if number < each:
                project.updates.append((f"try-{rng.randrange(3)}", next(free)))
        made.append(project)
    return made


def in_turns(projects: list[Project], *, seed: int) -> Iterator[Update]:
    """Yield all updates, mixed over projects, each project's in order, some of them again."""
    rng = random.Random(seed + 1)
    waiting = [(project, iter(project.updates)) for project in projects]
    sent: list[Update] = []
    turn, place, is_race = 0, 0, False
    while waiting:
        if not is_race:
            place = rng.randrange(len(waiting))
        project, updates = waiting[place]
        found = next(updates, None)
        if found is None:
            waiting[place] = waiting[-1]
            waiting.pop()
            is_race = False
            continue
        turn += 1
        is_race = project.charged is None and found[0].startswith(RACER)
        update = Update(project.tenant, project.project, *found, turn)
        sent.append(update)
        yield update
        if rng.random() < REPEATS:
            yield rng.choice(sent)


SECRETS = {tenant: f"secret of the {tenant}" for tenant in TENANTS}
TAKEN, REPLAYED = 202, 409
TRY_AGAIN_S, TRIES_MAX = 0.2, 300
WAITING_MAX = 100


class GaveUpError(Exception):
    """The gateway took an update neither at once nor later."""


class WebhookSender:
    """Sends updates as S0's main system does, signed, one at a time.

    Args:
        url: The gateway.
        began_s: When the first one happened, seconds since 1970; each turn is a millisecond later.
    """

    def __init__(self, url: str, began_s: float) -> None:
        self._address = str(urlsplit(url).netloc)
        self._began_s = began_s
        self._connection = http.client.HTTPConnection(self._address, timeout=15)
        self._id = uuid.uuid4().hex
        self._deliveries = 0
        self.sent_again = 0

    def send(self, update: Update) -> None:
        """Send one, again and again until it is taken (GaveUpError otherwise)."""
        happened = datetime.fromtimestamp(self._began_s + update.turn / 1_000, UTC)
        data = {"project_id": update.project, "node_id": update.node, **update.data}
        moment = f"{happened:%Y-%m-%dT%H:%M:%S}.{happened.microsecond // 1_000:03}Z"
        body = json.dumps({"event_type": "node_update", "time": moment, "data": data}).encode()
        self._deliveries += 1
        for attempt in range(TRIES_MAX):
            if attempt:
                self.sent_again += 1
                time.sleep(TRY_AGAIN_S)
            if self._post(update.tenant, body) in (TAKEN, REPLAYED):
                return
        raise GaveUpError(f"update {update.turn} of {update.project} was not taken")

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def _post(self, tenant: str, body: bytes) -> int:
        """Return the status; 0 when there was no answer."""
        now = str(int(time.time()))
        signed = hmac.new(SECRETS[tenant].encode(), f"{now}.".encode() + body, hashlib.sha256)
        headers = {
            "Content-Type": "application/json",
            "Tidegauge-Delivery": f"{self._id}-{self._deliveries}",
            "Tidegauge-Timestamp": now,
            "Tidegauge-Signature": f"v1={signed.hexdigest()}",
        }
        try:
            self._connection.request("POST", "/webhook/node-update", body, headers)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return 0
        return answer.status


class Lane:
    """One sender in its thread, with what waits for it.

    Args:
        sender: Sends.
    """

    def __init__(self, sender: WebhookSender) -> None:
        self.sender = sender
        self._waiting: queue.Queue[Update | None] = queue.Queue(WAITING_MAX)
        self._faults: list[str] = []
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
        self._thread.start()

    def put(self, update: Update) -> None:
        """Send one as soon as those before it are taken."""
        self._waiting.put(update)

    def end(self) -> list[str]:
        """Wait until all are sent; return what was not."""
        self._waiting.put(None)
        self._thread.join()
        self.sender.close()
        return self._faults

    def _run(self) -> None:
        while (update := self._waiting.get()) is not None:
            try:
                self.sender.send(update)
            except GaveUpError as error:
                self._faults.append(str(error))


def is_poor(customer: str) -> bool:
    """Say whether a customer has nothing but its signup credits."""
    return int(customer.rpartition("-")[2]) % 8 == 0
