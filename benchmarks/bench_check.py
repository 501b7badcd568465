"""POST /emergence/check: answers within 100 ms (p95) at 50 requests a second.

Claim: on two cores, while every process of the pipeline runs on the same machine, 95 % of the
checks are answered within 100 ms at 50 requests a second; a check reads the project, judges it and
waits for the broker.
Method: `tidegauge up` by itself; requests leave by the clock whether or not earlier ones have been
answered, each timed from when it should have left, so that a stall counts for all it delays. The
floor is GET /healthz of the same server at the same rate: what the server, the client and the
machine cost without any work of ours.
Run: benchmarks/bench_check.py --url http://127.0.0.1:8080 (an `up --seed-s0`).
Last result: 2026-11-21, 2 cores shared with three other builds, 1,000 requests: floor p50 3.0, p95
4.3 ms; check p50 6.8, p95 9.4, p99 14.9, max 72.8 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from dataclasses import dataclass

import httpx

PROJECTS = 200
"""Different projects that are checked in turn."""
WARM_UP = 50
CONNECTIONS = 64


@dataclass(frozen=True)
class Plan:
    """What is sent.

    Args:
        url: The API.
        rate: Requests per second.
        seconds: For how long.
    """

    url: str
    rate: int
    seconds: int


def body_of(number: int) -> bytes:
    """A node below the gates: exploration, which is most of what is checked (S0-17)."""
    return json.dumps(
        {
            "project_id": f"bench-{number % PROJECTS}",
            "node_id": f"node-{number % 5}",
            "fit_score": 0.5,
            "node_data": {"finalized": True, "emergence_status": "ready"},
        }
    ).encode()


async def run(plan: Plan, *, is_floor: bool) -> list[float]:
    """Send by the clock and return the milliseconds of each answer."""
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    async with httpx.AsyncClient(base_url=plan.url, limits=limits, timeout=30) as client:

        async def one(number: int, due_s: float) -> float:
            if is_floor:
                answer = await client.get("/healthz")
            else:
                answer = await client.post(
                    "/emergence/check",
                    content=body_of(number),
                    headers={"Content-Type": "application/json"},
                )
            answer.raise_for_status()
            return (time.perf_counter() - due_s) * 1000

        for number in range(WARM_UP):
            await one(number, 0)
        start_s = time.perf_counter()
        tasks = []
        for number in range(plan.rate * plan.seconds):
            due_s = start_s + number / plan.rate
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            tasks.append(asyncio.create_task(one(number, due_s)))
        return list(await asyncio.gather(*tasks))


def show(name: str, found: list[float]) -> None:
    """Print the quantiles of one run."""
    cuts = statistics.quantiles(found, n=100)
    print(
        f"{name}: {len(found)} requests, p50 {cuts[49]:.1f} ms, p95 {cuts[94]:.1f} ms, "
        f"p99 {cuts[98]:.1f} ms, max {max(found):.1f} ms"
    )


def main() -> None:
    """Measure the floor and the check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--rate", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=20)
    plan = Plan(**vars(parser.parse_args()))
    show("floor", asyncio.run(run(plan, is_floor=True)))
    show("check", asyncio.run(run(plan, is_floor=False)))


if __name__ == "__main__":
    main()
