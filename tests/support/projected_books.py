"""The log, the books and the projector's own tables in one call, for tests of the API."""

from __future__ import annotations

from domain.books.facts import Outcome
from projections.account_binding import _project_facts as project_facts
from projections.books import outcomes
from tests.support.api_world import MemoryBooks


class ProjectedBooks(MemoryBooks):
    """Books whose facts are written as the projector writes them, each in its transaction."""

    def _write(self, outcome: Outcome) -> None:  # type: ignore[explicit-override]
        connection = self._rows.connection
        outcomes.project_outcome(connection, outcome, partition=0)
        project_facts(connection, outcome)
