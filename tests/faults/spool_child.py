"""Records with a spool until somebody kills it; says beforehand and afterwards, on its journal.

Arguments: bootstrap, topic, folder of the spool, journal, fsync, first number, events, seed.
One line before each record ("? n") and one after it returned ("! n"), each written at once: what
a process wrote with write(2) outlives it.
"""

from __future__ import annotations

import os
import sys
import uuid

from tidegauge import BufferFull, Meter, Spool


def event_id(seed: int, number: int) -> str:
    """Return the id of an event, so that whoever reads the topic knows what was intended."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{seed}/{number}"))


def main() -> None:
    """Record the events from a number on, then drain and end."""
    bootstrap, topic, folder, journal, fsync, *numbers = sys.argv[1:]
    first, events, seed = map(int, numbers)
    said = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    # A small memory and small segments: overflow, reading back and rolling happen all the time.
    spool = Spool(folder, fsync=fsync, segment_bytes=128 * 1_024)  # type: ignore[arg-type]
    with Meter(
        bootstrap,
        tenant="acme",
        source="spool",
        topic=topic,
        spool=spool,
        buffer_events_max=2_000,
        delivery_timeout_ms=5_000,
    ) as meter:
        for number in range(first, events):
            os.write(said, f"? {number}\n".encode())
            meter.record(
                customer=f"cus_{number % 50}",
                type="requests",
                quantity=number,
                dimensions={"region": f"r{number % 3}"},
                id=event_id(seed, number),
            )
            os.write(said, f"! {number}\n".encode())
        os.write(said, b"drain\n")
        while meter.flush(5) > 0:
            pass
        counters = meter.counters
        facts = ("recovered", "torn", "dropped", "failed", "spool_errors")
        told = " ".join(f"{name}={getattr(counters, name)}" for name in facts)
        os.write(said, f"end {told}\n".encode())


if __name__ == "__main__":
    try:
        main()
    except BufferFull as error:  # the default spool is 1 GiB: that would be a defect
        sys.exit(str(error))
