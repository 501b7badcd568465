"""Projects emergence.facts: projects, nodes, tiers, detections, activity and rejects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from projections.emergence import activity, detections, projects
from projections.position import NO_HOUR
from projections.rejects import write_rejects
from schemas.emergence_wire import from_wire_emergence_facts
from schemas.topics import EMERGENCE_FACTS_TOPIC, NODE_EVENTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

    from domain.emergence.facts import EmergenceFacts
    from projections.position import Position
    from projections.span import Span


class EmergenceBinding:
    """Gives the engine what is special about emergence."""

    topic = EMERGENCE_FACTS_TOPIC
    is_eager = True

    def decode(self, value: bytes | None) -> EmergenceFacts:
        """Read a facts record (Rejected when it is none)."""
        return from_wire_emergence_facts(value)

    def load_of(self, facts: EmergenceFacts) -> int:
        """Return about how many rows a record touches."""
        each = (facts.events, facts.projects, facts.nodes, facts.tiers)
        return sum(map(len, (*each, facts.activity, facts.rejects))) + 1

    def hour_high_of(self, facts: EmergenceFacts) -> int:  # noqa: ARG002 -- the protocol's form
        """Return that emergence has no windows."""
        return NO_HOUR

    def prepare(self, connection: psycopg.Connection) -> None:
        """Need nothing of a new connection."""

    def forget(self, positions: Mapping[int, Position]) -> None:
        """Have nothing to forget."""

    def write(
        self, connection: psycopg.Connection, spans: Mapping[int, Span[EmergenceFacts]]
    ) -> dict[str, int]:
        """Write spans; of several rows of one key only the newest, detections in their order.

        The catalogues in them are the fold's business, the table's come by the books.
        """
        each = [(number, facts) for number, span in spans.items() for facts in span.facts]
        # Statements go out without waiting for each one's answer.
        with connection.pipeline():
            rows = {
                "emergence_project": projects.write_projects(
                    connection, (row for _, facts in each for row in facts.projects)
                ),
                "emergence_node": projects.write_nodes(
                    connection, ((number, row) for number, facts in each for row in facts.nodes)
                ),
                "emergence_tier": projects.write_tiers(
                    connection, (row for _, facts in each for row in facts.tiers)
                ),
                "emergence_detection": detections.write_events(
                    connection, (event for _, facts in each for event in facts.events)
                ),
                "node_activity": activity.write_activity(
                    connection, (count for _, facts in each for count in facts.activity)
                ),
            }
        rows["reject"] = write_rejects(
            connection,
            ((number, reject) for number, facts in each for reject in facts.rejects),
            topic=NODE_EVENTS.name,
        )
        return rows
