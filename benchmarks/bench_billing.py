"""A billing day: from windows in the database to final invoices in its tables.

Claim: at least 150 invoices/s, each of 10 metered lines over 720 windows a line, on two cores with
builder, books fold, projector, broker and database on them; flat within 20 % from 1,000 to 20,000
subscriptions.
Method: subscriptions through the books; windows written into the hypertable hour by hour, as they
would have come, by SQL (7.2 million rows for 1,000 subscriptions; the pipeline that makes them has
benchmarks of its own); then `bill` in this process, books and projector in theirs. The clock runs
from the answer to the first batch, which is not counted and leaves caches as a running system has
them, to the commit that shows the last invoice. From 6,000 invoices on, the first, the middle and
the last 2,000 are told apart, so that what grows within a run can be seen. Opening is timed from
when books and projector run, to the commit that shows the last subscription; with the CPU of each
it says who is the limit. The limit in the same run: the
builder's statement of usage alone, for a batch of the same subscriptions. With --rolled the days
are added up before, as `tidegauge billing` does it day by day, and the statement is timed before
and after that; without, every window is read.
20,000 subscriptions with 720 windows a line would be 144 million rows, 25 GB: that size is run
with --windows 24.
Run: ./dev bench billing [--subscriptions 1000] [--windows 720] [--rolled]
Last result: see docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from pydantic import SecretStr

from benchmarks import cpu
from benchmarks.support import settings_of_services, write_result
from domain.books.records import Command
from domain.usage.series import series_id
from projections.invoicing.builder import Scope, bill
from projections.invoicing.outcomes import await_projected
from projections.invoicing.snapshot import BATCH_MAX, Snapshot
from projections.migrate import migrate
from projections.usage_days import roll_up
from runtime import clock
from runtime.commands import CommandSender
from tests.support.services import create_database, drop_database
from tests.support.topics import fresh_topics

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runtime.settings import Settings

TENANT = "bench"
LINES = 10
WARM_UP = BATCH_MAX
"""Invoices that are made before the clock runs."""
STRETCH = 2_000
"""Invoices of a part of the run that has figures of its own."""
START = datetime(2026, 3, 1, tzinfo=UTC)
AS_OF = START + timedelta(days=33)
COMMANDS_AT_ONCE = 500
CATALOGUE = {
    "version": 1,
    "meters": [
        {"key": f"meter_{n}", "event_type": f"type_{n}", "aggregation": "sum", "unit": "unit"}
        for n in range(LINES)
    ],
    "plans": [
        {
            "code": "plan",
            "name": "Plan",
            "currency": "USD",
            "prices": [
                {
                    "key": f"price_{n}",
                    "form": "graduated",
                    "meter": f"meter_{n}",
                    "included": "100",
                    "tiers": [{"up_to": "1000", "rate": "0.01"}, {"rate": "0.0004"}],
                }
                for n in range(LINES)
            ],
        }
    ],
}
_WINDOWS = """
    INSERT INTO usage_window
    SELECT %(tenant)s, series, %(hour)s, 7, 0, 12.5, 0.5, 3, 1, %(at)s, %(number)s, %(number)s,
        %(number)s, (('x' || left(replace(series::text, '-', ''), 15))::bit(60)::bigint)
    FROM usage_series
"""


def main() -> None:
    """Fill, bill, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subscriptions", type=int, default=1_000)
    parser.add_argument("--windows", type=int, default=720)
    parser.add_argument("--rolled", action="store_true")
    parser.add_argument("--json", default="")
    arguments = parser.parse_args()
    base = settings_of_services()
    admin_url = base.database_url.get_secret_value()
    name = f"benchmark_{clock.now_ms()}"
    with tempfile.TemporaryDirectory(prefix="tidegauge-benchmark-") as state:
        settings = base.model_copy(
            update={
                "database_url": SecretStr(create_database(admin_url, name)),
                "state_dir": Path(state),
                "log_level": "warning",
            }
        )
        try:
            result = measure(
                settings,
                arguments.subscriptions,
                windows=arguments.windows,
                is_rolled=arguments.rolled,
            )
        finally:
            drop_database(admin_url, name)
    write_result(arguments, result)


