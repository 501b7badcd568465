"""What must not stand in any file."""

import re

import pytest

from tests.support import checkout

FORBIDDEN = {
    # Written in parts or as patterns, so that this file does not find itself.
    "put off instead of filed as an issue": re.compile(r"\b(FIX" r"ME|TO" r"DO|XX" r"X)\b"),
    "a path of one machine": re.compile(r"(?<![\w.}])/(work|root|home/\w+)/"),
    "a download host: package clients know theirs": re.compile(
        r"\b[\w.-]*(pypi|pythonhosted|maven|debian|npmjs|crates|golang)[\w.-]*\.(org|io|com|net)\b"
    ),
}


@pytest.mark.parametrize("fault", FORBIDDEN)
def test_no_file_has(fault: str) -> None:
    found = [
        f"{path}:{number} {line.strip()[:80]}"
        for path, text in checkout.texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if FORBIDDEN[fault].search(line)
    ]
    checkout.fail_on(found, rule=f"No file has {fault}")
