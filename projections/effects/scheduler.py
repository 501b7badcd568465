"""The scheduler: a thread that looks in the tables, from time to time, for what is to be sent.

Every look sends what has fallen due (due.py); every few looks it sweeps up what a policy may have
missed (sweep.py). Several may run: what they send takes effect once.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import psycopg

from domain.errors import Rejected, Retryable
from projections.effects import due, sweep
from runtime import clock
from runtime.commands import CommandSender
from runtime.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.settings import Settings
    from runtime.shutdown import Shutdown

LOOK_MS = 5_000
"""Time between two looks, ms: nothing here is wanted to the second."""
ACTOR = "scheduler"


def run_scheduler(settings: Settings, shutdown: Shutdown) -> None:
    """This function will send what is due, and what was missed, until the end is requested.

    Args:
        settings: Where broker and database are.
        shutdown: Asked between two steps.
    """
    sender = CommandSender(settings, actor=ACTOR)
    sweeper = sweep.Sweep(settings)
    next_sweep_ms = clock.monotonic_ms()
    while not shutdown.wait_ms(LOOK_MS):
        _attempt("due", lambda: due.send_due(settings, sender, as_of=clock.now() - due.SLACK))
        if clock.monotonic_ms() >= next_sweep_ms:
            next_sweep_ms = clock.monotonic_ms() + sweep.LOOK_MS
            _attempt("sweep", lambda: sweeper.look(now=clock.now()))


def _attempt(task: str, work: Callable[[], int]) -> None:
    """Do one task; its failure must not keep the other from its turn."""
    try:
        sent = work()
    except (Retryable, psycopg.Error) as error:
        # Nothing is lost: what is due stays due, what is missing stays missing.
        logger().warning("scheduler.waits", task=task, reason=str(error))
    except Rejected as error:
        logger().error("scheduler.defect", task=task, error=str(error))
    else:
        if sent:
            logger().info("scheduler.sent", task=task, sent=sent)


def start_scheduler(settings: Settings, shutdown: Shutdown) -> threading.Thread:
    """This function will run the scheduler in a thread of its own, which ends with the process."""
    thread = threading.Thread(
        target=run_scheduler, args=(settings, shutdown), name="scheduler", daemon=True
    )
    thread.start()
    return thread
