"""Apache Kafka as a local process: one broker that is its own controller (KRaft).

The jars come from Maven Central by `broker/pom.xml`; Java 17 or newer runs them.
"""

import base64
import shutil
import signal
import uuid
from pathlib import Path

import paths
import processes
from records import Service

IMAGE = "apache/kafka:4.3.0"
FORMAT_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 20
FETCH_TIMEOUT_SECONDS = 600
MAVEN_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    # Topics come from the catalogue in schemas/ only: a mistyped name is an error, not a new
    # topic.
    "auto.create.topics.enable": "false",
    "num.partitions": "4",
    "message.max.bytes": "8388608",  # the largest record of the topic catalogue, 8 MiB
    "replica.fetch.max.bytes": "8388608",
    # One broker, so one replica of everything.
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    "share.coordinator.state.topic.min.isr": "1",
    # Fault tests kill workers and wait for the group to notice: let them choose short sessions,
    # in both rebalance protocols.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "1000",
    # After a kill the controller waits for this long before it lets the same broker in again:
    # with the default of 9 s a restart takes 13 s.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "log.retention.hours": "-1",  # each topic of the catalogue says its own retention
    "log.retention.check.interval.ms": "300000",
    "log.cleaner.dedupe.buffer.size": "16777216",  # 16 MiB of the 1 GiB heap instead of 128
}


def data_folder() -> Path:
    """Return the folder that holds the settings and the log segments of the broker."""
    return paths.RUN / "kafka"


def start(*, port: int | None, keep_data: bool) -> Service:
    """Fetch the broker if needed and start it; it does not answer yet when this returns.

    Args:
        port: the TCP port to listen on; None lets the operating system choose.
        keep_data: go on with the data of the last start, on its ports.

    Raises:
        ServiceError: the broker cannot be fetched or its folder cannot be prepared.
    """
    libraries = fetch()
    settings_file = data_folder() / "server.properties"
    if not (keep_data and settings_file.exists()):
        _prepare_data(settings_file, port=port or processes.free_port(), libraries=libraries)
    paths.KAFKA_LOG.unlink(missing_ok=True)
    address = _read_setting(settings_file, "advertised.listeners").removeprefix("PLAINTEXT://")
    return resume(Service(name="kafka", address=address, origin="local"))


def resume(service: Service) -> Service:
    """Start the broker again on the data and port that it had."""
    command = [*_java(fetch()), "kafka.Kafka", str(data_folder() / "server.properties")]
    return service.with_process(processes.spawn(command, log_file=paths.KAFKA_LOG, environment={}))


def stop(service: Service) -> None:
    """Let the broker close its segments and end."""
    processes.end(service.pid, service.started, how=signal.SIGTERM, timeout_s=STOP_TIMEOUT_SECONDS)


def kill(service: Service) -> None:
    """End the broker as a crash would."""
    processes.end(service.pid, service.started, how=signal.SIGKILL, timeout_s=STOP_TIMEOUT_SECONDS)


def is_running(service: Service) -> bool:
    """Tell whether the very process that we started is still there."""
    return processes.is_running(service.pid, service.started)


def fetch() -> Path:
    """Return the folder of the broker's jars; fetch them when the list of jars has changed."""
    pom = Path(__file__).with_name("broker") / "pom.xml"
    folder = paths.CACHE / "kafka"
    processes.need_programs({"java": "default-jre-headless"}, purpose="the Kafka broker")
    fetched_for = folder / "pom.xml"
    if fetched_for.exists() and fetched_for.read_bytes() == pom.read_bytes():
        return folder / "libraries"
    processes.need_programs({"mvn": "maven"}, purpose="fetching the Kafka broker")
    processes.say("fetching Apache Kafka (about 130 MB, once)")
    shutil.rmtree(folder, ignore_errors=True)
    command = [
        *("mvn", "--batch-mode", "--file", str(pom), MAVEN_PLUGIN),
        f"-DoutputDirectory={folder / 'libraries'}",
    ]
    processes.run_step("fetching Kafka's jars", command, timeout_s=FETCH_TIMEOUT_SECONDS)
    shutil.copyfile(pom, fetched_for)  # last: it says that all jars are there
    return folder / "libraries"


def _prepare_data(settings_file: Path, *, port: int, libraries: Path) -> None:
    shutil.rmtree(data_folder(), ignore_errors=True)
    data_folder().mkdir(parents=True)
    controller = f"127.0.0.1:{processes.free_port()}"
    settings = SETTINGS | {
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.quorum.bootstrap.servers": controller,
        "log.dirs": str(data_folder() / "data"),
    }
    lines = [f"{name}={value}\n" for name, value in settings.items()]
    settings_file.write_text("".join(lines), encoding="utf-8")
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    command = [
        *(*_java(libraries), "kafka.tools.StorageTool", "format", "--standalone"),
        # One word: an id may begin with a dash.
        *(f"--cluster-id={cluster_id}", "--config", str(settings_file)),
    ]
    processes.run_step("formatting Kafka's storage", command, timeout_s=FORMAT_TIMEOUT_SECONDS)


def _java(libraries: Path) -> list[str]:
    logging = Path(__file__).with_name("broker") / "log4j2.properties"
    return [
        *("java", "-Xmx1g", "-XX:+ExitOnOutOfMemoryError"),
        # This broker lives for minutes: the optimizing compiler would cost more than it saves
        # (CPU of the first 1,200,000 events in batches: 5.9 µs each with it, 3.2 µs without).
        "-XX:TieredStopAtLevel=1",
        f"-Dlog4j2.configurationFile={logging}",
        *("-cp", f"{libraries}/*"),
    ]


def _read_setting(settings_file: Path, name: str) -> str:
    for line in settings_file.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition("=")
        if key == name:
            return value
    message = f"{settings_file} has no {name}"
    raise ValueError(message)
