"""Every way in which an event is wrong has a code; a right one becomes an exact row."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal, localcontext
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any

import pytest

from tidegauge import InvalidEvent, limits
from tidegauge.intake import Intake
from tidegauge.wire.batch import EventRow

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC)
NOW_MS = 1_767_323_045_678


class Kind(StrEnum):
    REQUESTS = "requests"


class Level(IntEnum):
    TWO = 2


@pytest.fixture
def intake() -> Intake:
    return Intake(source="checkout", clock=lambda: NOW)


def read(intake: Intake, **changes: Any) -> EventRow:
    event: dict[str, Any] = {
        "customer": "cus_1",
        "event_type": "requests",
        "amount": 1,
        "occurred_at": None,
        "dimensions": None,
        "properties": None,
        "event_id": None,
    } | changes
    return intake.row(**event)


def many(count: int) -> dict[str, str]:
    return {f"name{number}": "value" for number in range(count)}


FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({"amount": 1.5}, "quantity", "quantity_float"),
    ({"amount": float("nan")}, "quantity", "quantity_float"),
    ({"amount": True}, "quantity", "quantity_not_number"),
    ({"amount": None}, "quantity", "quantity_not_number"),
    ({"amount": b"1"}, "quantity", "quantity_not_number"),
    ({"amount": ""}, "quantity", "quantity_not_number"),
    ({"amount": "1_000"}, "quantity", "quantity_not_number"),
    ({"amount": " 1"}, "quantity", "quantity_not_number"),
    ({"amount": "1\n"}, "quantity", "quantity_not_number"),
    ({"amount": "\u0661"}, "quantity", "quantity_not_number"),
    ({"amount": "0x10"}, "quantity", "quantity_not_number"),
    ({"amount": "NaN"}, "quantity", "quantity_not_finite"),
    ({"amount": "-Infinity"}, "quantity", "quantity_not_finite"),
    ({"amount": Decimal("NaN")}, "quantity", "quantity_not_finite"),
    ({"amount": Decimal("sNaN")}, "quantity", "quantity_not_finite"),
    ({"amount": Decimal("-Infinity")}, "quantity", "quantity_not_finite"),
    ({"amount": -1}, "quantity", "quantity_negative"),
    ({"amount": Decimal("-0.000000001")}, "quantity", "quantity_negative"),
    ({"amount": "-1e-9999"}, "quantity", "quantity_negative"),
    ({"amount": Decimal("0.0000000001")}, "quantity", "quantity_too_precise"),
    ({"amount": Decimal("1E-999999")}, "quantity", "quantity_too_precise"),
    ({"amount": Decimal("0." + "1" * 5_000)}, "quantity", "quantity_too_precise"),
    ({"amount": 10**14}, "quantity", "quantity_too_large"),
    ({"amount": 10**10_000}, "quantity", "quantity_too_large"),
    ({"amount": Decimal("1E+999999")}, "quantity", "quantity_too_large"),
    ({"amount": "1e9999"}, "quantity", "quantity_too_large"),
    ({"amount": "99999999999999.999999999"}, "quantity", "quantity_too_large"),
    ({"amount": "1" * 65}, "quantity", "text_too_long"),
    ({"occurred_at": "2026-01-01"}, "occurred_at", "time_not_datetime"),
    ({"occurred_at": 1_767_323_045}, "occurred_at", "time_not_datetime"),
    ({"occurred_at": date(2026, 1, 1)}, "occurred_at", "time_not_datetime"),
    ({"occurred_at": datetime(2026, 1, 1)}, "occurred_at", "time_naive"),  # noqa: DTZ001
    (
        {"occurred_at": datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)},
        "occurred_at",
        "time_out_of_range",
    ),
    (
        {"occurred_at": datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))},
        "occurred_at",
        "time_out_of_range",
    ),
    ({"customer": ""}, "customer", "customer_empty"),
    ({"customer": None}, "customer", "customer_not_text"),
    ({"customer": b"cus"}, "customer", "customer_not_text"),
    ({"customer": ["cus"]}, "customer", "customer_not_text"),
    ({"customer": "c" * 201}, "customer", "text_too_long"),
    ({"customer": "c" * 2_000_000}, "customer", "text_too_long"),
    ({"customer": "a\x1fb"}, "customer", "text_control_character"),
    ({"customer": "a\x00"}, "customer", "text_control_character"),
    ({"customer": "a\x7f"}, "customer", "text_control_character"),
    ({"customer": "a\ud800"}, "customer", "text_surrogate"),
    ({"event_type": ""}, "type", "type_empty"),
    ({"event_type": 5}, "type", "type_not_text"),
    ({"event_type": "t\n"}, "type", "text_control_character"),
    ({"event_id": ""}, "id", "id_empty"),
    ({"event_id": 12}, "id", "id_not_text"),
    ({"event_id": "i" * 201}, "id", "text_too_long"),
    ({"event_id": "i\udfff"}, "id", "text_surrogate"),
    ({"dimensions": [("a", "b")]}, "dimensions", "dimensions_not_mapping"),
    ({"dimensions": "a=b"}, "dimensions", "dimensions_not_mapping"),
    ({"dimensions": many(33)}, "dimensions", "dimensions_too_many"),
    ({"dimensions": many(300)}, "dimensions", "dimensions_too_many"),
    ({"dimensions": {"a": 1}}, "dimensions", "dimension_not_text"),
    ({"dimensions": {"a": []}}, "dimensions", "dimension_not_text"),
    ({"dimensions": {1: "a"}}, "dimensions", "dimension_not_text"),
    ({"dimensions": {"": "a"}}, "dimensions", "dimension_name_empty"),
    ({"dimensions": {"n" * 65: "a"}}, "dimensions", "text_too_long"),
    ({"dimensions": {"a": "v" * 257}}, "dimensions", "text_too_long"),
    ({"dimensions": {"a": "\x1e"}}, "dimensions", "text_control_character"),
    ({"dimensions": {"a\ud801": "v"}}, "dimensions", "text_surrogate"),
    ({"properties": 7}, "properties", "properties_not_mapping"),
    ({"properties": many(33)}, "properties", "properties_too_many"),
    ({"properties": {"a": None}}, "properties", "property_not_text"),
    ({"properties": {"": "a"}}, "properties", "property_name_empty"),
    ({"properties": {"a": "v" * 1_025}}, "properties", "text_too_long"),
    ({"properties": {f"n{n}": "v" * 1_000 for n in range(20)}}, "event", "event_too_large"),
]


class TestIntake:
    @pytest.mark.parametrize(("changes", "field", "code"), FAULTS)
    def test_refuses(self, intake: Intake, changes: dict[str, Any], field: str, code: str) -> None:
        """A wrong event is refused with its field and code, also when caches are warm."""
        read(intake)

        for _ in range(2):
            with pytest.raises(InvalidEvent) as caught:
                read(intake, **changes)

            assert (field, code) == (caught.value.field, caught.value.code)
            assert len(str(caught.value)) < 300

    @pytest.mark.parametrize(
        ("amount", "billionths"),
        [
            (0, 0),
            (3, 3 * 10**9),
            (Level.TWO, 2 * 10**9),
            (10**14 - 1, (10**14 - 1) * 10**9),
            (Decimal("12.5"), 12_500_000_000),
            (Decimal("-0.00"), 0),
            (Decimal("0E+999999"), 0),
            (Decimal("1E+3"), 1_000 * 10**9),
            (Decimal("1." + "0" * 80), 10**9),
            ("0.000000001", 1),
            ("1.5000000000000", 1_500_000_000),
            (".5", 500_000_000),
            ("5.", 5 * 10**9),
            ("+1.2E1", 12 * 10**9),
        ],
    )
    def test_reads_quantities_exactly(
        self, intake: Intake, amount: object, billionths: int
    ) -> None:
        """A quantity is an exact number of billionths, whatever its spelling."""
        assert billionths == read(intake, amount=amount)[7]

    def test_ignores_the_hosts_decimal_context(self, intake: Intake) -> None:
        """A host that computes with three digits still reports all of them."""
        with localcontext() as context:
            context.prec = 3

            assert read(intake, amount=Decimal("123.456789012"))[7] == 123_456_789_012

    @pytest.mark.parametrize(
        ("instant", "milliseconds"),
        [
            (None, NOW_MS),
            (datetime(1970, 1, 1, tzinfo=UTC), 0),
            (datetime(2026, 1, 2, 4, 4, 5, 678_999, tzinfo=timezone(timedelta(hours=1))), NOW_MS),
            (datetime.max.replace(tzinfo=UTC), limits.OCCURRED_AT_MS_MAX),
        ],
    )
    def test_reads_times_as_utc_and_rounds_down(
        self, intake: Intake, instant: datetime | None, milliseconds: int
    ) -> None:
        """A time is UTC milliseconds; without one it is the clock's."""
        assert milliseconds == read(intake, occurred_at=instant)[6]

    def test_takes_plain_text_of_a_subclass(self, intake: Intake) -> None:
        """A StrEnum counts as its value, and equals the plain text on the wire."""
        from_enum = read(intake, event_type=Kind.REQUESTS, dimensions={"kind": Kind.REQUESTS})
        from_text = read(intake, event_type="requests", dimensions={"kind": "requests"})

        assert str is type(from_enum[4])
        assert from_text[2:8] == from_enum[2:8]

    def test_does_not_care_for_the_order_of_names(self, intake: Intake) -> None:
        """Dimensions and properties in any order, and any mapping, are the same payload."""
        ordered = {"a": "1", "b": "2"}
        turned = MappingProxyType({"b": "2", "a": "1"})

        assert (
            read(intake, dimensions=ordered, properties=ordered)[2]
            == read(intake, dimensions=turned, properties=turned)[2]
        )

    def test_tells_dimensions_from_properties(self, intake: Intake) -> None:
        """The same pair as dimension and as property are different payloads."""
        pair = {"a": "1"}

        assert read(intake, dimensions=pair)[2] != read(intake, properties=pair)[2]

    def test_takes_everything_up_to_its_limit(self, intake: Intake) -> None:
        """The largest allowed texts and numbers of pairs pass."""
        found = read(
            intake,
            customer="ü" * limits.NAME_CHARACTERS_MAX,
            event_id="i" * limits.NAME_CHARACTERS_MAX,
            dimensions={f"{n:0>64}": "" for n in range(limits.DIMENSIONS_MAX)},
            properties={"p": "v" * limits.PROPERTY_CHARACTERS_MAX},
        )

        assert found[8]

    def test_forgets_when_a_cache_is_full(
        self, intake: Intake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Caches are bounded, and an emptied one changes no row."""
        monkeypatch.setattr(limits, "CACHE_ENTRIES_MAX", 3)
        monkeypatch.setattr(limits, "DIMENSION_CACHE_ENTRIES_MAX", 3)

        def rows() -> Iterator[EventRow]:
            for number in range(20):
                yield read(
                    intake, customer=f"c{number}", dimensions={"d": str(number)}, event_id="i"
                )

        assert list(rows()) == list(rows())
        assert len(intake._customers) <= 3
        assert len(intake._dimensions) <= 3
