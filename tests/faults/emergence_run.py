"""Emergence under kills: node updates become detections, charges and credits, each once.

Every process is killed in rotation while the load runs, then broker and database once each; in the
end the oracle works out from the logs alone what must be there.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from cli.checkout import free_port
from tests.faults import emergence_load as load
from tests.faults.verdict import SCHEMA
from tests.faults.world import PARTITIONS, BooksLoad, Stage
from tests.support.checkout import ROOT
from tests.support.oracle_emergence import judge_detections, read_detections, read_ledger
from tests.support.oracle_log import topic_ends
from tests.support.oracle_tables import Tables

CATALOGUE = ROOT / "deploy" / "catalogues" / "s0_bem_emergence.yaml"
PROGRAMS = {
    "emergence-1": ["stream", "emergence"],
    "books-1": ["stream", "books"],
    "project-1": ["project"],
    "emergence-2": ["stream", "emergence"],
    "gateway-1": ["gateway"],
}
SOURCES = {
    "emergence.facts": "node.events",
    "account.facts": "account.commands",
}
POLICIES = {
    "tidegauge-policies-emergence": "emergence.facts",
    "tidegauge-policies-books": "account.facts",
}
"""Consumer group of each policy, and what it reads."""
QUIET_S = 3.0
"""Nothing was appended for so long, and the policies had read everything."""
QUIET_TIMEOUT_S = 180
LANES = 8
"""Senders at once; a project has one of them, so its reports stay in order."""
AUTO_APPROVAL_CREDITS = 1_000
PAUSE_S = 4.0
"""More than two of the session timeouts that the test sets, seconds."""
EXPLORED_BEFORE_KILLS = 0.1


@dataclass(slots=True)
class EmergenceRun:
    """One run.

    Args:
        stage: Where it happens.
        seed: Of the load.
        updates: Node updates, about.
        kills: Kills -9, in rotation over PROGRAMS.
        pause_s: Time between two of them, seconds.
    """

    stage: Stage
    seed: int
    updates: int
    kills: int
    pause_s: float = 3.0
    sent: int = 0
    figures: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @classmethod
    def settings(cls) -> dict[str, str]:
        """Return the settings that the stage of a run needs beside its own."""
        return {
            "gateway_port": str(free_port()),
            "webhook_secrets": json.dumps({name: [text] for name, text in load.SECRETS.items()}),
        }

    def execute(self) -> None:
        """Start, load, kill, wait until nothing moves, and judge."""
        projects = load.make_projects(seed=self.seed, updates=self.updates)
        self._start()
        self._open_books()
        sending = threading.Thread(target=self._send, args=(projects,), name="nodes")
        sending.start()
        killed = self._kill_in_rotation(sending)
        sending.join()
        began_s = time.monotonic()
        self._await_quiet()
        self.figures["quiet_after_s"] = round(time.monotonic() - began_s, 1)
        self.figures |= {"seed": self.seed, "updates": self.sent, "kills": dict(killed)}
        self._judge(projects)

    def _start(self) -> None:
        for name, arguments in PROGRAMS.items():
            self.stage.fleet.add(name, arguments)
        self.stage.fleet.watch()
        for tenant in load.TENANTS:
            self.stage.tidegauge("catalogue", "publish", str(CATALOGUE), "--tenant", tenant)

    def _open_books(self) -> None:
        books = BooksLoad(self.stage.typed_settings())
        for tenant in load.TENANTS:
            for number in range(load.CUSTOMERS):
                customer = f"{tenant}-customer-{number:02}"
                about = {"customer": customer}
                books.send(
                    tenant, "CreateCustomer", f"customer-{customer}", {**about, "currency": "PHP"}
                )
                if not load.is_poor(customer):
                    paid = {"amount_minor": load.TOP_UP_CREDITS * 1_000, "currency": "PHP"}
                    body = {"top_up": f"top_{number:032x}", "credits": load.TOP_UP_CREDITS, **paid}
                    books.send(tenant, "TopUp", f"top-up-{customer}", {**about, **body})
                body = {"limit_credits": AUTO_APPROVAL_CREDITS}
                books.send(tenant, "SetAutoApproval", f"auto-{customer}", {**about, **body})

    def _send(self, projects: list[load.Project]) -> None:
        """Send all updates by webhooks, each project's in order, until the gateway takes them."""
        began_s = time.time() - 3_600
        lanes = [load.Lane(load.WebhookSender(self.url, began_s)) for _ in range(LANES)]
        for update in load.in_turns(projects, seed=self.seed):
            lanes[hash(update.project) % LANES].put(update)
            self.sent += 1
            time.sleep(self._pace_s)
        for lane in lanes:
            self.faults += lane.end()
        self.figures["sent_again"] = sum(lane.sender.sent_again for lane in lanes)

    @property
    def url(self) -> str:
        """Return the gateway's address."""
        return f"http://127.0.0.1:{self.stage.settings['gateway_port']}"

    @property
    def _pace_s(self) -> float:
        """Return the time between two updates: the load lasts about as long as the kills."""
        return self.kills * self.pause_s / self.updates

    def _kill_in_rotation(self, sending: threading.Thread) -> Counter[str]:
        killed: Counter[str] = Counter()
        while self.sent < self.updates * EXPLORED_BEFORE_KILLS and sending.is_alive():
            time.sleep(0.1)
        names = cycle(PROGRAMS)
        for number in range(self.kills):
            name = next(names)
            self.stage.fleet.kill(name)
            killed[name] += 1
            if number in (self.kills // 3, 2 * self.kills // 3):
                # Long enough for the other one to take over; what it then writes is a zombie's.
                self.stage.fleet.children["emergence-1"].pause()
                time.sleep(PAUSE_S)
                self.stage.fleet.children["emergence-1"].go_on()
                killed["pauses"] += 1
            if number == self.kills // 2:
                for service in ("postgres", "kafka"):
                    self.stage.services.control.kill(service)
                    self.stage.services.control.restart(service)
                    killed[service] += 1
            time.sleep(self.pause_s)
            self.stage.fleet.check()
        return killed

    def _await_quiet(self) -> None:
        """Wait until no topic grows and the database has reached them all."""
        give_up_s = time.monotonic() + QUIET_TIMEOUT_S
        ends, since_s = self._ends(), time.monotonic()
        while time.monotonic() - since_s < QUIET_S or list(self._behind(ends)):
            if time.monotonic() > give_up_s:
                raise AssertionError(
                    f"not quiet: {list(self._behind(ends))}\n{self.stage.fleet.tails()}"
                )
            self.stage.fleet.check()
            time.sleep(0.5)
            found = self._ends()
            if found != ends:
                ends, since_s = found, time.monotonic()

    def _ends(self) -> dict[str, dict[int, int]]:
        kafka = self.stage.settings["kafka"]
        return {topic: topic_ends(kafka, topic) for pair in SOURCES.items() for topic in pair}

    def _behind(self, ends: dict[str, dict[int, int]]) -> Iterator[str]:
        tables = Tables(self.stage.database_url, SCHEMA)
        for facts, source in SOURCES.items():
            positions = tables.positions(facts)
            for partition, end in ends[source].items():
                if positions.get(partition, 0) != end:
                    yield f"{facts}/{partition} at {positions.get(partition, 0)} of {end}"
        for group, facts in POLICIES.items():
            read = committed(self.stage.settings["kafka"], group, facts)
            for partition, end in ends[facts].items():
                if read.get(partition, 0) != end:
                    yield f"{group} at {facts}/{partition} {read.get(partition, 0)} of {end}"

    def _judge(self, projects: list[load.Project]) -> None:
        kafka = self.stage.settings["kafka"]
        detections, emergence = read_detections(kafka)
        ledger, books = read_ledger(kafka)
        self.faults += [*emergence.faults, *books.faults, *ledger.judge()]
        self.faults += judge_detections(detections, ledger)
        standing = ledger.standing()
        for project in projects:
            found = standing.get((project.tenant, project.project), [])
            if not load.is_poor(project.customer):
                self.faults += _project_faults(project, [charge.tier for charge in found], found)
        self._judge_tables(ledger.balances)
        self.faults += self.stage.fleet.unexpected
        self.figures |= {
            "detections": len(detections),
            "charges": len(ledger.charges),
            "captured": sum(charge.captures for charge in ledger.charges.values()),
            "refunded": sum(charge.refunded > 0 for charge in ledger.charges.values()),
            "wallets": len(ledger.balances),
            "refusals": dict(ledger.refusals),
            "zombie_records_ignored": emergence.ignored + books.ignored,
        }
        self._judge_rebuild()

    def _judge_tables(self, balances: Counter[tuple[str, str]]) -> None:
        tables = Tables(self.stage.database_url, SCHEMA)
        rows = tables.rows("SELECT tenant, customer, available + held FROM wallet")
        wallets = {(tenant, customer): total for tenant, customer, total in rows}
        if wallets != dict(balances):
            wrong = [key for key in balances if wallets.get(key) != balances[key]]
            self.faults.append(f"{len(wrong)} wallets differ from the ledger: {wrong[:5]}")
        uneven = tables.rows(
            "SELECT tenant, posting FROM wallet_posting GROUP BY 1, 2 HAVING sum(credits) <> 0"
        )
        self.faults += [f"posting {row} is uneven" for row in uneven[:5]]
        sums = tables.rows("""
            SELECT tenant, customer, sum(credits) FROM wallet_posting
            WHERE account IN ('available', 'held') GROUP BY 1, 2""")
        added = {(tenant, customer): int(total) for tenant, customer, total in sums}
        if added != wallets:
            self.faults.append("the postings do not add up to the wallets")

    def _judge_rebuild(self) -> None:
        live = json.loads(self.stage.tidegauge("dump-hash"))
        self.stage.tidegauge("rebuild", "--yes", database_schema="rebuilt")
        rebuilt = json.loads(self.stage.tidegauge("dump-hash", database_schema="rebuilt"))
        if live != rebuilt:
            differing = [name for name in live if live[name] != rebuilt.get(name)]
            self.faults.append(f"the rebuild differs in {differing}")


def committed(kafka: str, group: str, topic: str) -> dict[int, int]:
    """Return how far a consumer group has read a topic."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": group, "log_level": 0})
    try:
        places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        found = consumer.committed(places, timeout=15)
    finally:
        consumer.close()
    return {place.partition: max(0, place.offset) for place in found}


def _project_faults(project: load.Project, codes: list[str], standing: list[Any]) -> Iterator[str]:
    """Compare what stays charged with the script; each tier may stand once."""
    if project.charged is not None:
        if sorted(codes) != sorted(project.charged):
            yield f"{project.project} stands at {sorted(codes)}, not {sorted(project.charged)}"
        return
    tiers = Counter(
        code for charge in standing for code, _ in charge.covers if code != load.BUNDLE
    )
    if tiers != Counter(load.SINGLES):
        yield f"{project.project} covers {dict(tiers)}, not each of the four once"
