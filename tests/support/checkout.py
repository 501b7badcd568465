"""The files of the checkout, as the architecture tests look at them."""

import ast
import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("domain", "schemas", "runtime", "producers", "streams", "projections", "api", "cli")
SDK = ROOT / "producers" / "sdk" / "src"

IGNORED = {".git", ".venv", ".cache", "__pycache__", "dist", ".env", "uv.lock"}
"""What .gitignore names: made by tools, not by us."""


@cache
def files() -> tuple[Path, ...]:
    """All files of the project, relative to its root."""
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in IGNORED]
        found += [Path(folder, name).relative_to(ROOT) for name in names if name not in IGNORED]
    return tuple(sorted(found))


def texts() -> Iterator[tuple[Path, str]]:
    """All files that are text, with their content."""
    for path in files():
        try:
            yield path, (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def python(*tops: str) -> list[Path]:
    """All Python files, or those below some top folders."""
    return [
        path for path in files() if path.suffix == ".py" and (not tops or path.parts[0] in tops)
    ]


def tree(path: Path) -> ast.Module:
    """The syntax tree of a Python file."""
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), filename=str(path))


def module_name(path: Path) -> str:
    """The name under which a file of a room or of the SDK is imported."""
    base = SDK.relative_to(ROOT)
    inner = path.relative_to(base) if path.is_relative_to(base) else path
    parts = inner.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def fail_on(faults: Iterable[str], *, rule: str) -> None:
    """Fail the test with all faults, one per line; no fault is fine."""
    listed = "\n  ".join(faults)
    if listed:
        pytest.fail(f"{rule}:\n  {listed}", pytrace=False)
