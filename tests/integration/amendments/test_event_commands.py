"""`tidegauge event void` and `replace`: found on the log, judged by the fold, shown in tables."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from projections.dump import dump_hash
from projections.rebuild import rebuild
from tests.support import checkout
from tests.support.usage_world import UsageWorld, running_usage

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
YESTERDAY = NOW - timedelta(days=1)
CATALOGUE = {
    "version": 1,
    "meters": [
        {"key": "units", "event_type": "call", "aggregation": "sum", "unit": "unit",
         "group_by": ["region"]},
        {"key": "calls", "event_type": "call", "aggregation": "count", "unit": "call"},
        {"key": "peak", "event_type": "load", "aggregation": "max", "unit": "unit"},
    ],
    "plans": [],
}  # fmt: skip


@pytest.fixture(scope="module")
def world(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[UsageWorld]:
    with running_usage(
        kafka=kafka_bootstrap,
        database_admin_url=database_admin_url,
        state_dir=Path(tmp_path_factory.mktemp("state")),
        catalogue=CATALOGUE,
        name="test_event_commands",
    ) as found:
        yield found


@pytest.fixture(autouse=True)
def environment(world: UsageWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = world.settings
    monkeypatch.setenv("TIDEGAUGE_KAFKA", settings.kafka)
    monkeypatch.setenv("TIDEGAUGE_DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("TIDEGAUGE_TENANT", settings.tenant)
    monkeypatch.setenv("TIDEGAUGE_COMMAND_TIMEOUT_MS", "60000")


def run(*arguments: str, status: int = 0) -> str:
    """A process of its own: its logs must not end in this one's threads."""
    result = subprocess.run(
        [sys.executable, "-m", "cli.main", "event", *arguments],
        capture_output=True, text=True, timeout=120, check=False, cwd=checkout.ROOT,
    )  # fmt: skip
    assert status == result.returncode, result.stderr
    return result.stdout + result.stderr


class TestVoid:
    def test_takes_the_event_away_and_says_who_and_why(self, world: UsageWorld) -> None:
        """Windows, intake, late days and the amendment itself, by one command."""
        world.record("ann", {"ann-1": "2.5", "ann-2": "4"}, occurred_at=YESTERDAY)
        late = world.rows("SELECT last_offset FROM late_usage WHERE customer = 'ann'")
        output = run("void", "ann-1", "--customer", "ann", "--reason", "a test call")
        world.settle()
        assert "a test call" in output
        assert {
            ("units", "eu"): (1, Decimal(4)),
            ("calls", ""): (1, Decimal(4)),
        } == world.sums("ann")
        assert [("void", "ann-1", "a test call", "cli")] == world.rows(
            "SELECT kind, event_id, reason, actor FROM event_amendment WHERE customer = 'ann'"
        )
        ((accepted, voided),) = world.rows("SELECT sum(accepted), sum(voided) FROM intake_count")
        ((counted,),) = world.rows(
            "SELECT sum(events) FROM usage_window JOIN usage_series USING (tenant, series)"
            " WHERE meter IN ('calls', 'peak')"
        )
        assert counted == accepted - voided
        moved = world.rows("SELECT last_offset FROM late_usage WHERE customer = 'ann'")
        assert moved > late, "a correction knows where to look"

    def test_twice_says_so_and_changes_nothing(self, world: UsageWorld) -> None:
        """Whoever repeats a command gets the first answer."""
        world.record("bob", {"bob-1": "7"}, occurred_at=NOW)
        run("void", "bob-1", "--customer", "bob", "--reason", "once")
        output = run("void", "bob-1", "--customer", "bob", "--reason", "twice")
        world.settle()
        assert "amended before" in output
        assert "once" in output
        assert {} == world.sums("bob")

    def test_of_an_unknown_event_sends_nothing(self, world: UsageWorld) -> None:
        """There is nothing to take away, and the log stays as it is."""
        before = world.ends()
        output = run("void", "never-sent", "--customer", "ann", "--reason", "x", status=1)
        assert "amendment_unknown" in output
        assert before == world.ends()

    def test_of_what_feeds_a_maximum_finds_the_one_before(self, world: UsageWorld) -> None:
        """Read from the log; whoever repeats the command gets the first answer."""
        sent = {"cid-1": "9", "cid-2": "40"}
        world.record("cid", sent, occurred_at=NOW, event_type="load")
        run("void", "cid-2", "--customer", "cid", "--reason", "a test")
        output = run("void", "cid-2", "--customer", "cid", "--reason", "twice")
        world.settle()
        assert "amended before" in output
        assert [(1, Decimal(9), Decimal(9))] == world.rows(
            "SELECT w.events, w.max, w.sum FROM usage_window w JOIN usage_series USING"
            " (tenant, series) WHERE customer = 'cid'"
        )

    def test_of_another_customers_or_tenants_event_sends_nothing(self, world: UsageWorld) -> None:
        """Keys belong to customers, and customers to tenants."""
        before = world.ends()
        for more in (("--customer", "dan"), ("--customer", "cid", "--tenant", "other")):
            output = run("void", "cid-1", *more, "--reason", "x", status=1)
            assert "amendment_unknown" in output
        assert before == world.ends()


class TestReplace:
    def test_counts_the_other_event(self, world: UsageWorld) -> None:
        """What is not given stays; a replacement is replaced, and voided, by its own id."""
        world.record("dee", {"dee-1": "10", "dee-2": "1"}, occurred_at=NOW)
        run(
            *("replace", "dee-1", "--customer", "dee", "--reason", "typo"),
            *("--quantity", "1.25", "--dimension", "region=us"),
        )
        world.settle()
        assert {
            ("units", "us"): (1, Decimal("1.25")),
            ("units", "eu"): (1, Decimal(1)),
            ("calls", ""): (2, Decimal("2.25")),
        } == world.sums("dee")
        ((replacement,),) = world.rows(
            "SELECT replacement_event::text FROM event_amendment WHERE event_id = 'dee-1'"
        )
        assert "1.25" in run("show", replacement, "--customer", "dee")
        run("void", replacement, "--customer", "dee", "--reason", "neither")
        world.settle()
        assert {
            ("units", "eu"): (1, Decimal(1)),
            ("calls", ""): (1, Decimal(1)),
        } == world.sums("dee")

    def test_that_changes_nothing_is_refused(self, world: UsageWorld) -> None:
        """Somebody has forgotten to say what."""
        world.record("eve", {"eve-1": "10"}, occurred_at=NOW)
        same = ("--customer", "eve", "--reason", "x", "--quantity", "10.0")
        assert "invalid_request" in run("replace", "eve-1", *same, status=1)


class TestRebuild:
    def test_brings_amendments_back(self, world: UsageWorld) -> None:
        """Every table follows from the facts."""
        world.settle()
        before = dump_hash(world.settings)
        rebuild(world.settings)
        world.settle()
        after = dump_hash(world.settings)
        for table in ("event_amendment", "late_usage", "intake_count", "usage_window"):
            assert before[table] == after[table], table
