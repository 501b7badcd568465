"""However a subscription is changed, what is charged is what its days cost."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.books.subscription import Subscription
from domain.canonical import Json
from domain.invoice_terms import InvoiceKind
from domain.period import Interval, cycle_period, days_of, time_text
from tests.support.billing import bodies, moment
from tests.support.stories import SEATS, Story, plan

FEES = {"A": 31, "B": 310, "C": 97}
SEAT, SEATS_INCLUDED = 31, 2
ADD_ON = 62
PER_MONTH = {"month": 1, "quarter": 3, "year": 12}


@dataclass
class Day:
    """What holds on a day, told in the plainest way there is."""

    plan: str
    seats: int
    support: int = 0
    is_paused: bool = False

    @property
    def fee(self) -> int:
        """Fee of a whole period."""
        if self.is_paused:
            return 0
        return FEES[self.plan] + max(0, self.seats - SEATS_INCLUDED) * SEAT + self.support * ADD_ON


@dataclass
class Diary:
    """One entry per day; a change rewrites its day and all after it."""

    start: datetime
    days: list[Day]
    end: datetime | None = None
    postings: int = field(default=0)

    def change(self, on: datetime, what: str, value: object) -> None:
        for number in range((on - self.start).days, len(self.days)):
            setattr(self.days[number], what, value)

    def owed(self, *, interval: Interval, until: datetime) -> Fraction:
        """Each day costs its fee over the days of the period that it lies in."""
        total = Fraction(0)
        for number, day in enumerate(self.days):
            at = self.start + timedelta(days=number)
            if at >= until or (self.end is not None and at >= self.end):
                break
            whole = cycle_period(self.start, interval=interval, moment=at)
            total += Fraction(day.fee, days_of(whole))
        return total


CHANGE = st.one_of(
    st.tuples(st.just("ChangePlan"), st.sampled_from("ABC")),
    st.tuples(st.just("ChangeSeats"), st.integers(0, 9)),
    st.tuples(st.just("SetAddOn"), st.integers(0, 3)),
    st.tuples(st.sampled_from(["PauseSubscription", "ResumeSubscription"]), st.just(0)),
    st.tuples(st.sampled_from(["CancelSubscription", "UndoCancel"]), st.just(0)),
)
CHANGES = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 70), CHANGE), max_size=12)
"""Day of a change, how many days billing lags behind it, and the change."""


def _apply(story: Story, diary: Diary, on: datetime, kind: str, value: object) -> None:
    """Send one change as of a day; what is taken goes into the diary too."""
    more: dict[str, dict[str, Json]] = {
        "ChangePlan": {"plan": str(value)},
        "ChangeSeats": {"seats": value if isinstance(value, int) else 0},
        "SetAddOn": {"add_on": "support", "quantity": value if isinstance(value, int) else 0},
    }
    body: dict[str, Json] = {"subscription": "sub_1", "as_of": time_text(on)}
    outcome = story.sent(kind, body | more.get(kind, {}), on=on.date().isoformat())
    if outcome.code:
        return
    diary.postings += sum(kind != "SubscriptionChanged" for kind, _ in bodies(outcome))
    match kind:
        case "ChangePlan":
            diary.change(on, "plan", value)
        case "ChangeSeats":
            diary.change(on, "seats", value)
        case "SetAddOn":
            diary.change(on, "support", value)
        case "PauseSubscription" | "ResumeSubscription":
            diary.change(on, "is_paused", kind == "PauseSubscription")
        case "CancelSubscription":
            diary.end = on
        case _:
            diary.end = None


@settings(deadline=None)
@given(
    start=st.sampled_from(["2024-01-31", "2024-02-29", "2025-01-01", "2025-03-15"]),
    interval=st.sampled_from(["month", "quarter", "year"]),
    fees=st.sampled_from(["in_arrears", "in_advance"]),
    changes=CHANGES,
)
def test_s1_r17_s3_r8_what_is_charged_is_what_the_days_cost(
    start: str, interval: str, fees: str, changes: list[tuple[int, int, tuple[str, object]]]
) -> None:
    """Invoices, items and credit add up to the days, to half a cent for each rounding.

    Changes come in the order of their days; invoices may lag behind them by two months.
    """
    plans = [
        plan(code, str(fee), interval=interval, fees=fees, also=[SEATS])
        for code, fee in FEES.items()
    ]
    story = Story(*plans)
    story.subscribe("A", start=start, seats=2)
    first = moment(start)
    diary = Diary(first, [Day("A", 2) for _ in range(1_600)])
    for number, lag, (kind, value) in sorted(changes, key=lambda change: change[0]):
        on = first + timedelta(days=number)
        story.bill((on - timedelta(days=lag, seconds=1)).isoformat()[:19])
        _apply(story, diary, on, kind, value)
    story.bill((first + timedelta(days=800)).date().isoformat())

    charged = sum(
        Fraction(content.totals.total_minor + content.totals.credit_minor, 100)
        for content in story.invoices
    )
    credited = Fraction(_granted(story), 100)
    pending = Fraction(_waiting(story), 100)
    until = _charged_until(story.subscription())
    owed = diary.owed(interval=Interval(interval), until=until)
    roundings = diary.postings + 4 * len(story.invoices)
    assert abs(charged + pending - credited - owed) <= Fraction(roundings, 200)


def _granted(story: Story) -> int:
    """Credit that changes gave, minor units."""
    return sum(
        int(str(body["amount_minor"]))
        for made in story.books.facts
        for outcome in made.outcomes
        for kind, body in bodies(outcome)
        if kind == "AccountCreditGranted" and body["kind"] == "downgrade"
    )


def _waiting(story: Story) -> int:
    """Items that no invoice took, without those that made way for smaller ones."""
    taken = {item.item for content in story.invoices for item in content.terms.items}
    said = [
        (kind, body)
        for made in story.books.facts
        for outcome in made.outcomes
        for kind, body in bodies(outcome)
    ]
    gone = taken | {str(body["item"]) for kind, body in said if kind == "ItemRemoved"}
    added = [body for kind, body in said if kind == "ItemAdded" and body["item"] not in gone]
    return sum(int(str(body["amount_minor"])) for body in added)


def _charged_until(subscription: Subscription) -> datetime:
    """The moment up to which fees were charged."""
    if subscription.fees == "in_advance" and not subscription.opening_due:
        return subscription.period.end
    return subscription.period.start


@settings(deadline=None)
@given(
    start=st.sampled_from(["2024-01-31", "2025-01-01"]),
    fees=st.sampled_from(["in_arrears", "in_advance"]),
    cycle=st.sampled_from(["anniversary", "calendar"]),
    interval=st.sampled_from(list(PER_MONTH)),
    changes=CHANGES,
)
def test_periods_follow_each_other_and_documents_say_it_all(
    start: str,
    fees: str,
    cycle: str,
    interval: str,
    changes: list[tuple[int, int, tuple[str, object]]],
) -> None:
    """No day is billed twice or left out, and what is written reads back to the same."""
    plans = [plan(code, str(fee), interval=interval, fees=fees) for code, fee in FEES.items()]
    story = Story(*plans)
    story.subscribe("A", start=start, cycle=cycle)
    first = moment(start)
    diary = Diary(first, [Day("A", 1) for _ in range(1_600)])
    for number, lag, (kind, value) in sorted(changes, key=lambda change: change[0]):
        on = first + timedelta(days=number)
        story.bill((on - timedelta(days=lag, seconds=1)).isoformat()[:19])
        _apply(story, diary, on, kind, value)
        kept = story.subscription()
        assert Subscription.from_document(kept.document) == kept
    story.bill((first + timedelta(days=800)).date().isoformat())

    billed = [
        content.terms.period
        for content in story.invoices
        if content.terms.kind is InvoiceKind.PERIOD and content.terms.period is not None
    ]
    edges = [first, *(period.end for period in billed)]
    assert [period.start for period in billed] == edges[:-1]
    if diary.end is not None and billed:
        assert billed[-1].end <= diary.end
    for content in story.invoices:
        parts = content.terms.segments
        assert [part.start for part in parts[1:]] == [part.end for part in parts[:-1]]
        assert sum(part.days for part in parts) == (
            days_of(content.terms.period) if parts and content.terms.period else 0
        )
