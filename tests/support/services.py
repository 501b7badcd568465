"""The real Kafka and TimescaleDB that tests run on, and how fault tests end and restart them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

CHECKOUT = Path(__file__).resolve().parents[2]
RUN = Path(os.environ.get("TIDEGAUGE_RUN_DIR", CHECKOUT / ".cache" / "run"))
STATE_FILE = RUN / "services.json"
SCRIPT = CHECKOUT / "deploy" / "local" / "services.py"
HINT = "Next: ./dev services up (or set TIDEGAUGE_KAFKA and TIDEGAUGE_DATABASE_URL)"

COMMAND_TIMEOUT_SECONDS = 120
"""A restart waits until the service answers; its own limit is 60 s."""

ServiceName = Literal["kafka", "postgres"]


class ServiceMissingError(Exception):
    """A test needs a service that nobody has started."""


def find_kafka() -> str:
    """Return `host:port` of the broker."""
    return _find("TIDEGAUGE_KAFKA", "kafka")


def find_database() -> str:
    """Return the URL of the database, for a role that may create databases and roles."""
    return _find("TIDEGAUGE_DATABASE_URL", "database_url")


def _find(variable: str, key: str) -> str:
    from_environment = os.environ.get(variable)
    if from_environment:
        return from_environment
    try:
        address = json.loads(STATE_FILE.read_text(encoding="utf-8"))[key]
    except FileNotFoundError:
        address = None
    if not address:
        message = f"No {key} to test on. {HINT}"
        raise ServiceMissingError(message)
    return str(address)


def create_database(admin_url: str, name: str) -> str:
    """Create an empty database and return its URL; extensions are left to migrations."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return urlunsplit(urlsplit(admin_url)._replace(path=f"/{name}"))


def drop_database(admin_url: str, name: str) -> None:
    """Drop a database, ending who is still connected to it."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        connection.execute(drop.format(sql.Identifier(name)))


class ServiceControl:
    """Ends and restarts the services of this checkout, for fault tests.

    Works only on services that `./dev services up` started; one that the environment names is not
    ours to kill, and the call fails.

    Args:
        run_dir: Folder of a pair of services beside the usual one; None for the usual one.
    """

    def __init__(self, run_dir: Path | None = None) -> None:
        self._run_dir = run_dir

    def kill(self, name: ServiceName) -> None:
        """End a service as a crash would; its data stays."""
        self._run("kill", name)

    def restart(self, name: ServiceName) -> None:
        """Start a service again on its data and port; returns when it answers."""
        self._run("restart", name)

    @contextmanager
    def away(self, name: ServiceName) -> Iterator[None]:
        """Keep a service dead for the length of a block; restart it even when the block fails."""
        self.kill(name)
        try:
            yield
        finally:
            self.restart(name)

    def up(self) -> tuple[str, str]:
        """Start the pair; return where its broker is, and the URL of its database."""
        self._run("up")
        state = (self._run_dir or STATE_FILE.parent) / STATE_FILE.name
        content = json.loads(state.read_text(encoding="utf-8"))
        return str(content["kafka"]), str(content["database_url"])

    def down(self) -> None:
        """End the pair; the data of one with a folder of its own goes with it."""
        self._run("down")

    def _run(self, *arguments: str) -> None:
        environment = dict(os.environ)
        if self._run_dir is not None:
            environment["TIDEGAUGE_RUN_DIR"] = str(self._run_dir)
            # A pair of its own is there to be killed: never one that the environment names.
            environment.pop("TIDEGAUGE_KAFKA", None)
            environment.pop("TIDEGAUGE_DATABASE_URL", None)
        done = subprocess.run(
            [sys.executable, str(SCRIPT), *arguments],
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_SECONDS,
            check=False,
            env=environment,
        )
        if done.returncode != 0:
            message = f"services {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}"
            raise RuntimeError(message)
