"""The scheduler's commands: about the moment something fell due, and the same when sent again."""

from datetime import UTC, datetime, timedelta

from domain.canonical import from_json
from projections.effects.due import due_commands
from projections.queries.charges import DueCharge
from projections.queries.wallets import DueGrants

AT = datetime(2026, 11, 21, 6, 30, tzinfo=UTC)
CHARGE = DueCharge("t", "emg_1", AT)
GRANTS = DueGrants("t", "ada", AT)


class TestDue:
    def test_is_dated_by_what_fell_due_and_not_by_the_clock(self) -> None:
        charge, grants = due_commands([CHARGE], [GRANTS], now=AT + timedelta(minutes=7))
        assert (charge.kind, grants.kind) == ("ExpireCharge", "ExpireCredits")
        assert from_json(charge.body) == {"charge": "emg_1", "as_of": "2026-11-21T06:30:00Z"}
        assert from_json(grants.body) == {"customer": "ada", "as_of": "2026-11-21T06:30:00Z"}

    def test_is_the_same_command_within_the_hour(self) -> None:
        first = due_commands([CHARGE], [GRANTS], now=AT)
        assert first == due_commands([CHARGE], [GRANTS], now=AT + timedelta(minutes=29))

    def test_is_asked_anew_an_hour_later(self) -> None:
        """A refusal that came of a clock that ran ahead is not the last word."""
        first, later = (
            {item.command_id for item in due_commands([CHARGE], [GRANTS], now=moment)}
            for moment in (AT, AT + timedelta(hours=1))
        )
        assert first.isdisjoint(later)

    def test_of_two_tenants_is_two_commands(self) -> None:
        other = DueCharge("u", "emg_1", AT)
        assert len({item.command_id for item in due_commands([CHARGE, other], [], now=AT)}) == 2
