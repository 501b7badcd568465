"""`tidegauge demo`: the figures are the trace's, whatever it runs on; and nothing stays behind."""

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from cli import checkout
from runtime.settings import Settings
from tests.end_to_end import commands
from tests.end_to_end.demo_truth import Truth, read_truth
from tests.support.topics import fresh_topics

RUNS = checkout.CACHE / "demo"


def _check(figures: dict[str, Any], truth: Truth, *, is_repeat: bool = False) -> None:
    accepted = 0 if is_repeat else truth.rows
    assert figures["events_sent"] == truth.rows + truth.duplicates + 10
    assert figures["accepted"] == accepted
    assert figures["duplicates"] == truth.rows - accepted + truth.duplicates
    assert figures["conflicts"] == 5
    assert figures["rejects"] == {
        "future": 1,
        "too_late": 1,
        "undecodable": 1,
        "unknown_schema": 1,
        "unknown_type": 1,
    }
    assert figures["totals"] == truth.totals
    assert figures["windows"] == truth.windows
    invoices = {item["customer"]: item for item in figures["invoices"]}
    totals = {customer: item["total_minor"] for customer, item in invoices.items()}
    assert totals == truth.invoice_totals_minor
    assert {item["currency"] for item in invoices.values()} == {"USD"}
    for item in invoices.values():
        assert item["content_sha256"] == item["replay_sha256"]
        assert len(item["content_sha256"]) == 64
    assert figures["seconds"]["total"] < 90


def _demo(folder: Path, *arguments: str) -> dict[str, Any]:
    target = folder / "figures.json"
    done = commands.run("demo", "--json", str(target), *arguments, folder=folder)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stderr == "", "a library made noise"
    figures: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
    return figures


class TestEmbedded:
    def test_finds_exactly_what_the_trace_says(self, tmp_path: Path) -> None:
        """Counts, totals, windows and invoices equal those computed from the CSV alone."""
        _check(_demo(tmp_path), read_truth(checkout.TRACE))

    def test_takes_another_trace(self, tmp_path: Path) -> None:
        """Any file with these columns will do, also one of three rows and two days."""
        path = tmp_path / "small.csv"
        path.write_text(
            "TIMESTAMP,ContextTokens,GeneratedTokens\n"
            "2024-05-10 23:59:59.999999,999,1\n"
            "2024-05-11 00:00:00.000001+00:00,1000,2\n"
            "2024-05-11 00:00:00,4000,0\n",
            encoding="utf-8",
        )
        _check(_demo(tmp_path, "--trace", str(path)), _with_one_duplicate(read_truth(path)))


def _with_one_duplicate(truth: Truth) -> Truth:
    """At least one event is repeated, however short the file."""
    return Truth(
        rows=truth.rows,
        duplicates=max(1, truth.duplicates),
        totals=truth.totals,
        windows=truth.windows,
        invoice_totals_minor=truth.invoice_totals_minor,
    )


def test_on_real_services_a_second_run_changes_nothing(
    tmp_path: Path, kafka_bootstrap: str, fresh_database: str
) -> None:
    """On Kafka and TimescaleDB the figures are the same, and a repeat is all duplicates."""
    fresh_topics(Settings().model_copy(update={"kafka": kafka_bootstrap}))
    services = ("--kafka", kafka_bootstrap, "--database", fresh_database)
    truth = read_truth(checkout.TRACE)
    first = _demo(tmp_path, *services)
    _check(first, truth)
    second = _demo(tmp_path, *services)
    _check(second, truth, is_repeat=True)
    assert second["invoices"] == first["invoices"]


class TestWrongInput:
    @pytest.mark.parametrize(
        ("content", "complaint"),
        [
            (None, "cannot be read: No such file or directory"),
            ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 10:00:00,1,x\n", "line 2: "),
        ],
    )
    def test_ends_at_once_with_what_is_wrong(
        self, tmp_path: Path, content: str | None, complaint: str
    ) -> None:
        path = tmp_path / "trace.csv"
        if content is not None:
            path.write_text(content, encoding="utf-8")
        done = commands.run("demo", "--trace", str(path), folder=tmp_path, timeout_s=60)
        assert done.returncode == 1
        assert f"error: {path}" in done.stderr or f"error: the trace {path}" in done.stderr
        assert complaint in done.stderr
        assert "Traceback" not in done.stderr


def _hear_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


class TestAnEndFromOutside:
    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
    def test_leaves_no_process_behind(self, tmp_path: Path, how: signal.Signals) -> None:
        """Ctrl-C clears away; after a kill -9 the kernel ends the children."""
        demo = subprocess.Popen(
            commands.command("demo"),
            cwd=tmp_path,
            env=commands.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # A shell that runs the tests in the background lets them ignore Ctrl-C, and the demo
            # would go on ignoring it, as it should.
            preexec_fn=_hear_signals,  # noqa: PLW1509 -- the child has no threads yet
        )
        try:
            children = _wait_for_children(demo, count=6)
            demo.send_signal(how)
            output, _ = demo.communicate(timeout=40)
        finally:
            demo.kill()
        _wait_until_ended(children)
        if how is signal.SIGKILL:
            return
        assert demo.returncode == 130, output
        assert "Traceback" not in output
        assert not (RUNS / f"run-{demo.pid}").exists()


def _wait_for_children(demo: subprocess.Popen[str], *, count: int) -> set[int]:
    """PostgreSQL and some of its helpers, and the four processes of the pipeline."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and demo.poll() is None:
        children = commands.processes_of(demo.pid)
        if len(children) >= count + 4:
            return children
        time.sleep(0.1)
    pytest.fail(f"the demo did not start its processes: {demo.poll()}")


def _wait_until_ended(pids: set[int]) -> None:
    deadline = time.monotonic() + 40
    while left := commands.alive(pids):
        if time.monotonic() > deadline:
            pytest.fail(f"still alive: {left}")
        time.sleep(0.1)