def measure(
    settings: Settings, subscriptions: int, *, windows: int, is_rolled: bool
) -> dict[str, object]:
    """Open the books, fill the tables and bill."""
    fresh_topics(settings)
    migrate(settings)
    processes = list(_started(settings))
    try:
        sender = CommandSender(settings, actor="bench")
        opened = _open_books(settings, sender, processes, subscriptions + WARM_UP)
        rows = _fill(settings, subscriptions + WARM_UP, windows)
        read_s = _read_alone(settings)
        rolled: dict[str, object] = {}
        if is_rolled:
            rolled, read_s = _rolled(settings, read_s=read_s)
        marks = list(_marks(settings, sender, processes))
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(20)
    return {
        "subscriptions": subscriptions,
        "windows per line": windows,
        "window rows": rows,
        **_figures(*opened, what="command"),
        **_figures(marks[0], marks[-1], what="invoice"),
        **_stretches(marks),
        **rolled,
        "limit: usage alone, invoices/s": round(BATCH_MAX / read_s, 1),
    }


@dataclass(frozen=True)
class Mark:
    """How many were done at a moment, and the CPU that everybody had taken until then.

    Args:
        done: Invoices or commands.
        at_s: Moment on the monotonic clock, seconds.
        cpu_s: CPU seconds by process.
    """

    done: int
    at_s: float
    cpu_s: dict[str, float]


def _marks(
    settings: Settings, sender: CommandSender, processes: Sequence[subprocess.Popen[bytes]]
) -> Iterator[Mark]:
    """Bill, and look at the clocks after the warm-up, after each stretch and at the end."""
    billed = 0
    for each in bill(settings, sender, Scope(TENANT, AS_OF)):
        assert not each.code, each.reason
        billed += 1
        if (billed - WARM_UP) % STRETCH == 0:
            yield Mark(billed - WARM_UP, time.perf_counter(), _cpu(processes))
    if (billed - WARM_UP) % STRETCH:
        yield Mark(billed - WARM_UP, time.perf_counter(), _cpu(processes))


def _figures(first: Mark, last: Mark, *, what: str) -> dict[str, object]:
    """Return what was done between two marks, how quickly, and whose CPU it took."""
    done, took_s = last.done - first.done, last.at_s - first.at_s
    spent = {name: last.cpu_s[name] - first.cpu_s[name] for name in first.cpu_s}
    spent["all"] = sum(spent.values())
    return {
        f"{what}s": done,
        f"seconds of all {what}s": round(took_s, 2),
        f"{what}s/s": round(done / took_s, 1),
        **{
            f"CPU ms/{what}: {name}": round(seconds / done * 1000, 2)
            for name, seconds in spent.items()
        },
    }


