"""Helpers for tests of the importers: mappings from text, an outlet that keeps events."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from typing import Any

import yaml
from typing_extensions import override

from producers.importers.events import Event
from producers.importers.mapping import ImportMapping, Subject, parse_mapping
from producers.importers.outlet import DryOutlet
from producers.importers.run import Import, ImportJob, Report, Watch
from producers.importers.tally import Tally

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MAPPING = """
name: test
columns:
  customer: {column: who}
  type: {column: what}
  quantity: {column: amount}
  time: {column: at, zone: UTC}
  id: {column: id}
  dimensions: {model: {column: model}}
"""
HEADER = "id,who,what,amount,at,model"


def mapping_of(text: str, subject: Subject = Subject.FILE, **changes: Any) -> ImportMapping:
    document = yaml.load(dedent(text), Loader=yaml.BaseLoader)  # noqa: S506 -- as the product does
    return parse_mapping({**document, **changes}, subject)


class KeepingOutlet(DryOutlet):
    """Checks as the SDK does and keeps; may fail at a settle, as a kill or a broker would."""

    def __init__(self) -> None:
        super().__init__(source="test")
        self.events: list[Event] = []
        self.settled: list[Event] = []
        self.fail_at: set[int] = set()
        self.settles = 0

    @override
    def record(self, event: Event) -> None:
        super().record(event)
        self.events.append(event)

    @override
    def settle(self, should_stop: Callable[[], bool]) -> None:
        self.settles += 1
        if self.settles in self.fail_at:
            raise KilledError
        self.settled = list(self.events)


class KilledError(Exception):
    """Stands for the end of the process."""


def nobody_watches() -> Watch:
    def ignore(done: int, total: int, tally: Tally) -> None: ...

    return Watch(lambda: False, ignore, lambda: NOW)


def job_of(folder: Path, path: Path, mapping: ImportMapping, **more: Any) -> ImportJob:
    return ImportJob(
        path=path,
        mapping=mapping,
        tenant="acme",
        broker="here",
        state_dir=folder / "state",
        **more,
    )


def run(
    folder: Path,
    content: bytes | str,
    *,
    name: str = "rows.csv",
    mapping: str = MAPPING,
    outlet: KeepingOutlet | None = None,
    **more: Any,
) -> tuple[Report, list[Event]]:
    """Import a content and return the report and what was sent."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    outlet = outlet or KeepingOutlet()
    job = job_of(folder, path, mapping_of(mapping), **more)
    report = Import(job, lambda: outlet, nobody_watches()).run()
    assert report.tally.read == report.tally.sent + report.tally.rejected.total()
    return report, outlet.events
