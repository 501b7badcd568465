"""`tidegauge up` and `down`: an API that answers, and nothing left afterwards."""

import json
import os
import stat
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from runtime.settings import Settings
from tests.end_to_end import commands
from tests.support.topics import fresh_topics

UP_SECONDS_MAX = 90
DOWN_SECONDS_MAX = 60


def _get(url: str, *, key: str = "") -> tuple[int, Any]:
    request = urllib.request.Request(url)  # noqa: S310 -- our own address
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def _await_file(path: Path, process: subprocess.Popen[str], log: Path) -> None:
    deadline = time.monotonic() + UP_SECONDS_MAX
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"`up` did not get ready:\n{log.read_text(encoding='utf-8')[-4000:]}")
        time.sleep(0.1)


def test_up_answers_and_down_ends_everything(
    tmp_path: Path, kafka_bootstrap: str, fresh_database: str
) -> None:
    """From `up` to a first answer of the API, a second `up`, a crash, and `down`."""
    fresh_topics(Settings().model_copy(update={"kafka": kafka_bootstrap}))
    cache, log = tmp_path / "cache", tmp_path / "log"
    variables = {
        "TIDEGAUGE_KAFKA": kafka_bootstrap,
        "TIDEGAUGE_DATABASE_URL": fresh_database,
        "TIDEGAUGE_CACHE_DIR": str(cache),  # somebody's own `up` goes on undisturbed
    }
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            commands.command("up", "--seed"),
            cwd=tmp_path,
            env=commands.environment(**variables),
            stdout=output,
            stderr=output,
            text=True,
        )
    try:
        services_file = cache / "services.json"
        _await_file(services_file, process, log)
        assert stat.S_IMODE(services_file.stat().st_mode) == 0o600, "it holds a key and a password"
        where = json.loads(services_file.read_text(encoding="utf-8"))
        assert set(where) == {"kafka", "database_url", "api_url", "api_key"}
        address = f"{where['api_url']}/api/v1/billing/customers"
        assert _get(address, key=where["api_key"])[0] == 200
        assert _get(address)[0] == 401
        again = commands.run("up", folder=tmp_path, timeout_s=30, **variables)
        assert (again.returncode, again.stderr.startswith("already up")) == (0, True)
        _kill_one_and_wait_for_its_successor(cache)
        children = commands.processes_of(process.pid)
        assert len(children) >= 5
        down = commands.run("down", folder=tmp_path, timeout_s=DOWN_SECONDS_MAX, **variables)
        assert down.returncode == 0, down.stderr
        assert process.wait(10) == 0
        assert commands.alive(children) == set()
        assert list(cache.glob("*.json")) == []
        nothing = commands.run("down", folder=tmp_path, timeout_s=30, **variables)
        assert (nothing.returncode, nothing.stderr) == (0, "nothing is up\n")
    finally:
        if process.poll() is None:
            process.kill()


def _kill_one_and_wait_for_its_successor(cache: Path) -> None:
    """A process that crashes starts again by itself."""

    def children() -> list[list[int]]:
        found: list[list[int]] = json.loads((cache / "up.json").read_text("utf-8"))["children"]
        return found

    before = children()
    os.kill(before[0][0], 9)
    deadline = time.monotonic() + 30
    while children() == before:
        assert time.monotonic() < deadline, "nobody started it again"
        time.sleep(0.1)
