"""Where a run happens: its folder, its log, broker and database, and their clearing away."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import psycopg
from pydantic import SecretStr

from cli import checkout
from cli.demo import embedded_broker, embedded_database
from cli.failures import CommandFailure
from cli.processes import Supervisor
from projections.migrate import drop_schema
from runtime import ids
from runtime.kafka import ensure_topics
from runtime.settings import Settings

if TYPE_CHECKING:
    from cli.demo.embedded_broker import EmbeddedBroker

FOLDER = checkout.CACHE / "demo"
LAST_LOG = FOLDER / "last.log"


@dataclass(frozen=True, slots=True)
class Given:
    """Real services that the caller gave; empty means embedded.

    Args:
        kafka: host:port of a real broker.
        database_url: URL of a real database.
    """

    kafka: str
    database_url: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Broker and database that answer.

    Args:
        settings: How the pipeline reaches them.
        broker_text: What the broker is, for people.
        database_text: What the database is, for people.
        broker: Keeps the embedded broker alive; None for a real one.
    """

    settings: Settings
    broker_text: str
    database_text: str
    broker: EmbeddedBroker | None


@contextlib.contextmanager
def run_folder() -> Iterator[Path]:
    """This function will make a folder for one run and remove it afterwards.

    What runs that were killed have left is removed too.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    for left in FOLDER.glob("run-*"):
        if not _is_alive(left.name.removeprefix("run-")):
            shutil.rmtree(left, ignore_errors=True)
    folder = FOLDER / f"run-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: str) -> bool:
    return pid.isdecimal() and Path(f"/proc/{pid}").exists()


@contextlib.contextmanager
def run_log(folder: Path) -> Iterator[TextIO]:
    """This function will open the log of a run; afterwards it is the last log."""
    path = folder / "log"
    try:
        with path.open("w", encoding="utf-8") as log:
            yield log
    finally:
        with contextlib.suppress(OSError):
            path.replace(LAST_LOG)


def start(
    given: Given, *, folder: Path, supervisor: Supervisor, stack: contextlib.ExitStack
) -> Surroundings:
    """This function will start what is embedded, and look at what is real.

    Args:
        given: Real services.
        folder: Folder of the run.
        supervisor: Runs the embedded database.
        stack: Gets what must be undone at the end.

    Raises:
        CommandFailure: When something does not answer.
        Fatal: topic_mismatch.
    """
    broker = None if given.kafka else embedded_broker.EmbeddedBroker()
    url = given.database_url or _embedded_database(folder, supervisor, stack)
    known = Settings()
    schema = known.database_schema
    if broker is not None and given.database_url:
        # The embedded log is gone at the end, so what is made of it must go too.
        schema = f"tidegauge_demo_{ids.uuid7().hex[:12]}"
    values = {
        "kafka": given.kafka or (broker.bootstrap if broker else ""),
        "kafka_config": known.kafka_config if given.kafka else SecretStr("{}"),
        "broker_is_mock": broker is not None,
        "partitions": known.partitions if given.kafka else embedded_broker.PARTITIONS,
        "database_url": SecretStr(url),
        "database_schema": schema,
        "state_dir": folder / "state",
        "api_host": "127.0.0.1",
        "api_port": checkout.free_port(),
        "log_format": "console",
        "log_level": "info",
        "failpoint": "",
    }
    settings = known.model_copy(update=values)
    if schema != known.database_schema:
        stack.callback(drop_schema, settings)
    database_text = _describe_database(settings, is_embedded=not given.database_url)
    ensure_topics(settings)
    return Surroundings(
        settings=settings,
        broker_text=_describe_broker(given),
        database_text=database_text,
        broker=broker,
    )


def _embedded_database(folder: Path, supervisor: Supervisor, stack: contextlib.ExitStack) -> str:
    database = embedded_database.prepare(folder)
    stack.callback(database.remove)
    stack.callback(supervisor.stop)
    supervisor.start(database.program)
    supervisor.wait(
        database.answers,
        what="the embedded PostgreSQL",
        timeout_ms=embedded_database.START_TIMEOUT_MS,
        whose=database.program.name,
    )
    return database.url


def _describe_broker(given: Given) -> str:
    if given.kafka:
        return f"Apache Kafka at {given.kafka}"
    return "librdkafka's mock broker, in this process's memory, no disk (a real one: --kafka)"


def _describe_database(settings: Settings, *, is_embedded: bool) -> str:
    try:
        with psycopg.connect(
            settings.database_url.get_secret_value(), connect_timeout=10
        ) as connection:
            version = connection.execute("SHOW server_version").fetchone()
            timescale = connection.execute(
                "SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'"
            ).fetchone()
    except psycopg.OperationalError as error:
        raise CommandFailure(
            f"the database does not answer: {str(error).strip()}",
            next_step="check --database, or leave it out for the embedded one",
        ) from error
    name = f"PostgreSQL {str(version[0]).split()[0] if version else '?'}"
    if timescale:
        name += f" with TimescaleDB {timescale[0]}"
    if is_embedded:
        return f"{name} from a wheel, plain tables, thrown away (a real one: --database)"
    return name
