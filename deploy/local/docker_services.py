"""The same two services as containers, where a Docker engine answers.

The containers must outlive the command that starts them, so testcontainers' reaper (ryuk) is off;
`./dev services down` removes them by their ids.
"""

import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import kafka_broker
import processes
import timescale_database
from records import Service, ServiceName

os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"  # testcontainers reads it when it is imported

from docker.errors import DockerException, NotFound
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient

if TYPE_CHECKING:
    from docker.models.containers import Container

KAFKA_PORT = 9092
CONTROLLER_PORT = 9093
POSTGRES_PORT = 5432
"""These three are inside the containers; those on the host are free ones."""


def engine_answers() -> bool:
    """Tell whether there is a Docker engine that we may use."""
    try:
        return bool(DockerClient().client.ping())
    except DockerException:
        return False


@dataclass(frozen=True, slots=True)
class DockerHost:
    """Runs one service in a container."""

    name: ServiceName

    def start(self, *, port: int | None, keep_data: bool) -> Service:
        """Start the service; it does not answer yet when this returns.

        Args:
            port: the TCP port on the host; None takes a free one. It is chosen before the start,
            as the
                broker announces it to its clients, and it survives a restart.
            keep_data: not known here: `down` removes a container with its data.
        """
        del keep_data
        host_port = port or processes.free_port()
        container, address = (_kafka if self.name == "kafka" else _postgres)(host_port)
        identity = container.start().get_wrapped_container().id
        return Service(name=self.name, address=address, origin="docker", container=identity)

    def resume(self, service: Service) -> Service:
        """Start a container that has ended again, on its data and port."""
        _container(service).start()
        return service

    def kill(self, service: Service) -> None:
        """End the service as a crash would; the stopped container keeps its data."""
        _container(service).kill(signal="SIGKILL")

    def stop(self, service: Service) -> None:
        """Remove the container with its data; one that is gone already is no error."""
        try:
            _container(service).remove(force=True, v=True)
        except NotFound:
            return

    def is_running(self, service: Service) -> bool:
        """Tell whether the container is up."""
        try:
            return bool(_container(service).status == "running")
        except NotFound:
            return False


def _kafka(host_port: int) -> tuple[DockerContainer, str]:
    address = f"127.0.0.1:{host_port}"
    settings = kafka_broker.SETTINGS | {
        "listeners": f"PLAINTEXT://:{KAFKA_PORT},CONTROLLER://:{CONTROLLER_PORT}",
        "advertised.listeners": f"PLAINTEXT://{address}",
        "controller.quorum.voters": f"1@localhost:{CONTROLLER_PORT}",
    }
    container = DockerContainer(kafka_broker.IMAGE).with_bind_ports(KAFKA_PORT, host_port)
    for name, value in settings.items():
        # The image reads KAFKA_NUM_PARTITIONS as num.partitions, and so on.
        container.with_env(f"KAFKA_{name.upper().replace('.', '_')}", value)
    return container.with_env("KAFKA_HEAP_OPTS", "-Xmx1g"), address


def _postgres(host_port: int) -> tuple[DockerContainer, str]:
    user, database = timescale_database.USER, timescale_database.DATABASE
    password = secrets.token_urlsafe(24)
    options = " ".join(f"-c {name}={value}" for name, value in timescale_database.SETTINGS.items())
    container = (
        DockerContainer(timescale_database.IMAGE)
        .with_bind_ports(POSTGRES_PORT, host_port)
        .with_envs(POSTGRES_USER=user, POSTGRES_PASSWORD=password, POSTGRES_DB=database)
        .with_command(f"postgres {options}")
    )
    return container, f"postgresql://{user}:{password}@127.0.0.1:{host_port}/{database}"


def _container(service: Service) -> "Container":
    return DockerClient().client.containers.get(service.container)
