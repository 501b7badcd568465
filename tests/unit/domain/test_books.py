"""The books: what each command changes, and why each refusal is given."""

from collections.abc import Mapping

import pytest

from domain.books import fold
from domain.books.facts import BooksFacts, Fact, Outcome
from domain.books.records import Command, CommandRecord
from domain.canonical import Json, sha256_hex
from domain.codes import Code
from domain.errors import Fatal
from domain.routing import partition_of
from domain.usage.records import Unreadable
from tests.support import billing
from tests.support.billing import Books, bodies

SECRET = sha256_hex("secret")


@pytest.fixture
def books() -> Books:
    """Books with the catalogue of S1 and acme on PRO from 2025-01-01."""
    made = Books()
    made.subscribed()
    return made


class TestPublishCatalogue:
    def test_puts_the_version_in_force(self) -> None:
        """The fact holds the canonical content and its hash."""
        outcome = Books().send("PublishCatalogue", {"content": billing.s1_document(3)})
        catalogue = billing.s1_catalogue(3)
        assert bodies(outcome) == [
            (
                "CataloguePublished",
                {
                    "version": 3,
                    "content": catalogue.content,
                    "content_sha256": catalogue.sha256,
                    "published_at": "2025-01-01T00:00:00Z",
                },
            )
        ]

    @pytest.mark.parametrize(
        "meters",
        [
            pytest.param(billing.S1_METERS[1:], id="one is missing"),
            pytest.param(
                [billing.meter("assets", aggregation="max", unit="asset"), *billing.S1_METERS[1:]],
                id="one counts otherwise",
            ),
        ],
    )
    def test_refuses_to_change_what_a_meter_means(self, meters: list[Json]) -> None:
        """A period rated with the old version would bill what the new one counts."""
        books = Books()
        books.send("PublishCatalogue", {"content": billing.s1_document(1)})
        content = billing.document(2, meters=meters, plans=[])
        outcome = books.send("PublishCatalogue", {"content": content})
        assert outcome.code == Code.CATALOGUE_INVALID
        assert "new meaning a new key" in outcome.reason

    def test_same_version_again_is_accepted_and_changes_nothing(self) -> None:
        """A publisher may retry under a new command id."""
        books = Books()
        books.send("PublishCatalogue", {"content": billing.s1_document()})
        outcome = books.send("PublishCatalogue", {"content": billing.s1_document()})
        assert (outcome.code, outcome.facts) == ("", ())

    @pytest.mark.parametrize(
        ("content", "code"),
        [
            (billing.s1_document(1), Code.CATALOGUE_VERSION_OLD),
            (billing.document(2, meters=[], plans=[]), Code.CATALOGUE_VERSION_TAKEN),
            ("{}", Code.CATALOGUE_INVALID),
            ("nonsense", Code.CATALOGUE_INVALID),
        ],
    )
    def test_refuses_what_cannot_replace_it(self, content: str, code: Code) -> None:
        """Old, taken and broken versions each have their code."""
        books = Books()
        books.send("PublishCatalogue", {"content": billing.s1_document(2)})
        assert books.send("PublishCatalogue", {"content": content}).code == code


class TestCreateCustomer:
    def test_adds_a_customer(self) -> None:
        """The time is the broker's, not a clock's."""
        outcome = Books().send("CreateCustomer", {"customer": "acme", "currency": "CAD"})
        assert bodies(outcome) == [
            (
                "CustomerCreated",
                {
                    "document": {
                        "customer": "acme",
                        "currency": "CAD",
                        "created_at": "2025-01-01T00:00:00Z",
                        "seller": "",
                        "tax": {"treatment": "standard", "region": ""},
                        "due_days": None,
                        "grace_hours": None,
                        "overrides": [],
                    },
                    "change": {"kind": "created"},
                    "changed_at": "2025-01-01T00:00:00Z",
                },
            )
        ]

    def test_refuses_a_second_one_of_the_id(self, books: Books) -> None:
        """The id is taken, also with another currency."""
        outcome = books.send("CreateCustomer", {"customer": "acme", "currency": "USD"})
        assert outcome.code == Code.CUSTOMER_EXISTS

    def test_refuses_an_unknown_currency(self) -> None:
        """Only ISO 4217."""
        outcome = Books().send("CreateCustomer", {"customer": "acme", "currency": "ABC"})
        assert outcome.code == Code.CURRENCY_UNKNOWN


