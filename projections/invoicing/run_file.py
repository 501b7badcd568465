"""What a billing run came to, in a file, so that the next dry run can say what is different.

Runs that a person starts are noted. The worker's are not: each of its looks bills the few that
fell due since the last, and a dry run compared with them would call everybody new.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from domain.canonical import sha256_hex
from domain.codes import Code
from domain.errors import Fatal
from runtime.ids import new_id
from runtime.logs import logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from domain.invoice import InvoiceContent
    from projections.invoicing.builder import Billed

INVOICES_MAX = 1_000_000
"""Invoices of a run that are noted: about 100 MB."""


@dataclass(frozen=True, slots=True)
class RunEntry:
    """One invoice of a run.

    Args:
        subscription: Subscription, or the customer of an invoice of items alone.
        customer: Who pays.
        kind: Kind of the invoice.
        currency: ISO 4217 code.
        total_minor: What it comes to, minor units.
        lines: How many lines it has.
    """

    subscription: str
    customer: str
    kind: str
    currency: str
    total_minor: int
    lines: int


@dataclass(frozen=True, slots=True)
class Difference:
    """What a dry run would bill differently from the run before.

    Args:
        subscription, customer, currency: Of whom.
        before_minor: Total of the run before; None when it had none.
        after_minor: Total of this run; None when it has none.
    """

    subscription: str
    customer: str
    currency: str
    before_minor: int | None
    after_minor: int | None


def entry_of(content: InvoiceContent) -> RunEntry:
    """This function will note an invoice."""
    terms = content.terms
    return RunEntry(
        subscription=terms.subscription or terms.customer,
        customer=terms.customer,
        kind=terms.kind,
        currency=terms.currency,
        total_minor=content.total_minor,
        lines=len(content.lines),
    )


def path_of(state_dir: Path, *, tenant: str) -> Path:
    """This function will return where a tenant's last run is noted.

    The name is a hash: a tenant's name may hold what no file name can.
    """
    return state_dir / "billing" / f"{sha256_hex(tenant)[:32]}.jsonl"


def noted(billed: Iterable[Billed], path: Path) -> Iterator[Billed]:
    """This function will pass on what became of a run's invoices, and note those that were made.

    The note is written when the run ends, however it ends. A note that cannot be written stops no
    billing: the next dry run then compares with an older one.

    Args:
        billed: What the run answers.
        path: Where the note lies.
    """
    entries: list[RunEntry] = []
    try:
        for item in billed:
            if not item.code and len(entries) < INVOICES_MAX:
                entries.append(entry_of(item.content))
            yield item
    finally:
        if entries:
            try:
                write_run(path, entries)
            except OSError as error:
                logger().warning("billing.not_noted", error=str(error))


def write_run(path: Path, entries: Iterable[RunEntry]) -> None:
    """This function will note a run in place of the one before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(f".{new_id('new')}")  # two runs may end at the same moment
    with new.open("w", encoding="utf-8") as file:
        for entry in entries:
            file.write(json.dumps(asdict(entry), sort_keys=True, ensure_ascii=False) + "\n")
    new.replace(path)


def read_run(path: Path) -> tuple[RunEntry, ...]:
    """This function will read the last run; without one, nothing.

    Raises:
        Fatal: state_corrupt, when the file is damaged.
    """
    if not path.exists():
        return ()
    try:
        with path.open(encoding="utf-8") as file:
            return tuple(RunEntry(**json.loads(line)) for line in file)
    except (ValueError, TypeError) as error:
        raise Fatal(
            Code.STATE_CORRUPT,
            f"the note of the last billing run is damaged: {error}",
            next_step=f"Delete {path.name} in TIDEGAUGE_STATE_DIR: nothing is billed by it",
        ) from error


def differences(before: Iterable[RunEntry], after: Iterable[RunEntry]) -> tuple[Difference, ...]:
    """This function will compare two runs, the largest difference first."""
    old, new = _totals(before), _totals(after)
    found = [
        Difference(*key, before_minor=old.get(key), after_minor=new.get(key))
        for key in old.keys() | new.keys()
        if old.get(key) != new.get(key)
    ]
    return tuple(sorted(found, key=_size))


def _totals(entries: Iterable[RunEntry]) -> Mapping[tuple[str, str, str], int]:
    totals: dict[tuple[str, str, str], int] = {}
    for each in entries:
        key = each.subscription, each.customer, each.currency
        totals[key] = totals.get(key, 0) + each.total_minor
    return totals


def _size(difference: Difference) -> tuple[int, str, str]:
    change = (difference.after_minor or 0) - (difference.before_minor or 0)
    return -abs(change), difference.subscription, difference.currency
