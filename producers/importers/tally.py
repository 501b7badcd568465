"""What an import has read, sent and refused; exact, and small enough to be saved at each step."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Context, Decimal

from domain.canonical import Json, decimal_text

TYPES_MAX = 100
"""Event types that are added up one by one; the rest goes under OTHER."""
OTHER = "(other types)"
_EXACT = Context(prec=60)
"""A sum of 10^30 quantities of 23 digits still fits."""


@dataclass(slots=True)
class Tally:
    """Counts of one import; read = sent + rejected at every moment.

    Args:
        read: Rows, blank lines left out.
        sent: Rows recorded as events.
        rejected: Rows refused, by code.
        events: Events sent, by type.
        quantity: Sum of what was sent, by type.
    """

    read: int = 0
    sent: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    quantity: dict[str, Decimal] = field(default_factory=dict)

    def add_sent(self, event_type: str, quantity: str) -> None:
        """Count a row that became an event."""
        self.read += 1
        self.sent += 1
        if event_type not in self.events and len(self.events) >= TYPES_MAX:
            event_type = OTHER
        self.events[event_type] += 1
        before = self.quantity.get(event_type, Decimal(0))
        self.quantity[event_type] = _EXACT.add(before, Decimal(quantity))

    def add_rejected(self, code: str) -> None:
        """Count a row that was refused."""
        self.read += 1
        self.rejected[code] += 1

    def to_json(self) -> dict[str, Json]:
        """Return what `of_json` reads."""
        return {
            "read": self.read,
            "sent": self.sent,
            "rejected": dict(self.rejected),
            "events": dict(self.events),
            "quantity": {name: decimal_text(total) for name, total in self.quantity.items()},
        }

    @classmethod
    def of_json(cls, document: dict[str, Json]) -> Tally:
        """Read what `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError, ArithmeticError: It did not.
        """
        rejected, events, quantity = (
            _object(document[name]) for name in ("rejected", "events", "quantity")
        )
        tally = cls(
            read=_count(document["read"]),
            sent=_count(document["sent"]),
            rejected=Counter({name: _count(value) for name, value in rejected.items()}),
            events=Counter({name: _count(value) for name, value in events.items()}),
            quantity={name: Decimal(str(value)) for name, value in quantity.items()},
        )
        if tally.read != tally.sent + tally.rejected.total() or tally.sent != tally.events.total():
            raise ValueError("the counts do not add up")
        return tally


def _object(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise TypeError("no object")
    return dict(value)


def _count(value: Json) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError("no count")
    return value
