"""Publishing on the real log and the real database: compared, shown, killed half-way, repaired."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from cli import catalogues
from cli.main import app
from domain.catalogue import parse_catalogue
from domain.codes import Code
from domain.errors import Rejected
from domain.routing import partition_of
from projections.invoicing.outcomes import await_projected
from projections.projector import run_projector
from runtime.kafka import read_partition
from runtime.postgres import connect
from runtime.settings import Settings
from runtime.shutdown import Shutdown
from schemas.topics import USAGE_EVENTS
from streams.books import BooksBinding
from streams.engine import FoldEngine
from streams.usage import UsageBinding
from tests.support import checkout
from tests.support.topics import fresh_topics
from tidegauge import Meter

TENANT = "acme"
CUSTOMERS = ("ann", "bob", "cid", "dee", "eve", "fay")
"""They live in both of two partitions."""

KILLED_HALF_WAY = """
import os, signal, sys
from cli.main import app
from runtime.appending import Appender

append = Appender.append

def half(self, topic, records):
    if topic != "usage.events":
        return append(self, topic, records)
    append(self, topic, records[:1])  # acknowledged on the first partition
    os.kill(os.getpid(), signal.SIGKILL)

Appender.append = half
app(["catalogue", "publish", sys.argv[1]])
"""


@dataclass(frozen=True)
class World:
    """A running pipeline in this process, and a folder of catalogue files."""

    settings: Settings
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What makes a command talk to this pipeline."""
        return {
            "TIDEGAUGE_KAFKA": self.settings.kafka,
            "TIDEGAUGE_DATABASE_URL": self.settings.database_url.get_secret_value(),
            "TIDEGAUGE_PARTITIONS": "2",
            "TIDEGAUGE_TENANT": TENANT,
        }

    def run(self, *arguments: str | Path) -> Result:
        """Run `tidegauge catalogue …`."""
        return CliRunner().invoke(app, ["catalogue", *map(str, arguments)])

    def write(self, version: int, *types: str, aliases: tuple[str, ...] = ()) -> Path:
        """Write a catalogue with a meter for each type, the first of which has aliases."""
        path = self.folder / f"v{version}-{'-'.join(types)}.json"
        document: dict[str, Any] = {
            "version": version,
            "meters": [
                {"key": f"{name}s", "event_type": name, "aggregation": "sum", "unit": name}
                for name in types
            ],
            "plans": [],
        }
        if aliases:
            document["event_types"] = [{"name": types[0], "aliases": list(aliases)}]
        path.write_text(json.dumps(document))
        return path

    def record(self, type_: str, *, round_: str) -> None:
        """Send one event of each customer and wait until they are projected."""
        with Meter(self.settings.kafka, tenant=TENANT) as meter:
            for customer in CUSTOMERS:
                meter.record(
                    customer=customer,
                    type=type_,
                    quantity=1,
                    occurred_at=datetime.now(UTC),
                    id=f"{customer} {type_} {round_}",
                )
            assert meter.flush(timeout=20) == 0
        await_projected(self.settings, tenant=TENANT)

    def one(self, statement: str, *values: object) -> Any:
        """The only value of a statement, as the tenant sees it."""
        with connect(self.settings, role="app") as connection:
            connection.execute("SELECT set_config('tidegauge.tenant', %s, true)", (TENANT,))
            row = connection.execute(statement, values).fetchone()
            return row[0] if row is not None else None

    def counted(self, meter: str) -> int:
        """The quantity of a meter over all customers."""
        total = self.one(
            "SELECT coalesce(sum(w.sum), 0) FROM usage_series s JOIN usage_window w"
            " USING (tenant, series) WHERE s.meter = %s",
            meter,
        )
        return int(total)

    def refused(self) -> int:
        """Events refused because no meter takes their type."""
        return int(
            self.one("SELECT coalesce(sum(events), 0) FROM reject WHERE code = 'unknown_type'")
        )

    def versions(self, partition: int) -> list[int]:
        """The versions that lie in a partition of usage.events."""
        values = [
            message.value() or b""
            for message in read_partition(self.settings, USAGE_EVENTS, partition)
        ]
        return [
            json.loads(value[value.index(b"{") :])["version"]
            for value in values
            if b'"meters":[' in value
        ]


