"""One wallet under many hands, on the real log: what can be paid is paid, and nothing else."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from typer.testing import CliRunner, Result

from cli import books
from cli import wallets as wallet_commands
from cli.main import app
from domain.canonical import Json
from domain.codes import Code
from domain.errors import Rejected
from projections.dump import TOTAL, dump_hash
from projections.invoicing.outcomes import await_projected
from projections.rebuild import rebuild
from tests.support import wallets
from tests.support.pipeline_world import TENANT, World, running_world
from tests.support.tables import rows, wait_until

HANDS = 20
"""Threads that approve at once."""
CHARGES = 100
PRICE, CREDITS = 30, 600
"""Of one charge, and in the wallet: 20 of the 100 can be paid."""


@pytest.fixture
def world(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """The pipeline with S0's catalogue."""
    with running_world(
        kafka=kafka_bootstrap,
        database_admin_url=database_admin_url,
        state_dir=tmp_path_factory.mktemp("state"),
        catalogue=json.loads(wallets.s0_content()),
        name="test_captures",
    ) as world:
        yield world


def send(world: World, kind: str, command_id: str, **body: Json) -> int:
    """Append a command and return its offset, without waiting for the answer."""
    return world.sender.send(tenant=TENANT, command_id=command_id, kind=kind, body=body)


def outcomes(world: World, kind: str) -> Counter[str]:
    """How often each answer was given to the first command of each id."""
    found = rows(
        world.settings,
        "SELECT code, count(*) FROM command_outcome WHERE kind = %s AND NOT repeat GROUP BY code",
        [kind],
    )
    return Counter(dict(found))


class TestParallelCaptures:
    def test_exactly_the_affordable_number_succeeds(self, world: World) -> None:
        """100 approvals from 20 threads, each sent twice, into one wallet of 600 credits."""
        send(world, "CreateCustomer", "signup", customer="ada", currency="PHP")
        send(
            world,
            "TopUp",
            "top-up",
            top_up="top_1",
            customer="ada",
            credits=CREDITS - 100,
            amount_minor=450_000,
            currency="PHP",
        )
        for number in range(CHARGES):
            body = wallets.request_body("bom_suppliers", project=f"p{number}", number=number)
            send(world, "RequestCharge", f"request {number}", **body)

        def approve(number: int) -> None:
            charge = number % CHARGES
            send(world, "ApproveCharge", f"approve {charge}", charge=f"emg_{charge}")

        with ThreadPoolExecutor(HANDS) as hands:
            list(hands.map(approve, range(2 * CHARGES)))
        await_projected(world.settings, tenant=TENANT)
        wait_until(
            lambda: sum(outcomes(world, "ApproveCharge").values()) == CHARGES,
            what="every approval is answered",
        )
        assert {"": CREDITS // PRICE, "insufficient_credits": CHARGES - CREDITS // PRICE} == (
            outcomes(world, "ApproveCharge")
        )
        self.assert_books_add_up(world)

    @staticmethod
    def assert_books_add_up(world: World) -> None:
        """Balance, postings, receipts and what was spent tell the same; a rebuild too."""
        settings = world.settings
        paid = CREDITS // PRICE
        wallet = "SELECT available, held, total_spent_minor FROM wallet"
        assert [(0, 0, paid * 250_00)] == rows(settings, wallet)
        sums = "SELECT account, sum(credits)::bigint FROM wallet_posting GROUP BY account"
        assert {
            "available": 0,
            "held": 0,
            "spent": CREDITS,
            "issued": -100,
            "sold": -(CREDITS - 100),
        } == dict(rows(settings, sums))
        uneven = "SELECT 1 FROM wallet_posting GROUP BY posting HAVING sum(credits) <> 0"
        assert [] == rows(settings, uneven)
        receipts = "SELECT receipt FROM receipt ORDER BY receipt"
        numbers = [int(number.rsplit("-", 1)[1]) for (number,) in rows(settings, receipts)]
        assert list(range(1, paid + 2)) == numbers
        states = "SELECT status, count(*) FROM charge GROUP BY status"
        assert {"captured": paid, "requested": CHARGES - paid} == dict(rows(settings, states))
        transactions = "SELECT status, count(*) FROM wallet_transaction GROUP BY status"
        # The top-up is the one more that was completed.
        assert {"completed": paid + 1, "failed": CHARGES - paid} == dict(
            rows(settings, transactions)
        )
        before = dump_hash(settings)[TOTAL]
        rebuild(settings)
        assert before == dump_hash(settings)[TOTAL]


class TestCommandLine:
    def test_gives_shows_takes_and_refunds(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What an admin does by hand, and what is refused says why."""
        send(world, "CreateCustomer", "signup", customer="ada", currency="PHP")
        body = wallets.request_body("blueprint_package")
        send(world, "RequestCharge", "request", **body)
        send(world, "ApproveCharge", "approve", charge=body["charge"])
        for module in (books, wallet_commands):
            monkeypatch.setattr(module, "load_settings", lambda _: world.settings)

        def run(*words: str) -> Result:
            return CliRunner().invoke(app, ["wallet", *words, "--tenant", TENANT])

        assert 0 == run("grant", "ada", "20", "--reason", "sorry").exit_code
        assert 0 == run("take", "ada", "5", "--reason", "mistake").exit_code
        assert (
            0 == run("refund", str(body["charge"]), "--credits", "10", "--reason", "r").exit_code
        )
        shown = run("show", "ada").stdout
        assert "available 75, held 0" in shown
        assert "spent 400.00 PHP" in shown
        refused = run("take", "ada", "76", "--reason", "r").exception
        assert isinstance(refused, Rejected)
        assert Code.INSUFFICIENT_CREDITS == refused.code
        assert isinstance(run("show", "nobody").exception, Rejected)
