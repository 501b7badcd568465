"""Records with a spool until somebody kills it; says beforehand and afterwards, on its journal.

Arguments: where, topic or key, folder of the spool, journal, fsync, first number, number to wait
at, seed, whether to end. Where is a broker, with a topic; or the URL of a gateway, with an API
key. One line before each record ("? n") and one after it returned ("! n"), each written at once:
what a process wrote with write(2) outlives it. A child that is not to end waits at its last
number to be killed, so that one that is killed late has not finished the work of the others.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from typing import Any

from tidegauge import BufferFull, Meter, Spool

TENANT = "acme"
HTTP_BATCH_EVENTS = 50
HTTP_PAUSE_S = 0.005
"""Between as many events: so a life is long enough for its gateway to be killed in it."""


def event_id(seed: int, number: int) -> str:
    """Return the id of an event, so that whoever reads the topic knows what was intended."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{seed}/{number}"))


def main() -> None:
    """Record the events from a number on; then wait to be killed, or drain and end."""
    where, name, folder, journal, fsync, *numbers = sys.argv[1:]
    first, last, seed, is_ending = map(int, numbers)
    said = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    # A small memory and small segments: overflow, reading back and rolling happen all the time.
    spool = Spool(folder, fsync=fsync, segment_bytes=128 * 1_024)  # type: ignore[arg-type]
    with _meter(where, name, spool) as meter:
        for number in range(first, last):
            os.write(said, f"? {number}\n".encode())
            meter.record(
                customer=f"cus_{number % 50}",
                type="requests",
                quantity=number,
                dimensions={"region": f"r{number % 3}"},
                id=event_id(seed, number),
            )
            os.write(said, f"! {number}\n".encode())
            if where.startswith("http") and number % HTTP_BATCH_EVENTS == 0:
                time.sleep(HTTP_PAUSE_S)
        while not is_ending:
            time.sleep(1)
        os.write(said, b"drain\n")
        while meter.flush(5) > 0:
            pass
        counters = meter.counters
        facts = ("recovered", "torn", "dropped", "failed", "spool_errors")
        told = " ".join(f"{name}={getattr(counters, name)}" for name in facts)
        os.write(said, f"end {told}\n".encode())


def _meter(where: str, name: str, spool: Spool) -> Meter:
    options: dict[str, Any] = {
        "tenant": TENANT,
        "source": "spool",
        "spool": spool,
        "buffer_events_max": 2_000,
        "delivery_timeout_ms": 5_000,
    }
    if where.startswith("http"):
        # Small batches: a gateway that is killed shall be at work then.
        return Meter.over_http(where, api_key=name, batch_events_max=HTTP_BATCH_EVENTS, **options)
    return Meter(where, topic=name, **options)


if __name__ == "__main__":
    try:
        main()
    except BufferFull as error:  # the default spool is 1 GiB: that would be a defect
        sys.exit(str(error))
