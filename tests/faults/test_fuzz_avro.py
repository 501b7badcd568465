"""A bounded run of `./dev fuzz`; the whole million is a command."""

import json
import subprocess
import sys
from pathlib import Path

from tests.faults.fuzz_avro import SEED
from tests.support import checkout

MUTATIONS = 60_000


def test_hostile_records_harm_nothing_and_are_all_accounted_for(tmp_path: Path) -> None:
    """In a process of its own, so that its growth is measured and a crash is seen."""
    found = tmp_path / "figures.json"
    options = [f"--mutations={MUTATIONS}", f"--seed={SEED}", f"--json={found}"]
    process = subprocess.run(
        [sys.executable, "-m", "tests.faults.fuzz_avro", *options],
        cwd=checkout.ROOT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    print(process.stdout)
    assert process.returncode == 0, process.stdout + process.stderr
    figures = json.loads(found.read_text(encoding="utf-8"))
    assert figures["mutations"] == MUTATIONS
    # It proves something only when mutations get past the reader too.
    assert figures["records_not_refused"] > MUTATIONS // 100
    assert {"undecodable", "bad_value", "unknown_type", "too_late", "future", "conflict"} <= set(
        figures["codes"]
    )
