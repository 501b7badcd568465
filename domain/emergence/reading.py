"""Reading what node events say, before any of it counts: names, times, customer and version.

Everything here refuses or returns; a record that is refused leaves its project as it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from domain.codes import Code
from domain.emergence.facts import ProjectKey
from domain.emergence.records import DetectionSettled, NodeReported, Settlement
from domain.emergence_rules.judge import read_report, values_of
from domain.errors import Rejected
from domain.fields import TEXT_LENGTH_MAX, is_clean_text

if TYPE_CHECKING:
    from domain.emergence.records import NodeEvent, PulseReceived
    from domain.emergence.rulebook import Rulebook
    from domain.emergence_rules.expressions import Value
    from domain.emergence_rules.rules import PulseRule

CUSTOMER_FIELD, VERSION_FIELD = "customer_id", "node_version"
"""Members of a report that say who is charged, and which of a node's reports is newer."""
VERSION_MAX = 2**53 - 1
"""Largest node version: the largest whole number that every JSON writer keeps exact."""
OCCURRED_MAX_MS = 253_402_300_799_999
"""The last millisecond of the year 9999; later ones have no date in most systems."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a report says.

    Args:
        values: Its declared fields.
        customer: Customer that it names; empty for none.
        version: Its `node_version`; -1 for none.
    """

    values: dict[str, Value]
    customer: str
    version: int


def key_of(body: NodeEvent) -> ProjectKey:
    """This function will return the project that an event belongs to; a lone node is its own."""
    if isinstance(body, DetectionSettled):
        return ProjectKey(body.tenant, body.project, body.lone_node)
    node = body.node if isinstance(body, NodeReported) else body.target_node
    return ProjectKey(body.tenant, body.project, "" if body.project else node)


def require_names(body: NodeEvent) -> None:
    """This function will refuse names and times that nothing could be filed under.

    Raises:
        Rejected: bad_value, with the field.
    """
    may_be_empty = {"project": body.project}
    required = {"tenant": body.tenant}
    if isinstance(body, DetectionSettled):
        may_be_empty["lone_node"] = body.lone_node
        required["detection"] = body.detection
        moment = body.settled_at_ms
    elif isinstance(body, NodeReported):
        required["node"] = body.node
        moment = body.occurred_at_ms
    else:
        may_be_empty["target_node"] = body.target_node
        moment = body.occurred_at_ms
    for name, text in (*required.items(), *may_be_empty.items()):
        if not is_clean_text(text) and (text or name in required):
            raise _bad(name, f"must be text of 1 to {TEXT_LENGTH_MAX} printable characters")
    if not 0 <= moment <= OCCURRED_MAX_MS:
        raise _bad("occurred_at", "must lie between 1970 and 9999")


def read_node_report(report: NodeReported, book: Rulebook) -> Reading:
    """This function will read a report by the rules in force.

    Raises:
        Rejected: bad_value, with the field that is wrong.
    """
    given = read_report(report.data)
    return Reading(values_of(given, book.rules), _customer(given), _version(given))


def _customer(given: dict[str, object]) -> str:
    customer = given.get(CUSTOMER_FIELD)
    if customer is None:
        return ""
    if not isinstance(customer, str) or not is_clean_text(customer):
        raise _bad(CUSTOMER_FIELD, f"must be text of 1 to {TEXT_LENGTH_MAX} printable characters")
    return customer


def _version(given: dict[str, object]) -> int:
    version = given.get(VERSION_FIELD)
    if version is None:
        return -1
    is_whole = isinstance(version, Decimal) and version.as_tuple().exponent == 0
    if not is_whole or not 0 <= version <= VERSION_MAX:  # type: ignore[operator]
        raise _bad(VERSION_FIELD, f"must be a whole number from 0 to {VERSION_MAX}")
    return int(version)  # type: ignore[call-overload,no-any-return]


def read_pulse(pulse: PulseReceived, book: Rulebook) -> tuple[PulseRule, ...]:
    """This function will return the rules that a pulse speaks to: their field is true.

    Raises:
        Rejected: bad_value, when such a field is neither true nor false.
    """
    given = read_report(pulse.data)
    found = []
    for rule in book.rules.pulses:
        value = given.get(rule.field)
        if value is not None and not isinstance(value, bool):
            raise _bad(rule.field, "must be true or false")
        if value:
            found.append(rule)
    return tuple(found)


def read_settlement(settled: DetectionSettled) -> Settlement:
    """This function will read what became of a detection (Rejected bad_value, when unknown)."""
    if settled.status not in set(Settlement):
        raise _bad("status", f"must be one of {', '.join(Settlement)}")
    return Settlement(settled.status)


def _bad(name: str, why: str) -> Rejected:
    return Rejected(Code.BAD_VALUE, f"{name} {why}", param=name)
