"""What a document points at is there: links, files, and commands of the one script."""

import re
import subprocess
from pathlib import Path

from tests.support import checkout

_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_FILE = re.compile(
    r"`((?:api|benchmarks|cli|data|deploy|docs|domain|producers|projections|runtime|schemas|streams|"
    r"tests)/[\w./-]+\.\w+)`"
)
_DEV = re.compile(r"\./dev ([a-z]+)")
_STAGE = re.compile(r"\./dev test ([a-z_]+)`")


def _documents() -> list[tuple[Path, str]]:
    return [(path, text) for path, text in checkout.texts() if path.suffix == ".md"]


def test_every_link_leads_somewhere() -> None:
    broken = [
        f"{path}: {target}"
        for path, text in _documents()
        for target in _LINK.findall(text)
        if "://" not in target and not (checkout.ROOT / path.parent / target).exists()
    ]
    checkout.fail_on(broken, rule="Links to nothing")


def test_every_named_file_exists() -> None:
    broken = [
        f"{path}: {name}"
        for path, text in _documents()
        for name in _FILE.findall(text)
        if not (checkout.ROOT / name).exists()
    ]
    checkout.fail_on(broken, rule="Files that are not there")


def test_every_named_command_of_dev_exists() -> None:
    said = subprocess.run(
        [str(checkout.ROOT / "dev"), "help"], check=True, capture_output=True, text=True
    ).stdout
    known = set(re.findall(r"\b[a-z_0-9]+\b", said))
    unknown = [
        f"{path}: {name}"
        for path, text in _documents()
        for name in {*_DEV.findall(text), *_STAGE.findall(text)}
        if name not in known
    ]
    checkout.fail_on(unknown, rule="./dev does not know these")
