"""Reading untrusted objects: every refusal names the place, and nothing odd slips through."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.canonical import Json
from domain.codes import Code
from domain.errors import Rejected
from domain.fields import TEXT_LENGTH_MAX, Fields, are_clean_texts, is_clean_text


def fields(**values: Json) -> Fields:
    return Fields("thing", values, Code.COMMAND_INVALID)


class TestCleanText:
    @pytest.mark.parametrize(
        ("verdict", "text"),
        [
            (True, "x"),
            (True, "漢字 🚰 é"),
            (True, " "),
            (True, "x" * 200),
            (False, ""),
            (False, "x" * 201),
            (False, "a\0b"),
            (False, "\x1f"),
            (False, "\x7f"),
            (False, "line\n"),
            (False, "\ud800"),
            (False, "a\udfffb"),
        ],
    )
    def test_is_short_visible_and_has_bytes(self, verdict: bool, text: str) -> None:
        """Control characters separate parts elsewhere; lone surrogates have no UTF-8."""
        assert verdict == is_clean_text(text)

    @given(texts=st.lists(st.text(max_size=5), max_size=6), longest=st.integers(1, 5))
    def test_of_many_is_that_of_each(self, texts: list[str], longest: int) -> None:
        """One pass says the same as many."""
        expected = all(is_clean_text(text, length_max=longest) for text in texts)
        assert expected == are_clean_texts(texts, length_max=longest)


class TestGetters:
    def test_give_what_is_there(self) -> None:
        """Each in its own kind."""
        found = fields(
            text="t", number=3, decimal="0.10", moment="2026-01-02T03:04:05+01:00",
            names=["a", "b"], parts=[{"x": 1}], part={"y": 2}, document='{"\\u0000":1}',
        )  # fmt: skip
        assert ("t", "t") == (found.text("text"), found.choice("text", ["s", "t"]))
        assert 3 == found.integer("number", minimum=3, maximum=3)
        assert Decimal("0.10") == found.decimal("decimal")
        assert datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC) == found.time("moment")
        assert (("a", "b"), ()) == (found.texts("names"), found.texts("missing"))
        assert 1 == found.objects("parts", count_max=1)[0].integer("x", minimum=0, maximum=9)
        assert 2 == found.object("part").integer("y", minimum=0, maximum=9)
        assert '{"\\u0000":1}' == found.document("document")

    @pytest.mark.parametrize(
        ("read", "value"),
        [
            (lambda it: it.text("f"), None),
            (lambda it: it.text("f"), 1),
            (lambda it: it.text("f"), "x" * (TEXT_LENGTH_MAX + 1)),
            (lambda it: it.text("f"), "nul\0"),
            (lambda it: it.choice("f", ["a"]), "b"),
            (lambda it: it.integer("f", minimum=1, maximum=2), 0),
            (lambda it: it.integer("f", minimum=1, maximum=2), 3),
            (lambda it: it.integer("f", minimum=0, maximum=2), True),
            (lambda it: it.integer("f", minimum=0, maximum=2), "1"),
            (lambda it: it.decimal("f"), 1),
            (lambda it: it.decimal("f"), "-1"),
            (lambda it: it.decimal("f"), "1e3"),
            (lambda it: it.decimal("f"), "NaN"),
            (lambda it: it.decimal("f"), "1."),
            (lambda it: it.decimal("f"), "١"),
            (lambda it: it.decimal("f"), "1\n"),
            (lambda it: it.decimal("f"), "0." + "1" * 19),
            (lambda it: it.time("f"), "2026-01-02T03:04:05"),
            (lambda it: it.time("f"), "yesterday"),
            (lambda it: it.texts("f"), "ab"),
            (lambda it: it.texts("f"), ["a", "a"]),
            (lambda it: it.texts("f"), ["a", 1]),
            (lambda it: it.texts("f"), [""]),
            (lambda it: it.objects("f", count_max=1), [{}, {}]),
            (lambda it: it.objects("f", count_max=1), [1]),
            (lambda it: it.objects("f", count_max=1), {}),
            (lambda it: it.object("f"), []),
            (lambda it: it.document("f"), {}),
            (lambda it: it.only(["g"]), 1),
        ],
    )
    def test_refuse_by_place(self, read: Callable[[Fields], object], value: Json) -> None:
        """The code of the reader's choice, and the field by its path."""
        with pytest.raises(Rejected) as caught:
            read(fields(f=value))
        assert Code.COMMAND_INVALID == caught.value.code
        assert "thing.f" in caught.value.reason

    def test_say_of_a_negative_decimal_that_it_is_one(self) -> None:
        """ "-1" is a decimal written as text; that is not what is wrong with it."""
        with pytest.raises(Rejected, match="must be a decimal that is not below 0"):
            fields(f="-1").decimal("f")

    def test_show_a_foreign_name_escaped(self) -> None:
        """A reason goes into a database and onto a screen."""
        with pytest.raises(Rejected) as caught:
            fields(**{"nul\0\ud800" + "x" * 999: 1}).only([])
        assert caught.value.reason.isascii()
        assert caught.value.reason.isprintable()
        assert len(caught.value.reason) < 300
