"""Ask the services in their own protocols whether they serve."""

import time
from pathlib import Path

import confluent_kafka
import psycopg
from confluent_kafka.admin import AdminClient

import processes
from errors import ServiceError
from records import Service

PROBE_TIMEOUT_SECONDS = 2
PAUSE_SECONDS = 0.1


def answers(service: Service, *, timeout_s: float = PROBE_TIMEOUT_SECONDS) -> bool:
    """Tell whether a service answers a real request within `timeout_s`."""
    if service.name == "kafka":
        return _kafka_answers(service.address, timeout_s=timeout_s)
    return _database_answers(service.address, timeout_s=timeout_s)


def _kafka_answers(bootstrap: str, *, timeout_s: float) -> bool:
    client = AdminClient(
        {
            "bootstrap.servers": bootstrap,
            "log_level": 0,  # "connection refused" is an expected answer here
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 200,
        }
    )
    try:
        return bool(client.list_topics(timeout=timeout_s).brokers)
    except confluent_kafka.KafkaException:
        return False


def _database_answers(url: str, *, timeout_s: float) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=max(2, int(timeout_s))) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def await_answer(service: Service, *, timeout_s: float, log_file: Path | None) -> None:
    """Wait until a service answers.

    Args:
        service: what to wait for.
        timeout_s: the longest wait, in seconds.
        log_file: its log, whose end goes into the error; None for a service that is not ours.

    Raises:
        ServiceError: it did not answer in time, or its process ended.
    """
    give_up_at = time.monotonic() + timeout_s
    while not answers(service):
        has_ended = service.pid is not None and not processes.is_running(
            service.pid, service.started
        )
        if has_ended or time.monotonic() > give_up_at:
            reason = (
                "ended while starting" if has_ended else f"did not answer in {timeout_s:.0f} s"
            )
            raise ServiceError(_failure(service, reason=reason, log_file=log_file))
        time.sleep(PAUSE_SECONDS)


def _failure(service: Service, *, reason: str, log_file: Path | None) -> str:
    headline = f"{service.name} at {service.address_without_password()} {reason}."
    if service.origin == "environment":
        return f"{headline}\nNext: start it, or unset its TIDEGAUGE_ variable to get a local one."
    if log_file is None:
        return f"{headline}\nNext: `docker logs {service.container}`."
    return (
        f"{headline}\n{processes.tail(log_file)}\nNext: read {log_file}, then `./dev services up`."
    )
