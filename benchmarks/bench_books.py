"""CPU of the books: commands decided, invoices finalised, and facts read back after a restart.

Claim: at least 5,000 plain commands/s and at most 2 ms CPU for an invoice of 10 lines in one
process, and 1,000,000 account facts restored in at most 15 s.
Method: one BooksFold, no broker and no database. Plain commands are customers, account credit,
items and payments, in micro-batches of 100, from bytes to bytes: decoding the command and encoding
the facts are in. Invoices are those of as many subscriptions, ten lines of ten meters each, built
beforehand; building them is the builder's work and is printed beside. The restore reads the very
records that were made, repeated for tenants of other names until there are enough facts. CPU is
process time.
Last result: see docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.support import write_result
from domain.books import items
from domain.books.facts import BooksFacts
from domain.books.fold import BooksFold
from domain.books.invoice_terms_of import invoice_terms
from domain.books.records import Command, CommandRecord
from domain.canonical import Json
from domain.credit_balance import NO_CREDIT
from domain.invoice import InvoiceContent, Pin, build_invoice
from domain.rated import UsageEntry
from domain.rating import selections
from schemas.command_wire import from_wire_books_facts, to_wire_books_facts
from streams.engine import COLLECTOR_THRESHOLD

MICRO_BATCH = 100
LINES = 10
START, DUE = "2025-01-01T00:00:00Z", "2025-02-02T00:00:00Z"


def catalogue_text() -> str:
    """A plan of nine graduated meters and a fee."""
    tiers = [{"up_to": "1000", "rate": "0.002"}, {"up_to": "50000", "rate": "0.0015"}]
    meters = [f"meter_{number}" for number in range(LINES - 1)]
    fee: dict[str, Json] = {"key": "base", "form": "flat", "amount": "99"}
    prices: list[dict[str, Json]] = [
        {"key": key, "form": "graduated", "meter": key, "tiers": [*tiers, {"rate": "0.001"}]}
        for key in meters
    ]
    document: Json = {
        "version": 1,
        "meters": [
            {"key": key, "event_type": key, "aggregation": "sum", "unit": "unit"} for key in meters
        ],
        "taxes": [{"code": "vat", "name": "VAT", "rate": "10"}],
        "plans": [{"code": "P", "name": "P", "currency": "USD", "prices": [fee, *prices]}],
    }
    return json.dumps(document)


@dataclass
class Books:
    """A fold of one partition and what it was given."""

    fold: BooksFold = field(default_factory=lambda: BooksFold(partition=0, partitions=1))
    offset: int = 0
    made: list[bytes] = field(default_factory=list)
    facts: int = 0

    def records(self, wanted: Sequence[tuple[str, dict[str, Json]]]) -> Iterator[CommandRecord]:
        """Turn commands into the records of a micro-batch."""
        for number, (kind, body) in enumerate(wanted, start=self.offset):
            yield CommandRecord(
                number, number, Command("tenant", f"cmd_{number}", kind, json.dumps(body))
            )

    def send(self, wanted: Sequence[tuple[str, dict[str, Json]]]) -> float:
        """Decide commands in micro-batches; return the CPU seconds that took."""
        batches = []
        for start in range(0, len(wanted), MICRO_BATCH):
            batch = list(self.records(wanted[start : start + MICRO_BATCH]))
            self.offset += len(batch)
            batches.append(batch)
        began = time.process_time()
        for batch in batches:
            first = batch[0].offset
            facts = self.fold.step(batch, from_offset=first, to_offset=first + len(batch))
            self.made.append(to_wire_books_facts(facts, writer="benchmark"))
            self._check(facts)
        return time.process_time() - began

    def _check(self, facts: BooksFacts) -> None:
        for outcome in facts.outcomes:
            assert outcome.code == "", outcome.reason
            self.facts += len(outcome.facts)


def rate_of(books: Books, count: int, make: Callable[[int], tuple[str, dict[str, Json]]]) -> int:
    """Return commands per CPU second of one kind."""
    return round(count / books.send([make(number) for number in range(count)]))


def contents(books: Books, count: int) -> Iterator[InvoiceContent]:
    """Build the January invoice of each subscription."""
    state = books.fold._tenants["tenant"]
    pin = Pin((10,) * 12, 0, 7, "0" * 64)
    for number in range(count):
        terms = invoice_terms(
            subscription=state.subscriptions[f"sub_{number}"],
            customer=state.customers[f"customer_{number}"],
            items=items.waiting(
                state, customer=f"customer_{number}", subscription=f"sub_{number}"
            ),
            credit=state.billing.credit.get(f"customer_{number}", NO_CREDIT),
            catalogues=state.catalogues,
            published_at=state.published_at,
            tenant="tenant",
        )
        usage = [
            UsageEntry(each.segment, each.meter, each.where, 60_000 * 10**9 + number, 720)
            for each in selections(terms=terms, catalogues=state.catalogues)
        ]
        yield build_invoice(terms=terms, usage=usage, catalogues=state.catalogues, pin=pin)


def plain_commands(books: Books, count: int) -> dict[str, object]:
    """Measure the kinds that a tenant sends most."""
    books.send([("PublishCatalogue", {"content": catalogue_text()})])

    def customer(number: int) -> tuple[str, dict[str, Json]]:
        return "CreateCustomer", {"customer": f"customer_{number}", "currency": "USD"}

    def subscription(number: int) -> tuple[str, dict[str, Json]]:
        name = {"subscription": f"sub_{number}", "customer": f"customer_{number}"}
        return "CreateSubscription", {**name, "plan": "P", "start": START}

    def item(number: int) -> tuple[str, dict[str, Json]]:
        body: dict[str, Json] = {"item": f"itm_{number}", "customer": f"customer_{number}"}
        return "AddItem", {**body, "label": "Setup", "amount_minor": 100, "currency": "USD"}

    def credit(number: int) -> tuple[str, dict[str, Json]]:
        body: dict[str, Json] = {"credit": f"crd_{number}", "customer": f"customer_{number}"}
        return "GrantAccountCredit", {
            **body,
            "amount_minor": 100,
            "currency": "USD",
            "reason": "x",
        }

    makers = (customer, subscription, item, credit)
    return {f"{each.__name__}_per_s": rate_of(books, count, each) for each in makers}


def invoices(books: Books, count: int) -> dict[str, object]:
    """Measure finalising, and paying what was finalised."""
    began = time.process_time()
    made = list(contents(books, count))
    built = time.process_time() - began
    wanted: list[tuple[str, dict[str, Json]]] = [
        (
            "FinalizeInvoice",
            {
                "invoice": f"inv_{number}",
                "as_of": DUE,
                "content": content.text,
                "content_sha256": content.sha256,
            },
        )
        for number, content in enumerate(made)
    ]
    finalised = books.send(wanted)

    def payment(number: int) -> tuple[str, dict[str, Json]]:
        body: dict[str, Json] = {"payment": f"pay_{number}", "invoice": f"inv_{number}"}
        paid: dict[str, Json] = {"amount_minor": 5, "currency": "USD", "method": "wire"}
        return "RecordPayment", {**body, **paid, "paid_at": DUE}

    return {
        "lines": len(made[0].lines),
        "content_bytes": len(made[0].text),
        "build_ms_per_invoice": round(built * 1000 / count, 3),
        "finalize_ms_per_invoice": round(finalised * 1000 / count, 3),
        "payment_per_s": rate_of(books, count, payment),
    }


def restores(books: Books, facts_wanted: int) -> dict[str, object]:
    """Measure reading the records back, as often as it takes to have so many facts."""
    times = max(1, -(-facts_wanted // books.facts))
    gc.freeze()
    gc.set_threshold(COLLECTOR_THRESHOLD, 20, 20)  # as the engine has it
    began = time.process_time()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kept = []
    for _ in range(times):
        fold = BooksFold(partition=0, partitions=1)
        for value in books.made:
            fold.restore(from_wire_books_facts(value))
        kept.append(fold)
    seconds = time.process_time() - began
    facts = books.facts * times
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident
    return {
        "facts": facts,
        "facts_per_invoice": round(
            books.facts / len(books.fold._tenants["tenant"].subscriptions), 1
        ),
        "restore_s_per_million": round(seconds * 1e6 / facts, 2),
        "bytes_per_fact_in_memory": round(grown * 1024 / facts),
        "bytes_per_fact_on_the_log": round(sum(map(len, books.made)) / books.facts),
    }


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2_000, help="subscriptions, and invoices")
    parser.add_argument("--facts", type=int, default=100_000, help="facts to read back, at least")
    parser.add_argument("--json", default="")
    arguments = parser.parse_args()
    books = Books()
    result = plain_commands(books, arguments.count)
    result |= invoices(books, arguments.count)
    result |= restores(books, arguments.facts)
    write_result(arguments, result)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
