"""Files that a command line names: refused with a code, and before a long run."""

from __future__ import annotations

from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import files
from cli.main import app
from domain.codes import Code
from domain.errors import Rejected

MISSING = "/nonexist/x"


class TestRead:
    @pytest.mark.parametrize(
        ("content", "reason"),
        [(None, "No such file or directory"), (b"\xff\xfe", "it is no UTF-8")],
    )
    def test_names_the_file_and_why(
        self, content: bytes | None, reason: str, tmp_path: Path
    ) -> None:
        file = tmp_path / "values.txt"
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(Rejected) as refused:
            files.read_text(file)
        assert Code.FILE_UNREADABLE == refused.value.code
        assert f"{file} cannot be read: {reason}" == refused.value.reason

    def test_refuses_what_is_larger_than_it_takes(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("12345")
        assert "12345" == files.read_text(tmp_path / "file", bytes_max=5)
        with pytest.raises(Rejected, match="oversized"):
            files.read_text(tmp_path / "file", bytes_max=4)

    def test_of_a_dash_reads_the_standard_input(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(b"gr\xc3\xbcn")))
        assert "grün" == files.read_text(Path("-"))


class TestWrite:
    def test_says_how_much_it_was(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with files.written(str(tmp_path / "x")) as file:
            file.write(b"123")
        assert f"{tmp_path}/x: 3 bytes\n" == capsys.readouterr().err

    def test_is_refused_with_a_code(self) -> None:
        with pytest.raises(Rejected) as refused, files.written(MISSING):
            pass
        assert Code.FILE_UNWRITABLE == refused.value.code

    @pytest.mark.parametrize("name", ["none/x", "."])
    def test_to_come_is_looked_at_first(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(Rejected, match="file_unwritable"):
            files.require_writable(tmp_path / name)
        files.require_writable(tmp_path / "x")
        assert not list(tmp_path.iterdir())


class TestCommand:
    @pytest.mark.parametrize(
        "line",
        [
            f"vault scan {MISSING}",
            f"customer override ann LADDER calls {MISSING}",
            f"assets snapshot {MISSING}",
            f"reconcile --metric-file {MISSING}",
        ],
    )
    def test_refuses_before_it_asks_any_service(self, line: str) -> None:
        error = CliRunner().invoke(app, line.split()).exception
        assert isinstance(error, Rejected)
        assert error.code in {Code.FILE_UNREADABLE, Code.FILE_UNWRITABLE}
        assert MISSING in error.reason
