"""TimescaleDB as a local process, in a folder that holds a small Debian 13 (trixie).

Debian 12 has no TimescaleDB, and a folder needs no package to be removed and no service to be
stopped on the host. The server runs in a chroot as the folder's own user `postgres`.
"""

import os
import secrets
import shutil
import signal
import subprocess
import time
import zlib
from pathlib import Path

import paths
import processes
from errors import ServiceError
from records import Service

IMAGE = "timescale/timescaledb:2.19.3-pg17"
USER = "tidegauge"
DATABASE = "tidegauge"
SET_UP_TIMEOUT_SECONDS = 120
"""Both steps take under 1 s; on kept data a recovery replays at most `max_wal_size` first."""
STOP_TIMEOUT_SECONDS = 20
FETCH_TIMEOUT_SECONDS = 900
ORPHANS_TIMEOUT_SECONDS = 5
"""Backends notice at their next wait that the server is gone; a busy one may compute on."""

SETTINGS = {
    "shared_preload_libraries": "timescaledb",
    "timescaledb.telemetry_level": "off",
    "shared_buffers": "256MB",
    "max_connections": "200",
    "max_wal_size": "4GB",
    "max_locks_per_transaction": "256",  # a query over a hypertable locks each of its chunks
    "max_worker_processes": "32",  # TimescaleDB wants one per database that has the extension
    "timezone": "UTC",
    "log_timezone": "UTC",
}

_BINARIES = "/usr/lib/postgresql/17/bin"
_DATA = f"/var/lib/tidegauge/{zlib.crc32(str(paths.RUN).encode()):08x}"
"""Seen from inside the folder, so the data must lie below it: there are no mounts. Each run folder
has data of its own, so that two instances never share any."""


def system_folder() -> Path:
    """Return the folder of the small Debian."""
    return paths.CACHE / "trixie"


def data_folder() -> Path:
    """Return the data directory of the server, seen from outside."""
    return system_folder() / _DATA.lstrip("/")


def start(*, port: int | None, keep_data: bool) -> Service:
    """Fetch the server if needed and start it; it does not answer yet when this returns.

    Args:
        port: the TCP port to listen on; None lets the operating system choose.
        keep_data: go on with the data of the last start.

    Raises:
        ServiceError: the server cannot be fetched, or its data directory cannot be made.
    """
    fetch()
    _await_orphans()
    password = secrets.token_urlsafe(24)
    has_data = keep_data and (data_folder() / "PG_VERSION").exists()
    if not has_data:
        _make_data()
    _set_up(password=password, is_new=not has_data)
    paths.POSTGRES_LOG.unlink(missing_ok=True)
    address = (
        f"postgresql://{USER}:{password}@127.0.0.1:{port or processes.free_port()}/{DATABASE}"
    )
    return resume(Service(name="postgres", address=address, origin="local"))


def resume(service: Service) -> Service:
    """Start the server again on the data and port that it had.

    Backends of a killed server keep its shared memory in use; the next server refuses to start
    beside them. So wait for their end first. After that nobody is left whom the old
    `postmaster.pid` names.
    """
    _await_orphans()
    (data_folder() / "postmaster.pid").unlink(missing_ok=True)
    local = {
        "port": str(service.port),
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "dynamic_shared_memory_type": "mmap",  # the folder has no /dev/shm of its own
    }
    options = [f"--{name}={value}" for name, value in (SETTINGS | local).items()]
    command = [*_in_folder("postgres"), "-D", _DATA, *options]
    pid = processes.spawn(command, log_file=paths.POSTGRES_LOG, environment=_ENVIRONMENT)
    return service.with_process(pid)


def stop(service: Service) -> None:
    """Let the server roll back what is open, write its checkpoint and end."""
    processes.end(service.pid, service.started, how=signal.SIGINT, timeout_s=STOP_TIMEOUT_SECONDS)
    if data_folder().exists():
        _await_orphans()


