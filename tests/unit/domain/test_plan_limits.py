"""Limits of a plan: which uses they refuse, and what they say of themselves."""

import json
from fractions import Fraction

import pytest

from cli.catalogue_file import check_file
from domain.canonical import Json
from domain.catalogue import Catalogue, parse_catalogue
from domain.errors import Rejected
from domain.plan_limits import LimitUse, limits_of
from domain.pricing.price import Overflow
from tests.support import billing, checkout
from tests.support.rating import FEE

NANOS = 10**9
METERS: list[Json] = [
    billing.meter("calls"),
    billing.meter("jobs", aggregation="count"),
    billing.meter("sites", aggregation="latest"),
    billing.meter("adapters", aggregation="max"),
    billing.meter("users", aggregation="average"),
]
WORK: Json = {
    "key": "work",
    "unit": "unit",
    "of": [{"meter": "calls", "weight": "2"}, {"meter": "jobs", "weight": "10"}],
}


def catalogue_with(meter: str, *, overflow: str | None = "refuse") -> Catalogue:
    """A plan that allows 100 of a meter."""
    limit: dict[str, Json] = {"key": "most", "meter": meter, "maximum": "100"}
    limit |= {} if overflow is None else {"overflow": overflow}
    plan = billing.plan("p", currency="CAD", prices=[FEE])
    assert isinstance(plan, dict)
    plan["limits"] = [limit]
    document = {"version": 1, "meters": METERS, "composites": [WORK], "plans": [plan]}
    return parse_catalogue(json.dumps(document))


def refused(meter: str, *, value: int, use: str, quantity: int) -> bool:
    """Whether a limit of 100 that stands at a value refuses a use."""
    limit = LimitUse("most", meter, Fraction(100), Fraction(value), Overflow.REFUSE)
    return limit.refuses(event_type=use, nanos=quantity * NANOS, catalogue=catalogue_with(meter))


class TestRefuse:
    @pytest.mark.parametrize(
        ("meter", "value", "use", "quantity", "expected"),
        [
            ("calls", 60, "calls", 40, False),
            ("calls", 60, "calls", 41, True),
            ("jobs", 99, "jobs", 5, False),  # one event, whatever its quantity
            ("jobs", 100, "jobs", 0, True),
            ("work", 60, "calls", 20, False),
            ("work", 60, "calls", 21, True),
            ("work", 91, "jobs", 1, True),
            ("sites", 250, "sites", 100, False),  # the reported count itself
            ("adapters", 250, "adapters", 100, False),
            ("adapters", 0, "adapters", 101, True),
            ("calls", 500, "jobs", 1, False),  # another type
            ("calls", 500, "unheard", 1, False),
        ],
    )
    def test_is_for_uses_that_would_go_past_the_maximum(
        self, meter: str, value: int, use: str, quantity: int, *, expected: bool
    ) -> None:
        """Exactly the maximum is within it."""
        assert expected is refused(meter, value=value, use=use, quantity=quantity)

    def test_is_never_of_a_limit_that_warns(self) -> None:
        """The usual one: it flags and that is all."""
        warning = LimitUse("most", "calls", Fraction(100), Fraction(500))
        catalogue = catalogue_with("calls", overflow=None)
        assert catalogue.plan("p").limits[0].overflow is Overflow.WARN
        assert not warning.refuses(event_type="calls", nanos=NANOS, catalogue=catalogue)

    @pytest.mark.parametrize(
        ("meter", "overflow"), [("users", "refuse"), ("calls", "bill"), ("calls", "stop")]
    )
    def test_needs_a_meter_whose_next_value_is_known(self, meter: str, overflow: str) -> None:
        """What one more does to a mean nobody knows; and a limit has nothing to bill."""
        with pytest.raises(Rejected, match=r"plans\[0\]\.limits\[0\]\.overflow"):
            catalogue_with(meter, overflow=overflow)

    def test_s3_r10_a_count_over_the_limit_is_refused_and_unlimited_never_refuses(self) -> None:
        """S3's own catalogue: 1, 5 and 25 adapters; enterprise has no such limit."""
        checked = check_file(checkout.ROOT / "deploy" / "catalogues" / "s3_dictamesh.yaml")
        assert checked.catalogue is not None
        for code, maximum in {"free": 1, "starter": 5, "professional": 25}.items():
            (limit,) = limits_of(
                checked.catalogue.plan(code).limits,
                value_of=lambda _: Fraction(0),
                catalogue=checked.catalogue,
            )
            told = [
                limit.refuses(event_type=name, nanos=count * NANOS, catalogue=checked.catalogue)
                for name in ("adapters", "adapter_count")
                for count in (maximum, maximum + 1)
            ]
            assert [False, True, False, True] == told
        assert () == checked.catalogue.plan("enterprise").limits


class TestSeats:
    @pytest.mark.parametrize(
        ("plan", "seats", "code"),
        [("free", 1, ""), ("free", 2, "seats_limit"), ("starter", 500, "")],
    )
    def test_s3_r4_free_sells_no_extra_seats(self, plan: str, seats: int, code: str) -> None:
        """S3's own catalogue: they would be given away, for Free has no price for them."""
        checked = check_file(checkout.ROOT / "deploy" / "catalogues" / "s3_dictamesh.yaml")
        assert checked.catalogue is not None
        books = billing.Books()
        books.send("PublishCatalogue", {"content": checked.catalogue.content})
        books.send("CreateCustomer", {"customer": "acme", "currency": "USD"})
        body: dict[str, Json] = {
            "subscription": "sub_1",
            "customer": "acme",
            "plan": plan,
            "start": "2025-01-01T00:00:00Z",
            "seats": seats,
        }
        assert code == books.send("CreateSubscription", body).code


class TestValue:
    def test_of_a_composite_is_its_meters_weighted(self) -> None:
        """2 x 20 calls and 10 x 1 job."""
        catalogue = catalogue_with("work")
        values = {"calls": Fraction(20), "jobs": Fraction(1)}
        (limit,) = limits_of(
            catalogue.plan("p").limits,
            value_of=lambda meter: values[meter.key],
            catalogue=catalogue,
        )
        assert (Fraction(50), False) == (limit.value, limit.is_exceeded)
