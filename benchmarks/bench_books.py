"""CPU of the books: commands decided, invoices finalised, and facts read back after a restart.

Claim: at least 5,000 plain commands/s and at most 2 ms CPU for an invoice of 10 lines in one
process, and 1,000,000 account facts restored in at most 15 s, in at most 3 s with a checkpoint.
Method: one BooksFold, no broker and no database. Plain commands are customers, account credit,
items and payments, in micro-batches of 100, from bytes to bytes: decoding the command and encoding
the facts are in. Invoices are those of as many subscriptions, ten lines of ten meters each, built
beforehand; building them to the last byte is the builder's work and is printed beside. The restore
reads the very records that were made, repeated for tenants of other names until there are enough
facts; how many of each kind is printed, and beside it what reading them without applying takes,
which is the limit of any restore from facts. On the way the state goes to a checkpoint, which is
then loaded into other books. CPU is process time.
Last result: see docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import structs

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
from streams.checkpoint import Checkpoint
from streams.engine import COLLECTOR_THRESHOLD
from streams.kept_books import KeptBooks

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
    kinds: Counter[str] = field(default_factory=Counter)

    @property
    def facts(self) -> int:
        """How many facts were made."""
        return self.kinds.total()

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
            self.kinds.update(fact.kind for fact in outcome.facts)


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
        yield build_invoice(
            terms=terms, usage=usage, catalogues=state.catalogues, pin=pin, is_next=True
        )


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


def of_tenant(values: Sequence[bytes], tenant: str, *, position: int) -> list[bytes]:
    """Return the same records as those of a tenant of another name, from a position on."""
    made = []
    for offset, value in enumerate(values, start=position):
        facts = from_wire_books_facts(value)
        outcomes = tuple(structs.replace(each, tenant=tenant) for each in facts.outcomes)
        moved = replace(facts, from_offset=offset, to_offset=offset + 1, outcomes=outcomes)
        made.append(to_wire_books_facts(moved, writer="benchmark"))
    return made


@dataclass
class Spent:
    """CPU seconds of a restore, by what they went to."""

    reading: float = 0.0
    applying: float = 0.0
    writing: list[float] = field(default_factory=list)


def restored(checkpoint: Checkpoint, books: Books, *, times: int) -> Spent:
    """Read the records for so many tenants, and let a checkpoint have the state as they go."""
    kept = KeptBooks(checkpoint)
    fold = BooksFold(partition=0, partitions=1, new_state=kept.new_state)
    spent, position = Spent(), 0
    for number in range(times):
        values = of_tenant(books.made, f"tenant_{number}", position=position)
        for value in values:
            began = time.process_time()
            kept.write_if_due(position=position, received_high_ms=0)
            written = time.process_time()
            facts = from_wire_books_facts(value)
            read = time.process_time()
            fold.restore(facts)
            spent.applying += time.process_time() - read
            spent.reading += read - written
            spent.writing.append(written - began)
            kept.count(facts)
            position = facts.to_offset
            checkpoint.note(facts_offset=position - 1, compact=value, position=position)
    return spent


def restores(books: Books, facts_wanted: int) -> dict[str, object]:
    """Measure reading the records back, and beginning again with a checkpoint of the state."""
    gc.freeze()
    gc.set_threshold(COLLECTOR_THRESHOLD, 20, 20)  # as the engine has it
    times = max(1, -(-facts_wanted // books.facts))
    facts = books.facts * times
    with TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder) / "0", identity="benchmark")
        spent = restored(checkpoint, books, times=times)
        checkpoint.close()
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.process_time()
        opened = Checkpoint(Path(folder) / "0", identity="benchmark")
        kept = KeptBooks(opened)
        fold = BooksFold(partition=0, partitions=1, new_state=kept.new_state)
        for _ in kept.load(fold):
            pass
        loading = time.process_time() - began
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident
        behind = len(list(opened.records()))
        opened.close()
        disk_bytes = sum(file.stat().st_size for file in (Path(folder) / "0").iterdir())
    assert len(fold._tenants) == times
    return {
        "facts": facts,
        "kinds": dict(books.kinds),
        "restore_s_per_million": round((spent.reading + spent.applying) * 1e6 / facts, 2),
        "of_that_reading_s": round(spent.reading * 1e6 / facts, 2),
        "checkpoint_load_s_per_million": round(loading * 1e6 / facts, 2),
        "records_behind_the_state": behind,
        "checkpoint_write_s_per_million": round(sum(spent.writing) * 1e6 / facts, 2),
        "checkpoint_pause_ms_max": round(max(spent.writing) * 1e3),
        "bytes_per_fact_in_memory": round(grown * 1024 / facts),
        "bytes_per_fact_on_the_log": round(sum(map(len, books.made)) / books.facts),
        "bytes_per_fact_in_the_checkpoint": round(disk_bytes / facts),
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
