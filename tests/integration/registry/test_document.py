"""docs/schema-registry.md says what is there, and its example is what a stranger would paste."""

from __future__ import annotations

import re

from fastapi.routing import APIRoute

from api.routes.schema_registry import BASE_PATH, router
from tests.support import checkout
from tests.support.fold_world import TENANT, FoldWorld
from tests.support.registry_server import RegistryServer
from tests.support.usage_facts import totals_of, windows_of

TEXT = (checkout.ROOT / "docs" / "schema-registry.md").read_text(encoding="utf-8")
_ROW = re.compile(r"^\| `(GET|POST|PUT) (/[^`]*)` \|", re.MULTILINE)
NOT_LISTED = {"", "/", "/{path:path}"}
"""Whether somebody is there, and what answers for all other addresses."""


class TestDocument:
    def test_lists_exactly_what_is_served(self) -> None:
        """These routes are in no OpenAPI document, so the inventory is here (API9 of OWASP)."""
        served = {
            (method, route.path.removeprefix(BASE_PATH))
            for route in router.routes
            if isinstance(route, APIRoute)
            for method in route.methods or ()
        }
        assert {row for row in served if row[1] not in NOT_LISTED} == set(_ROW.findall(TEXT))

    def test_has_an_example_that_is_counted(
        self, world: FoldWorld, server: RegistryServer
    ) -> None:
        (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
        for placeholder, real in (
            ("http://127.0.0.1:8080/schema-registry", server.url),
            ("tg_live_…", server.reader),
            ("127.0.0.1:9092", world.settings.kafka),
        ):
            assert placeholder in example
            example = example.replace(placeholder, real)
        names: dict[str, object] = {}
        exec(example, names)  # noqa: S102 -- our own document
        names["registry"].__exit__()  # type: ignore[attr-defined]
        world.fold()

        facts = [each for number in range(2) for each in world.accepted(number)]
        windows = {key: each for key, each in windows_of(facts).items() if key[0] == TENANT}
        assert [] == [reject for each in facts for reject in each.rejects]
        assert 1 == sum(count.accepted for each in facts for count in each.counts)
        assert {12_500_000_000} == {each.sum for each in windows.values()}
        assert totals_of(facts)
