"""An import that ends anywhere goes on behind what was acknowledged; ids never change."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from typing_extensions import override

from domain.errors import Fatal, Rejected, Retryable
from producers.importers import run as running
from producers.importers.events import Event
from producers.importers.progress import Lock
from producers.importers.run import Import, Watch
from tests.support.import_worlds import (
    HEADER,
    MAPPING,
    NOW,
    KeepingOutlet,
    KilledError,
    job_of,
    mapping_of,
    nobody_watches,
    run,
)

WITHOUT_ID = MAPPING.replace("  id: {column: id}\n", "")
ROWS = 100


def content() -> str:
    rows = (
        f'{number},"ann",llm,{number if number % 7 else "x"},2026-11-20T10:00:00Z,m'
        for number in range(ROWS)
    )
    return "\n".join((HEADER, *rows, ""))


def by_id(events: list[Event]) -> dict[str, Event]:
    return {event.id: event for event in events}


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "STEP_ROWS_MAX", 10)


@pytest.mark.parametrize("fail_at", range(1, 12))
def test_a_kill_before_any_acknowledgement_loses_and_invents_nothing(
    tmp_path: Path, fail_at: int
) -> None:
    """The union of what was sent is the file; rejects stand once; counts are of the whole."""
    (tmp_path / "whole").mkdir()
    whole, expected = run(tmp_path / "whole", content(), mapping=WITHOUT_ID)
    killed = KeepingOutlet()
    killed.fail_at = {fail_at}
    with pytest.raises(KilledError):
        run(tmp_path, content(), mapping=WITHOUT_ID, outlet=killed)
    report, rest = run(tmp_path, content(), mapping=WITHOUT_ID)
    for arrived in (killed.events, killed.settled):  # all that was recorded, or the least
        assert by_id(expected) == {**by_id(arrived), **by_id(rest)}
    assert not by_id(killed.settled).keys() & by_id(rest).keys(), "acknowledged, and sent again"
    assert whole.tally == report.tally
    assert (fail_at - 1) * 10 == report.resumed_at
    for path, other in (
        (whole.rows_path, report.rows_path), (whole.report_path, report.report_path),
    ):  # fmt: skip
        assert path.read_bytes() == other.read_bytes()


def test_a_finished_import_sends_nothing_until_it_is_asked_for_again(tmp_path: Path) -> None:
    _, first = run(tmp_path, content())
    report, none = run(tmp_path, content())
    assert (True, [], 100) == (report.was_finished, none, report.tally.read)
    again, second = run(tmp_path, content(), is_again=True)
    assert (first, 100) == (second, again.tally.read)


def test_rejects_can_be_corrected_and_imported(tmp_path: Path) -> None:
    report, _ = run(tmp_path, content())
    corrected = report.rows_path.read_text().replace(",x,", ",5,")
    second, events = run(tmp_path, corrected, name="corrected.csv")
    assert (report.tally.rejected.total(), 0) == (second.tally.sent, len(second.tally.rejected))
    assert {str(number) for number in range(0, ROWS, 7)} == {event.id for event in events}


def test_another_mapping_under_the_same_name_is_refused(tmp_path: Path) -> None:
    run(tmp_path, content())
    with pytest.raises(Rejected, match="import_mapping_changed"):
        run(tmp_path, content(), mapping=MAPPING.replace("{column: model}", "{constant: x}"))


def test_another_tenant_or_cluster_is_another_import(tmp_path: Path) -> None:
    run(tmp_path, content())
    mapping = mapping_of(MAPPING)
    job = job_of(tmp_path, tmp_path / "rows.csv", mapping)
    for other in (replace(job, tenant="other"), replace(job, broker="there")):
        report = Import(other, KeepingOutlet, nobody_watches()).run()
        assert not report.was_finished


def test_an_import_that_began_too_long_ago_is_not_gone_on_with(tmp_path: Path) -> None:
    """The log has forgotten its ids: what was sent and not saved would count again."""
    killed = KeepingOutlet()
    killed.fail_at = {3}
    with pytest.raises(KilledError):
        run(tmp_path, content(), outlet=killed)
    later = Watch(lambda: False, lambda *_: None, lambda: NOW + timedelta(days=36))
    job = job_of(tmp_path, tmp_path / "rows.csv", mapping_of(MAPPING))
    with pytest.raises(Fatal, match="import_too_old"):
        Import(job, KeepingOutlet, later).run()


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    run(tmp_path, content())
    (state,) = list((tmp_path / "state").glob("*.json"))
    with Lock(state.with_suffix(".lock")), pytest.raises(Retryable, match="import_busy"):
        run(tmp_path, content())


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"mapping_sha256": 1}', '{"at": -1}'])
def test_a_damaged_progress_file_stops_the_import(tmp_path: Path, damage: str) -> None:
    run(tmp_path, content())
    (state,) = list((tmp_path / "state").glob("*.json"))
    state.write_text(damage)
    with pytest.raises((Fatal, Rejected), match="import_"):
        run(tmp_path, content())


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    class Writing(KeepingOutlet):
        @override
        def settle(self, should_stop: object) -> None:
            with (tmp_path / "rows.csv").open("a") as file:
                file.write("101,ann,llm,1,2026-11-20T10:00:00Z,m\n")

    with pytest.raises(Rejected, match="it changed while it was read"):
        run(tmp_path, content(), outlet=Writing())


def test_a_stop_is_saved_and_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(content())
    asked = iter([False] * 30 + [True] * 9)
    outlet = KeepingOutlet()
    watch = Watch(lambda: next(asked), lambda *_: None, lambda: NOW)
    job = job_of(tmp_path, path, mapping_of(MAPPING))
    with pytest.raises(Retryable, match="import_stopped"):
        Import(job, lambda: outlet, watch).run()
    report, rest = run(tmp_path, content())
    assert len(outlet.events) + len(rest) == report.tally.sent
