"""What the gateway takes: requests of one event, and events in batches, all acknowledged.

Claim: at least 60,000 events/s in batches of 500 with the broker's acknowledgement. Requests of
one event have no claim: they are measured and stated. So are batches with an extension in each
event, and batches that are not ordinary (`cloudevents_fast`), here because of the charset of their
data, and so go the exact way, event by event.
Method: the gateway runs as its own process on real services, as people start it. One client
process sends ready-made bytes over some connections that stay open, so that sending costs little.
Beside it, in the same run and with the same bodies, a bare FastAPI on granian that reads a body
and answers: the floor that no gateway of this kind gets under. CPU is that of the server process.
At the end the events on the log are counted, and must be those that were answered 202.
Last result: see docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse

from benchmarks.cpu import cpu_s
from benchmarks.support import settings_of_services, write_result
from cli.checkout import free_port
from projections.migrate import migrate
from runtime import clock, ids
from runtime.kafka import read_partition
from runtime.settings import Settings
from runtime.shutdown import Shutdown
from runtime.web import server
from schemas.codec import Decoder
from schemas.topics import USAGE_EVENTS
from tests.support import services
from tests.support.api_world import Rows
from tests.support.checkout import ROOT
from tests.support.processes import environment_of
from tests.support.topics import fresh_topics
from tidegauge.intake import Intake
from tidegauge.wire import batch
from tidegauge.wire.partition import partition_of

TENANT = "bench"
BATCH_EVENTS = 500
CUSTOMERS = 1_000
START_TIMEOUT_S = 30
CONNECTIONS_SINGLE, CONNECTIONS_BATCH = 32, 8
SPECIAL = {
    "extensions": {"region": "eu"},
    "exact way": {"datacontenttype": "application/json; charset=utf-8"},
}
"""Kinds of batches beside the usual one, and what each event has more."""
SHARE = 4
"""Of each there is one for so many usual ones."""
SETS = [{"region": region, "model": model} for region in ("eu", "us") for model in ("s", "l")]


@dataclass(frozen=True)
class Job:
    """Requests of one kind.

    Args:
        name: Name of the figures.
        content_type: Of the bodies.
        bodies: Ready-made, sent in turn.
        events: Events of one body.
        connections: Connections that send at once.
    """

    name: str
    content_type: str
    bodies: Sequence[bytes]
    events: int
    connections: int


def main() -> None:
    """Measure the floor and the gateway with the same jobs, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=500_000, help="of each kind of batch")
    parser.add_argument("--singles", type=int, default=10_000)
    parser.add_argument("--json", default="")
    parser.add_argument("--echo", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.echo:
        echo(arguments.echo)
        return
    base = settings_of_services()
    url = services.create_database(
        base.database_url.get_secret_value(), f"bench_{ids.uuid7().hex}"
    )
    settings = Settings.model_validate({"kafka": base.kafka, "database_url": url})
    try:
        write_result(arguments, run(settings, arguments.events, arguments.singles))
    finally:
        services.drop_database(base.database_url.get_secret_value(), url.rpartition("/")[2])


def run(settings: Settings, events: int, singles: int) -> dict[str, object]:
    """Return all figures; SystemExit when the log does not hold what was answered."""
    fresh_topics(settings)
    migrate(settings)
    rows = Rows(settings)
    key = rows.api_key(TENANT).key
    rows.connection.close()
    jobs = jobs_of(settings, events, singles)
    result: dict[str, object] = {}
    for name, command in (
        ("echo", [sys.executable, str(ROOT / "benchmarks" / "bench_gateway.py"), "--echo"]),
        ("gateway", [str(ROOT / ".venv" / "bin" / "tidegauge"), "gateway"]),
    ):
        port = free_port()
        process = start(command + ([str(port)] if name == "echo" else []), settings, port)
        try:
            for job in jobs:
                result |= figures(f"{name} {job.name}", measure(process.pid, port, key, job))
        finally:
            process.terminate()
            process.wait(START_TIMEOUT_S)
    for job in jobs:
        what = "events" if job.events > 1 else "requests"
        ratio = result[f"gateway {job.name} {what}/s"] / result[f"echo {job.name} {what}/s"]  # type: ignore[operator]  # both are numbers
        result[f"ratio {job.name}, gateway to echo"] = round(ratio, 2)
    sent = sum(len(job.bodies) * job.events for job in jobs)
    found = count_events(settings)
    result["events on the log, of those acknowledged"] = f"{found} of {sent}"
    if found != sent:
        raise SystemExit(f"the log holds {found} events, {sent} were acknowledged")
    return result


def start(command: list[str], settings: Settings, port: int) -> subprocess.Popen[bytes]:
    """Start a server and wait until it answers that it is ready."""
    process = subprocess.Popen(
        command,
        env=environment_of(
            {
                "kafka": settings.kafka,
                "database_url": settings.database_url.get_secret_value(),
                "gateway_port": str(port),
                "gateway_requests_per_minute": "100000000",
                "gateway_events_per_minute": "1000000000",
            }
        ),
        stderr=subprocess.DEVNULL,
    )
    give_up_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < give_up_s and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200:
                return process
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    process.kill()
    raise SystemExit(f"{command} does not answer")


def jobs_of(settings: Settings, events: int, singles: int) -> list[Job]:
    """Make all bodies before anything is measured."""
    now = datetime.fromtimestamp(clock.now_ms() // 1000, UTC)

    def event(number: int, **more: str) -> dict[str, object]:
        time = (now - timedelta(milliseconds=number)).isoformat(timespec="milliseconds")
        return {
            "specversion": "1.0",
            "id": str(ids.uuid7()),
            "source": "/bench",
            "type": f"type_{number % 8}",
            "subject": f"customer-{number % CUSTOMERS:04d}",
            "time": time.replace("+00:00", "Z"),
            "data": {"quantity": f"{number % 1000}.25", "dimensions": SETS[number % 4]},
            **more,
        }

    count = events // BATCH_EVENTS

    def batches(count: int, **more: str) -> list[bytes]:
        starts = range(0, count * BATCH_EVENTS, BATCH_EVENTS)
        return [
            json.dumps([event(start + step, **more) for step in range(BATCH_EVENTS)]).encode()
            for start in starts
        ]

    kind = "application/cloudevents-batch+json"
    return [
        Job(
            "single",
            "application/cloudevents+json",
            [json.dumps(event(number)).encode() for number in range(singles)],
            1,
            CONNECTIONS_SINGLE,
        ),
        Job("batch", kind, batches(count), BATCH_EVENTS, CONNECTIONS_BATCH),
        *(
            Job(name, kind, batches(count // SHARE, **more), BATCH_EVENTS, CONNECTIONS_BATCH)
            for name, more in SPECIAL.items()
        ),
        Job(
            "framed",
            "application/vnd.tidegauge.usage-batch",
            frames(settings, count),
            BATCH_EVENTS,
            CONNECTIONS_BATCH,
        ),
    ]


def frames(settings: Settings, count: int) -> list[bytes]:
    """Return framed batches as the SDK makes them, each of one partition."""
    intake = Intake(source="", clock=clock.now)
    names = [f"customer-{number:04d}" for number in range(CUSTOMERS)]
    homes: dict[int, list[str]] = {}
    for name in names:
        home = partition_of(tenant=TENANT, customer=name, partition_count=settings.partitions)
        homes.setdefault(home, []).append(name)
    framed = []
    for number in range(count):
        customers = homes[number % settings.partitions]
        rows = [
            intake.row(
                customers[step % len(customers)], f"type_{step % 8}", f"{step}.25",
                None, SETS[step % 4], None, None,
            )
            for step in range(BATCH_EVENTS)
        ]  # fmt: skip
        header = batch.BatchHeader(TENANT, "", bytes(16), number, clock.now_ms(), backfill=False)
        framed.append(batch.encode(header, rows))
    return framed


def measure(pid: int, port: int, key: str, job: Job) -> dict[str, float]:
    """Send a job and return its figures."""
    before_s, started_s = cpu_s(pid), time.perf_counter()
    waits_s = asyncio.run(send(port, key, job))
    took_s, worked_s = time.perf_counter() - started_s, cpu_s(pid) - before_s
    waits_s.sort()
    requests = len(job.bodies)
    unit = "events" if job.events > 1 else "requests"
    return {
        f"{unit}/s": round(requests * job.events / took_s),
        f"µs CPU/{unit.removesuffix('s')}": round(worked_s * 1e6 / (requests * job.events), 1),
        "p50 ms": round(waits_s[requests // 2] * 1000, 1),
        "p99 ms": round(waits_s[requests * 99 // 100] * 1000, 1),
    }


def figures(name: str, found: dict[str, float]) -> dict[str, object]:
    """Name figures."""
    return {f"{name} {what}": value for what, value in found.items()}


async def send(port: int, key: str, job: Job) -> list[float]:
    """Send all bodies over some connections; return how long each took, seconds."""
    head = (
        "POST /api/v1/events HTTP/1.1\r\nHost: bench\r\n"
        f"Authorization: Bearer {key}\r\nContent-Type: {job.content_type}\r\n"
    ).encode()
    bodies = iter(job.bodies)
    waits_s: list[float] = []

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for body in bodies:
            since_s = time.perf_counter()
            writer.write(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body))
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 202"):
                raise RuntimeError(answer.decode())
            length = answer.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
            await reader.readexactly(int(length))
            waits_s.append(time.perf_counter() - since_s)
        writer.close()

    await asyncio.gather(*(connection() for _ in range(job.connections)))
    return waits_s


def count_events(settings: Settings) -> int:
    """Return how many events the log holds."""
    decoder = Decoder(USAGE_EVENTS)
    return sum(
        len(decoder.decode(message.value())[1]["occurred_at_ms"])
        for partition in range(settings.partitions)
        for message in read_partition(settings, USAGE_EVENTS, partition)
    )


def echo(port: int) -> None:
    """Serve the floor: read a body, answer that it was read."""
    app = FastAPI()

    @app.post("/api/v1/events")
    async def post(request: Request) -> JSONResponse:
        return JSONResponse({"bytes": len(await request.body())}, status_code=202)

    @app.get("/readyz")
    async def ready() -> dict[str, str]:
        return {"status": "ok"}

    server.serve(app, server.Listener("echo", "127.0.0.1", port, 1), Shutdown().install())


if __name__ == "__main__":
    main()
