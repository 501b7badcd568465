"""Monthly and annual recurring revenue of S3, through the real pipeline (X-69, X-70)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import subscriptions
from cli.catalogue_file import read_catalogue_file
from cli.catalogues import publish_catalogue
from cli.main import app
from domain.canonical import Json, from_json
from domain.period import time_text
from projections.invoicing.outcomes import await_outcome
from tests.support.pipeline_world import START, World, running_world

CATALOGUE = Path(__file__).parents[3] / "deploy" / "catalogues" / "s3_dictamesh.yaml"
PLANS = ("free", "starter", "professional", "enterprise")


@pytest.fixture(scope="module")
def world(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with running_world(
        kafka=kafka_bootstrap,
        database_admin_url=database_admin_url,
        state_dir=tmp_path_factory.mktemp("state"),
        catalogue=from_json(read_catalogue_file(CATALOGUE)),
        name="test_recurring",
    ) as running:
        yield running


def subscribed(world: World, *, tenant: str, plans: Sequence[str]) -> None:
    """Publish S3's catalogue and give each plan a customer of its own; wait until all are seen."""
    publish_catalogue(
        world.settings, world.sender, tenant=tenant, content=read_catalogue_file(CATALOGUE)
    )
    offset = 0
    for number, plan in enumerate(plans):
        customer = f"org-{number}"
        wishes: list[tuple[str, dict[str, Json]]] = [
            ("CreateCustomer", {"customer": customer, "currency": "USD"}),
            (
                "CreateSubscription",
                {
                    "subscription": f"sub_{number}",
                    "customer": customer,
                    "plan": plan,
                    "start": time_text(START),
                },
            ),
        ]
        for kind, body in wishes:
            offset = world.sender.send(
                tenant=tenant, command_id=f"{kind} {tenant} {number}", kind=kind, body=body
            )
    assert await_outcome(world.settings, tenant=tenant, source_offset=offset) == ("", "")


def shown(world: World, *, tenant: str) -> list[str]:
    """What `tidegauge recurring` prints."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subscriptions, "load_settings", lambda _: world.settings)
        result = CliRunner().invoke(app, ["recurring", "--tenant", tenant])
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def test_x_69_150_professional(world: World) -> None:
    """150 x 499 = 74,850.00 a month; x 12 = 898,200.00 a year."""
    subscribed(world, tenant="x69", plans=["professional"] * 150)
    assert shown(world, tenant="x69") == [
        "professional: 150 active, USD 74850.00 a month, 898200.00 a year",
        "all plans: 150 active, USD 74850.00 a month, 898200.00 a year",
    ]


def test_x_70_one_of_each_plan(world: World) -> None:
    """0 + 99 + 499 + 2,499 = 3,097.00 a month; x 12 = 37,164.00 a year."""
    subscribed(world, tenant="x70", plans=PLANS)
    assert shown(world, tenant="x70") == [
        "enterprise: 1 active, USD 2499.00 a month, 29988.00 a year",
        "free: 1 active, USD 0.00 a month, 0.00 a year",
        "professional: 1 active, USD 499.00 a month, 5988.00 a year",
        "starter: 1 active, USD 99.00 a month, 1188.00 a year",
        "all plans: 4 active, USD 3097.00 a month, 37164.00 a year",
    ]


def test_x_89_a_year_counts_a_twelfth(world: World) -> None:
    """Starter, annual: 1,188.00 a year, 99.00 a month."""
    subscribed(world, tenant="x89", plans=["starter_annual"])
    assert shown(world, tenant="x89")[-1] == (
        "all plans: 1 active, USD 99.00 a month, 1188.00 a year"
    )
