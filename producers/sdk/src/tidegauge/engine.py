"""What a `Meter` runs on: buffer, transport and flush thread, made together and ended together."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from tidegauge import buffer, flusher, intake, limits, report, transport
from tidegauge.spool.options import Spool
from tidegauge.traces import Traces


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything an engine is made from, checked; see `Meter` for the meaning of each.

    It is kept, because a forked child makes an engine of its own from it.
    """

    tenant: str
    source: str
    backfill: bool
    schema_id: int
    linger_s: float
    batch_events_max: int
    batch_bytes_max: int
    buffer_events_max: int
    block_s: float
    on_delivery: Callable[[report.Delivery], None] | None
    on_drop: Callable[[report.Drop], None] | None
    clock: Callable[[], datetime]
    spool: Spool | None
    traceparent: Callable[[], str | None] | None
    connect: Callable[[], transport.Transport]


class Engine:
    """One life of a meter in one process."""

    def __init__(self, plan: Plan) -> None:
        """This function will open the spool, connect, and start the flush thread.

        Args:
            plan: What the meter was told.

        Raises:
            InvalidOption: The spool or the transport cannot be used; nothing was started.
        """
        self.intake = intake.Intake(source=plan.source, clock=plan.clock)
        self.traces = Traces(plan.traceparent)
        self.buffer = _buffer_of(plan)
        try:
            way_out = plan.connect()
        except BaseException:
            self.buffer.close()
            raise
        settings = flusher.FlushSettings(
            tenant=plan.tenant,
            source=plan.source,
            producer_id=os.urandom(16),
            backfill=plan.backfill,
            schema_id=plan.schema_id,
            linger_s=plan.linger_s,
            batch_events_max=plan.batch_events_max,
            batch_bytes_max=plan.batch_bytes_max,
            on_delivery=plan.on_delivery,
            clock=plan.clock,
        )
        self._flusher = flusher.Flusher(settings, self.buffer, way_out, self.traces.waiting)
        self.thread = threading.Thread(
            target=self._flusher.run, name="tidegauge-flush", daemon=True
        )
        self.thread.start()

    def end(self, timeout_s: float) -> int:
        """This function will let the thread finish and let go of everything.

        Args:
            timeout_s: How long to wait for outcomes; ending takes up to 2 s more.

        Returns:
            Events without an outcome, and those that failed meanwhile.
        """
        failed_before = self.buffer.counters().failed
        self._flusher.close_by(time.monotonic() + timeout_s)
        self.thread.join(timeout_s + limits.TOPIC_LOOKUP_S + limits.ABANDON_S)
        self.buffer.close()
        after = self.buffer.counters()
        return after.failed - failed_before + after.pending

    def let_go_after_fork(self) -> None:
        """This function will see that the child harms nothing that the parent still uses."""
        self._flusher.transport.leak()
        self.buffer.let_go_after_fork()


def _buffer_of(plan: Plan) -> buffer.Buffer:
    wake_at = min(plan.batch_events_max, plan.buffer_events_max)
    if plan.spool is None:
        return buffer.Buffer(
            events_max=plan.buffer_events_max, wake_at=wake_at, block_s=plan.block_s
        )
    # Imported only when asked for: it needs flock, which not every system has.
    from tidegauge.spool.buffer import SpoolBuffer  # noqa: PLC0415

    return SpoolBuffer(
        plan.spool,
        tenant=plan.tenant,
        source=plan.source,
        events_max=plan.buffer_events_max,
        wake_at=wake_at,
        block_s=plan.block_s,
        on_drop=plan.on_drop,
    )
