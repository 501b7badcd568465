"""docs/catalogue.md says what the code says."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from cli.catalogue_file import DEPTH_MAX, NODES_MAX, PROBLEMS_MAX, check_text
from cli.main import app
from domain.aggregation.kinds import Aggregation
from domain.billing_terms import DISCOUNTS_MAX, SELLERS_MAX, TAXES_MAX, DiscountKind
from domain.catalogue import METERS_MAX, METERS_PER_TYPE_MAX, VERSION_MAX
from domain.catalogue_shape import CATALOGUE
from domain.composite import COMPOSITES_MAX, PARTS_MAX
from domain.document_shape import Shape
from domain.fields import TEXT_LENGTH_MAX
from domain.gain_share_terms import KPIS_MAX
from domain.meter import ALIASES_PER_TYPE_MAX, VALUE_BANDS_MAX
from domain.period import Interval
from domain.plan import (
    ADD_ONS_MAX,
    LIMITS_MAX,
    PLAN_DISCOUNTS_MAX,
    PLANS_MAX,
    PRICES_MAX,
    TRIAL_DAYS_MAX,
)
from domain.pricing.forms import FORMS
from domain.pricing.ladder import TIERS_MAX
from domain.pricing.price import Overflow
from domain.pricing.reading import WHERE_MAX
from tests.support import checkout

TEXT = (checkout.ROOT / "docs" / "catalogue.md").read_text(encoding="utf-8")


def shapes(shape: Shape) -> list[Shape]:
    """A shape and all below it."""
    inner = [item for field in shape.fields for item in field.items]
    return [shape, *(below for item in inner for below in shapes(item))]


class TestReference:
    @pytest.mark.parametrize("shape", shapes(CATALOGUE), ids=lambda shape: shape.name)
    def test_names_every_field(self, shape: Shape) -> None:
        assert [] == [field.name for field in shape.fields if f"`{field.name}`" not in TEXT]

    def test_names_every_choice_and_form(self) -> None:
        names = (*Aggregation, *FORMS, *Overflow, *Interval, *DiscountKind)
        assert [] == [name for name in names if f"`{name}`" not in TEXT]

    @pytest.mark.parametrize(
        "words",
        [
            f"| `event_types` | at most {METERS_MAX} |",
            f"| `meters` | at most {METERS_MAX} |",
            f"| `plans` | at most {PLANS_MAX} |",
            f"at most {PRICES_MAX} `prices`",
            f"required, 1 to {ALIASES_PER_TYPE_MAX} ",
            f"one type may feed {METERS_PER_TYPE_MAX} meters",
            f"`tiers` are 1 to {TIERS_MAX} objects",
            f"| `composites` | at most {COMPOSITES_MAX} |",
            f"`of`, 1 to {PARTS_MAX} objects",
            f"| `add_ons` | at most {ADD_ONS_MAX} |",
            f"| `taxes` | at most {TAXES_MAX} |",
            f"| `discounts` | at most {DISCOUNTS_MAX} |",
            f"billed period, at most {TRIAL_DAYS_MAX} |",
            f"come off, at most {PLAN_DISCOUNTS_MAX} |",
            f"| `limits` | at most {LIMITS_MAX} |",
            f"is priced, at most {WHERE_MAX}:",
            f"| none | at most {VALUE_BANDS_MAX} rising bounds",
            f"at most {SELLERS_MAX} legal entities",
            f"`kpis`, at most {KPIS_MAX} ",
            f"from 1 to {VERSION_MAX};",
            f"1 to {TEXT_LENGTH_MAX} printable",
            f"more than {DEPTH_MAX} levels, {NODES_MAX:,} values or 4 MiB",
            f"the first {PROBLEMS_MAX} of a file",
        ],
    )
    def test_has_the_limits_of_the_code(self, words: str) -> None:
        assert words in TEXT

    def test_shows_documents_that_are_right(self) -> None:
        """The first example passes, and the alias is YAML of the right shape."""
        whole, part = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)
        assert ((), True) == (check_text(whole)[1], "event_types" in part)

    def test_names_every_command(self) -> None:
        done = CliRunner().invoke(app, ["catalogue", "--help"])
        for name in ("check", "diff", "publish", "show", "schema"):
            assert name in done.stdout
            assert f"| `catalogue {name}" in TEXT
