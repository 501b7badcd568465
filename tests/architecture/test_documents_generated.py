"""Documents that are made from code say what the code says."""

import pytest

from domain.codes import DESCRIPTIONS, Code
from tests.support import checkout, documents


@pytest.mark.parametrize("name", documents.GENERATED)
def test_a_made_document_is_up_to_date(name: str) -> None:
    written = (checkout.ROOT / name).read_text(encoding="utf-8")
    assert documents.GENERATED[name]() == written, f"Next: {documents.COMMAND}"


def test_every_code_is_described() -> None:
    assert set(Code) == set(DESCRIPTIONS)


def test_the_document_of_codes_leaves_none_out() -> None:
    text = documents.error_codes()
    checkout.fail_on(
        (code for code in Code if f"| `{code}` |" not in text), rule="Codes without a line"
    )
