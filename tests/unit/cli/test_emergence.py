"""`tidegauge emergence check`: what a person sees."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from domain.errors import Rejected
from tests.support import checkout

CATALOGUE = str(checkout.ROOT / "deploy" / "catalogues" / "s0_bem_emergence.yaml")
NODE = {
    "finalized": True,
    "emergence_status": "ready",
    "geometry_resolved": True,
    "specs_complete": True,
}


def said(tmp_path: Path, fit: float, *options: str, **data: object) -> str:
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"fit_score": fit, "node_data": {**NODE, **data}}))
    result = CliRunner().invoke(app, ["emergence", "check", CATALOGUE, str(report), *options])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


class TestCheck:
    def test_shows_what_would_be_offered(self, tmp_path: Path) -> None:
        shown = said(tmp_path, 0.95)
        for word in ("blueprint_package", "50", "500.00 PHP", "DXF files"):
            assert word in shown

    def test_names_the_gates_that_fail(self, tmp_path: Path) -> None:
        shown = said(tmp_path, 0.5, finalized=False)
        assert "no emergence: fit_too_low, not_finalized" in shown

    def test_says_when_nothing_is_left(self, tmp_path: Path) -> None:
        shown = said(tmp_path, 0.95, "--charged", "blueprint_package")
        assert "no tier that is not charged is reached" in shown

    @pytest.mark.parametrize(
        ("fit", "options", "reason"),
        [(1.7, (), "must not be above 1"), (0.95, ("--charged", "nope"), "'nope' is no tier")],
    )
    def test_refuses_what_makes_no_sense(
        self, tmp_path: Path, fit: float, options: tuple[str, ...], reason: str
    ) -> None:
        with pytest.raises(Rejected, match=reason):
            said(tmp_path, fit, *options)
