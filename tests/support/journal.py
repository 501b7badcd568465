"""O1, the intent journal: what was going to be sent, on disk before it was sent, and its outcome.

One append-only file of JSON lines, three kinds of them:
- intent: an event by the key its fold will see, with all its fields and the number of the attempt;
- outcome: what the broker said of some attempts, "acked" or "unknown";
- poison: a record that must be refused, with the code it must be refused by.

Whoever kills the writer loses at most the last outcome lines: then an attempt without
an outcome counts as unknown, which is what it is.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

COUNTED = "counted"
"""What an intent expects: to be counted once. Anything else is the code of its refusal."""

Owner = tuple[str, str, str]
"""Tenant, customer and key in hex: within them, an event is counted once."""


@dataclass(frozen=True, slots=True)
class Intent:
    """One event that is about to be sent.

    Args:
        key: The 16 bytes that name the event, in hex.
        tenant, customer, type, occurred_ms, quantity, dimensions, properties: Its payload.
        expect: COUNTED, or the code that it will be refused by.
        attempt: How often it was sent before, from 0; resends raise it.
    """

    key: str
    tenant: str
    customer: str
    type: str
    occurred_ms: int
    quantity: str
    dimensions: dict[str, str]
    properties: dict[str, str]
    expect: str = COUNTED
    attempt: int = 0

    def line(self) -> dict[str, Any]:
        """Return the intent as it stands in the file."""
        return {"intent": self.key, **{n: getattr(self, n) for n in self.__slots__ if n != "key"}}


class Journal:
    """Writes the file; intents are on the disk when `intend` returns."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")

    def intend(self, intents: Sequence[Intent]) -> None:
        """Write a chunk of intents and wait for the disk: sending comes after this."""
        self._write(intent.line() for intent in intents)
        self._file.flush()
        os.fsync(self._file.fileno())

    def settle(
        self,
        owners: Iterable[Owner],
        outcome: Literal["acked", "unknown"],
        *,
        partition: int,
        offset: int | None,
    ) -> None:
        """Write what became of one attempt of each of these events."""
        line = {"outcome": outcome, "partition": partition, "offset": offset, "of": list(owners)}
        self._write([line])

    def poison(
        self, *, kind: str, code: str, partition: int, offset: int | None, is_acked: bool
    ) -> None:
        """Write the outcome of a record that no fold may count."""
        line = {"poison": kind, "code": code, "partition": partition, "offset": offset}
        self._write([{**line, "is_acked": is_acked}])

    def note(self, **facts: Any) -> None:
        """Write facts about the run: seed, base time and the like."""
        self._write([{"note": facts}])

    def close(self) -> None:
        """Put everything on the disk and let go."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def _write(self, lines: Iterable[dict[str, Any]]) -> None:
        self._file.writelines(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)


@dataclass(slots=True)
class Promise:
    """What the journal says of one (tenant, customer, key)."""

    expects: set[str] = field(default_factory=set)
    payloads: set[tuple[Any, ...]] = field(default_factory=set)
    attempts: int = 0
    acked: int = 0
    unknown: int = 0

    @property
    def open(self) -> int:
        """Return the attempts that nobody told the outcome of."""
        return self.attempts - self.acked - self.unknown


@dataclass(slots=True)
class Summary:
    """The whole journal.

    Args:
        promises: What was sent, by owner.
        poisons: Refused records that the broker has, by code.
        poisons_unknown: Refused records that the broker may have, by code.
    """

    promises: dict[Owner, Promise] = field(default_factory=dict)
    poisons: Counter[str] = field(default_factory=Counter)
    poisons_unknown: Counter[str] = field(default_factory=Counter)

    def acked(self) -> set[Owner]:
        """Return what the broker acknowledged and a fold must have counted once."""
        return {o for o, p in self.promises.items() if p.expects == {COUNTED} and p.acked}

    def may_count(self) -> set[Owner]:
        """Return what a fold may count: acked or not, unless each send is to be refused."""
        return {owner for owner, promise in self.promises.items() if COUNTED in promise.expects}

    def unknown(self) -> set[Owner]:
        """Return what was sent and never acknowledged."""
        return {o for o, p in self.promises.items() if p.expects == {COUNTED} and not p.acked}

    def total(self, name: Literal["attempts", "acked", "unknown", "open"]) -> int:
        """Return one count over all events."""
        return sum(getattr(promise, name) for promise in self.promises.values())


def read_journal(path: Path) -> Summary:
    """Read a journal; a torn last line is left out, because its attempt had no outcome either."""
    summary = Summary()
    for line in _lines(path):
        if "intent" in line:
            owner = (line["tenant"], line["customer"], line["intent"])
            promise = summary.promises.setdefault(owner, Promise())
            promise.expects.add(line["expect"])
            promise.payloads.add(_payload(line))
            promise.attempts += 1
        elif "outcome" in line:
            for tenant, customer, key in line["of"]:
                promise = summary.promises[tenant, customer, key]
                setattr(promise, line["outcome"], getattr(promise, line["outcome"]) + 1)
        elif "poison" in line:
            kept = summary.poisons if line["is_acked"] else summary.poisons_unknown
            kept[line["code"]] += 1
    return summary


def _payload(line: dict[str, Any]) -> tuple[Any, ...]:
    pairs = (tuple(sorted(line[name].items())) for name in ("dimensions", "properties"))
    return line["type"], line["occurred_ms"], line["quantity"], *pairs


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for text in file:
            if text.endswith("\n"):
                line: dict[str, Any] = json.loads(text)
                yield line
