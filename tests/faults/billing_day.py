"""A billing day under kills: builders, folds, projector, database and broker die meanwhile.

The days of the month are added up first, under kills as well: bills read them.

What must come out follows from the script alone (tests.faults.billing_script).

`./dev faults billing-day` runs it at any size; it exits with 0 when every proof holds, 1 when one
objects, 3 when time ran out.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, NoReturn

from domain.books.records import Command
from projections.invoicing.outcomes import await_projected
from projections.invoicing.replay_all import replay_all
from projections.usage_days import DAYS_BACK
from runtime.commands import CommandSender
from tests.faults.billing_script import (
    CATALOGUE,
    LATE_CALLS,
    LATE_EVERY,
    calls_of,
    rise_of,
    total_cents,
)
from tests.faults.run import OUT_OF_TIME, UNEXPECTED, OutOfTimeError
from tests.faults.verdict import SCHEMA
from tests.faults.world import Services, Stage, end_on_sigterm
from tests.support.oracle_facts import Chain
from tests.support.oracle_log import BOOKS_FACTS
from tests.support.oracle_tables import Tables
from tests.support.processes import Child
from tests.support.services import ServiceName
from tidegauge import Meter

TENANTS = ("north", "south")
PROGRAMS = {
    "usage-1": ["stream", "usage"],
    "books-1": ["stream", "books"],
    "project-1": ["project"],
    "books-2": ["stream", "books"],
}
COMMANDS_AT_ONCE = 500
BUILDER_TIMEOUT_S = 600
LAST_RUNS_MAX = 5
"""Last runs, when one of them has to be run again because answers took too long to be visible."""
BASE_LIMIT_S, PER_KILL_S, SUBSCRIPTIONS_PER_S = 600, 20, 20
"""What a run by hand may take at most: a start, its kills, and so many subscriptions a second."""
REPLAYED = 1_000
ROLL_UP_KILLS = 4
"""Kills of who adds up days; with the last one the database dies under it."""
LOOK_S = 0.01
"""How often it is looked whether a day was added up: one takes about as long."""


@dataclass(slots=True)
class BillingDay:
    """One run.

    Args:
        stage: Where it happens.
        seed: Of the moments of the kills.
        subscriptions: How many, over both tenants.
        kills: Rounds; each kills -9 the builders of both tenants, and one of PROGRAMS in rotation.
        databases, brokers: Rounds in which the database, or the broker, is killed as well, while
            builders run.
        kill_after_s: Bounds of the time between two kills, seconds.
    """

    stage: Stage
    seed: int
    subscriptions: int
    kills: int
    databases: int = 1
    brokers: int = 1
    kill_after_s: tuple[float, float] = (1.0, 3.0)
    figures: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    verdicts: dict[str, int] = field(default_factory=dict)

    def execute(self) -> None:
        """Open the books, use, add up and bill under kills, use late, correct, and judge."""
        for name, arguments in PROGRAMS.items():
            self.stage.fleet.add(name, arguments)
        self.stage.fleet.watch()
        self._publish()
        self._open_books()
        self._use(late=False)
        self._roll_up_under_kills()
        self._judge("days added up once and whole", self._judge_days)
        self._bill_under_kills()
        self._judge("kills met work", self._judge_kills)
        self._judge("one right invoice each, no gaps", self._judge_invoices)
        self._judge("replay to the same bytes", self._judge_replay)
        self._use(late=True)
        self._correct()
        self._judge("late usage corrected once", self._judge_corrections)
        self._judge("every unit on one invoice", self._judge_units)
        self._judge("rebuilt tables are equal", self._judge_rebuild)
        self._judge("nobody ended by itself", self._judge_ends)

    def _judge(self, proof: str, judge: Callable[[], None]) -> None:
        """Ask one oracle, and note how many objections it has."""
        before = len(self.faults)
        judge()
        self.verdicts[proof] = len(self.faults) - before

    def _judge_ends(self) -> None:
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

    def _roll_up_under_kills(self) -> None:
        """Add up the days, and kill who does it as soon as one more is there."""
        made = [0]
        for number in range(ROLL_UP_KILLS):
            name = f"roll-up-{number}"
            self.stage.fleet.release(name)
            maker = self.stage.fleet.add(name, ["usage", "roll-up"])
            while maker.is_running and self._count("usage_day_made") == made[-1]:
                time.sleep(LOOK_S)
            if number + 1 < ROLL_UP_KILLS:
                maker.kill()
            else:
                self.stage.services.control.kill("postgres")
                maker.kill()
                self.stage.services.control.restart("postgres")
            made.append(self._count("usage_day_made"))
        self.stage.tidegauge("usage", "roll-up")
        whole = self._count("usage_day_made")
        self.figures["days_added_up"] = whole
        self.figures["roll_up_kills_at_work"] = sum(
            before < after < whole for before, after in pairwise(made)
        )

    def _builder(self, tenant: str, number: int | str) -> Child:
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
        away = service_kills(self.kills, postgres=self.databases, kafka=self.brokers)
        made = [0]
        for number in range(self.kills):
            builders = [self._builder(tenant, number) for tenant in TENANTS]
            time.sleep(rng.uniform(*self.kill_after_s))
            services = away.get(number, ())
            for service in services:
                self.stage.services.control.kill(service)
                killed[service] += 1
            for builder in builders:
                killed["builders"] += builder.is_running
                builder.kill()
            name = names[number % len(names)]
            self.stage.fleet.kill(name)
            killed[name] += 1
            for service in services:
                self.stage.services.control.restart(service)
            self.stage.fleet.check()
            made.append(self._count("invoice"))
            print(
                f"  kill {number + 1:3}/{self.kills} {name:10} {made[-1]:6} invoices", flush=True
            )
        self._bill_the_rest()
        for tenant in TENANTS:
            await_projected(self.stage.typed_settings(), tenant=tenant)
        self.figures |= {
            "seed": self.seed,
            "subscriptions": self.subscriptions,
            "kills": dict(killed),
            # A kill of somebody who had nothing to do would prove little.
            "kills_at_work": sum(
                after > before or after < self.subscriptions for before, after in pairwise(made)
            ),
            "billing_s": round(time.monotonic() - began_s, 1),
        }

    def _bill_the_rest(self) -> None:
        """Bill to the end, by two builders per tenant; one that ran into a time-out runs again."""
        failed: list[Child] = []
        for attempt in range(LAST_RUNS_MAX):
            last = [
                self._builder(tenant, f"last-{attempt}-{number}")
                for tenant in TENANTS
                for number in range(2)
            ]
            failed = [builder for builder in last if builder.wait(BUILDER_TIMEOUT_S)]
            self.figures["last_runs"] = attempt + 1
            if not failed:
                return
        self.faults += [f"a last builder failed:\n{builder.tail()}" for builder in failed]

    def _count(self, table: str) -> int:
        """Return how many rows a table has."""
        statement = f"SELECT count(*) FROM {table}"
        ((count,),) = Tables(self.stage.database_url, SCHEMA).rows(statement)
        return int(count)

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

    def _judge_days(self) -> None:
        """Every day of both tenants, and in them all that was used."""
        tables = Tables(self.stage.database_url, SCHEMA)
        days = dict(tables.rows("SELECT tenant, count(*) FROM usage_day_made GROUP BY tenant"))
        sums = dict(tables.rows("SELECT tenant, sum(sum) FROM usage_day GROUP BY tenant"))
        for tenant in TENANTS:
            # One more when a day came to be over meanwhile.
            if days.get(tenant) not in {DAYS_BACK, DAYS_BACK + 1}:
                self.faults.append(f"{tenant} has {days.get(tenant)} days that were added up")
            used = sum(calls_of(number) for number in self._mine(tenant))
            if sums.get(tenant) != used:
                self.faults.append(f"days of {tenant} have {sums.get(tenant)} of {used} calls")

    def _judge_kills(self) -> None:
        """Kills of who had nothing to do prove nothing."""
        for figure in ("roll_up_kills_at_work", "kills_at_work"):
            if not self.figures[figure]:
                self.faults.append(f"{figure} is 0: raise --subscriptions")

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
            made = list(replay_all(settings, tenant=tenant, count_max=most))
            equal += sum(replayed.is_equal for replayed in made)
            self.faults += [
                f"{replayed.original.number} replays to other bytes"
                for replayed in made
                if not replayed.is_equal
            ]
            every = len(self._mine(tenant))
            step = -(-every // most)
            if len(made) != -(-every // step):
                self.faults.append(f"{len(made)} of {every} invoices of {tenant} were replayed")
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
            if (rise := rise_of(number))
        }
        if {name: each for name, each in differences.items() if each} != expected:
            self.faults.append("corrections differ from the script")
        self.figures["corrected"] = corrected

    def _judge_units(self) -> None:
        """Accepted = counted = rated = invoiced of both tenants, late usage corrected."""
        first = f"{self.start:%Y-%m-%d}"
        for tenant in TENANTS:
            said = self.stage.try_tidegauge("reconcile", "--from", first, "--tenant", tenant)
            if "accepted = counted = rated = invoiced" not in said:
                self.faults.append(f"{tenant} does not reconcile:\n{said[-1_000:]}")

    def _judge_rebuild(self) -> None:
        live = json.loads(self.stage.tidegauge("dump-hash"))
        self.stage.tidegauge("rebuild", "--yes", database_schema="rebuilt")
        rebuilt = json.loads(self.stage.tidegauge("dump-hash", database_schema="rebuilt"))
        differing = [name for name in live if live[name] != rebuilt.get(name)]
        if differing:
            self.faults.append(f"the rebuild differs in {differing}")


def _command(tenant: str, kind: str, number: int, **body: str) -> Command:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return Command(tenant, f"{kind}-{number}", kind, text)


def service_kills(rounds: int, **kills: int) -> Mapping[int, tuple[ServiceName, ...]]:
    """Spread kills of services over the rounds; two services do not go in the same round."""
    found: defaultdict[int, list[ServiceName]] = defaultdict(list)
    names: tuple[ServiceName, ...] = ("postgres", "kafka")
    for later, name in enumerate(names):
        count = kills[name]
        for number in range(count):
            found[min(rounds - 1, rounds * (number + 1) // (count + 1) + later)].append(name)
    return {number: tuple(each) for number, each in found.items()}


def report_text(day: BillingDay) -> str:
    """Return the figures and the verdicts for a person, one a line."""
    lines = [f"{name:>34}  {value}" for name, value in day.figures.items()]
    lines += [
        f"{proof:>34}  {f'{count} OBJECTIONS' if count else 'holds'}"
        for proof, count in day.verdicts.items()
    ]
    return "\n".join([*lines, *(f"OBJECTION {text[:1_500]}" for text in day.faults[:40])])


def _out_of_time(*_: object) -> NoReturn:
    raise OutOfTimeError("the billing day took longer than it may")


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="dev faults billing-day", description=(__doc__ or "").split("\n", maxsplit=1)[0]
    )
    parser.add_argument("--subscriptions", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=30, help="rounds of kills -9")
    parser.add_argument("--databases", type=int, default=3, help="rounds that kill the database")
    parser.add_argument("--brokers", type=int, default=3, help="rounds that kill the broker")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills")
    options = parser.parse_args()
    limit_s = BASE_LIMIT_S + PER_KILL_S * options.kills
    limit_s += options.subscriptions // SUBSCRIPTIONS_PER_S
    print(f"seed {options.seed}, at most {limit_s} s", flush=True)
    end_on_sigterm()
    services = Services()
    try:
        stage = Stage.set_up(services, kafka_session_timeout_ms="1500")
        day = BillingDay(stage, kill_after_s=(3.0, 9.0), **vars(options))
        signal.signal(signal.SIGALRM, _out_of_time)
        signal.alarm(limit_s)
        try:
            day.execute()
        except BaseException as error:
            print(stage.fleet.tails(), file=sys.stderr)
            if not isinstance(error, OutOfTimeError):
                raise
            print(f"OUT OF TIME: {error}. Next: read the logs above", file=sys.stderr)
            return OUT_OF_TIME
        finally:
            signal.alarm(0)
            stage.tear_down()
    finally:
        services.down()
    print(report_text(day))
    print("FAILED" if day.faults else "PASSED")
    return UNEXPECTED if day.faults else 0


if __name__ == "__main__":
    sys.exit(main())
