"""Every bad row is refused with its line and a code, and the rows beside it are not harmed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from domain.errors import Rejected
from tests.support.import_worlds import HEADER, MAPPING, run

GOOD = "a{0},ann,llm,1.5,2026-11-20T10:00:00Z,m"
AT = "2026-11-20T10:00:00Z"


def row(number: int) -> str:
    return GOOD.format(number)


def rejects(folder: Path) -> list[tuple[int, str, str]]:
    (path,) = (folder / "state").glob("*.report.jsonl")
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    return [(entry["line"], entry["code"], entry["field"]) for entry in entries]


@pytest.mark.parametrize(
    ("bad", "code", "field"),
    [
        (f"x,ann,llm,-1,{AT},m", "quantity_negative", "quantity"),
        (f"x,ann,llm,NaN,{AT},m", "quantity_not_finite", "quantity"),
        (f"x,ann,llm,Infinity,{AT},m", "quantity_not_finite", "quantity"),
        (f"x,ann,llm,1e400,{AT},m", "quantity_too_large", "quantity"),
        (f"x,ann,llm,1e9999,{AT},m", "quantity_too_large", "quantity"),
        (f"x,ann,llm,1e-10,{AT},m", "quantity_too_precise", "quantity"),
        (f"x,ann,llm,1 000,{AT},m", "quantity_not_number", "quantity"),
        (f'x,ann,llm,"1,5",{AT},m', "quantity_not_number", "quantity"),
        (f"x,ann,llm,,{AT},m", "value_missing", "quantity"),
        (f"x,,llm,1,{AT},m", "value_missing", "customer"),
        (f"x,ann,,1,{AT},m", "value_missing", "type"),
        ("x,ann,llm,1,,m", "value_missing", "time"),
        ("x,ann,llm,1,yesterday,m", "time_malformed", "time"),
        ("x,ann,llm,1,2026-02-30T00:00:00Z,m", "time_malformed", "time"),
        ("x,ann,llm,1,2026-11-20T12:10:00Z,m", "future", "time"),
        ("x,ann,llm,1,2026-10-10T00:00:00Z,m", "too_late", "time"),
        (f"x,ann,llm,1,{AT}", "row_columns_differ", ""),
        (f"x,ann,llm,1,{AT},m,more", "row_columns_differ", ""),
        (f'x,"ann"b,llm,1,{AT},m', "csv_malformed", ""),
        (f'x,"ann,llm,1,{AT},m', "csv_quote_open", ""),
        (f"x,{'y' * 201},llm,1,{AT},m", "text_too_long", "customer"),
        (f"x,{'y' * 200_000},llm,1,{AT},m", "row_too_long", ""),
        (f"x,{'y' * 10_000_000},llm,1,{AT},m", "row_too_long", ""),
        (f"x,a\x00b,llm,1,{AT},m", "text_control_character", "customer"),
    ],
    ids=lambda value: value[:40],
)  # fmt: skip
def test_a_bad_row_between_good_ones(tmp_path: Path, bad: str, code: str, field: str) -> None:
    report, events = run(tmp_path, "\n".join((HEADER, row(1), bad, row(2), row(3), "")))
    assert [(3, code, field)] == rejects(tmp_path)
    assert ["a1", "a2", "a3"] == [event.id for event in events]
    assert 4 == report.tally.read


class TestTheFormOfAFile:
    def test_a_byte_order_mark_and_carriage_returns_are_no_part_of_values(
        self, tmp_path: Path
    ) -> None:
        content = "\ufeff" + "\r\n".join((HEADER, row(1), "", row(2), "")) + "\r\n\r\n"
        report, events = run(tmp_path, content)
        assert ([], 2) == (list(report.tally.rejected), report.tally.read)
        assert ["m", "m"] == [(event.dimensions or {})["model"] for event in events]

    def test_quotes_may_hold_delimiters_quotes_and_line_ends(self, tmp_path: Path) -> None:
        """The line end makes the customer bad, and the row it begins on is told."""
        rows = (f'1,"a ""b"", c",llm,1,{AT},m', f'2,"two\nlines",llm,1,{AT},m', row(3))
        report, events = run(tmp_path, "\n".join((HEADER, *rows)))
        assert ['a "b", c', "ann"] == [event.customer for event in events]
        assert ((3, "text_control_character", "customer"),) == report.first

    def test_an_open_quote_costs_one_row_even_far_from_the_end(self, tmp_path: Path) -> None:
        rows = [row(number) for number in range(500)]
        rows[3] = f'x,"ann,llm,1,{AT},m'
        report, events = run(tmp_path, "\n".join((HEADER, *rows)))
        assert ((5, "csv_quote_open", ""),) == report.first
        assert 499 == len(events)

    def test_two_stray_quotes_do_not_eat_what_is_between_them(self, tmp_path: Path) -> None:
        rows = [row(number) for number in range(9)]
        rows[2], rows[5] = f'x,5" disk,llm,1,{AT},m', f'y,6" disk,llm,1,{AT},m'
        report, events = run(tmp_path, "\n".join((HEADER, *rows)))
        assert 9 == report.tally.read
        assert {f"a{number}" for number in (0, 1, 3, 4, 6, 7, 8)} <= {each.id for each in events}

    @pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
    def test_an_empty_file_has_no_columns(self, tmp_path: Path, content: str) -> None:
        with pytest.raises(Rejected, match="import_columns_missing") as refused:
            run(tmp_path, content)
        assert "no header" in str(refused.value)

    def test_a_header_alone_is_an_import_of_nothing(self, tmp_path: Path) -> None:
        report, events = run(tmp_path, HEADER)
        assert (0, []) == (report.tally.read, events)

    def test_missing_columns_are_refused_before_anything_is_sent(self, tmp_path: Path) -> None:
        with pytest.raises(Rejected, match=r"no column what, at; it has id, who, amount, model"):
            run(tmp_path, "id,who,amount,model\n1,ann,1,m\n")

    def test_a_column_that_is_there_twice_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(Rejected, match="more than once"):
            run(tmp_path, f"{HEADER},amount\n{row(1)},2\n")

    def test_utf16_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(Rejected, match="UTF-16"):
            run(tmp_path, f"{HEADER}\n".encode("utf-16"))

    def test_a_row_that_is_no_utf8_is_kept_as_its_bytes(self, tmp_path: Path) -> None:
        bad = b"x,\xff\xfe,llm,1," + AT.encode() + b",m"
        report, _ = run(tmp_path, b"\n".join((HEADER.encode(), bad, row(1).encode())))
        assert ((2, "row_not_utf8", ""),) == report.first
        assert b"\n".join((HEADER.encode(), bad, b"")) == report.rows_path.read_bytes()

    def test_an_archive_is_read_as_its_content(self, tmp_path: Path) -> None:
        """Ids go by the content, so packing a file again makes no new events."""
        mapping = MAPPING.replace("  id: {column: id}\n", "")
        content = f"{HEADER}\n{row(1)}\n".encode()
        _, plain = run(tmp_path, content, mapping=mapping)
        packed = run(tmp_path, gzip.compress(content), name="rows.csv.gz", mapping=mapping)
        assert (0, True) == (len(packed[1]), packed[0].was_finished)
        assert plain[0].id.endswith(":2")

    @pytest.mark.parametrize("cut", [slice(0, -5), slice(5, None), slice(0, 200)])
    def test_a_damaged_archive_is_refused_as_a_whole(self, tmp_path: Path, cut: slice) -> None:
        lines = "\n".join((HEADER, *(row(number) for number in range(500))))
        with pytest.raises(Rejected, match="import_file_unreadable"):
            run(tmp_path, gzip.compress(lines.encode())[cut], name="rows.csv.gz")
        assert not (tmp_path / "state").exists()

    def test_a_file_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(Rejected, match="import_file_unreadable"):
            run(tmp_path, b"", name="rows.txt")


class TestJsonLines:
    def line(self, **changes: object) -> str:
        good = {"id": "a", "who": "ann", "what": "llm", "amount": 1, "at": AT, "model": "m"}
        return json.dumps({**good, **changes})

    def test_numbers_stay_as_they_are_written(self, tmp_path: Path) -> None:
        """DuckDB gives 12345678901234.123 here."""
        text = self.line(amount=0).replace(": 0", ": 12345678901234.1234")
        _, events = run(tmp_path, text, name="rows.jsonl")
        assert "12345678901234.1234" == events[0].quantity

    @pytest.mark.parametrize(
        ("bad", "code"),
        [
            ('{"amount": NaN}', "json_malformed"),
            ('{"amount": 1', "json_malformed"),
            ("[" * 100_000, "json_malformed"),
            ("[1]", "json_not_object"),
            ('{"id": "a", "id": "b"}', "json_name_twice"),
            ("{}", "value_missing"),
            ('"\ud800"', "row_not_utf8"),
        ],
        ids=lambda value: value[:20].encode("ascii", "replace").decode(),
    )
    def test_a_bad_line_between_good_ones(self, tmp_path: Path, bad: str, code: str) -> None:
        raw = "\n".join((self.line(), bad, self.line(id="b"))).encode(errors="surrogatepass")
        report, events = run(tmp_path, raw, name="rows.jsonl")
        assert [(2, code)] == [each[:2] for each in report.first]
        assert ["a", "b"] == [event.id for event in events]

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"amount": "1e400"}, "quantity_too_large"),
            ({"amount": True}, "quantity_not_number"),
            ({"amount": [1]}, "value_not_scalar"),
            ({"who": {"name": "ann"}}, "value_not_scalar"),
            ({"who": None}, "value_missing"),
            ({"who": "a\ud800"}, "text_surrogate"),
            ({"who": "a\u0000"}, "text_control_character"),
        ],
        ids=str,
    )
    def test_a_bad_value(self, tmp_path: Path, changes: dict[str, object], code: str) -> None:
        report, events = run(tmp_path, self.line(**changes), name="rows.jsonl")
        assert ([code], []) == ([each[1] for each in report.first], events)

    def test_a_dotted_column_looks_inside(self, tmp_path: Path) -> None:
        mapping = MAPPING.replace("{column: amount}", "{column: usage.tokens}")
        text = self.line(usage={"tokens": 7})
        _, events = run(tmp_path, text, name="rows.jsonl", mapping=mapping)
        assert "7" == events[0].quantity
