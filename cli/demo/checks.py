"""The demo's own audit: what came out must be what the trace says, to the last token."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from cli.demo.trace import Trace
from cli.failures import CommandFailure
from domain.canonical import decimal_text

if TYPE_CHECKING:
    from cli.demo.figures import Counts
    from cli.demo.sends import Sends
    from projections.invoicing.replay import Replayed
    from projections.invoicing.trace import Traced

MISMATCHES_SHOWN_MAX = 20

Usage = Mapping[tuple[str, str], Decimal]
"""(customer, meter) to the quantity of the period."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Something that came out other than it must.

    Args:
        what: What was looked at.
        expected: What the trace says.
        found: What came out.
    """

    what: str
    expected: str
    found: str


def usage_of(trace: Trace) -> dict[tuple[str, str], Decimal]:
    """This function will add the trace up by customer and meter, from its rows alone."""
    usage: defaultdict[tuple[str, str], int] = defaultdict(int)
    for request in trace.requests:
        customer = request.customer
        usage[customer, "requests"] += 1
        usage[customer, "context_tokens"] += request.context_tokens
        usage[customer, "generated_tokens"] += request.generated_tokens
        largest = usage[customer, "largest_context"]
        usage[customer, "largest_context"] = max(largest, request.context_tokens)
    return {key: Decimal(value) for key, value in usage.items()}


def totals_of(usage: Usage) -> dict[str, str]:
    """This function will add usage up over the customers, as exact decimal text per meter."""
    totals: dict[str, Decimal] = {}
    for (_, meter), quantity in usage.items():
        before = totals.get(meter, Decimal(0))
        is_peak = meter == "largest_context"
        totals[meter] = max(before, quantity) if is_peak else before + quantity
    return {meter: decimal_text(total) for meter, total in totals.items()}


def check_counts(sends: Sends, trace: Trace, counts: Counts) -> list[Mismatch]:
    """This function will check what became of everything sent.

    On a log that has seen this trace before, all requests are duplicates; so accepted ones and
    duplicates are checked together here, and the accepted ones by the usage itself.
    """
    fates = counts.accepted + counts.duplicates + counts.conflicts + counts.rejected
    expected = {
        "events received": (sends.total, counts.received),
        "accepted + duplicates + conflicts + rejected": (counts.received, fates),
        "accepted + duplicates": (
            len(trace.requests) + sends.duplicates,
            counts.accepted + counts.duplicates,
        ),
        "conflicts": (len(sends.conflicts), counts.conflicts),
        "rejected": (sum(sends.codes.values()), counts.rejected),
    }
    found = [
        Mismatch(what, str(wanted), str(came))
        for what, (wanted, came) in expected.items()
        if wanted != came
    ]
    if counts.rejects != sends.codes:
        found.append(Mismatch("rejects by code", str(sends.codes), str(counts.rejects)))
    return found


def check_usage(expected: Usage, found: Usage) -> list[Mismatch]:
    """This function will check usage per customer and meter, as the API answers it."""
    return [
        Mismatch(
            f"{meter} of {customer}",
            str(expected.get((customer, meter))),
            str(found.get((customer, meter))),
        )
        for customer, meter in sorted(expected.keys() | found.keys())
        if expected.get((customer, meter)) != found.get((customer, meter))
    ]


def check_invoices(
    expected: Usage, invoices: Iterable[Replayed], stored_sha256: Mapping[str, str]
) -> list[Mismatch]:
    """This function will check every invoice: quantities, sum, hash, and its replay.

    Args:
        expected: Usage by the trace.
        invoices: Replayed invoices.
        stored_sha256: Content hash by number, as the database has it.
    """
    found: list[Mismatch] = []
    billed: set[str] = set()
    for replayed in invoices:
        content, number = replayed.original.content, replayed.original.number
        customer = content.terms.customer
        billed.add(customer)
        for line in content.lines:
            wanted = expected.get((customer, line.meter), Decimal(0))
            if line.meter and Decimal(line.quantity) != wanted:
                found.append(Mismatch(f"{number}, {line.price}", str(wanted), line.quantity))
        total = sum(line.amount for line in content.lines)
        if total != content.total_minor:
            found.append(Mismatch(f"{number}, total", str(total), str(content.total_minor)))
        hashes = {replayed.original.sha256, replayed.content.sha256, stored_sha256.get(number, "")}
        if len(hashes) != 1 or not replayed.is_equal:
            found.append(
                Mismatch(f"{number}, replay", replayed.original.sha256, replayed.content.sha256)
            )
    customers = {customer for customer, _ in expected}
    if customers - billed:
        found.append(Mismatch("customers with an invoice", str(customers), str(billed)))
    return found


def check_trace(traced: Traced) -> list[Mismatch]:
    """This function will check that a line's raw events add up to it."""
    if traced.is_equal:
        return []
    return [
        Mismatch(f"raw events of {traced.line.price}, {each.meter}", each.quantity, each.counted)
        for each in traced.usage
        if each.quantity != each.counted
    ] or [Mismatch(f"windows of {traced.line.price}", "0 differ", f"{traced.differences} differ")]


def require_none(mismatches: list[Mismatch]) -> None:
    """This function will end the demo when anything came out wrong.

    Raises:
        CommandFailure: With every mismatch, up to MISMATCHES_SHOWN_MAX.
    """
    if mismatches:
        lines = [
            f"  {item.what}: expected {item.expected}, found {item.found}"
            for item in mismatches[:MISMATCHES_SHOWN_MAX]
        ]
        raise CommandFailure(
            f"{len(mismatches)} figures are not what the trace says",
            details="\n".join(lines),
            next_step="this is a defect of Tidegauge: please report it with these lines",
        )
