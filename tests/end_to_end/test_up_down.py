"""`tidegauge up` and `down`: an API that answers, and nothing left afterwards."""

import json
import os
import shlex
import stat
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from runtime.settings import Settings
from tests.end_to_end import commands
from tests.support.topics import fresh_topics

DOWN_SECONDS_MAX = 60
COUNTED_SECONDS_MAX = 30


def _get(url: str, *, key: str = "") -> tuple[int, Any]:
    request = urllib.request.Request(url)  # noqa: S310 -- our own address
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


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
    with commands.up("--seed", folder=tmp_path, **variables) as process:
        services_file = cache / "services.json"
        assert stat.S_IMODE(services_file.stat().st_mode) == 0o600, "it holds a key and a password"
        where = json.loads(services_file.read_text(encoding="utf-8"))
        assert set(where) == {
            "kafka", "database_url", "api_url", "gateway_url", "api_key",
        }  # fmt: skip
        address = f"{where['api_url']}/api/v1/billing/customers"
        assert _get(address, key=where["api_key"])[0] == 200
        assert _get(address)[0] == 200, "on this machine nobody needs a key"
        assert _get(address, key=where["api_key"][:-1])[0] == 401, "but a wrong one is wrong"
        assert _get(f"{where['gateway_url']}/readyz")[0] == 200
        _use_and_see_it(log.read_text(encoding="utf-8"), where)
        _scopes_hold(where, tmp_path, variables)
        again = commands.run("up", folder=tmp_path, timeout_s=30, **variables)
        assert (again.returncode, again.stderr.startswith("already up")) == (0, True)
        _kill_one_and_wait_for_its_successor(cache)
        children = commands.processes_of(process.pid)
        assert len(children) >= 6
        down = commands.run("down", folder=tmp_path, timeout_s=DOWN_SECONDS_MAX, **variables)
        assert down.returncode == 0, down.stderr
        assert process.wait(10) == 0
        assert commands.alive(children) == set()
        assert list(cache.glob("*.json")) == []
        nothing = commands.run("down", folder=tmp_path, timeout_s=30, **variables)
        assert (nothing.returncode, nothing.stderr) == (0, "nothing is up\n")


def _use_and_see_it(screen: str, where: dict[str, str]) -> None:
    """The line that `up` shows for the gateway works as it stands, and the use is counted."""
    (line,) = (
        line for line in screen.splitlines() if where["gateway_url"] in line and "-d" in line
    )
    words = shlex.split(line.replace("$KEY", where["api_key"]))
    headers = [words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "-H"]
    (url,) = (word for word in words if word.startswith("http"))
    request = urllib.request.Request(  # noqa: S310 -- our own address
        url, data=words[words.index("-d") + 1].encode(), headers=dict(headers)
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        assert response.status == 202
    deadline = time.monotonic() + COUNTED_SECONDS_MAX
    intake = f"{where['api_url']}/api/v1/billing/intake"
    while _get(intake, key=where["api_key"])[1]["accepted"] != 1:
        assert time.monotonic() < deadline, "the use was not counted"
        time.sleep(0.1)


def _scopes_hold(where: dict[str, str], folder: Path, variables: dict[str, str]) -> None:
    """A key made for one thing does that alone; one for nothing that there is, is not made."""
    create = ("key", "create", "sender", "--scope")
    made = commands.run(*create, "usage:write", folder=folder, timeout_s=60, **variables)
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()
    assert _get(f"{where['gateway_url']}/api/v1/events/partitions", key=key)[0] == 200
    status, problem = _get(f"{where['api_url']}/api/v1/billing/customers", key=key)
    assert (status, problem["code"]) == (403, "scope_missing")
    key_id = f"key_{key.split('_')[2]}"
    revoke = ("key", "revoke", key_id)
    for _ in range(2):
        gone = commands.run(*revoke, folder=folder, timeout_s=60, **variables)
        assert (gone.returncode, gone.stdout) == (0, f"{key_id} is revoked\n"), gone.stderr
    unknown = commands.run("key", "revoke", "key_nobody", folder=folder, timeout_s=60, **variables)
    assert unknown.returncode == 1
    assert "there is no API key key_nobody" in unknown.stderr
    wrong = commands.run(*create, "usage:all", folder=folder, timeout_s=60, **variables)
    assert wrong.returncode == 1
    assert "usage:write, usage:backfill" in wrong.stderr


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
