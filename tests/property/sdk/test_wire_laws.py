"""Laws of the wire contract, for whatever events there may be."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sdk.memory_transport import decode
from tidegauge import limits, quantity
from tidegauge.intake import Intake, milliseconds
from tidegauge.wire import batch, identity, partition

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_MS = 86_400_000

texts = st.text(
    st.characters(min_codepoint=0x20, exclude_characters="\x7f", codec="utf-8"),
    min_size=1,
    max_size=20,
)
pairs = st.dictionaries(texts, texts, max_size=4)
quantities = st.one_of(
    st.integers(min_value=0, max_value=limits.QUANTITY_MAX - 1),
    st.decimals(min_value=0, max_value=9_000_000_000, places=9),
    st.decimals(min_value=0, max_value=limits.QUANTITY_MAX - 1, places=2),
    st.integers(min_value=0, max_value=10**18 - 1).map(lambda number: f"{number}e-9"),
)
events = st.fixed_dictionaries(
    {
        "customer": texts,
        "event_type": texts,
        "amount": quantities,
        "occurred_at": st.builds(
            lambda ms, zone: (EPOCH + timedelta(milliseconds=ms)).astimezone(zone),
            st.integers(min_value=0, max_value=limits.OCCURRED_AT_MS_MAX - 2 * DAY_MS),
            st.timezones(),
        ),
        "dimensions": pairs,
        "properties": pairs,
        "event_id": st.one_of(st.none(), texts, st.uuids().map(str)),
    }
)
HEADER = batch.BatchHeader("acme", "s", bytes(16), 0, 0, backfill=True)


class TestBatch:
    @settings(max_examples=150, deadline=None)
    @given(st.lists(events, min_size=1, max_size=12))
    def test_decodes_to_what_was_recorded(self, recorded: list[dict[str, object]]) -> None:
        """Whatever is recorded comes out of the cut and encoded batches, exact and in order."""
        intake = Intake(source="s", clock=lambda: EPOCH)
        rows = [intake.row(**event) for event in recorded]  # type: ignore[arg-type]

        found: list[tuple[object, ...]] = []
        for run in batch.cut_by_scale(rows):
            datum = decode(batch.encode(HEADER, run))
            ids = {item["index"]: item["id"] for item in datum["foreign_ids"]}
            for at in range(len(run)):
                place = datum["dimension_set"][at]
                found.append(
                    (
                        datum["strings"][datum["customer"][at]],
                        datum["strings"][datum["type"][at]],
                        Decimal(datum["quantity"][at]).scaleb(-datum["scale"]),
                        datum["occurred_at_ms"][at],
                        datum["dimension_sets"][place - 1] if place else {},
                        {p["name"]: p["value"] for p in datum["properties"] if p["index"] == at},
                        datum["keys"][16 * at : 16 * at + 16],
                        ids.get(at),
                    )
                )

        expected = [
            (
                event["customer"],
                event["event_type"],
                Decimal(str(event["amount"])),
                milliseconds(event["occurred_at"]),
                event["dimensions"],
                event["properties"],
                identity.event_key(source="s", event_id=row[batch.ROW_ID]),
                row[batch.ROW_ID] if identity.uuid_key(row[batch.ROW_ID]) is None else None,
            )
            for event, row in zip(recorded, rows, strict=True)
        ]
        assert found == expected


class TestPayload:
    @settings(max_examples=200, deadline=None)
    @given(
        first=st.tuples(texts, texts, pairs, pairs), second=st.tuples(texts, texts, pairs, pairs)
    )
    def test_is_the_same_only_for_the_same_event(
        self,
        first: tuple[str, str, dict[str, str], dict[str, str]],
        second: tuple[str, str, dict[str, str], dict[str, str]],
    ) -> None:
        """Two payloads are equal exactly when all their parts are."""

        def canonical(parts: tuple[str, str, dict[str, str], dict[str, str]]) -> bytes:
            customer, event_type, dimensions, properties = parts
            return identity.payload(
                customer,
                event_type,
                1,
                1,
                identity.dimensions_text(dimensions),
                identity.properties_text(properties),
            )

        assert (first == second) == (canonical(first) == canonical(second))

    @given(pairs)
    def test_pairs_read_back(self, given_pairs: dict[str, str]) -> None:
        """Canonical dimensions and properties hold exactly the pairs they were made of."""
        assert identity.pairs_of(identity.dimensions_text(given_pairs)) == given_pairs
        assert identity.pairs_of(identity.properties_text(given_pairs)) == given_pairs


class TestQuantity:
    @given(st.integers(min_value=0, max_value=limits.WIRE_INTEGER_MAX), st.integers(0, 9))
    def test_is_exact_in_every_spelling(self, value: int, scale: int) -> None:
        """Decimal, plain text and exponent text of one number give the same billionths."""
        exact = value * 10 ** (limits.QUANTITY_SCALE - scale)
        number = Decimal(value).scaleb(-scale)
        if number >= limits.QUANTITY_MAX:
            return

        assert quantity.billionths(number) == exact
        assert quantity.billionths(f"{number:f}") == exact
        assert quantity.billionths(f"{value}e-{scale}") == exact

    @given(st.lists(st.integers(0, 10**18), min_size=1, max_size=20))
    def test_scale_is_the_smallest_that_is_exact(self, billionths: list[int]) -> None:
        """The batch's scale holds every value, and one less would lose a digit."""
        scale = batch.scale_of(billionths)
        unit = 10 ** (limits.QUANTITY_SCALE - scale)

        assert all(value % unit == 0 for value in billionths)
        assert scale == 0 or any(value % (unit * 10) for value in billionths)


class TestTime:
    @given(st.integers(0, limits.OCCURRED_AT_MS_MAX), st.integers(0, 999))
    def test_rounds_down_to_the_millisecond(self, ms: int, microseconds: int) -> None:
        """Microseconds are cut off, never rounded up into the next window."""
        instant = EPOCH + timedelta(milliseconds=ms, microseconds=microseconds)

        assert milliseconds(instant) == ms


class TestPartition:
    @given(texts, texts, st.integers(1, 1_000))
    def test_is_within_the_topic(self, tenant: str, customer: str, count: int) -> None:
        """Every customer has one partition of those there are."""
        found = partition.partition_of(tenant=tenant, customer=customer, partition_count=count)

        assert 0 <= found < count
