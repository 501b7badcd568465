"""Wishes: what is sent for rows of tables is what is sent for facts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain import wishes
from domain.books.facts import BooksFacts
from domain.emergence.facts import EmergenceFacts, Ended, How, ProjectKey
from domain.emergence.records import DetectionSettled
from domain.wishes import SettledCharge, Withdrawal
from tests.support.wallets import everything

KEY = ProjectKey("t", "tower", "")
ENDED = Ended(8, "emg_1", KEY, How.REVERSED, "emg_2", "gone", 2_000)
ROW = Withdrawal("t", "emg_1", "reversed", "emg_2", "gone")
CHARGE = SettledCharge(KEY, "emg_1", "captured", 1_000, 0, is_charge_told=False)


def _told(charge: SettledCharge) -> list[tuple[str, int]]:
    return [(each.status, each.settled_at_ms) for each in wishes.settlements_of_charge(charge)]


class TestWithdrawals:
    def test_from_a_row_are_those_from_the_fact(self) -> None:
        """Else the books would answer idempotency_conflict."""
        facts = EmergenceFacts(0, 1, 0, events=(ENDED,))
        assert wishes.commands_of(facts) == [wishes.withdrawal(ROW)]

    def test_after_a_late_request_differ_in_their_id_alone(self) -> None:
        first, late = wishes.withdrawal(ROW), wishes.late_withdrawal(ROW)
        assert first.command_id != late.command_id
        assert first == replace(late, command_id=first.command_id)

    def test_of_another_end_of_the_same_detection_have_another_id(self) -> None:
        """Superseded, paid all the same, and then reversed: both are asked for."""
        other = ROW._replace(how="superseded")
        ids = {
            command(row).command_id
            for row in (ROW, other)
            for command in (wishes.withdrawal, wishes.late_withdrawal)
        }
        assert len(ids) == 4


class TestSettlements:
    @pytest.mark.parametrize(
        ("status", "told"),
        [
            ("captured", [("charged", 1_000)]),
            ("delivered", [("charged", 1_000)]),
            ("declined", [("declined", 2_000)]),
            ("expired", [("expired", 2_000)]),
            ("refunded", [("charged", 1_000), ("refunded", 2_000)]),
            ("requested", []),
            ("approved", []),
            ("withdrawn", []),
        ],
    )
    def test_of_a_charge_follow_from_its_status(
        self, status: str, told: list[tuple[str, int]]
    ) -> None:
        assert _told(replace(CHARGE, status=status, ended_at_ms=2_000)) == told

    def test_do_not_repeat_what_the_fold_knows(self) -> None:
        refunded = replace(CHARGE, status="refunded", ended_at_ms=2_000, is_charge_told=True)
        assert _told(refunded) == [("refunded", 2_000)]

    def test_of_charges_in_tables_are_those_of_the_facts(self) -> None:
        """Everything that can happen to charges, told by facts and by where it led."""
        books = everything()
        by_facts: dict[str, list[DetectionSettled]] = {}
        for facts in books.facts:
            assert isinstance(facts, BooksFacts)
            for settled in wishes.settlements_of(facts):
                by_facts.setdefault(settled.detection, []).append(settled)
        by_charge = {
            charge.charge: wishes.settlements_of_charge(
                SettledCharge(
                    ProjectKey(books.tenant, charge.project, charge.lone_node),
                    *(charge.charge, charge.status.value, 0, 0),
                    is_charge_told=False,
                )
            )
            for charge in books.state.charges.values()
        }
        statuses = {settled.status for told in by_facts.values() for settled in told}
        assert statuses == {"charged", "declined", "expired", "refunded", "unbilled"}
        for charge, told in by_charge.items():
            expected = [replace(each, settled_at_ms=0) for each in by_facts.get(charge, [])]
            assert told == expected, charge