class TestApiKeys:
    KEY: Mapping[str, Json] = {
        "key_id": "key_1",
        "secret_sha256": SECRET,
        "label": "ci",
        "scopes": ["write", "read"],
    }

    def test_a_key_is_known_by_its_hash(self) -> None:
        """The fact holds no secret; scopes are sorted."""
        ((kind, body),) = bodies(Books().send("CreateApiKey", self.KEY))
        assert kind == "ApiKeyCreated"
        assert body == {
            **self.KEY,
            "scopes": ["read", "write"],
            "created_at": "2025-01-01T00:00:00Z",
        }

    def test_scopes_may_be_absent(self) -> None:
        """No scopes is an empty list."""
        key = {name: value for name, value in self.KEY.items() if name != "scopes"}
        assert bodies(Books().send("CreateApiKey", key))[0][1]["scopes"] == []

    def test_revoking_twice_changes_nothing_and_the_id_stays_taken(self) -> None:
        """Once revoked, a key never opens anything again."""
        books = Books()
        books.send("CreateApiKey", self.KEY)
        made = [books.send("RevokeApiKey", {"key_id": "key_1"}) for _ in range(2)]
        assert [[kind for kind, _ in bodies(outcome)] for outcome in made] == [
            ["ApiKeyRevoked"],
            [],
        ]
        assert [outcome.code for outcome in made] == ["", ""]
        assert books.send("CreateApiKey", self.KEY).code == Code.API_KEY_EXISTS

    def test_refuses_to_revoke_an_unknown_key(self) -> None:
        """There is nothing to revoke."""
        assert Books().send("RevokeApiKey", {"key_id": "key_1"}).code == Code.API_KEY_UNKNOWN

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("key_id", "sub_1"),
            ("secret_sha256", "secret"),
            ("secret_sha256", SECRET.upper()),
            ("label", ""),
            ("scopes", "read"),
            ("scopes", ["read", "read"]),
            ("scopes", [str(number) for number in range(21)]),
            ("secret", "secret"),
        ],
    )
    def test_refuses_a_malformed_key(self, name: str, value: Json) -> None:
        """The field is named."""
        outcome = Books().send("CreateApiKey", {**self.KEY, name: value})
        assert outcome.code == Code.COMMAND_INVALID
        assert f"CreateApiKey.{name}" in outcome.reason


class TestFold:
    @pytest.mark.parametrize(
        ("kind", "body", "code", "reason"),
        [
            ("DeleteEverything", "{}", Code.COMMAND_UNKNOWN, "DeleteEverything"),
            ("CreateCustomer", "", Code.COMMAND_INVALID, "not JSON"),
            ("CreateCustomer", "[]", Code.COMMAND_INVALID, "CreateCustomer"),
            ("CreateCustomer", "{}", Code.COMMAND_INVALID, "CreateCustomer.customer"),
            (
                "CreateCustomer",
                '{"customer":"a","currency":"CAD","name":"Ada"}',
                Code.COMMAND_INVALID,
                "CreateCustomer.name",
            ),
            ("CreateCustomer", '{"customer":1.5}', Code.COMMAND_INVALID, "1.5"),
            ("CreateCustomer", '{"\\u0000":1}', Code.COMMAND_INVALID, r"\x00"),
            ("CreateCustomer", "{" + '"a":[' * 5_000, Code.COMMAND_INVALID, "not JSON"),
            ("PublishCatalogue", '{"content":{}}', Code.COMMAND_INVALID, "content"),
        ],
        ids=lambda value: str(value)[:30],
    )
    def test_answers_what_it_cannot_take(
        self, kind: str, body: str, code: Code, reason: str
    ) -> None:
        """Unknown and malformed commands get an outcome with the place, and stop nothing."""
        books = Books()
        outcome = books.send(kind, body)
        assert (outcome.code, outcome.facts) == (code, ())
        assert reason in outcome.reason
        assert outcome.reason.isprintable()
        assert books.send("CreateCustomer", {"customer": "a", "currency": "CAD"}).code == ""

    def test_reasons_are_short(self) -> None:
        """A reason is for people, not a copy of the input."""
        assert len(Books().send("CreateCustomer", {"x" * 100_000: 1}).reason) <= 300

    @pytest.mark.parametrize(
        ("command", "code", "tenant"),
        [
            (Command("", "cmd_1", "CreateCustomer", "{}"), Code.COMMAND_INVALID, ""),
            (Command("t\0", "cmd_1", "CreateCustomer", "{}"), Code.COMMAND_INVALID, ""),
            (Command("t", "", "CreateCustomer", "{}"), Code.COMMAND_INVALID, "t"),
            (Command("t", "c" * 201, "CreateCustomer", "{}"), Code.COMMAND_INVALID, "t"),
            (Command("t", "cmd_1", "Create\x1f", "{}"), Code.COMMAND_INVALID, "t"),
            (
                Command("t", "cmd_1", "CreateCustomer", "{}", actor="a\0"),
                Code.COMMAND_INVALID,
                "t",
            ),
            (Unreadable(Code.UNDECODABLE, "torn"), Code.UNDECODABLE, ""),
        ],
        ids=["tenant", "tenant_nul", "no_id", "long_id", "kind", "actor", "unreadable"],
    )
    def test_rejects_what_nobody_could_be_told_about(
        self, command: Command | Unreadable, code: Code, tenant: str
    ) -> None:
        """Such a record is counted as a reject, has no outcome and takes no command id."""
        record = CommandRecord(offset=4, received_at_ms=9, body=command)
        made = fold.BooksFold(partition=0, partitions=1).step([record], from_offset=4, to_offset=5)
        assert made.outcomes == ()
        (reject,) = made.rejects
        assert (reject.code, reject.tenant, reject.offset, reject.index, reject.events) == (
            code,
            tenant,
            4,
            -1,
            1,
        )

    def test_rejects_the_command_of_another_partition(self) -> None:
        """Two partitions with books of one tenant would number its invoices twice."""
        home = partition_of("tenant", partitions=4)
        command = Command("tenant", "cmd_1", "CreateCustomer", '{"customer":"a","currency":"CAD"}')
        codes = {}
        for partition in range(4):
            made = fold.BooksFold(partition=partition, partitions=4).step(
                [CommandRecord(0, 0, command)], from_offset=0, to_offset=1
            )
            codes[partition] = [reject.code for reject in made.rejects]
        assert codes == {
            partition: [] if partition == home else [Code.MISROUTED] for partition in range(4)
        }

    def test_carries_the_span_and_the_high_water_mark(self) -> None:
        """The mark is the largest append time so far, also when the broker's clock goes back."""
        books = fold.BooksFold(partition=0, partitions=1)
        unreadable = Unreadable(Code.UNDECODABLE, "torn")
        first = books.step([CommandRecord(0, 90, unreadable)], from_offset=0, to_offset=1)
        second = books.step([CommandRecord(1, 80, unreadable)], from_offset=1, to_offset=2)
        assert (first.from_offset, first.to_offset, first.received_high_ms) == (0, 1, 90)
        assert (second.from_offset, second.to_offset, second.received_high_ms) == (1, 2, 90)

    @pytest.mark.parametrize(
        "fact",
        [
            Fact("MoonLanded", "{}"),
            Fact("CustomerCreated", "{"),
            Fact("CustomerCreated", "{}"),
            Fact("CataloguePublished", '{"content":"{}"}'),
            Fact("CustomerChanged", '{"document":{"customer":"acme"}}'),
            Fact("SubscriptionRenewed", '{"document":{"subscription":"sub_1"}}'),
        ],
        ids=lambda fact: f"{fact.kind}_{len(fact.body)}",
    )
    def test_a_damaged_fact_stops_the_restore(self, fact: Fact) -> None:
        """Going on would make wrong books."""
        outcome = Outcome(0, "tenant", "cmd_1", "Kind", b"", "", "", False, (fact,), 0)
        books = fold.BooksFold(partition=0, partitions=1)
        with pytest.raises(Fatal) as caught:
            books.restore(BooksFacts(0, 1, 0, (outcome,)))
        assert caught.value.code is Code.STATE_CORRUPT


