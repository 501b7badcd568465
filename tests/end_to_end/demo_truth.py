"""What the demo must find, computed from the CSV by plain Python that knows nothing of Tidegauge.

The rules are written down once more here: who gets which row, what the plan costs. When one side
changes, the other one says so.
"""

import csv
import hashlib
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path

CUSTOMER_SHARES = {
    "blue-harbor": 40,
    "cedar-clinic": 25,
    "northwind-labs": 18,
    "acme-robotics": 12,
    "little-bakery": 5,
}


@dataclass(frozen=True)
class Truth:
    """What the trace says."""

    rows: int
    duplicates: int
    totals: dict[str, str]
    windows: int
    invoice_totals_minor: dict[str, int]


def read_truth(path: Path) -> Truth:
    """Compute everything that a run over this file must find."""
    requests: defaultdict[str, int] = defaultdict(int)
    context: defaultdict[str, int] = defaultdict(int)
    generated: defaultdict[str, int] = defaultdict(int)
    groups = set()
    largest = 0
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        moment, brought, got = (
            row["TIMESTAMP"][:23],
            int(row["ContextTokens"]),
            int(row["GeneratedTokens"]),
        )
        customer = _customer(number, moment, brought, got)
        requests[customer] += 1
        context[customer] += brought
        generated[customer] += got
        largest = max(largest, brought)
        size = "short" if brought < 1_000 else "medium" if brought < 4_000 else "long"
        groups.add((customer, size, moment[:13]))
    return Truth(
        rows=len(rows),
        duplicates=int(Fraction(3 * len(rows), 100) + Fraction(1, 2)),
        totals={
            "requests": str(len(rows)),
            "context_tokens": str(sum(context.values())),
            "generated_tokens": str(sum(generated.values())),
            "largest_context": str(largest),
        },
        windows=4 * len(groups),  # one per meter
        invoice_totals_minor={
            customer: _invoice_minor(requests[customer], context[customer], generated[customer])
            for customer in CUSTOMER_SHARES
        },
    )


def _customer(number: int, moment: str, brought: int, got: int) -> str:
    time = datetime.fromisoformat(f"{moment}+00:00")
    text = f"{number}\x1f{time.isoformat()}\x1f{brought}\x1f{got}"
    place = int(hashlib.blake2b(text.encode(), digest_size=8).hexdigest(), 16) % 100
    end = 0
    for customer, share in CUSTOMER_SHARES.items():
        end += share
        if place < end:
            return customer
    raise AssertionError(place)


def _invoice_minor(requests: int, context: int, generated: int) -> int:
    """Price the plan `scale` in fractions; each line is rounded half up to cents, once."""
    ladder = (
        min(context, 1_000_000) * Fraction("3.00")
        + min(max(context - 1_000_000, 0), 3_000_000) * Fraction("2.40")
        + max(context - 4_000_000, 0) * Fraction("1.875")
    )
    lines = (
        Fraction(49),
        max(requests - 500, 0) * Fraction("0.85") / 1_000,
        ladder / 1_000_000,
        max(generated - 10_000, 0) * Fraction(15) / 1_000_000,
    )
    return sum(int(line * 100 + Fraction(1, 2)) for line in lines)
