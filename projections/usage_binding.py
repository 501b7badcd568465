"""Projects usage.facts: windows, series, intake counts, rejects, late days, amendments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from projections.event_amendments import write_amendments
from projections.intake_counts import write_intake_counts
from projections.late_usage import write_late_usage
from projections.position import NO_HOUR
from projections.rejects import write_rejects
from projections.usage_windows import UsageWindows
from schemas.topics import USAGE_EVENTS, USAGE_FACTS_TOPIC
from schemas.usage_wire import from_wire_usage_facts

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

    from domain.usage.facts import UsageFacts
    from projections.position import Position
    from projections.span import Span


class UsageBinding:
    """Gives the engine what is special about usage."""

    topic = USAGE_FACTS_TOPIC
    is_eager = False

    def __init__(self) -> None:
        self._windows = UsageWindows()

    def decode(self, value: bytes | None) -> UsageFacts:
        """Read a facts record (Rejected when it is none)."""
        return from_wire_usage_facts(value)

    def load_of(self, facts: UsageFacts) -> int:
        """Return the rows that a record may touch."""
        return len(facts.windows) + len(facts.rejects) + 1

    def hour_high_of(self, facts: UsageFacts) -> int:
        """Return the newest hour of a window in it."""
        return int(facts.windows.hour.max()) if len(facts.windows) else NO_HOUR

    def prepare(self, connection: psycopg.Connection) -> None:
        """Make the staging tables."""
        self._windows.prepare(connection)

    def forget(self, positions: Mapping[int, Position]) -> None:
        """Drop what was remembered; these partitions go on from here."""
        self._windows.forget(positions)

    def write(
        self, connection: psycopg.Connection, spans: Mapping[int, Span[UsageFacts]]
    ) -> dict[str, int]:
        """Write spans; the catalogues in them are the fold's business, ours come by the books."""
        rows = self._windows.write(connection, spans)
        each = [(number, facts) for number, span in spans.items() for facts in span.facts]
        rows["intake_count"] = write_intake_counts(connection, each)
        rows["reject"] = write_rejects(
            connection,
            ((number, reject) for number, facts in each for reject in facts.rejects),
            topic=USAGE_EVENTS.name,
        )
        rows["event_amendment"] = write_amendments(
            connection,
            ((number, item) for number, facts in each for item in facts.amendments),
        )
        rows["late_usage"] = write_late_usage(connection, each)
        return rows
