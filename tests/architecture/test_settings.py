"""Every setting is documented where operators look for it."""

from runtime import settings
from tests.support import checkout


def test_every_setting_has_a_description() -> None:
    fields = settings.Settings.model_fields
    assert [name for name, field in fields.items() if not field.description] == []


def test_the_example_environment_is_up_to_date() -> None:
    written = (checkout.ROOT / ".env.example").read_text(encoding="utf-8")
    assert settings.env_example() == written, "Next: tidegauge config example > .env.example"