@pytest.fixture
def world(
    kafka_bootstrap: str, migrated_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """Two partitions with their folds and a projector as threads."""
    settings = Settings(
        kafka=kafka_bootstrap,
        database_url=SecretStr(migrated_database),
        partitions=2,
        tenant=TENANT,
        state_dir=tmp_path / "state",
        kafka_session_timeout_ms=6_000,
        fold_linger_ms=20,
        projector_flush_ms=20,
    )
    fresh_topics(settings)
    # A command would set the logs of this whole process up anew.
    monkeypatch.setattr(catalogues, "load_settings", lambda _: settings)
    shutdown = Shutdown()
    usage = FoldEngine(settings, UsageBinding(settings), shutdown)
    books = FoldEngine(settings, BooksBinding(settings), shutdown)
    workers = [
        threading.Thread(target=usage.run, daemon=True),
        threading.Thread(target=books.run, daemon=True),
        threading.Thread(target=run_projector, args=(settings, shutdown), daemon=True),
    ]
    for worker in workers:
        worker.start()
    try:
        yield World(settings, tmp_path)
    finally:
        shutdown.request()
        for worker in workers:
            worker.join(timeout=30)


def reason_of(done: Result) -> tuple[Code, str]:
    assert isinstance(done.exception, Rejected), (done.exception, done.output)
    return done.exception.code, done.exception.reason


class TestPublishing:
    def test_goes_from_the_first_version_to_the_next(self, world: World) -> None:
        """Shown as a file, compared, refused in the words of the comparison, never overwritten."""
        first = world.write(1, "call")
        assert "no catalogue" in str(world.run("show").exception)
        assert 0 == world.run("diff", first).exit_code
        done = world.run("publish", first)
        assert "catalogue version 1 is in force" in done.stdout
        assert "refused" not in done.stdout
        assert 0 == world.run("publish", first).exit_code, "doing it twice is safe"

        shown = world.folder / "shown.yaml"
        shown.write_text(world.run("show").stdout)
        assert 0 == world.run("diff", shown).exit_code
        assert "the same document" in world.run("diff", shown).stdout
        content = world.run("show", "--json", "--version", "1").stdout.strip()
        assert parse_catalogue(content) == parse_catalogue(first.read_text())
        assert Code.NOT_FOUND is reason_of(world.run("show", "--version", "7"))[0]

        for wrong in (world.write(1, "call", "job"), world.write(2, "job")):
            compared = json.loads(world.run("diff", wrong, "--json").stdout)["refused"]
            assert compared[0] == dict(
                zip(("code", "reason"), reason_of(world.run("publish", wrong)), strict=True)
            )
        assert 0 == world.run("publish", world.write(2, "call", "job")).exit_code
        assert Code.CATALOGUE_VERSION_OLD is reason_of(world.run("publish", first))[0]
        assert "added" in world.run("diff", world.write(3, "call", "job", "run")).stdout
        assert 1 == world.run("diff", first, "--against", "2").exit_code
        assert [1, 1, 2] == world.versions(0) == world.versions(1)

    def test_killed_between_two_partitions_is_completed_by_publishing_again(
        self, world: World
    ) -> None:
        """The books have it, one partition counts by it, the other by the version before."""
        assert {0, 1} == {partition_of(TENANT, each, partitions=2) for each in CUSTOMERS}
        world.run("publish", world.write(1, "call"))
        second = world.write(2, "call", "job", aliases=("calls",))
        killed = subprocess.run(
            [sys.executable, "-c", KILLED_HALF_WAY, str(second)],
            env={**os.environ, **world.environment, "PYTHONPATH": str(checkout.ROOT)},
            cwd=world.folder,
            check=False,
            capture_output=True,
            timeout=60,
        )
        assert -signal.SIGKILL == killed.returncode, killed.stderr.decode()
        assert ([1, 2], [1]) == (world.versions(0), world.versions(1))
        assert 2 == world.one("SELECT max(version) FROM catalogue"), "the books decided first"

        world.record("job", round_="half")
        world.record("call", round_="half")
        in_first = sum(not partition_of(TENANT, each, partitions=2) for each in CUSTOMERS)
        assert (in_first, len(CUSTOMERS)) == (world.counted("jobs"), world.counted("calls"))
        assert len(CUSTOMERS) - in_first == world.refused()

        # Nobody can put another document in its place, and the same one repairs.
        other = reason_of(world.run("publish", world.write(2, "call", "run")))
        assert Code.CATALOGUE_VERSION_TAKEN is other[0]
        assert 0 == world.run("publish", second).exit_code
        assert ([1, 2, 2], [1, 2]) == (world.versions(0), world.versions(1))
        world.record("job", round_="whole")
        world.record("calls", round_="whole")
        assert in_first + len(CUSTOMERS) == world.counted("jobs")
        assert 2 * len(CUSTOMERS) == world.counted("calls")

    def test_tells_how_usage_of_a_type_that_came_later_is_counted(self, world: World) -> None:
        """It was refused and kept; the command that sends it again is printed."""
        world.run("publish", world.write(1, "call"))
        world.record("calls", round_="early")
        assert (0, len(CUSTOMERS)) == (world.counted("calls"), world.refused())
        done = world.run("publish", world.write(2, "call", aliases=("calls",)))
        assert f"{len(CUSTOMERS)} events in " in done.stdout
        (command,) = [line for line in done.stdout.splitlines() if "dead replay" in line]
        for _ in ("once", "and again"):
            subprocess.run(
                [sys.executable, "-m", "cli.main", *command.split()[1:]],
                env={**os.environ, **world.environment, "PYTHONPATH": str(checkout.ROOT)},
                cwd=world.folder,
                check=True,
                capture_output=True,
                timeout=60,
            )
            await_projected(world.settings, tenant=TENANT)
            assert len(CUSTOMERS) == world.counted("calls")
        # A version that brings no new name has nothing to say about them.
        repriced = json.loads(world.write(2, "call", aliases=("calls",)).read_text())
        path = world.folder / "v3.json"
        path.write_text(json.dumps({**repriced, "version": 3}))
        assert "unknown type" not in world.run("publish", path).stdout
