"""No float from the wire to the invoice: it cannot hold 0.1."""

import ast

from tests.support import checkout

ALLOWED: dict[str, str] = {}
"""File → why it needs a float. Empty, and better so."""


def _floats(tree: ast.Module) -> list[int]:
    """Lines that name `float` or write one."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if (isinstance(node, ast.Name) and node.id == "float")
        or (isinstance(node, ast.Constant) and isinstance(node.value, float))
    ]


def test_domain_and_schemas_know_no_float() -> None:
    found = [
        f"{path}:{line}"
        for path in checkout.python("domain", "schemas")
        if str(path) not in ALLOWED
        for line in _floats(checkout.tree(path))
    ]
    checkout.fail_on(found, rule="domain and schemas count in int and Decimal")


def test_no_exception_is_left_over() -> None:
    unused = [name for name in ALLOWED if not _floats(checkout.tree(checkout.ROOT / name))]
    checkout.fail_on(unused, rule="Take these out of ALLOWED")
