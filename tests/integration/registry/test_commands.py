"""`tidegauge schema` as people type it."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from schemas.registry import USAGE_EVENT
from schemas.subjects import FOREIGN_ID_MIN
from tests.support.fold_world import FoldWorld
from tests.support.processes import run_command
from tests.support.registries import a_field, extended, record

SUBJECT = "usage.events-value"
EXTENDED = extended(USAGE_EVENT.definition, a_field("site", "string", default=""))


class Shell:
    """Types commands in a folder with schema files."""

    def __init__(self, world: FoldWorld, folder: Path) -> None:
        self._settings = {"kafka": world.settings.kafka, "partitions": "2"}
        self._folder = folder
        (folder / "extended.avsc").write_text(EXTENDED)
        (folder / "other.avsc").write_text(record("Other", a_field("a", "int")))
        (folder / "broken.avsc").write_text('{"type": "recor')

    def type(self, *arguments: str) -> CompletedProcess[str]:
        return run_command(["schema", *arguments], self._settings, cwd=self._folder)


@pytest.fixture
def shell(world: FoldWorld, tmp_path: Path) -> Shell:
    return Shell(world, tmp_path)


class TestSchemaCommands:
    def test_check_then_register_then_show(self, shell: Shell) -> None:
        """The way of somebody who adds a field."""
        checked = shell.type("check", "extended.avsc", "--subject", SUBJECT)
        assert f"fits as version 2 of {SUBJECT}" in checked.stdout
        for _ in range(2):
            registered = shell.type("register", SUBJECT, "extended.avsc")
            assert f"{SUBJECT}, version 2, id {FOREIGN_ID_MIN}" in registered.stdout
        again = shell.type("check", "extended.avsc", "--subject", SUBJECT)
        assert "is there already" in again.stdout
        for name in (SUBJECT, str(FOREIGN_ID_MIN)):
            shown = shell.type("show", name)
            assert json.loads(EXTENDED) == json.loads(shown.stdout)
            assert f"version 2, id {FOREIGN_ID_MIN}" in shown.stderr
        first = shell.type("show", SUBJECT, "--version", "1")
        assert USAGE_EVENT.definition == json.loads(first.stdout)
        listed = shell.type("list", SUBJECT)
        assert str(FOREIGN_ID_MIN) in listed.stdout
        assert "others" in listed.stdout

    def test_say_what_is_wrong_and_end_with_1(self, shell: Shell) -> None:
        for arguments, said in (
            (("check", "broken.avsc"), "schema_invalid"),
            (("check", "other.avsc", "--subject", SUBJECT), "is not Other"),
            (("check", "other.avsc", "--subject", "usage.events-key"), "subject_closed"),
            (("register", SUBJECT, "other.avsc"), "schema_incompatible"),
            (("show", "nobody"), "subject_unknown"),
            (("show", SUBJECT, "--version", "9"), "subject_unknown"),
            (("show", "999"), "subject_unknown"),
        ):
            done = shell.type(*arguments)
            assert 1 == done.returncode, arguments
            assert said in done.stdout + done.stderr, arguments
            assert "Traceback" not in done.stderr

    def test_check_a_file_without_any_service(self, tmp_path: Path) -> None:
        """In somebody's build there is no broker."""
        (tmp_path / "r.avsc").write_text(record("R", a_field("a", "int")))
        done = run_command(["schema", "check", "r.avsc"], {"kafka": "127.0.0.1:1"}, cwd=tmp_path)
        assert (0, "R is taken\n") == (done.returncode, done.stdout)
