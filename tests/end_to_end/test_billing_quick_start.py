"""The quick start of docs/billing.md: its own lines, run against `up`."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.settings import Settings
from runtime.vault.master import new_master_key
from tests.end_to_end import commands
from tests.support.checkout import ROOT
from tests.support.topics import fresh_topics

BLOCK_SECONDS_MAX = 120
"""Far above the few seconds that it takes: the machine of a test is shared."""
_BLOCK = re.compile(r"```(bash|python)\n(.*?)```", re.DOTALL)


@pytest.fixture
def where(tmp_path: Path, kafka_bootstrap: str, fresh_database: str) -> Iterator[dict[str, str]]:
    """`up`; gives the environment of somebody who follows the guide."""
    fresh_topics(Settings().model_copy(update={"kafka": kafka_bootstrap}))
    vault_key = new_master_key("guide")  # `up` draws one only for a database of its own
    variables = {
        "TIDEGAUGE_KAFKA": kafka_bootstrap,
        "TIDEGAUGE_DATABASE_URL": fresh_database,
        "TIDEGAUGE_CACHE_DIR": str(tmp_path / ".cache"),
        "TIDEGAUGE_VAULT_KEY": vault_key,
    }
    with commands.up(folder=tmp_path, **variables) as process:
        yield commands.environment(
            TIDEGAUGE_STATE_DIR=str(tmp_path / "state"), TIDEGAUGE_VAULT_KEY=vault_key
        )
        down = commands.run("down", folder=tmp_path, timeout_s=60, **variables)
        assert down.returncode == 0, down.stderr
        assert process.wait(10) == 0


def _blocks() -> list[tuple[str, str]]:
    text = (ROOT / "docs" / "billing.md").read_text("utf-8")
    guide = text.partition("## Quick start")[2].partition("\n## ")[0]
    return [(language, code) for language, code in _BLOCK.findall(guide)]


def _script(code: str) -> str:
    """A block as it stands, with our own `tidegauge`."""
    return (
        f'set -e\ntidegauge() {{ {sys.executable} -m cli.main "$@"; }}\n{code}\nexport -p >env\n'
    )


def _run(language: str, code: str, folder: Path, environment: dict[str, str]) -> str:
    words = ["bash", "-c", _script(code)] if language == "bash" else [sys.executable, "-c", code]
    done = subprocess.run(
        words,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=BLOCK_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}{done.stderr}"
    return done.stdout


def _learn(folder: Path, environment: dict[str, str]) -> None:
    """Take over what a block exported, as one shell would."""
    said = (folder / "env").read_text()
    names = r'^declare -x (TIDEGAUGE_\w+|START|AFTER|NUMBER)="(.*)"$'
    environment.update(dict(re.findall(names, said, re.MULTILINE)))


def test_the_lines_of_the_guide_work_as_they_stand(where: dict[str, str], tmp_path: Path) -> None:
    """10,600.00 from real events; replayed, traced, reconciled; late usage becomes a line."""
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    answers = []
    for language, code in _blocks():
        answers.append(_run(language, code, tmp_path, where))
        if language == "bash":
            _learn(tmp_path, where)

    _, books, _, bills, proofs, _, late = answers
    assert "version 1" in books or "published" in books
    assert "10600.00" in bills
    assert (tmp_path / "invoice.pdf").read_bytes().startswith(b"%PDF-")
    assert "equal to the last byte" in proofs
    assert "accepted = counted = rated = invoiced" in proofs
    # The worker of `up` may have been faster than the command; the next invoice has it either way.
    assert "1000.00 -> 1010.00" in late or "0 invoices corrected" in late
    assert "Correction of" in late
    assert "9010.00" in late
