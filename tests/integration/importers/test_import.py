"""The command as a person uses it: the real trace, a dry run, exit codes, and Prometheus."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import CompletedProcess
from urllib.parse import parse_qs, urlsplit

import pytest
from typing_extensions import override

from runtime import clock
from runtime.commands import CommandSender
from tests.support.checkout import ROOT
from tests.support.fold_world import TENANT, FoldWorld
from tests.support.processes import TIDEGAUGE, environment_of, run_command
from tests.support.usage_facts import totals_of, windows_of

TRACE = ROOT / "data" / "azure_llm_inference_2023_code.csv"
EXAMPLES = ROOT / "producers" / "importers" / "examples"
NANO = 10**9


def command(
    world: FoldWorld, tmp_path: Path, *arguments: str, **settings: str
) -> CompletedProcess[str]:
    known = {
        "kafka": world.settings.kafka, "partitions": "2", "tenant": TENANT,
        "state_dir": str(tmp_path / "state"), **settings,
    }  # fmt: skip
    return run_command(["import", *arguments], known, cwd=tmp_path)


def publish(world: FoldWorld, *meters: tuple[str, str, str]) -> None:
    """Publish a catalogue of sums: key, event type, value."""
    content = {
        "version": 2,
        "meters": [
            {
                "key": key, "event_type": kind, "value": value, "aggregation": "sum",
                "group_by": [], "unit": "unit",
            }
            for key, kind, value in meters
        ],
        "plans": [],
    }  # fmt: skip
    CommandSender(world.settings, actor="test").publish_catalogue(
        tenant=TENANT, version=2, content=json.dumps(content)
    )


def sums(world: FoldWorld) -> dict[tuple[str, str], Decimal]:
    """Sum by customer and meter."""
    found: dict[tuple[str, str], Decimal] = {}
    facts = [each for number in range(2) for each in world.accepted(number)]
    for (_, customer, meter, _, _), window in windows_of(facts).items():
        before = found.get((customer, meter), Decimal(0))
        found[customer, meter] = before + Decimal(window.sum) / NANO
    return found


class TestTheRealTrace:
    """Azure Public Dataset, AzureLLMInferenceDataset2023 (code), Microsoft, CC BY 4.0."""

    MAPPING = str(EXAMPLES / "azure_llm_inference.yaml")

    def test_is_counted_to_the_last_token(self, world: FoldWorld, tmp_path: Path) -> None:
        """The sums are those of data/README.md."""
        publish(
            world,
            ("context", "llm.request", "quantity"),
            ("generated", "llm.request", "property:generated_tokens"),
        )
        plan = command(world, tmp_path, str(TRACE), "--mapping", self.MAPPING, "--dry-run")
        assert (1, True) == (plan.returncode, "too_late" in plan.stdout)
        done = command(world, tmp_path, str(TRACE), "--mapping", self.MAPPING, "--backfill")
        assert 0 == done.returncode, done.stderr
        assert "read 8,819 rows = sent 8,819 + rejected 0" in done.stdout
        world.fold()
        expected = {
            ("azure", "context"): Decimal(18_059_974),
            ("azure", "generated"): Decimal(245_896),
        }
        assert expected == sums(world)

        again = command(
            world, tmp_path, str(TRACE), "--mapping", self.MAPPING, "--backfill", "--again"
        )
        assert 0 == again.returncode
        world.fold()
        assert expected == sums(world)
        totals = totals_of(each for number in range(2) for each in world.accepted(number))
        assert (8_819, 8_819) == (totals["accepted"], totals["duplicates"])

    def test_a_dry_run_sends_and_writes_nothing(self, world: FoldWorld, tmp_path: Path) -> None:
        before = world.ends()
        done = command(
            world, tmp_path, str(TRACE), "--mapping", self.MAPPING, "--backfill", "--dry-run"
        )
        assert "would send 8,819" in done.stdout
        assert "18059974" in done.stdout
        assert (before, False) == (world.ends(), (tmp_path / "state").exists())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("none.csv", "--mapping", "{mapping}"), 2, "import_file_unreadable"),
        ((str(TRACE), "--mapping", "none.yaml"), 2, "import_mapping_invalid"),
        (("prometheus", "--mapping", "{counter}"), 2, "either a page or a query"),
    ],
)
def test_what_cannot_be_done_ends_with_2(
    world: FoldWorld, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    names = {
        "{mapping}": str(EXAMPLES / "azure_llm_inference.yaml"),
        "{counter}": str(EXAMPLES / "prometheus_api_calls.yaml"),
    }
    done = command(world, tmp_path, *(names.get(each, each) for each in arguments))
    assert (code, True) == (done.returncode, said in done.stderr), done.stderr


class Target(BaseHTTPRequestHandler):
    """A /metrics page and a query_range that tell the same counters."""

    pages: list[str]
    series: list[dict[str, object]]
    asked: list[dict[str, list[str]]]

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if address.path == "/metrics":
            body = self.pages.pop(0) if self.pages else ""
        else:
            query = parse_qs(address.query)
            self.asked.append(query)
            start, end = (Decimal(query[name][0]) for name in ("start", "end"))
            result = [
                {
                    "metric": each["metric"],
                    "values": [
                        point
                        for point in each["values"]  # type: ignore[attr-defined]
                        if start <= Decimal(str(point[0])) <= end
                    ],
                }
                for each in self.series
            ]
            body = json.dumps(
                {"status": "success", "data": {"resultType": "matrix", "result": result}}
            )
        self.send_response(200 if body else 503)
        self.end_headers()
        self.wfile.write(body.encode())

    @override
    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def target() -> Iterator[tuple[str, type[Target]]]:
    class Here(Target):
        pages: list[str] = []  # noqa: RUF012 -- one class per server
        series: list[dict[str, object]] = []  # noqa: RUF012 -- likewise
        asked: list[dict[str, list[str]]] = []  # noqa: RUF012 -- likewise

    server = ThreadingHTTPServer(("127.0.0.1", 0), Here)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", Here
    server.shutdown()
    thread.join()
    server.server_close()


COUNTER = 'dictamesh_api_requests_total{organization="org_1",path="/graphql",method="POST"}'


class TestTheUsageCollector:
    """Requirement S3-100: usage metrics are collected through Prometheus; S3-35: API calls."""

    MAPPING = str(EXAMPLES / "prometheus_api_calls.yaml")

    def test_scrapes_a_page_through_failures_and_a_reset(
        self, world: FoldWorld, tmp_path: Path
    ) -> None:
        publish(world, ("calls", "api.call", "quantity"))
        with target() as (url, here):
            here.pages += [f"{COUNTER} {value}\n" for value in (1000, 1027)]
            here.pages += ["", f"{COUNTER} 5\n", f"{COUNTER} 7.5\n"]
            done = command(
                world, tmp_path, "prometheus", "--scrape", f"{url}/metrics",
                "--metric", "dictamesh_api_requests_total", "--mapping", self.MAPPING,
                "--interval-s", "1", "--looks", "4",
            )  # fmt: skip
        assert 0 == done.returncode, done.stderr
        assert "4 looks and 1 failed ones" in done.stdout
        assert "resets: 1" in done.stdout
        world.fold()
        assert {("org_1", "calls"): Decimal("34.5")} == sums(world)

    def test_asks_by_promql_and_goes_on_where_it_was(
        self, world: FoldWorld, tmp_path: Path
    ) -> None:
        publish(world, ("calls", "api.call", "quantity"))
        start_s = clock.now_ms() // 1000 // 60 * 60 - 3_600
        points = [[start_s + 60 * step, str(step * 3 % 100)] for step in range(60)]
        metric = {
            "__name__": "dictamesh_api_requests_total", "organization": "org_1",
            "path": "/graphql", "method": "POST",
        }  # fmt: skip
        expected = sum(
            later - before if later >= before else later
            for before, later in zip(
                (step * 3 % 100 for step in range(60)),
                (step * 3 % 100 for step in range(1, 60)),
                strict=False,
            )
        )
        with target() as (url, here):
            here.series = [{"metric": metric, "values": points}]
            for minutes in (20, 20, 59):
                done = command(
                    world, tmp_path, "prometheus", "--url", url, "--query",
                    "dictamesh_api_requests_total", "--mapping", self.MAPPING,
                    "--from", iso(start_s), "--to", iso(start_s + minutes * 60),
                    "--interval-s", "60",
                )  # fmt: skip
                assert 0 == done.returncode, done.stderr
        assert [str(start_s), str(start_s + 21 * 60)] == [each["start"][0] for each in here.asked]
        world.fold()
        assert {("org_1", "calls"): Decimal(expected)} == sums(world)
        totals = totals_of(each for number in range(2) for each in world.accepted(number))
        assert 0 == totals["duplicates"]


def iso(seconds: int) -> str:
    from domain.period import from_ms, time_text

    return time_text(from_ms(seconds * 1_000))


class TestKillingTheCollector:
    def test_counts_every_increase_once(self, world: FoldWorld, tmp_path: Path) -> None:
        """Each look rises by 3; the process is killed -9 in the middle of looks, again and again.

        The counter goes on beside it, so the sum is what it rose by since the first look.
        """
        publish(world, ("calls", "api.call", "quantity"))
        with target() as (url, here):
            here.pages += [f"{COUNTER} {100 + 3 * number}\n" for number in range(400)]
            options = (
                "prometheus", "--scrape", f"{url}/metrics", "--metric",
                "dictamesh_api_requests_total", "--mapping", self.MAPPING, "--interval-s", "1",
            )  # fmt: skip
            for number in range(5):
                kill_it(world, tmp_path, 2.0 + number * 0.11, *options)
            here.pages = here.pages[:2]
            last = int(here.pages[-1].split()[-1])
            done = command(world, tmp_path, *options, "--looks", "2")
            assert 0 == done.returncode, done.stderr
        world.fold()
        assert {("org_1", "calls"): Decimal(last - 100)} == sums(world)
        totals = totals_of(each for number in range(2) for each in world.accepted(number))
        assert 0 == totals["conflicts"]
        print(f"{totals['accepted']} increases, {totals['duplicates']} sent twice")

    MAPPING = str(EXAMPLES / "prometheus_api_calls.yaml")


def kill_it(world: FoldWorld, tmp_path: Path, after_s: float, *arguments: str) -> None:
    environment = environment_of(
        {
            "kafka": world.settings.kafka, "partitions": "2", "tenant": TENANT,
            "state_dir": str(tmp_path / "state"),
        }
    )  # fmt: skip
    child = subprocess.Popen([str(TIDEGAUGE), "import", *arguments], env=environment, cwd=tmp_path)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(after_s)
    child.kill()
    child.wait()
