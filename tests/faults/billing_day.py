"""A billing day under kills: builders, folds, projector and database die while invoices are made.

What must come out follows from the script alone: each customer's usage and plan are functions of
its number, and this file works the totals out in whole cents by itself.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from domain.books.records import Command
from projections.invoicing.outcomes import await_projected
from projections.invoicing.replay_all import replay_all
from runtime.commands import CommandSender
from tests.faults.verdict import SCHEMA
from tests.faults.world import Stage
from tests.support.oracle_facts import Chain
from tests.support.oracle_log import BOOKS_FACTS
from tests.support.oracle_tables import Tables
from tests.support.processes import Child
from tidegauge import Meter

TENANTS = ("north", "south")
PROGRAMS = {
    "usage-1": ["stream", "usage"],
    "books-1": ["stream", "books"],
    "project-1": ["project"],
    "books-2": ["stream", "books"],
}
COMMANDS_AT_ONCE = 500
BASE_CENTS = 9_900
INCLUDED = 10
RATE_CENTS = 5
LATE_EVERY = 20
"""One customer in so many has usage that arrives after the invoice: 5 %."""
LATE_CALLS = 7
BUILDER_TIMEOUT_S = 600
REPLAYED = 1_000
CATALOGUE = {
    "version": 1,
    "billing": {"grace_hours": 0, "due_days": 14},
    "taxes": [{"code": "vat", "name": "VAT", "category": "standard", "rate": "10"}],
    "meters": [{"key": "calls", "event_type": "call", "aggregation": "sum", "unit": "call"}],
    "plans": [
        {
            "code": "basic",
            "name": "Basic",
            "currency": "CAD",
            "prices": [
                {"key": "base", "form": "flat", "amount": "99.00"},
                {
                    "key": "calls",
                    "form": "per_unit",
                    "meter": "calls",
                    "included": str(INCLUDED),
                    "rate": "0.05",
                },
            ],
        }
    ],
}


def calls_of(number: int) -> int:
    """Calls of a customer before the invoice."""
    return number % 31


def total_cents(calls: int) -> int:
    """What a month costs, tax of 10 % included, rounded half up to whole cents."""
    net = BASE_CENTS + max(0, calls - INCLUDED) * RATE_CENTS
    return net + (net + 5) // 10


@dataclass(slots=True)
class BillingDay:
    """One run.

    Args:
        stage: Where it happens.
        seed: Of the moments of the kills.
        subscriptions: How many, over both tenants.
        kills: Kills -9 of builders; each also takes one of PROGRAMS in rotation.
        kill_after_s: Bounds of the time between two kills, seconds.
    """

    stage: Stage
    seed: int
    subscriptions: int
    kills: int
    kill_after_s: tuple[float, float] = (1.0, 3.0)
    figures: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def execute(self) -> None:
        """Open the books, use, bill under kills, send late usage, correct, and judge."""
        for name, arguments in PROGRAMS.items():
            self.stage.fleet.add(name, arguments)
        self.stage.fleet.watch()
        self._publish()
        self._open_books()
        self._use(late=False)
        self._bill_under_kills()
        self._judge_invoices()
        self._judge_replay()
        self._use(late=True)
        self._correct()
        self._judge_corrections()
        self._judge_rebuild()
        self.faults += self.stage.fleet.unexpected

    # -- the day ------------------------------------------------------------------------------

    @property
    def start(self) -> datetime:
        """Return the start of the billed month: its usage is not too late to be counted."""
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight - timedelta(days=20)

    @property
    def as_of(self) -> str:
        """Return a moment after the period and its grace."""
        return f"{self.start + timedelta(days=32):%Y-%m-%dT%H:%M:%SZ}"

    def _publish(self) -> None:
        path = self.stage.folder / "catalogue.json"
        path.write_text(json.dumps(CATALOGUE))
        for tenant in TENANTS:
            self.stage.tidegauge("catalogue", "publish", str(path), "--tenant", tenant)

    def _mine(self, tenant: str) -> range:
        return range(TENANTS.index(tenant), self.subscriptions, len(TENANTS))

    def _open_books(self) -> None:
        sender = CommandSender(self.stage.typed_settings(), actor="tests")
        start = f"{self.start:%Y-%m-%dT%H:%M:%SZ}"
        for tenant in TENANTS:
            commands: list[Command] = []
            for number in self._mine(tenant):
                customer = f"customer-{number:05}"
                commands.append(
                    _command(tenant, "CreateCustomer", number, customer=customer, currency="CAD")
                )
                commands.append(
                    _command(
                        tenant,
                        "CreateSubscription",
                        number,
                        subscription=f"sub_{number:05}",
                        customer=customer,
                        plan="basic",
                        start=start,
                    )
                )
            for first in range(0, len(commands), COMMANDS_AT_ONCE):
                sender.send_all(commands[first : first + COMMANDS_AT_ONCE])

    def _use(self, *, late: bool) -> None:
        """Report what each customer used; late usage lies in the billed period as well."""
        for tenant in TENANTS:
            with Meter(self.stage.settings["kafka"], tenant=tenant) as meter:
                for number in self._mine(tenant):
                    calls = LATE_CALLS if late else calls_of(number)
                    if not calls or (late and number % LATE_EVERY):
                        continue
                    meter.record(
                        customer=f"customer-{number:05}",
                        type="call",
                        quantity=Decimal(calls),
                        occurred_at=self.start + timedelta(hours=number % 400),
                        id=f"{number} {'late' if late else 'first'}",
                    )
                if meter.flush(timeout=60):
                    raise AssertionError("usage was not acknowledged")
            await_projected(self.stage.typed_settings(), tenant=tenant)

    def _builder(self, tenant: str, number: int) -> Child:
        name = f"bill-{tenant}-{number}"
        arguments = ["bill", "--ahead", "--as-of", self.as_of, "--tenant", tenant]
        self.stage.fleet.release(name)
        return self.stage.fleet.add(name, arguments)

    def _bill_under_kills(self) -> None:
        """Two builders per tenant at once, killed again and again with somebody else each time."""
        rng = random.Random(self.seed)
        began_s = time.monotonic()
        killed: Counter[str] = Counter()
        names = list(PROGRAMS)
        for number in range(self.kills):
            builders = [self._builder(tenant, number) for tenant in TENANTS]
            time.sleep(rng.uniform(*self.kill_after_s))
            for builder in builders:
                killed["builders"] += builder.is_running
                builder.kill()
            name = names[number % len(names)]
            self.stage.fleet.kill(name)
            killed[name] += 1
            if number == self.kills // 2:
                self.stage.services.control.kill("postgres")
                self.stage.services.control.restart("postgres")
                killed["postgres"] += 1
            self.stage.fleet.check()
        last = [self._builder(tenant, self.kills + n) for tenant in TENANTS for n in range(2)]
        for builder in last:
            if builder.wait(BUILDER_TIMEOUT_S):
                self.faults.append(f"the last builder failed:\n{builder.tail()}")
        for tenant in TENANTS:
            await_projected(self.stage.typed_settings(), tenant=tenant)
        self.figures |= {
            "seed": self.seed,
            "subscriptions": self.subscriptions,
            "kills": dict(killed),
            "billing_s": round(time.monotonic() - began_s, 1),
        }

    def _correct(self) -> None:
        for tenant in TENANTS:
            self.stage.tidegauge("correct", "--as-of", self.as_of, "--tenant", tenant)
            self.stage.tidegauge("correct", "--as-of", self.as_of, "--tenant", tenant)
            await_projected(self.stage.typed_settings(), tenant=tenant)

    # -- the verdict --------------------------------------------------------------------------

    def _facts(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        chain = Chain.of_topic(
            self.stage.settings["kafka"],
            facts="account.facts",
            source="account.commands",
            schema_id=BOOKS_FACTS,
        )
        self.faults += chain.faults
        for record in chain.records:
            for outcome in record["outcomes"]:
                for fact in outcome["facts"]:
                    if fact["kind"] == kind:
                        yield outcome["tenant"], json.loads(fact["body"])

    def _judge_invoices(self) -> None:
        """One invoice per subscription, numbers without gap, totals by the script."""
        numbers: dict[str, list[str]] = defaultdict(list)
        totals: dict[str, list[int]] = defaultdict(list)
        for tenant, body in self._facts("InvoiceFinalized"):
            numbers[tenant].append(body["number"])
            totals[body["subscription"]].append(body["total_minor"])
        for tenant in TENANTS:
            counts = sorted(int(number.rsplit("-", 1)[1]) for number in numbers[tenant])
            if counts != list(range(1, len(self._mine(tenant)) + 1)):
                self.faults.append(f"numbers of {tenant} have gaps or doubles")
        wrong = [
            number
            for number in range(self.subscriptions)
            if totals.get(f"sub_{number:05}") != [total_cents(calls_of(number))]
        ]
        if wrong:
            self.faults.append(f"{len(wrong)} subscriptions are wrong: {wrong[:5]}")
        rows = Tables(self.stage.database_url, SCHEMA).rows(
            "SELECT subscription, total_minor FROM invoice"
        )
        if sorted(rows) != sorted((name, each[0]) for name, each in totals.items()):
            self.faults.append("the table of invoices is not what the log says")
        self.figures["invoices"] = sum(len(each) for each in totals.values())
        self.figures["billed_minor"] = sum(sum(each) for each in totals.values())

    def _judge_replay(self) -> None:
        settings = self.stage.typed_settings()
        equal = 0
        for tenant in TENANTS:
            most = REPLAYED // len(TENANTS)
            for replayed in replay_all(settings, tenant=tenant, count_max=most):
                equal += replayed.is_equal
                if not replayed.is_equal:
                    self.faults.append(f"{replayed.original.number} replays to other bytes")
        self.figures["replayed_equal"] = equal

    def _judge_corrections(self) -> None:
        """Corrected totals are those of an invoice with all usage on time; nobody else's moved."""
        corrected = 0
        differences: dict[str, int] = {}
        subscriptions = {
            body["invoice"]: body["subscription"] for _, body in self._facts("InvoiceFinalized")
        }
        for _, body in self._facts("InvoiceCorrected"):
            corrected += 1
            name = subscriptions[body["invoice"]]
            fresh = json.loads(body["content"])["total_minor"]
            number = int(name.removeprefix("sub_"))
            if fresh != total_cents(calls_of(number) + LATE_CALLS):
                self.faults.append(f"{name} was corrected to {fresh}")
            if name in differences:
                self.faults.append(f"{name} was corrected twice")
            differences[name] = sum(each["difference"] for each in body["differences"])
        expected = {
            f"sub_{number:05}": rise
            for number in range(0, self.subscriptions, LATE_EVERY)
            if (rise := _rise(number))
        }
        if {name: each for name, each in differences.items() if each} != expected:
            self.faults.append("corrections differ from the script")
        self.figures["corrected"] = corrected

    def _judge_rebuild(self) -> None:
        live = json.loads(self.stage.tidegauge("dump-hash"))
        self.stage.tidegauge("rebuild", "--yes", database_schema="rebuilt")
        rebuilt = json.loads(self.stage.tidegauge("dump-hash", database_schema="rebuilt"))
        differing = [name for name in live if live[name] != rebuilt.get(name)]
        if differing:
            self.faults.append(f"the rebuild differs in {differing}")


def _rise(number: int) -> int:
    """What late usage adds to the lines of a customer, cents before tax."""
    before, after = calls_of(number), calls_of(number) + LATE_CALLS
    return (max(0, after - INCLUDED) - max(0, before - INCLUDED)) * RATE_CENTS


def _command(tenant: str, kind: str, number: int, **body: str) -> Command:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return Command(tenant, f"{kind}-{number}", kind, text)


def figures_text(figures: Sequence[tuple[str, Any]]) -> str:
    """Return figures for a person, one a line."""
    return "\n".join(f"{name:>16}  {value}" for name, value in figures)
