"""The projector's loop: read facts, apply the acceptance rule, flush, go on or start again.

While one flush is in the database the next one gathers. After anything but a clean commit the
state in memory is dropped and the positions are read again: they alone say what happened.
"""

from __future__ import annotations

from concurrent.futures import wait
from typing import TYPE_CHECKING, Generic

from domain.errors import Retryable
from projections.flush import Database, FlushResult
from projections.lane import Lane
from projections.reader import FactsReader
from projections.span import Facts, Intake
from runtime import clock, metrics
from runtime.logs import logger

if TYPE_CHECKING:
    from concurrent.futures import Future

    from confluent_kafka import Message

    from projections.position import Position
    from projections.span import Binding
    from runtime.settings import Settings
    from runtime.shutdown import Shutdown

READ_WAIT_MS = 100
"""Longest wait for a record before the loop looks at everything else."""
BUSY_WAIT_MS = 5
"""The same while something gathered waits for the database to be free."""
RECORDS_PER_ROUND_MAX = 500
"""Records taken before the loop looks at everything else; small ones come by the thousand."""
FLUSH_WAIT_MS = 500
"""How long a full projector sleeps before it looks whether to show the group a sign of life."""
SLOW_FLUSH_MS = 2_000
"""A flush that takes longer is a database in trouble: reading stops, polling goes on."""
RETRY_WAIT_MS_MIN, RETRY_WAIT_MS_MAX = 100, 5_000
"""Pause before the database is asked again: doubled each time, up to this."""
LAST_FLUSH_WAIT_MS = 5_000
"""How long the last flush may take after the end was requested; a stop may take 10 s in all."""