class TestIdempotency:
    BODY: Mapping[str, Json] = {"customer": "acme", "currency": "CAD"}

    def test_g_01_a_repeat_gets_the_first_answer_and_changes_nothing(self) -> None:
        """Same id, same kind and body."""
        books = Books()
        first = books.send("CreateCustomer", self.BODY, command_id="cmd_a")
        again = books.send("CreateCustomer", self.BODY, command_id="cmd_a")
        assert (first.code, first.repeat, len(first.facts)) == ("", False, 1)
        assert (again.code, again.repeat, again.facts) == ("", True, ())
        assert first.body_sha256 == again.body_sha256

    def test_a_refusal_is_repeated_too(self) -> None:
        """Even when the same command would be accepted by now."""
        books = Books()
        first = books.send("RevokeApiKey", {"key_id": "key_1"}, command_id="cmd_a")
        books.send("CreateApiKey", TestApiKeys.KEY)
        again = books.send("RevokeApiKey", {"key_id": "key_1"}, command_id="cmd_a")
        assert (again.code, again.reason, again.repeat) == (first.code, first.reason, True)

    @pytest.mark.parametrize(
        ("kind", "body"),
        [
            ("CreateCustomer", {"customer": "acme", "currency": "USD"}),
            ("CreateApiKey", {"customer": "acme", "currency": "CAD"}),
        ],
        ids=["body", "kind"],
    )
    def test_another_body_or_kind_is_a_conflict(self, kind: str, body: Mapping[str, Json]) -> None:
        """It gets a refusal of its own and does not replace the first answer."""
        books = Books()
        books.send("CreateCustomer", self.BODY, command_id="cmd_a")
        for _ in range(2):
            conflict = books.send(kind, body, command_id="cmd_a")
            assert (conflict.code, conflict.repeat, conflict.facts) == (
                Code.IDEMPOTENCY_CONFLICT,
                False,
                (),
            )
        again = books.send("CreateCustomer", self.BODY, command_id="cmd_a")
        assert (again.code, again.repeat) == ("", True)

    def test_ids_belong_to_a_tenant(self) -> None:
        """Two tenants may use the same id for different commands."""
        books = Books()
        books.send("CreateCustomer", self.BODY, command_id="cmd_a")
        books.tenant = "other"
        outcome = books.send("CreateCustomer", self.BODY, command_id="cmd_a")
        assert (outcome.code, outcome.repeat, len(outcome.facts)) == ("", False, 1)
