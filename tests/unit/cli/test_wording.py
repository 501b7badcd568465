"""Words of commands: counts with their nouns, and times with the option that gave them."""

from __future__ import annotations

import pytest

from cli.counting import counted
from cli.times import given_time
from domain.codes import Code
from domain.errors import Rejected


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 invoices"), (1, "1 invoice"), (2, "2 invoices")]
)
def test_one_is_no_plural(count: int, shown: str) -> None:
    assert shown == counted(count, "invoice")


def test_a_time_that_is_none_is_named_with_its_option() -> None:
    with pytest.raises(Rejected) as refused:
        given_time("tomorrow", "--as-of")
    assert Code.BAD_VALUE == refused.value.code
    assert "--as-of: 'tomorrow' is no RFC 3339 time" == refused.value.reason
