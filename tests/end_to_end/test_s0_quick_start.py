"""S0's quick start, as docs/emergence.md has it: its own lines, run against `up --seed-s0`."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.settings import Settings
from tests.end_to_end import commands
from tests.support.checkout import ROOT
from tests.support.topics import fresh_topics

ANSWER_SECONDS_MAX = 30
_BLOCK = re.compile(r"```bash\n(.*?)```", re.DOTALL)
_SNIPPET = re.compile(r"```python\n(.*?)```", re.DOTALL)
WAITING = 'curl "http://localhost:8005/api/v1/billing/charges?status=requested"'


@pytest.fixture
def up(tmp_path: Path, kafka_bootstrap: str, fresh_database: str) -> Iterator[Path]:
    """`up --seed-s0`; gives a folder to work in."""
    fresh_topics(Settings().model_copy(update={"kafka": kafka_bootstrap}))
    variables = {
        "TIDEGAUGE_KAFKA": kafka_bootstrap,
        "TIDEGAUGE_DATABASE_URL": fresh_database,
        "TIDEGAUGE_CACHE_DIR": str(tmp_path / "cache"),
    }
    with commands.up("--seed-s0", folder=tmp_path, **variables) as process:
        yield tmp_path
        down = commands.run("down", folder=tmp_path, timeout_s=60, **variables)
        assert down.returncode == 0, down.stderr
        assert process.wait(10) == 0


def _guide() -> str:
    text = (ROOT / "docs" / "emergence.md").read_text("utf-8")
    return text.partition("## Addresses")[0]


def _lines() -> list[str]:
    """The curl commands of the guide's first pages, each on one line."""
    blocks = "\n".join(_BLOCK.findall(_guide())).replace("\\\n", " ")
    code = "\n".join(line for line in blocks.splitlines() if not line.startswith("#"))
    return ["curl " + part.strip() for part in code.split("curl ")[1:]]


def _run(line: str, folder: Path) -> str:
    words = shlex.split(line)
    done = subprocess.run(
        [words[0], "--silent", "--show-error", "--fail-with-body", *words[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=ANSWER_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout


def _asked_for(folder: Path, count: int) -> set[str]:
    """Wait until so many charges wait for approval; return their tiers."""
    deadline = time.monotonic() + ANSWER_SECONDS_MAX
    while len(rows := json.loads(_run(WAITING, folder))["data"]) < count:
        assert time.monotonic() < deadline, f"{rows} after webhooks for {count}"
        time.sleep(0.2)
    return {row["tier"] for row in rows}


def test_s0_89_the_lines_of_the_guide_work_as_they_stand(up: Path) -> None:
    """A report becomes a charge, a charge a receipt; webhooks are taken, too."""
    check, process, balance, top_up, receipt, hook, pulse = _lines()

    found: dict[str, Any] = json.loads(_run(check, up))
    assert (found["emergence_type"], found["credits_required"]) == ("blueprint_package", 50)
    paid = json.loads(_run(process.replace("emg_…", found["emergence_event_id"]), up))
    assert (paid["new_balance"], paid["status"]) == (50, "completed")
    assert json.loads(_run(balance, up))["credit_balance"] == 50
    assert json.loads(_run(top_up, up))["new_balance"] == 150
    year = time.strftime("%Y", time.gmtime())
    _run(receipt.replace("RCP-2026", f"RCP-{year}"), up)
    assert (up / "receipt.pdf").read_bytes().startswith(b"%PDF-")
    _run(hook, up)
    _run(pulse, up)
    assert _asked_for(up, 1) == {"bom_suppliers"}
    snippet: dict[str, Any] = {}
    exec(_SNIPPET.findall(_guide())[0], snippet)  # noqa: S102 -- our own guide
    node = {"finalized": True, "emergence_status": "ready", "investment_node_resolved": True}
    snippet["notify_node_completion"]("n3", 0.95, node, project_id="test-project")
    snippet["notify_roi_complete"]("n3", project_id="test-project")
    assert _asked_for(up, 2) == {"bom_suppliers", "investment_report"}
    page = _run("curl http://localhost:8005/console", up)
    assert "<html" in page
