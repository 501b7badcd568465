"""The command line of customers, subscriptions and clocks, on a running pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import books, clock, customers, subscriptions
from cli.main import app
from domain.canonical import Json
from domain.codes import Code
from domain.errors import Rejected
from tests.support.pipeline_world import TENANT, World, running_world
from tests.support.stories import CATALOGUE, SEATS, plan

DOCUMENT: Json = {
    **CATALOGUE,
    "version": 1,
    "plans": [plan("TEAM", "62", also=[SEATS]), plan("BUSINESS", "620")],
}


@pytest.fixture(scope="module")
def world(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with running_world(
        kafka=kafka_bootstrap,
        database_admin_url=database_admin_url,
        state_dir=tmp_path_factory.mktemp("commands"),
        catalogue=DOCUMENT,
        name="test_subscription_commands",
    ) as running:
        yield running


def run(world: World, *arguments: str) -> str:
    """Run a command of ours and return what it prints."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (books, clock, customers, subscriptions):
            patch.setattr(module, "load_settings", lambda _: world.settings)
        result = CliRunner().invoke(app, [*arguments, "--tenant", TENANT])
    if result.exception is not None:
        raise result.exception
    return result.output


def test_a_customers_life_on_the_command_line(world: World, tmp_path: Path) -> None:
    """Created, changed, given a price, subscribed, upgraded, cancelled, billed by the clock."""
    assert "2025-01-01T00:00:00Z" in run(world, "clock", "start", "2025-01-01T00:00:00Z")
    assert "acme pays in CAD" in run(world, "customer", "create", "acme", "CAD")
    assert "due days 5" in run(world, "customer", "change", "acme", "--due-days", "5")
    own = tmp_path / "price.json"
    own.write_text('{"key": "base", "form": "flat", "amount": "31"}', encoding="utf-8")
    shown = run(world, "customer", "override", "acme", "TEAM", "base", str(own))
    assert 'TEAM/base: {"amount":"31"' in shown

    create = ("subscription", "create", "acme", "TEAM", "2025-01-01T00:00:00Z", "--seats", "3")
    name = run(world, *create).strip()
    assert run(world, *create).strip() == name
    shown = run(
        world, "subscription", "add-on", name, "support", "2", "--as-of", "2025-01-17T00:00:00Z"
    )
    assert "from 2025-01-17: TEAM by the month, 3 seats, 2 support" in shown
    run(world, "subscription", "change-plan", name, "BUSINESS", "--when", "period_end")
    run(world, "subscription", "cancel", name)
    shown = run(world, "subscription", "undo-cancel", name)
    assert "ends at" not in shown
    assert "from 2025-02-01: BUSINESS" in shown
    assert name in run(world, "subscription", "list", "--customer", "acme")
    assert "BUSINESS" in run(world, "plans")

    # TEAM: 31 and one seat at 31; two supports at 62 for 15 of 31 days are 60.
    assert f"{name} period 122.00 CAD" in run(world, "clock", "advance", "2025-02-02T00:00:00Z")
    assert run(world, "clock", "show").startswith("2025-02-02T00:00:00Z")
    with pytest.raises(Rejected) as caught:
        run(world, "subscription", "change-plan", name, "GOLD")
    assert caught.value.code == Code.PLAN_UNKNOWN
