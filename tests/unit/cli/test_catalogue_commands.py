"""`tidegauge catalogue` on files alone: what it prints, and the status that scripts read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from domain.canonical import Json
from domain.catalogue_schema import schema_text
from domain.errors import Rejected
from tests.support import billing

FIRST = billing.s1_document(1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two versions of a catalogue and a wrong file."""
    (tmp_path / "one.json").write_text(FIRST)
    (tmp_path / "two.json").write_text(
        billing.document(
            2,
            meters=[*billing.S1_METERS, billing.meter("[red]calls")],
            plans=billing.S1_PLANS[:3],
        )
    )
    (tmp_path / "wrong.yaml").write_text("version: 1\nmeter: []\nplan: []\n")
    (tmp_path / "drops.json").write_text(billing.document(2, meters=[], plans=[]))
    return tmp_path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["catalogue", *map(str, arguments)])


class TestCheck:
    def test_lists_every_mistake_of_every_file(self, folder: Path) -> None:
        """Status 1, and the good file's line is there as well."""
        done = run("check", folder / "one.json", folder / "wrong.yaml", folder / "wrong.yaml")
        lines = done.stdout.splitlines()
        assert 1 == done.exit_code
        assert lines[0].startswith(f"{folder / 'one.json'}: version 1, 2 meters, 4 plans, ")
        assert lines[1] == (
            f"{folder / 'wrong.yaml'}:2:1: catalogue.meter is no known field: "
            'did you mean "meters"?'
        )
        assert 5 == len(lines)

    def test_goes_on_after_a_file_that_is_not_there(self, folder: Path) -> None:
        done = run("check", folder / "none.yaml", folder / "one.json")
        assert 1 == done.exit_code
        assert f"{folder / 'none.yaml'}:1:1: No such file or directory" in done.stdout
        assert f"{folder / 'one.json'}: version 1" in done.stdout

    def test_names_a_catalogue_that_no_record_of_usage_events_takes(self, tmp_path: Path) -> None:
        """A command would take it, and the folds would never see it: 150 plans of 100 prices."""
        prices: list[Json] = [
            {"key": f"a_price_with_a_rather_long_key_{number:03}", "form": "flat", "amount": "1"}
            for number in range(100)
        ]
        plans = [billing.plan(f"P{n}", currency="CAD", prices=prices) for n in range(150)]
        path = tmp_path / "large.json"
        path.write_text(billing.document(1, meters=[], plans=plans))

        done = run("check", path)

        assert 1 == done.exit_code
        assert "at most 1048576 are taken" in done.stdout

    def test_passes_right_files(self, folder: Path) -> None:
        assert 0 == run("check", folder / "one.json", folder / "two.json").exit_code

    def test_says_that_a_document_does_not_fit_into_its_record(self, tmp_path: Path) -> None:
        """Found before anything is sent: 1 MiB as a command."""
        plans = [
            billing.plan(
                f"p{number}",
                currency="USD",
                prices=[
                    {"key": f"{index}{'x' * 190}", "form": "flat", "amount": "1"}
                    for index in range(100)
                ],
            )
            for number in range(50)
        ]
        path = tmp_path / "large.json"
        path.write_text(billing.document(1, meters=[], plans=plans))
        done = run("check", path)
        assert 1 == done.exit_code
        assert "bytes in a record, at most 1048576 are taken" in done.stdout


class TestDiff:
    def test_shows_changes_as_a_table(self, folder: Path) -> None:
        """Names from outside are shown as they are, not as markup."""
        done = run("diff", folder / "two.json", "--against", folder / "one.json")
        assert 0 == done.exit_code, done.stdout
        assert "[red]calls" in done.stdout
        assert "removed" in done.stdout
        assert "version 2 can be published" in done.stdout

    def test_shows_them_as_json(self, folder: Path) -> None:
        """For scripts; the words of a refusal are those of the books."""
        done = run("diff", folder / "drops.json", "--against", folder / "one.json", "--json")
        found = json.loads(done.stdout)
        assert 1 == done.exit_code
        assert (1, 2) == (found["from_version"], found["to_version"])
        assert {"removed"} == {each["how"] for each in found["changes"]}
        assert [
            {
                "code": "catalogue_invalid",
                "reason": f"meter '{key}' of version 1 is missing: a meter stays; "
                "give a new meaning a new key",
            }
            for key in ("assets", "credits")
        ] == found["refused"]

    def test_says_that_nothing_differs(self, folder: Path) -> None:
        done = run("diff", folder / "one.json", "--against", folder / "one.json")
        assert (0, True) == (done.exit_code, "the same document" in done.stdout)

    def test_refuses_a_file_that_is_wrong(self, folder: Path) -> None:
        """The first mistake, how many more, and who lists them."""
        done = run("diff", folder / "wrong.yaml", "--against", folder / "one.json")
        assert isinstance(done.exception, Rejected)
        assert "wrong.yaml:2:1: " in str(done.exception)
        assert "(and 1 more)" in str(done.exception)
        assert f"`tidegauge catalogue check {folder / 'wrong.yaml'}`" in str(done.exception)


class TestSchema:
    def test_is_printed_as_it_is_kept(self) -> None:
        assert schema_text() == run("schema").stdout
