"""Only a body that a secret signed, now and for the first time, is taken."""

import json
import time

import pytest
from starlette.datastructures import Headers

from domain.errors import Fatal, Retryable
from producers.gateway import webhooks
from producers.gateway.webhooks import Deliveries, Stamp, Verifier, read_secrets, read_stamp
from runtime.settings import Settings
from runtime.web.problems import ProblemError
from tests.support.gateway_world import SECRET, TENANT, signed

BODY = b'{"data":{}}'


def stamp(**changes: object) -> Stamp:
    return read_stamp(Headers(signed(BODY, **changes)))  # type: ignore[arg-type]


class TestStamp:
    @pytest.mark.parametrize("age_s", [-299, 0, 299])
    def test_is_taken_within_five_minutes_both_ways(self, age_s: int) -> None:
        assert stamp(at_s=int(time.time()) - age_s).delivery_id == "d-1"

    @pytest.mark.parametrize("age_s", [-310, 310, 10**6])
    def test_is_refused_beyond(self, age_s: int) -> None:
        with pytest.raises(ProblemError) as refused:
            stamp(at_s=int(time.time()) - age_s)
        assert refused.value.problem.code == "webhook_unverified"

    @pytest.mark.parametrize(
        ("header", "value"),
        [
            ("Tidegauge-Timestamp", ""),
            ("Tidegauge-Timestamp", "1e9"),
            ("Tidegauge-Timestamp", "-1"),
            ("Tidegauge-Timestamp", "9" * 5_000),
            ("Tidegauge-Signature", ""),
            ("Tidegauge-Signature", "v1=abc"),
            ("Tidegauge-Signature", "v1=" + "G" * 64),
            ("Tidegauge-Delivery", ""),
            ("Tidegauge-Delivery", "x" * 201),
        ],
    )
    def test_of_another_form_is_refused(self, header: str, value: str) -> None:
        with pytest.raises(ProblemError):
            read_stamp(Headers({**signed(BODY), header: value}))


class TestVerifier:
    def test_knows_the_tenant_by_its_secret(self) -> None:
        """Two secrets of one tenant are good while one is being replaced."""
        verifier = Verifier({TENANT: (SECRET, "the next secret"), "globex": ("its secret",)})
        assert verifier.tenant(stamp(), BODY) == TENANT
        assert verifier.tenant(stamp(secret="the next secret"), BODY) == TENANT
        assert verifier.tenant(stamp(secret="its secret"), BODY) == "globex"

    @pytest.mark.parametrize("body", [b"", BODY + b" ", b'{"data": {}}'])
    def test_refuses_another_body(self, body: bytes) -> None:
        with pytest.raises(ProblemError):
            Verifier({TENANT: (SECRET,)}).tenant(stamp(), body)

    def test_refuses_another_time(self) -> None:
        made = stamp()
        moved = Stamp(made.delivery_id, str(int(made.timestamp) + 1), made.signature)
        with pytest.raises(ProblemError):
            Verifier({TENANT: (SECRET,)}).tenant(moved, BODY)

    def test_without_secrets_refuses_everything(self) -> None:
        with pytest.raises(ProblemError):
            Verifier({}).tenant(stamp(), BODY)


class TestSecrets:
    @pytest.mark.parametrize(
        "text",
        [
            "[]",
            "7",
            "{",
            '{"a": "a secret as a text"}',
            '{"a": ["short"]}',
            '{"a": [7]}',
            '{"": ["a secret of the tests"]}',
            '{"a": ["a secret of the tests"], "b": ["a secret of the tests"]}',
        ],
    )
    def test_that_nobody_could_use_end_the_process(self, text: str) -> None:
        with pytest.raises(Fatal) as ended:
            read_secrets(Settings.model_validate({"webhook_secrets": text}))
        assert ended.value.code == "setting_invalid"
        assert "a secret of the tests" not in str(ended.value)

    def test_are_read_by_tenant(self) -> None:
        text = json.dumps({TENANT: [SECRET]})
        assert read_secrets(Settings.model_validate({"webhook_secrets": text})) == {
            TENANT: (SECRET,)
        }


class TestDeliveries:
    def test_are_known_by_id_and_by_signature(self) -> None:
        deliveries = Deliveries()
        deliveries.begin(TENANT, stamp())
        for again in (
            stamp(),
            stamp(delivery="another id"),
            stamp(at_s=int(time.time()) + 1),
        ):
            with pytest.raises(ProblemError) as refused:
                deliveries.begin(TENANT, again)
            assert refused.value.problem.status == 409
        deliveries.begin("globex", stamp(secret="its secret"))

    def test_may_come_again_when_they_were_not_taken(self) -> None:
        deliveries = Deliveries()
        deliveries.begin(TENANT, stamp())
        deliveries.forget(TENANT, stamp())
        deliveries.begin(TENANT, stamp())

    def test_are_refused_rather_than_forgotten(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Forgetting one early would open it to replay."""
        monkeypatch.setattr(webhooks, "DELIVERIES_MAX", 2)
        deliveries = Deliveries()
        now_s = int(time.time())
        for number in range(2):
            deliveries.begin(TENANT, stamp(delivery=str(number), at_s=now_s + number))
        with pytest.raises(Retryable):
            deliveries.begin(TENANT, stamp(delivery="2", at_s=now_s + 2))

    def test_are_forgotten_when_their_time_is_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(webhooks, "DELIVERIES_MAX", 1)
        deliveries = Deliveries()
        deliveries.begin(TENANT, Stamp("old", str(int(time.time()) - 400), "0" * 64))
        deliveries.begin(TENANT, stamp())
        assert len(deliveries._expires_s) == 2
