"""A billing day: from windows in the database to final invoices in its tables.

Claim: at least 150 invoices/s, each of 10 metered lines over 720 windows a line, on two cores with
builder, books fold, projector, broker and database on them; flat within 20 % from 1,000 to 20,000
subscriptions.
Method: subscriptions through the books; windows written into the hypertable hour by hour, as they
would have come, by SQL (7.2 million rows for 1,000 subscriptions; the pipeline that makes them has
benchmarks of its own); then `bill` in this process, books and projector in theirs. The clock runs
from its first statement to the commit that shows the last invoice. The limit in the same run: the
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
from datetime import UTC, datetime, timedelta
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
        opened_s = _open_books(settings, sender, subscriptions)
        rows = _fill(settings, subscriptions, windows)
        read_s = _read_alone(settings)
        rolled: dict[str, object] = {}
        if is_rolled:
            rolled, read_s = _rolled(settings, subscriptions, read_s=read_s)
        before = _cpu(processes)
        began = time.perf_counter()
        billed = sum(not each.code for each in bill(settings, sender, Scope(TENANT, AS_OF)))
        took_s = time.perf_counter() - began
        after = _cpu(processes)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(20)
    return {
        "subscriptions": subscriptions,
        "windows per line": windows,
        "window rows": rows,
        "commands/s while opening the books": round(3 * subscriptions / opened_s),
        "invoices": billed,
        "seconds": round(took_s, 2),
        "invoices/s": round(billed / took_s, 1),
        **{
            f"CPU ms/invoice: {name}": round((after[name] - before[name]) / billed * 1000, 2)
            for name in before
        },
        "CPU ms/invoice: all": round(
            (sum(after.values()) - sum(before.values())) / billed * 1000, 2
        ),
        **rolled,
        "limit: usage alone, invoices/s": round(min(BATCH_MAX, subscriptions) / read_s, 1),
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


def _open_books(settings: Settings, sender: CommandSender, subscriptions: int) -> float:
    began = time.perf_counter()
    commands = [_command("PublishCatalogue", 0, content=json.dumps(CATALOGUE))]
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
    return time.perf_counter() - began


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
        connection.execute("VACUUM ANALYZE usage_window")
        connection.execute("VACUUM ANALYZE usage_series")
    return subscriptions * LINES * windows


def _rolled(
    settings: Settings, subscriptions: int, *, read_s: float
) -> tuple[dict[str, object], float]:
    """Add the days up; return figures of it, and the seconds that reading takes afterwards."""
    began = time.perf_counter()
    days = list(roll_up(settings, first=START.date(), through=(START + timedelta(days=30)).date()))
    took_s = time.perf_counter() - began
    with psycopg.connect(settings.database_url.get_secret_value(), autocommit=True) as connection:
        # As autovacuum has done long before a month is billed.
        connection.execute(f"VACUUM ANALYZE {settings.database_schema}.usage_day")
    batch = min(BATCH_MAX, subscriptions)
    figures: dict[str, object] = {
        "days added up": len(days),
        "ms per day added up": round(took_s / len(days) * 1000, 1),
        "limit before: windows alone, invoices/s": round(batch / read_s, 1),
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
