"""The scheduler: it goes on whatever fails, and what fails keeps nothing else from its turn."""

from __future__ import annotations

import psycopg
import pytest

from domain.codes import Code
from domain.errors import Rejected, Retryable
from projections.effects import due, scheduler, sweep
from runtime.settings import Settings
from runtime.shutdown import Shutdown

FAILURES = (
    Retryable(Code.BROKER_AWAY, "away", retry_after_ms=1),
    psycopg.OperationalError("away"),
    Rejected(Code.STATE_CORRUPT, "a defect"),
)


class TestScheduler:
    @pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
    def test_does_both_of_its_tasks_whatever_fails(
        self, failure: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Three rounds in which everything fails are three rounds of both."""
        done: list[str] = []
        shutdown = Shutdown()

        def fail(task: str) -> int:
            done.append(task)
            if len(done) == 6:
                shutdown.request()
            raise failure

        monkeypatch.setattr(scheduler, "LOOK_MS", 1)
        monkeypatch.setattr(sweep, "LOOK_MS", 0)
        monkeypatch.setattr(due, "send_due", lambda *_, **__: fail("due"))
        monkeypatch.setattr(sweep.Sweep, "look", lambda *_, **__: fail("sweep"))
        scheduler.run_scheduler(Settings(kafka="127.0.0.1:1"), shutdown)
        assert done == ["due", "sweep"] * 3
