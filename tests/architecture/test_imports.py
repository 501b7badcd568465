"""A module that nobody imports is dead, or its test is the only thing alive in it."""

import ast
from collections.abc import Iterator

from tests.support import checkout

ENTRY_POINTS = {
    "cli.main": "the `tidegauge` command",
    "tidegauge": "the SDK's front door, imported by customers",
    "tidegauge.prometheus": "likewise, where prometheus_client is installed",
}
STARTED_BY_NAME = (
    "projections.migrations",
    "runtime.vault.migrations",
    "producers.sdk.examples",
)
"""Alembic and the tests of the SDK find these by their folder."""


def _imported(path_tree: ast.Module) -> Iterator[str]:
    """Names of modules that a file imports, also by a string such as "api.app:create_app"."""
    for node in ast.walk(path_tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value.partition(":")[0]


def test_every_module_is_imported_by_the_product() -> None:
    modules = {
        checkout.module_name(path): path
        for path in checkout.python(*checkout.ROOMS)
        if path.stem not in {"__init__", "__main__"}
    }
    users = checkout.python(*checkout.ROOMS, "benchmarks", "deploy")
    imported = {name for path in users for name in _imported(checkout.tree(path))}
    dead = [
        f"{name} ({path})"
        for name, path in sorted(modules.items())
        if name not in imported | set(ENTRY_POINTS)
        if not name.startswith(STARTED_BY_NAME)
    ]
    checkout.fail_on(dead, rule="No room imports these modules")
