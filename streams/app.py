"""The worker shell: a Faust app that hosts one fold, with its life cycle and web port.

Faust gives signals, web and agents; it decides nothing about money (docs/decisions/0004). The fold
runs in one thread that owns its Kafka clients; when the thread dies the worker dies.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any, NoReturn

import faust
from aiokafka.errors import KafkaConnectionError
from mode import Service
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from domain.errors import TidegaugeError
from runtime import metrics
from runtime.logs import logger
from runtime.shutdown import Shutdown
from schemas.topics import USAGE_DEAD
from streams.books import BooksBinding
from streams.emergence import EmergenceBinding
from streams.engine import FoldEngine, await_topics
from streams.policies import request_charges, settle_detections
from streams.policies.agent import Policies
from streams.usage import UsageBinding

if TYPE_CHECKING:
    from collections.abc import Callable

    from faust.types import AppT, StreamT
    from faust.web import Request, Response, View

    from runtime.settings import Settings
    from streams.binding import Binding

WATCH_INTERVAL_S = 0.25
"""How often the shell looks whether its fold still lives, seconds."""
HEARTBEATS_PER_SESSION = 3
"""As Kafka's own documentation has it: two may be late before a worker counts as gone."""
STOP_TIMEOUT_S = 8
"""How long a fold may take to finish its round at the end, seconds."""

BINDINGS: dict[str, Callable[[Settings], Binding[Any, Any]]] = {
    "usage": UsageBinding,
    "books": BooksBinding,
    "emergence": EmergenceBinding,
}


class FoldThread(threading.Thread):
    """Runs the engine; keeps the error that ended it."""

    def __init__(self, engine: FoldEngine[Any, Any]) -> None:
        super().__init__(name="tidegauge-fold", daemon=True)
        self._engine = engine
        self.error: BaseException | None = None

    def run(self) -> None:  # type: ignore[explicit-override]  # typing has it from 3.12 on
        """Work until the end is requested or something fatal happens."""
        try:
            self._engine.run()
        except TidegaugeError as error:
            self.error = error
            logger().error("fold.fatal", code=error.code.value, error=str(error), **error.fields)
        except BaseException as error:  # noqa: BLE001 -- kept, and raised by the watching service
            self.error = error
            logger().exception("fold.defect")


def run_worker(settings: Settings, kind: str) -> int:
    """This function will run one fold worker until SIGTERM or SIGINT.

    Args:
        settings: Everything it needs.
        kind: "usage", "books" or "emergence".

    Returns:
        The exit status: 0 after a requested end, 1 when the fold or the shell died.

    Raises:
        Fatal: topic_missing or topic_mismatch.
    """
    shutdown = Shutdown()
    await_topics(settings, shutdown)  # Faust gives up when the broker is not there at its start
    (settings.state_dir / "faust").mkdir(parents=True, exist_ok=True)
    binding: Binding[Any, Any] = BINDINGS[kind](settings)
    engine: FoldEngine[Any, Any] = FoldEngine(settings, binding, shutdown)
    thread = FoldThread(engine)
    app = build_app(settings, kind=kind, engine=engine, thread=thread, shutdown=shutdown)
    thread.start()
    worker = faust.Worker(app, loglevel=logging.WARNING, override_logging=False, quiet=True)
    status: object = 0
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        status = end.code
        logger().info("worker.ended", kind=kind, status=str(status))
        if isinstance(end.__context__, KafkaConnectionError) and thread.error is None:
            start_over()
    return 0 if thread.error is None and not status else 1


def start_over() -> NoReturn:
    """This function will become a fresh process of the same command, which waits for the broker.

    Faust gives up when the broker goes away while it starts. Its loop is closed by then, and a
    fold may be left at any moment, as after a kill.
    """
    logger().warning("worker.starts_over")
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 -- no shell is wanted


def build_app(
    settings: Settings,
    *,
    kind: str,
    engine: FoldEngine[Any, Any],
    thread: FoldThread,
    shutdown: Shutdown,
) -> faust.App:
    """This function will put the fold, its pages and the policies into a Faust app."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    session_s = settings.kafka_session_timeout_ms / 1000
    app = faust.App(
        f"tidegauge-policies-{kind}",
        broker=[f"kafka://{server}" for server in settings.kafka.split(",")],
        # Faust's own 60 s would let a killed worker hold up approvals for a minute.
        broker_session_timeout=session_s,
        broker_heartbeat_interval=session_s / HEARTBEATS_PER_SESSION,
        broker_rebalance_timeout=session_s,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        store="memory://",
        datadir=str(settings.state_dir / "faust"),
        web_port=settings.worker_port or free_port(),
        web_bind="127.0.0.1",
    )
    policies = add_policies(app, settings=settings, kind=kind)
    add_service(app, thread=thread, policies=policies, shutdown=shutdown)
    add_pages(app, engine=engine, thread=thread)
    return app


def free_port() -> int:
    """This function will return a port that nobody listens on now: Faust cannot choose one."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    logger().info("worker.port", port=port)
    return port


def add_service(
    app: faust.App, *, thread: FoldThread, policies: Policies, shutdown: Shutdown
) -> None:
    """This function will tie the life of the fold and of the policies to the app's."""

    @app.service
    class FoldService(Service):
        """Dies with the fold or a policy, and ends the fold when the app ends."""

        @Service.task
        async def _watch(self) -> None:
            while not self.should_stop:
                if not thread.is_alive() and not shutdown.is_requested:
                    raise thread.error or RuntimeError("the fold thread ended")
                if policies.error is not None:
                    raise policies.error
                await self.sleep(WATCH_INTERVAL_S)

        async def on_stop(self) -> None:  # type: ignore[explicit-override]
            shutdown.request()
            thread.join(STOP_TIMEOUT_S)


def add_pages(app: faust.App, *, engine: FoldEngine[Any, Any], thread: FoldThread) -> None:
    """This function will serve /healthz, /readyz and /metrics on the worker's web port."""

    @app.page("/healthz")
    async def healthz(view: View, _request: Request) -> Response:
        return view.json({"alive": thread.is_alive()}, status=200 if thread.is_alive() else 503)

    @app.page("/readyz")
    async def readyz(view: View, _request: Request) -> Response:
        held = engine.partitions
        ready = thread.is_alive() and all(held.values())
        body = {"ready": ready, "partitions": {str(key): value for key, value in held.items()}}
        return view.json(body, status=200 if ready else 503)

    @app.page("/metrics")
    async def expose(view: View, _request: Request) -> Response:
        return view.bytes(generate_latest(), content_type=CONTENT_TYPE_LATEST)


def add_policies(app: AppT, *, settings: Settings, kind: str) -> Policies:
    """This function will add the agents of one kind of worker: idempotent, and never a decision.

    Returns:
        What tells whether one of them has ended in an error.
    """
    policies = Policies()
    if kind == "usage":
        add_idle_agent(app)
    if kind == "emergence":
        policies.add(app, request_charges.new_policy(settings))
    if kind == "books":
        policies.add(app, settle_detections.new_policy(settings))
    return policies


def add_idle_agent(app: AppT) -> None:
    """This function will add an agent that does nothing: a Faust worker without any ends itself.

    It reads the dead letters, for few come and each partition of them has its reader.
    """
    topic = app.topic(
        USAGE_DEAD.name,
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
    )

    @app.agent(topic)
    async def idle(stream: StreamT[bytes]) -> None:
        async for _ in stream:
            metrics.POLICY_RECORDS.labels("idle").inc()