class TopicProjector(Generic[Facts]):
    """Projects one facts topic for as long as the process lives.

    Args:
        settings: Limits, and where broker and database are.
        binding: What is projected.
        group: Consumer group.
    """

    def __init__(self, settings: Settings, binding: Binding[Facts], *, group: str) -> None:
        self._settings = settings
        self._binding = binding
        self._topic = binding.topic.name
        self._database = Database(settings, binding)
        self._lane = Lane(f"flush {self._topic}")
        self._reader = FactsReader(settings, topic=self._topic, group=group, on_gone=self._gone)
        self._intakes: dict[int, Intake[Facts]] = {}
        self._placing: Future[dict[int, Position]] | None = None
        self._flushing: Future[FlushResult] | None = None
        self._flushing_since_ms = 0
        self._retry_at_ms = 0
        self._retry_wait_ms = RETRY_WAIT_MS_MIN
        self._waiting_since_ms = 0

    def run(self, shutdown: Shutdown) -> None:
        """Project until the end is requested.

        Raises:
            Fatal: facts_gap and its like: nothing was skipped, the operator is needed.
        """
        try:
            while not shutdown.is_requested:
                self._place()
                self._read()
                self._collect()
                self._flush_if_due()
            self._finish()
        finally:
            self._reader.close()
            if self._lane.close(timeout_ms=1000):
                self._database.close()

    # ── positions ───────────────────────────────────────────────────────────────────────────────

    def _place(self) -> None:
        """Find out where new partitions go on, without blocking."""
        if self._placing is not None:
            self._take_positions()
        elif self._flushing is None and clock.monotonic_ms() >= self._retry_at_ms:
            wanted = self._reader.unplaced
            if wanted:
                self._placing = self._lane.submit(lambda: self._database.place(wanted))

    def _take_positions(self) -> None:
        if self._placing is None or not self._placing.done():
            return
        placing, self._placing = self._placing, None
        try:
            positions = placing.result()
        except Retryable as error:
            self._retry_later(error)
            return
        self._retry_wait_ms = RETRY_WAIT_MS_MIN
        for partition, position in positions.items():
            self._intakes[partition] = Intake(
                self._binding, partition=partition, position=position
            )
            self._show(partition, position)
        self._reader.place({number: at.facts_offset + 1 for number, at in positions.items()})
        # A partition that could not be sought yet gets its next try a little later.
        self._retry_at_ms = clock.monotonic_ms() + RETRY_WAIT_MS_MIN
        logger().info(
            "projector.placed",
            topic=self._topic,
            positions={number: at.next_offset for number, at in positions.items()},
        )

    def _gone(self, partitions: list[int]) -> None:
        """Forget partitions of others; what is in the database already is theirs to find."""
        for partition in partitions:
            self._intakes.pop(partition, None)

    def _start_again(self, partitions: list[int]) -> None:
        self._gone(partitions)
        self._reader.unplace(partitions)

    def _retry_later(self, error: Retryable) -> None:
        logger().warning(
            "projector.waits", topic=self._topic, code=error.code, reason=error.reason
        )
        self._retry_at_ms = clock.monotonic_ms() + self._retry_wait_ms
        self._retry_wait_ms = min(2 * self._retry_wait_ms, RETRY_WAIT_MS_MAX)

    # ── facts ───────────────────────────────────────────────────────────────────────────────────

    @property
    def _load(self) -> int:
        return sum(intake.load for intake in self._intakes.values())

    def _read(self) -> None:
        """Gather facts until a flush is full or due, or nothing more is there."""
        rows_max = self._settings.projector_rows_max
        if self._load >= rows_max:
            self._wait_for_flush()
            return
        self._reader.hold(is_held=False)
        timeout_ms = self._read_wait_ms()
        for _ in range(RECORDS_PER_ROUND_MAX):
            message = self._reader.read(timeout_ms=timeout_ms)
            if message is None:
                return
            self._take(message)
            timeout_ms = 0
            if self._load >= rows_max:
                return

    def _take(self, message: Message) -> None:
        partition, offset = message.partition(), message.offset()
        intake = None if partition is None else self._intakes.get(partition)
        if intake is None or offset is None:
            return
        if self._load == 0:
            self._waiting_since_ms = clock.monotonic_ms()
        intake.take(message.value(), facts_offset=offset)

    def _read_wait_ms(self) -> int:
        """Return how long a record may be waited for before something else is due."""
        if self._load == 0:
            return READ_WAIT_MS
        return min(max(self._flush_due_ms() - clock.monotonic_ms(), BUSY_WAIT_MS), READ_WAIT_MS)

    # ── flushes ─────────────────────────────────────────────────────────────────────────────────

    def _flush_due_ms(self) -> int:
        wait_ms = 0 if self._binding.is_eager else self._settings.projector_flush_ms
        return self._waiting_since_ms + wait_ms

    def _flush_if_due(self) -> None:
        load = self._load
        if not load or self._flushing is not None or self._placing is not None:
            return
        is_full = load >= self._settings.projector_rows_max
        if not is_full and clock.monotonic_ms() < self._flush_due_ms():
            return
        spans = {
            partition: span
            for partition, intake in self._intakes.items()
            if (span := intake.drain()) is not None
        }
        self._flushing_since_ms = clock.monotonic_ms()
        self._flushing = self._lane.submit(lambda: self._database.flush(spans))

    def _wait_for_flush(self) -> None:
        """Let the database catch up; when that takes long, stay in the group meanwhile."""
        if self._flushing is None:
            return
        wait((self._flushing,), timeout=FLUSH_WAIT_MS / 1000)
        if clock.monotonic_ms() - self._flushing_since_ms > SLOW_FLUSH_MS:
            self._reader.hold(is_held=True)
            self._reader.read(timeout_ms=BUSY_WAIT_MS)

    def _collect(self) -> None:
        """Learn what became of a flush."""
        if self._flushing is None or not self._flushing.done():
            return
        flushing, self._flushing = self._flushing, None
        try:
            result = flushing.result()
        except Retryable as error:
            self._retry_later(error)
            self._start_again(list(self._intakes))
            return
        if result.stale:
            logger().info(
                "projector.overtaken", topic=self._topic, partitions=sorted(result.stale)
            )
            self._start_again(list(result.stale))
        for partition, position in result.written.items():
            self._show(partition, position)
        self._reader.show_progress(
            {number: at.facts_offset + 1 for number, at in result.written.items()}
        )

    def _show(self, partition: int, position: Position) -> None:
        label = metrics.PROJECTOR_POSITION.labels(self._topic, str(partition))
        label.set(position.next_offset)

    def _finish(self) -> None:
        """Wait for the flush that is under way; what only waits in memory is safe in the log."""
        if self._flushing is not None:
            wait((self._flushing,), timeout=LAST_FLUSH_WAIT_MS / 1000)
            self._collect()
