"""Whatever is asked and whenever, the books answer: one request must not stop a tenant's books.

What a decision raises beside Rejected ends the fold, and with it billing of every tenant of the
partition. Moments are what it reads from outside: the broker's clock, and as_of. Bills made ahead
of the clock, as a look into the future or a dry month does, put the open period after both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.books.dispatch import COMMANDS
from domain.period import time_text
from tests.support.billing import moment
from tests.support.stories import CALLS, CUSTOMER, SEATS, Story, plan

if TYPE_CHECKING:
    from domain.canonical import Json

GAIN_SHARE: dict[str, Json] = {
    "kpis": [{"metric": "energy", "name": "Energy", "unit": "MWh", "better": "lower"}],
    "gain_share": {"share_min": "10", "share_max": "20"},
}
SUB: dict[str, Json] = {"subscription": "sub_1"}
BODIES: dict[str, dict[str, Json]] = {
    "CreateSubscription": {"subscription": "sub_2", "customer": CUSTOMER, "plan": "YEAR"},
    "ChangePlan": {**SUB, "plan": "MORE"},
    "ChangeSeats": {**SUB, "seats": 5},
    "SetAddOn": {**SUB, "add_on": "support", "quantity": 2},
    "GrantDiscount": {**SUB, "discount": "launch"},
    "PauseSubscription": SUB,
    "ResumeSubscription": SUB,
    "CancelSubscription": SUB,
    "UndoCancel": SUB,
    "ParkInvoice": {**SUB, "reason": "odd", "total_minor": 5},
    "ReleaseInvoice": SUB,
    "VoidInvoice": {"invoice": "inv_1", "reason": "wrong"},
    "MarkOverdue": {"invoice": "inv_1"},
    "RecordPayment": {
        "payment": "pay_1",
        "invoice": "inv_1",
        "amount_minor": 10**6,
        "currency": "CAD",
        "method": "wire",
    },
    "RecordRefund": {"refund": "rfd_1", "payment": "pay_1", "amount_minor": 3, "reason": "twice"},
    "AddItem": {
        "item": "itm_1",
        "customer": CUSTOMER,
        "label": "Setup",
        "amount_minor": 500,
        "currency": "CAD",
        "tax": "standard",
    },
    "GrantAccountCredit": {
        "credit": "crd_1",
        "customer": CUSTOMER,
        "amount_minor": 5,
        "currency": "CAD",
        "reason": "sorry",
    },
    "RecordBaseline": {
        "baseline": "bas_1",
        "customer": CUSTOMER,
        "metric": "energy",
        "baseline_value": "5",
        "cost_per_unit": "5",
        "effective_from": "2024-01-01",
    },
    "RecordMeasurement": {
        "customer": CUSTOMER,
        "metric": "energy",
        "value": "3",
        "measured_on": "2024-02-01",
    },
    "RunGainShare": {
        "run": "gsr_1",
        "customer": CUSTOMER,
        "period_start": "2024-01-01",
        "period_end": "2024-12-31",
        "share_pct": "15",
    },
    "ApproveGainShare": {"run": "gsr_1"},
    "RejectGainShare": {"run": "gsr_1"},
}
AS_OF = {
    *("ChangePlan", "ChangeSeats", "SetAddOn", "PauseSubscription", "ResumeSubscription"),
    *("CancelSubscription", "UndoCancel", "MarkOverdue"),
}
WHEN = {"ChangePlan", "ChangeSeats", "SetAddOn", "CancelSubscription"}
days = st.sampled_from(
    (
        *("1970-01-01", "2024-12-31", "2025-01-01", "2025-01-16", "2025-02-01"),
        *("2025-05-17", "2025-06-01", "2026-07-01", "2999-12-31"),
    )
)
steps = st.lists(
    st.tuples(
        st.sampled_from(sorted(BODIES)),
        days,
        st.none() | days,
        st.sampled_from(("now", "period_end")),
    ),
    min_size=1,
    max_size=10,
)


def ahead(*, trial_days: int) -> Story:
    """Return a customer of a plan with gain-share, billed ahead to June."""
    story = Story(
        plan("PRO", "9000", also=(CALLS, SEATS), has_gain_share=True),
        plan("MORE", "9900", also=(CALLS, SEATS), has_gain_share=True),
        plan("YEAR", "100", interval="year"),
        more=GAIN_SHARE,
    )
    if trial_days:
        story.subscribe("PRO", start="2025-01-01", trial_days=trial_days)
    else:
        story.subscribe("PRO", start="2025-01-01")
    story.bill("2025-06-02")
    return story


def body_of(kind: str, *, as_of: str | None, when: str) -> dict[str, Json]:
    body = dict(BODIES[kind])
    if as_of is not None and kind in AS_OF:
        body["as_of"] = time_text(moment(as_of))
    if kind in WHEN:
        body["when"] = when
    if kind == "CreateSubscription":
        body["start"] = time_text(moment(as_of or "2025-03-01"))
    if kind == "RecordPayment" and as_of is not None:
        body["paid_at"] = time_text(moment(as_of))
    return body


def test_every_kind_here_is_one_of_the_books() -> None:
    assert set(BODIES) <= set(COMMANDS)


@pytest.mark.parametrize("received_on", ["2024-12-31", "2025-01-21", "2025-06-01", "2026-01-01"])
def test_a_gain_share_run_before_the_open_period_is_answered(received_on: str) -> None:
    """Phases before the open period are let go of: the plan of the open one counts."""
    story = ahead(trial_days=0)
    story.accepted("RecordBaseline", BODIES["RecordBaseline"])
    outcome = story.sent("RunGainShare", BODIES["RunGainShare"], on=received_on)
    offered = received_on >= "2025-01-01"
    assert offered == (outcome.code != "gain_share_not_offered"), outcome.reason


@settings(max_examples=60, deadline=None)
@given(steps=steps, trial_days=st.sampled_from((0, 10)))
def test_no_moment_makes_a_decision_raise_anything_but_a_refusal(
    steps: list[tuple[str, str, str | None, str]], trial_days: int
) -> None:
    """Books.send lets through what is no Rejected."""
    story = ahead(trial_days=trial_days)
    for kind, received_on, as_of, when in steps:
        body = body_of(kind, as_of=as_of, when=when)
        story.sent(kind, body, on=received_on)
