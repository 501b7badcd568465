"""Books that go through the checkpoint of a partition, and the one form of all that they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

from msgspec import Struct

import streams.checkpoint
from domain.books.facts import BooksFacts
from domain.books.fold import BooksFold
from domain.canonical import Json
from schemas.command_wire import from_wire_books_facts, to_wire_books_facts
from streams.books import BooksPartition
from streams.checkpoint import Checkpoint
from streams.kept_books import KeptBooks
from tests.support.invoices import BillingBooks, flat, per_call, tax
from tests.support.wallets import WalletBooks


class Batch(list[Any]):
    """Changes of a MemoryStore that happen all at once."""

    def put(self, key: bytes, value: bytes) -> None:
        self.append(lambda held: held.__setitem__(key, value))

    def delete(self, key: bytes) -> None:
        self.append(lambda held: held.pop(key, None))

    def delete_range(self, start: bytes, end: bytes) -> None:
        self.append(
            lambda held: [held.pop(key) for key in sorted(held) if start <= key < end],
        )


class MemoryStore:
    """A store without a disk, for laws of hundreds of examples; one path, one content."""

    disks: ClassVar[dict[Path, dict[bytes, bytes]]] = {}

    def __init__(self, path: Path) -> None:
        self._held = self.disks.setdefault(path, {})

    def get(self, key: bytes) -> bytes | None:
        return self._held.get(key)

    def scan(self, start: bytes, end: bytes, *, limit: int) -> list[tuple[bytes, bytes]]:
        found = sorted(key for key in self._held if start <= key < end)
        return [(key, self._held[key]) for key in found[:limit]]

    def batch(self) -> Batch:
        return Batch()

    def write(self, batch: Batch) -> None:
        for change in batch:
            change(self._held)

    def close(self) -> None:
        """Nothing to let go of."""


class Keeper:
    """One life of a worker's partition: its checkpoint, and books that write into it.

    Args:
        path: Where the checkpoint is.
        facts_between: Facts between two writes of the state.
        records_max: Records behind the state after which a start ends.
    """

    def __init__(
        self, path: Path, *, facts_between: int = 1, records_max: int | None = None
    ) -> None:
        self.checkpoint = Checkpoint(path, identity="topic/1")
        kept = KeptBooks(self.checkpoint, facts_between=facts_between)
        self.fold = BooksFold(partition=0, partitions=1, new_state=kept.new_state)
        self.partition = BooksPartition(self.fold, kept)
        for _ in self.partition.load():
            pass
        self.started_at = self.checkpoint.start
        for value in islice(self.checkpoint.records(), records_max):
            self.partition.restore(from_wire_books_facts(value))

    def take(self, facts: Sequence[BooksFacts]) -> None:
        """Apply facts as a restore does, and note each of them after it."""
        for each in facts:
            self.partition.restore(each)
            self.checkpoint.note(
                facts_offset=each.from_offset,
                compact=to_wire_books_facts(each, writer="test"),
                position=each.to_offset,
            )


def through_checkpoint(
    facts: Sequence[BooksFacts], *, cut: int, facts_between: int = 1
) -> BooksFold:
    """Books that took the facts before the cut, ended, began again and took the rest."""
    path = Path("memory")
    MemoryStore.disks.clear()
    with patch.object(streams.checkpoint, "Store", MemoryStore):
        before = Keeper(path, facts_between=facts_between)
        before.take(facts[:cut])
        before.checkpoint.close()
        after = Keeper(path, facts_between=facts_between)
    after.take(facts[cut:])
    return after.fold


def two_tenants() -> list[BooksFacts]:
    """Facts of a tenant with wallets and charges and of one with invoices, a record a command."""
    wallets = WalletBooks(tenant="acme")
    for customer in ("ada", "bo"):
        wallets.customer(customer)
        wallets.top_up(100, 50, customer=customer)
    wallets.do("ApproveCharge", charge=wallets.request("blueprint_package"))
    wallets.do("DeclineCharge", charge=wallets.request("bom_suppliers"), reason="no")
    wallets.do("Nonsense")
    bills = BillingBooks(tenant="beta")
    bills.agreed(flat("base", "50"), per_call("calls", "0.333"), taxes=[tax("10")])
    for month in range(2, 8):
        bills.grant(1_000, credit=f"crd_{month}")
        bills.item(500, item=f"itm_{month}")
        as_of = f"2025-0{month}-02T00:00:00Z"
        bills.billed(as_of=as_of, invoice=f"inv_{month}", usage={"calls": "70"})
        paid: dict[str, Json] = {
            "amount_minor": 1_000,
            "currency": "USD",
            "method": "wire",
            "paid_at": as_of,
        }
        bills.send("RecordPayment", {"payment": f"pay_{month}", "invoice": f"inv_{month}", **paid})
    bills.send("VoidInvoice", {"invoice": "inv_7", "reason": "wrong"})
    return [
        replace(each, from_offset=offset, to_offset=offset + 1)
        for offset, each in enumerate([*wallets.facts, *bills.facts])
    ]


def restored(facts: Sequence[BooksFacts]) -> BooksFold:
    """Books that took every fact."""
    fold = BooksFold(partition=0, partitions=1)
    for each in facts:
        fold.restore(each)
    return fold


def _field_names(value: Any) -> tuple[str, ...]:
    """Names of what is compared of a record; none for what is no record."""
    if isinstance(value, Struct):
        return value.__struct_fields__
    if is_dataclass(value) and not isinstance(value, type):
        return tuple(each.name for each in fields(value) if each.compare)
    return ()


def canonical(value: Any) -> Any:
    """Everything that books hold, with the type of each leaf: equal as text, equal in everything.

    Plain == is not enough: True equals 1, and an enum's member its text. Maps and sets are sorted,
    for no answer goes by their order; what is not compared is a cache.
    """
    if isinstance(value, BooksFold):
        return [value.received_high_ms, canonical(value._tenants)]
    names = _field_names(value)
    if names:
        parts = ((name, canonical(getattr(value, name))) for name in names)
        return [type(value).__name__, *parts]
    if isinstance(value, Mapping):
        return sorted(([canonical(key), canonical(part)] for key, part in value.items()), key=repr)
    if isinstance(value, AbstractSet):
        return sorted((canonical(part) for part in value), key=repr)
    if isinstance(value, tuple | list):
        return [type(value).__name__, *map(canonical, value)]
    return [type(value).__name__, repr(value)]
