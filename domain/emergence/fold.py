"""The emergence fold: records of node.events of one partition in, one facts record out.

State is the projects of the partition, the catalogues in force and the highest append time; it is
a function of the partition's prefix alone, so every reader who replays it reaches the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.catalogue import Catalogue, is_newer, parse_catalogue
from domain.codes import Code
from domain.emergence.facts import (
    ActivityCount,
    EmergenceFacts,
    NodeRow,
    ProjectKey,
    ProjectRow,
    TierRow,
)
from domain.emergence.judging import Judging, Moment
from domain.emergence.jumps import jumps
from domain.emergence.project import Project, believed
from domain.emergence.reading import (
    key_of,
    read_node_report,
    read_pulse,
    read_settlement,
    require_names,
)
from domain.emergence.records import DetectionSettled, NodeReported, PulseReceived
from domain.emergence.rulebook import NO_RULEBOOK, Rulebook
from domain.errors import Rejected
from domain.fields import is_clean_text
from domain.routing import partition_of
from domain.usage.facts import REASON_LENGTH_MAX, CatalogueApplied, Reject
from domain.usage.records import CataloguePublished, Unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.emergence.facts import EmergenceEvent
    from domain.emergence.records import NodeRecord

STATE_VERSION = 1
"""Rises when old state would be misread; a checkpoint of another version is thrown away."""
DAY_MS = 86_400_000


class _Work:
    """What one micro-batch has come to so far."""

    def __init__(self) -> None:
        self.events: list[EmergenceEvent] = []
        self.activity: dict[tuple[str, str, str, int], ActivityCount] = {}
        self.catalogues: list[CatalogueApplied] = []
        self.rejects: list[Reject] = []
        self.touched: dict[ProjectKey, Project] = {}

    def count(self, project: Project, received_at_ms: int, *, is_pulse: bool) -> None:
        """Count a report or pulse that was taken."""
        tenant, name, _ = project.key
        day = received_at_ms // DAY_MS
        key = (tenant, project.customer, name, day)
        found = self.activity.get(key)
        if found is None:
            found = ActivityCount(*key, 0, 0, received_at_ms, received_at_ms)
            self.activity[key] = found
        found.updates += not is_pulse
        found.pulses += is_pulse
        found.first_at_ms = min(found.first_at_ms, received_at_ms)
        found.last_at_ms = max(found.last_at_ms, received_at_ms)

    def rows(self) -> tuple[tuple[ProjectRow, ...], tuple[NodeRow, ...], tuple[TierRow, ...]]:
        """Return the new rows of all touched projects, in the order of their keys."""
        projects: list[ProjectRow] = []
        nodes: list[NodeRow] = []
        tiers: list[TierRow] = []
        for _, project in sorted(self.touched.items()):
            if project.is_renamed and project.named is not None:
                projects.append(project.named)
            nodes += [project.nodes[name] for name in sorted(project.changed_nodes)]
            tiers += [project.tiers[code] for code in sorted(project.changed_tiers)]
            project.is_renamed = False
            project.changed_nodes.clear()
            project.changed_tiers.clear()
        return tuple(projects), tuple(nodes), tuple(tiers)


class EmergenceFold:
    """Says when work has become real.

    Args:
        partition: Partition this fold reads.
        partitions: Partition count of node.events.
    """

    def __init__(self, *, partition: int, partitions: int) -> None:
        self._partition = partition
        self._partitions = partitions
        self._projects: dict[ProjectKey, Project] = {}
        self._catalogues: dict[str, Catalogue] = {}
        self._books: dict[str, Rulebook] = {}
        self._received_high_ms = 0

    @property
    def projects_held(self) -> int:
        """Return how many projects are in memory."""
        return len(self._projects)

    def step(
        self, records: Sequence[NodeRecord], *, from_offset: int, to_offset: int
    ) -> EmergenceFacts:
        """This function will fold a micro-batch and move the state.

        Args:
            records: The records of [from_offset, to_offset), in order.
            from_offset: First source offset covered.
            to_offset: One past the last source offset covered.

        Returns:
            The facts to append; when the append fails the fold is to be dropped.
        """
        work = _Work()
        for record in records:
            self._received_high_ms = max(self._received_high_ms, record.received_at_ms)
            try:
                self._take(work, record)
            except Rejected as error:
                work.rejects.append(_reject(record, error))
        projects, nodes, tiers = work.rows()
        return EmergenceFacts(
            from_offset=from_offset,
            to_offset=to_offset,
            received_high_ms=self._received_high_ms,
            events=tuple(work.events),
            projects=projects,
            nodes=nodes,
            tiers=tiers,
            activity=tuple(count for _, count in sorted(work.activity.items())),
            catalogues=tuple(work.catalogues),
            rejects=tuple(work.rejects),
        )

    def restore(self, facts: EmergenceFacts) -> None:
        """This function will apply a facts record that was accepted before.

        Raises:
            Rejected: catalogue_invalid, when a catalogue in it is none: the record is corrupt.
        """
        self._received_high_ms = max(self._received_high_ms, facts.received_high_ms)
        for applied in facts.catalogues:
            self._put_catalogue(applied.tenant, parse_catalogue(applied.content))
        for named in facts.projects:
            self._known(named.key).named = named
        for node in facts.nodes:
            self._known(node.key).put_node(node)
        for tier in facts.tiers:
            self._known(tier.key).put_tier(tier)

    def _take(self, work: _Work, record: NodeRecord) -> None:
        """Take one record.

        Raises:
            Rejected: Why it does not count; the state is as it was.
        """
        body = record.body
        match body:
            case Unreadable():
                raise Rejected(body.code, body.reason)
            case CataloguePublished():
                self._take_catalogue(work, record, body)
                return
            case _:
                require_names(body)
        owner = partition_of(body.tenant, body.project, partitions=self._partitions)
        if owner != self._partition:
            raise Rejected(Code.MISROUTED, f"the project belongs to partition {owner}")
        match body:
            case NodeReported():
                self._take_report(work, record, body)
            case PulseReceived():
                self._take_pulse(work, record, body)
            case DetectionSettled():
                self._take_settlement(work, record, body)

    def _take_report(self, work: _Work, record: NodeRecord, body: NodeReported) -> None:
        book, moment = self._book(body.tenant), self._moment(record)
        reading = read_node_report(body, book)
        project = self._project(body, book)
        before, values = project.nodes.get(body.node), project.values(body.node)
        is_newest = project.take_report(
            body, reading, offset=record.offset, received_at_ms=moment.now_ms
        )
        self._keep(work, project)
        work.count(project, moment.now_ms, is_pulse=False)
        if is_newest:
            work.events += jumps(project, book, moment, before=before, values=values)
        judging = Judging(project, book, moment)
        judging.after_report()
        work.events += judging.events

    def _take_pulse(self, work: _Work, record: NodeRecord, body: PulseReceived) -> None:
        book, moment = self._book(body.tenant), self._moment(record)
        rules = read_pulse(body, book)
        project = self._project(body, book)
        if not body.target_node or not rules:
            # It says nothing that is judged; that it came counts as activity.
            work.count(project, moment.now_ms, is_pulse=True)
            return
        for rule in rules:
            project.take_pulse(
                body.target_node,
                rule.sets,
                occurred_at_ms=believed(body.occurred_at_ms, received_at_ms=moment.now_ms),
                offset=record.offset,
            )
        self._keep(work, project)
        work.count(project, moment.now_ms, is_pulse=True)
        judging = Judging(project, book, moment)
        judging.after_report(tiers={tier for rule in rules for tier in rule.tiers})
        work.events += judging.events

    def _take_settlement(self, work: _Work, record: NodeRecord, body: DetectionSettled) -> None:
        status = read_settlement(body)
        project = self._projects.get(key_of(body))
        if project is None:
            return  # no detection of ours: outdated, or of another log
        book = self._book(body.tenant)
        project.use(book)
        judging = Judging(project, book, self._moment(record))
        if judging.after_settlement(body.detection, status):
            self._keep(work, project)
            work.events += judging.events

    def _take_catalogue(
        self, work: _Work, record: NodeRecord, published: CataloguePublished
    ) -> None:
        """Put a newer version in force; the same one again changes nothing.

        Projects are judged by it with their next record.
        """
        if not is_clean_text(published.tenant):
            raise Rejected(Code.BAD_VALUE, "tenant must be printable text")
        catalogue = parse_catalogue(published.content)
        current = self._catalogues.get(published.tenant)
        if is_newer(catalogue, current=current, version=published.version):
            self._put_catalogue(published.tenant, catalogue)
            work.catalogues.append(
                CatalogueApplied(
                    published.tenant, catalogue.version, catalogue.content, record.offset
                )
            )

    def _put_catalogue(self, tenant: str, catalogue: Catalogue) -> None:
        self._catalogues[tenant] = catalogue
        self._books[tenant] = Rulebook.of(catalogue)

    def _book(self, tenant: str) -> Rulebook:
        return self._books.get(tenant, NO_RULEBOOK)

    def _moment(self, record: NodeRecord) -> Moment:
        return Moment(self._partition, record.offset, self._received_high_ms)

    def _project(self, body: NodeReported | PulseReceived, book: Rulebook) -> Project:
        """Return a project as it is, or a new one that is kept only when something counts."""
        key = key_of(body)
        project = self._projects.get(key) or Project(key)
        project.use(book)
        return project

    def _keep(self, work: _Work, project: Project) -> None:
        self._projects[project.key] = project
        work.touched[project.key] = project

    def _known(self, key: ProjectKey) -> Project:
        return self._projects.setdefault(key, Project(key))


def _reject(record: NodeRecord, error: Rejected) -> Reject:
    """Return the reject of a record; an unusable tenant stays empty."""
    tenant = record.body.tenant
    return Reject(
        offset=record.offset,
        index=-1,
        events=1,
        tenant=tenant if is_clean_text(tenant) else "",
        customer="",
        code=error.code,
        reason=error.reason[:REASON_LENGTH_MAX],
        received_at_ms=record.received_at_ms,
    )