def kill(service: Service) -> None:
    """End the server as a crash would; its backends notice and end a moment later."""
    processes.end(service.pid, service.started, how=signal.SIGKILL, timeout_s=STOP_TIMEOUT_SECONDS)


def is_running(service: Service) -> bool:
    """Tell whether the very process that we started is still there."""
    return processes.is_running(service.pid, service.started)


def fetch() -> None:
    """Make the small Debian with the server in it, once."""
    folder = system_folder()
    if folder.exists():
        return
    if os.geteuid() != 0:
        message = (
            "A local TimescaleDB runs in a chroot, which only root can make.\nNext: run as root, "
            "or start Docker, or set TIDEGAUGE_DATABASE_URL to a TimescaleDB of your own."
        )
        raise ServiceError(message)
    processes.need_programs({"debootstrap": "debootstrap"}, purpose="fetching TimescaleDB")
    processes.say("fetching TimescaleDB (Debian packages in a folder, about 600 MB, once)")
    draft = folder.with_suffix(".draft")
    _remove_folder(draft)
    packages = "--include=postgresql-17,postgresql-17-timescaledb"
    command = ["debootstrap", "--variant=minbase", packages, "trixie", str(draft)]
    processes.run_step("fetching TimescaleDB", command, timeout_s=FETCH_TIMEOUT_SECONDS)
    shutil.rmtree(draft / "var/cache/apt", ignore_errors=True)
    draft.rename(folder)  # last: a folder of this name is complete


def _remove_folder(folder: Path) -> None:
    """Remove what an interrupted debootstrap left, its mounts of /proc and /sys first."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", mount], check=True)
    shutil.rmtree(folder, ignore_errors=True)


_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _in_folder(program: str) -> list[str]:
    return [
        "chroot",
        "--userspec=postgres:postgres",
        str(system_folder()),
        f"{_BINARIES}/{program}",
    ]


def _make_data() -> None:
    shutil.rmtree(data_folder(), ignore_errors=True)
    data_folder().mkdir(parents=True)
    owner = (system_folder() / "var/lib/postgresql").stat()
    os.chown(data_folder(), owner.st_uid, owner.st_gid)
    command = [
        *(*_in_folder("initdb"), "-D", _DATA, f"--username={USER}", "--auth=trust", "--no-sync"),
        *("--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"),
        "--set=dynamic_shared_memory_type=mmap",
    ]
    processes.run_step("initdb", command, timeout_s=SET_UP_TIMEOUT_SECONDS)
    # No server has run yet; from its first start on, nobody comes in without the password.
    access = "host all all 127.0.0.1/32 scram-sha-256\n"
    (data_folder() / "pg_hba.conf").write_text(access, encoding="utf-8")


def _set_up(*, password: str, is_new: bool) -> None:
    """Set the password, and make the database the first time, without a server that listens."""
    statements = [f"ALTER ROLE {USER} PASSWORD '{password}'"]
    if is_new:
        statements.append(f"CREATE DATABASE {DATABASE}")
    (data_folder() / "postmaster.pid").unlink(missing_ok=True)
    options = ["--single", "-D", _DATA, "--dynamic_shared_memory_type=mmap", "postgres"]
    command = [*_in_folder("postgres"), *options]
    feed = "".join(f"{statement}\n" for statement in statements)
    processes.run_step(
        "setting the password", command, timeout_s=SET_UP_TIMEOUT_SECONDS, feed=feed
    )


def _await_orphans() -> None:
    """Wait for the end of all server processes on our data; end by force what computes on.

    Raises:
        ServiceError: one of them cannot be ended.
    """
    polite_until = time.monotonic() + ORPHANS_TIMEOUT_SECONDS
    while orphans := processes.processes_in(data_folder()):
        late_s = time.monotonic() - polite_until
        if late_s > ORPHANS_TIMEOUT_SECONDS:
            message = f"Processes {orphans} hold {data_folder()}.\nNext: end them, then try again."
            raise ServiceError(message)
        if late_s > 0:
            for pid in orphans:
                os.kill(pid, signal.SIGKILL)
        time.sleep(processes.POLL_SECONDS)