def _stretches(marks: Sequence[Mark]) -> dict[str, object]:
    """Return figures of the first, middle and last stretch of a run that has three."""
    whole = [pair for pair in pairwise(marks) if pair[1].done - pair[0].done == STRETCH]
    if len(whole) < len(("first", "middle", "last")):
        return {}
    parts = {"first": whole[0], "middle": whole[len(whole) // 2], "last": whole[-1]}
    return {
        f"{name} {STRETCH}: {figure}": value
        for name, pair in parts.items()
        for figure, value in _figures(*pair, what="invoice").items()
        if "/" in figure
    }


def _cpu(processes: Sequence[subprocess.Popen[bytes]]) -> dict[str, float]:
    """Return the CPU seconds of everybody who has a part in it."""
    books, projector = processes
    return {
        "builder": time.process_time(),
        "books": cpu.cpu_s(books.pid),
        "projector": cpu.cpu_s(projector.pid),
        **{name: cpu.tree_cpu_s(pid) for name, pid in cpu.service_pids().items()},
    }


def _started(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **os.environ,
        "TIDEGAUGE_KAFKA": settings.kafka,
        "TIDEGAUGE_DATABASE_URL": settings.database_url.get_secret_value(),
        "TIDEGAUGE_LOG_LEVEL": "warning",
        "TIDEGAUGE_WORKER_PORT": "0",
        "TIDEGAUGE_STATE_DIR": str(settings.state_dir),
    }
    for command in (("stream", "books"), ("project", "--only", "account")):
        yield subprocess.Popen([sys.executable, "-m", "cli.main", *command], env=environment)


def _open_books(
    settings: Settings,
    sender: CommandSender,
    processes: Sequence[subprocess.Popen[bytes]],
    subscriptions: int,
) -> tuple[Mark, Mark]:
    """Send the catalogue, which shows that everybody runs, and then what is timed."""
    sender.send_all([_command("PublishCatalogue", 0, content=json.dumps(CATALOGUE))])
    await_projected(settings, tenant=TENANT)
    before = Mark(0, time.perf_counter(), _cpu(processes))
    commands = []
    for number in range(subscriptions):
        customer = f"customer-{number:05}"
        commands += [
            _command("CreateCustomer", number, customer=customer, currency="USD"),
            _command(
                "CreateSubscription",
                number,
                subscription=f"sub_{number:05}",
                customer=customer,
                plan="plan",
                start=f"{START:%Y-%m-%dT%H:%M:%SZ}",
            ),
        ]
    for first in range(0, len(commands), COMMANDS_AT_ONCE):
        sender.send_all(commands[first : first + COMMANDS_AT_ONCE])
    await_projected(settings, tenant=TENANT)
    return before, Mark(len(commands), time.perf_counter(), _cpu(processes))


def _command(kind: str, number: int, **body: str) -> Command:
    return Command(TENANT, f"{kind}-{number}", kind, json.dumps(body))


def _fill(settings: Settings, subscriptions: int, windows: int) -> int:
    """Write the windows hour by hour, all series in each; return how many rows that made."""
    schema = settings.database_schema
    with psycopg.connect(settings.database_url.get_secret_value(), autocommit=True) as connection:
        connection.execute(f"SET search_path = {schema}, public")
        connection.execute("SET synchronous_commit = off")
        with connection.cursor().copy(
            "COPY usage_series (tenant, series, customer, meter, dimensions, partition) FROM STDIN"
        ) as copy:
            for number in range(subscriptions):
                customer = f"customer-{number:05}"
                for meter in (f"meter_{n}" for n in range(LINES)):
                    series = series_id(
                        tenant=TENANT, customer=customer, meter=meter, dimensions={}
                    )
                    copy.write_row((TENANT, series.hex(), customer, meter, "{}", 0))
        for number in range(windows):
            hour = START + timedelta(hours=number * 720 // windows)
            at_ms = int(hour.timestamp() * 1000)
            parameters = {"tenant": TENANT, "hour": hour, "at": at_ms, "number": number}
            connection.execute(_WINDOWS, parameters)
    _settle(settings)
    return subscriptions * LINES * windows


def _settle(settings: Settings) -> None:
    """Let the database do what it has done long before a month is billed, and count it nowhere."""
    with psycopg.connect(settings.database_url.get_secret_value(), autocommit=True) as connection:
        for table in ("usage_window", "usage_series", "usage_day"):
            connection.execute(f"VACUUM ANALYZE {settings.database_schema}.{table}")
        connection.execute("CHECKPOINT")


def _rolled(settings: Settings, *, read_s: float) -> tuple[dict[str, object], float]:
    """Add the days up; return figures of it, and the seconds that reading takes afterwards."""
    began = time.perf_counter()
    days = list(roll_up(settings, first=START.date(), through=(START + timedelta(days=30)).date()))
    took_s = time.perf_counter() - began
    _settle(settings)
    figures: dict[str, object] = {
        "days added up": len(days),
        "ms per day added up": round(took_s / len(days) * 1000, 1),
        "limit before: windows alone, invoices/s": round(BATCH_MAX / read_s, 1),
    }
    return figures, _read_alone(settings)


def _read_alone(settings: Settings) -> float:
    """Return the seconds of one batch's usage, read as the builder reads it; best of three."""
    seconds = []
    for _ in range(3):
        with Snapshot(settings, tenant=TENANT) as snapshot:
            terms = [draft.terms for draft in snapshot.due(as_of=AS_OF)]
            began = time.perf_counter()
            snapshot.rows(terms)
            seconds.append(time.perf_counter() - began)
    return min(seconds)


if __name__ == "__main__":
    main()
