"""What does not fit on a screen is not read."""

import ast
from pathlib import Path

from tests.support import checkout

FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 500


def _is_migration(path: Path) -> bool:
    """A migration is a list of statements and is never edited after its release."""
    return path.is_relative_to("projections/migrations")


def test_functions_are_short() -> None:
    too_long = [
        f"{path}:{node.lineno} {node.name}: {length} lines"
        for path in checkout.python()
        if not _is_migration(path)
        for node in ast.walk(checkout.tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (length := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    checkout.fail_on(too_long, rule=f"A function has at most {FUNCTION_LINES_MAX} lines")


def test_modules_are_short() -> None:
    too_long = [
        f"{path}: {length} lines"
        for path in checkout.python()
        if not _is_migration(path)
        if (length := len((checkout.ROOT / path).read_text().splitlines())) > MODULE_LINES_MAX
    ]
    checkout.fail_on(too_long, rule=f"A module has at most {MODULE_LINES_MAX} lines")
