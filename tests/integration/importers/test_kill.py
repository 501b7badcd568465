"""An import that is killed again and again counts every row once; DuckDB adds up the file."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from tests.support.fold_world import TENANT, FoldWorld
from tests.support.processes import TIDEGAUGE, environment_of
from tests.support.usage_facts import totals_of, windows_of
from tests.support.usage_truth import NANO

ROWS = 60_000
BAD_EVERY = 1_000
KILLS = 6
RATE = 5_000
"""Rows a second: so low that six lives together do not reach the end, also when a kill is late."""
MAPPING = """
name: killed
columns:
  customer: {column: who}
  type: {constant: llm}
  quantity: {column: amount}
  time: {column: at, format: epoch_ms}
  dimensions:
    model: {column: model}
"""


def write_rows(path: Path) -> None:
    """Rows of many customers; every thousandth has no number for a quantity."""
    draw = random.Random(5)
    now = datetime.now(UTC) - timedelta(hours=3)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("who", "amount", "at", "model"))
        for number in range(ROWS):
            amount = f"{draw.randrange(10**6)}.{draw.randrange(10**9):09}"
            at = int((now + timedelta(milliseconds=number)).timestamp() * 1000)
            row = (f"customer {draw.randrange(50)}", amount, at, draw.choice("ab"))
            writer.writerow(row if number % BAD_EVERY else (row[0], "many", *row[2:]))


def arguments(tmp_path: Path, path: Path, *more: str) -> list[str]:
    return [
        str(TIDEGAUGE), "import", str(path), "--mapping", str(tmp_path / "map.yaml"),
        "--tenant", TENANT, "--state-dir", str(tmp_path / "imports"), *more,
    ]  # fmt: skip


@pytest.fixture
def environment(world: FoldWorld) -> dict[str, str]:
    return environment_of({"kafka": world.settings.kafka, "partitions": "2"})


def kill_it(command: list[str], environment: dict[str, str], tmp_path: Path) -> int:
    """Start an import and kill it -9 somewhere in the middle; the rows it had saved."""
    (state,) = [*(tmp_path / "imports").glob("*.json"), None][:1]
    before = json.loads(state.read_text())["tally"]["read"] if state else 0
    child = subprocess.Popen(command, env=environment, cwd=tmp_path)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and child.poll() is None:
        for state in (tmp_path / "imports").glob("*.json"):
            if json.loads(state.read_text())["tally"]["read"] > before:
                time.sleep(random.Random(before).random() * 0.9)
                os.kill(child.pid, signal.SIGKILL)
                child.wait()
                return int(json.loads(state.read_text())["tally"]["read"])
        time.sleep(0.02)
    raise AssertionError(f"it ended by itself with {child.wait()}")


def test_every_row_counts_once(
    world: FoldWorld, environment: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    write_rows(path)
    (tmp_path / "map.yaml").write_text(MAPPING)
    slow = arguments(tmp_path, path, "--events-per-s", str(RATE))
    saved = [kill_it(slow, environment, tmp_path) for _ in range(KILLS - 2)]
    saved += [kill_it([*slow[:-1], "3000"], environment, tmp_path) for _ in range(2)]
    assert saved == sorted(saved)
    assert 0 < saved[0] < saved[-1] < ROWS
    done = subprocess.run(
        arguments(tmp_path, path),
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr  # finished, with rejects
    (state,) = (tmp_path / "imports").glob("*.json")
    tally = json.loads(state.read_text())["tally"]
    bad = ROWS // BAD_EVERY
    assert (ROWS, ROWS - bad, {"quantity_not_number": bad}) == (
        tally["read"], tally["sent"], tally["rejected"],
    )  # fmt: skip
    (report,) = (tmp_path / "imports").glob("*.report.jsonl")
    lines = [json.loads(line)["line"] for line in report.read_text().splitlines()]
    assert list(range(2, ROWS + 2, BAD_EVERY)) == lines

    world.fold()

    facts = [each for number in range(2) for each in world.accepted(number)]
    expected = duckdb.execute(
        "SELECT who, sum(amount::DECIMAL(38,9)), count(*) FROM read_csv(?, all_varchar=true) "
        "WHERE amount <> 'many' GROUP BY who",
        [str(path)],
    ).fetchall()
    found: dict[str, tuple[int, int]] = {}
    for (_, customer, meter, _, _), window in windows_of(facts).items():
        if meter == "tokens_total":
            before = found.get(customer, (0, 0))
            found[customer] = before[0] + window.sum, before[1] + window.events
    assert {who: (int(total * NANO), count) for who, total, count in expected} == found
    totals = totals_of(facts)
    assert (ROWS - bad, 0, 0) == (totals["accepted"], totals["conflicts"], totals["rejected"])
    print(f"saved at {saved}; {totals['duplicates']} events were sent twice and counted once")

    again = subprocess.run(
        arguments(tmp_path, path),
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "imported before" in again.stdout
    assert sum(world.ends().values()) == sum(each.to_offset - each.from_offset for each in facts)
