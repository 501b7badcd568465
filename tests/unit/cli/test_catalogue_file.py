"""Catalogue files: all that is wrong with its place, and nothing that a file can do to us."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cli.catalogue_file import (
    DEPTH_MAX,
    FILE_BYTES_MAX,
    NODES_MAX,
    PROBLEMS_MAX,
    check_file,
    check_text,
    read_catalogue_file,
)
from domain.canonical import from_json
from domain.codes import Code
from domain.errors import Rejected

METER = "{key: calls, event_type: call, aggregation: sum, unit: call}"
PRICE = "{key: calls, form: per_unit, meter: calls, rate: 0.0020}"
GOOD = f"""\
version: 1
event_types:
  - {{name: call, aliases: [calls]}}
meters:
  - {METER}
plans:
  - code: basic
    name: Basic
    currency: USD
    prices:
      - {PRICE}
"""


def findings(text: str) -> list[str]:
    """What is wrong, as line:column: reason."""
    catalogue, found = check_text(text)
    assert (catalogue is None) == bool(found)
    return [f"{each.position.line}:{each.position.column}: {each.reason}" for each in found]


class TestReading:
    def test_takes_yaml_and_json(self) -> None:
        """The same document in both forms has the same content."""
        from_yaml, _ = check_text(GOOD)
        assert from_yaml is not None
        again, _ = check_text(from_yaml.content)
        assert again == from_yaml

    def test_keeps_decimals_as_they_are_typed(self) -> None:
        """Never a float, with and without quotes: 0.0020 keeps its zero."""
        for rate in ("0.0020", '"0.0020"', "'0.0020'", "100000000000000000.000000000000000001"):
            catalogue, _ = check_text(GOOD.replace("0.0020", rate))
            assert catalogue is not None
            assert f'"rate":"{rate.strip(chr(34) + chr(39))}"' in catalogue.content

    def test_resolves_aliases_of_yaml(self) -> None:
        """What is written once may be used twice."""
        two = (
            "version: 1\nmeters:\n  - {key: a, event_type: a, aggregation: sum, unit: a,"
            " group_by: &g [x, y]}\n  - {key: b, event_type: b, aggregation: sum, unit: b,"
            " group_by: *g}\n"
        )
        catalogue, _ = check_text(two)
        assert catalogue is not None
        assert (("x", "y"),) * 2 == tuple(meter.group_by for meter in catalogue.meters)


class TestFindings:
    CASES = (
        ("nothing in it", "", ["1:1: catalogue must be an object"]),
        ("no object", "- 1", ["1:1: catalogue must be an object"]),
        (
            "a tab",
            GOOD.replace("    name", "\tname"),
            ["8:1: a tab stands where YAML wants spaces"],
        ),
        (
            "a field twice",
            GOOD.replace("    name: Basic\n", "    name: Basic\n    name: Other\n"),
            ["9:5: catalogue.plans[0].name is given twice"],
        ),
        (
            "unknown fields, with the one that is meant",
            GOOD.replace("currency", "currancy").replace("aggregation", "agregation"),
            [
                (
                    "5:5: catalogue.meters[0].aggregation is missing: it must be one of "
                    "sum, count, min, max, latest, average, unique, time_weighted, percentile"
                ),
                (
                    "5:36: catalogue.meters[0].agregation is no known field: "
                    'did you mean "aggregation"?'
                ),
                (
                    "7:5: catalogue.plans[0].currency is missing: it must be an ISO 4217 code, "
                    "for example USD"
                ),
                '9:5: catalogue.plans[0].currancy is no known field: did you mean "currency"?',
            ],
        ),
        (
            "a wrong currency",
            GOOD.replace("USD", "USX"),
            ["9:15: catalogue.plans[0].currency is no ISO 4217 code"],
        ),
        (
            "a rate that is none",
            GOOD.replace("0.0020", "2e-3"),
            [
                (
                    "11:58: catalogue.plans[0].prices[0].rate must be a decimal written as text, "
                    'for example "0.0020"'
                )
            ],
        ),
        (
            "an unknown meter",
            GOOD.replace("meter: calls", "meter: cals"),
            ["11:45: catalogue.plans[0].prices[0].meter is 'cals', which is no meter"],
        ),
        (
            "an unknown form",
            GOOD.replace("per_unit", "per_units"),
            [
                (
                    "11:28: catalogue.plans[0].prices[0].form must be one of flat, seats, "
                    "per_unit, graduated, volume, tiered_flat, package, block, percentage, "
                    'matrix: did you mean "per_unit"?'
                )
            ],
        ),
        (
            "an alias that is a type",
            GOOD.replace("[calls]", "[call]"),
            ["3:3: catalogue.event_types give the type 'call' as an alias"],
        ),
        (
            "an empty value",
            GOOD.replace("name: Basic", "name: ~"),
            ["8:11: catalogue.plans[0].name is empty: a text '~' needs quotes"],
        ),
        (
            "a tag",
            GOOD.replace("version: 1", "version: !!python/object:os.system 1"),
            [
                "1:10: a tag has no meaning here: tag:yaml.org,2002:python/object:os.syste",
            ],
        ),
        ("two documents", GOOD + "---\nversion: 2\n", ["12:1: a second document begins here"]),
        ("a NUL", "version: 1\nx: \0", ["2:4: the character '\\x00' is not allowed"]),
        (
            "an alias of nothing",
            GOOD.replace("basic", "*a"),
            ["7:11: no anchor &a ends before this"],
        ),
    )

    @pytest.mark.parametrize(("text", "found"), [case[1:] for case in CASES],
                             ids=[case[0] for case in CASES])  # fmt: skip
    def test_stand_where_the_mistake_is(self, text: str, found: list[str]) -> None:
        """Line and column lead an editor there."""
        assert found == findings(text)[: len(found)]

    @pytest.mark.parametrize("version", ["1.0", "1.5", '"1"', "-1", "0", "1e3", "true", "٣", "[1]",
                                         "2147483649", "9" * 5_000, "one", "0x10"])  # fmt: skip
    def test_refuse_a_version_that_is_no_whole_number(self, version: str) -> None:
        """Nor one that is too large, nor a text that looks like one."""
        (found,) = findings(GOOD.replace("version: 1", f"version: {version}"))
        assert found.endswith("catalogue.version must be a whole number from 1 to 2147483648")

    @pytest.mark.parametrize(
        ("field", "reason"),
        [
            ("aggregation: sum, dimension_sets_max: 0", "a whole number from 1 to 100000"),
            ("aggregation: sum, dimension_sets_max: 100001", "a whole number from 1 to 100000"),
            ('aggregation: sum, dimension_sets_max: "5"', "a whole number from 1 to 100000"),
            ("aggregation: time_weighted, dimension_sets_max: 5", "gauges are not put together"),
            ("aggregation: unique", '"property:NAME" to count different ones'),
            ("aggregation: percentile", 'above 0 and at most 100, for example "99.9"'),
            ("aggregation: percentile, percentile: 0", "above 0 and at most 100"),
            ("aggregation: percentile, percentile: 100.1", "above 0 and at most 100"),
            ("aggregation: sum, percentile: 50", 'belongs to aggregation "percentile" alone'),
        ],
    )  # fmt: skip
    def test_of_a_meter_say_what_it_must_be(self, field: str, reason: str) -> None:
        (found,) = findings(GOOD.replace("aggregation: sum", field))
        assert reason in found

    @pytest.mark.parametrize(
        "field",
        [
            "aggregation: sum, dimension_sets_max: 100000",
            "aggregation: percentile, percentile: 99.9",
            "aggregation: unique, value: property:user",
        ],
    )
    def test_are_none_for_every_aggregation(self, field: str) -> None:
        assert [] == findings(GOOD.replace("aggregation: sum", field))

    def test_come_in_the_order_of_the_file_and_to_a_bound(self, tmp_path: Path) -> None:
        """A file that is wrong all over is not printed all over."""
        path = tmp_path / "wrong.yaml"
        path.write_text("version: 1\n" + "".join(f"x{number}: 1\n" for number in range(250)))
        lines = check_file(path).lines()
        assert lines[0].startswith(f"{path}:2:1: catalogue.x0 ")
        assert [f"{path}: and 150 more"] == lines[PROBLEMS_MAX:]


class TestFiles:
    def test_say_what_cannot_be_read(self, tmp_path: Path) -> None:
        """One line that names the file, whatever is wrong with it."""
        wrong = tmp_path / "wrong.yaml"
        for content, words in (
            (b"version: 1\nname: \xff", "wrong.yaml:2:7: this is no UTF-8"),
            (b"version: 1.5", "wrong.yaml:1:10: catalogue.version must be"),
        ):
            wrong.write_bytes(content)
            with pytest.raises(Rejected) as caught:
                read_catalogue_file(wrong)
            assert Code.CATALOGUE_INVALID is caught.value.code
            assert words in caught.value.reason
        with pytest.raises(Rejected, match="No such file"):
            read_catalogue_file(tmp_path / "none.yaml")
        with pytest.raises(Rejected, match="directory"):
            read_catalogue_file(tmp_path)

    def test_may_begin_with_a_byte_order_mark(self, tmp_path: Path) -> None:
        """Windows editors write one."""
        path = tmp_path / "bom.yaml"
        path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
        assert check_file(path).catalogue == check_text(GOOD)[0]


class TestHostileFiles:
    BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + level)}: &{chr(98 + level)} [{','.join(['*' + chr(97 + level)] * 10)}]\n"
        for level in range(9)
    )
    CASES = (
        ("an alias bomb", BOMB, f"more than {NODES_MAX} values"),
        ("an alias within itself", "&a [*a]", "no anchor &a ends before this"),
        ("brackets", "[" * 100_000, f"more than {DEPTH_MAX} lists"),
        ("braces", "{a: " * 100_000, f"more than {DEPTH_MAX} lists"),
        ("dashes", "- " * 50_000, f"more than {DEPTH_MAX} lists"),
        ("many values", "[" + "1," * (NODES_MAX + 1) + "]", f"more than {NODES_MAX} values"),
        ("a long word", "k" * 3_000_000, "catalogue must be an object"),
        ("a long name", f"{'versio' * 20_000}: 1", "no YAML"),
        ("an open quote", '"' + "x" * 1_000_000, "no YAML"),
    )

    @pytest.mark.parametrize(("text", "words"), [case[1:] for case in CASES],
                             ids=[case[0] for case in CASES])  # fmt: skip
    def test_are_refused_at_once(self, text: str, words: str) -> None:
        """Bounded work: well under the seconds that following them would take."""
        start = time.perf_counter()
        assert any(words in found for found in findings(text))
        assert time.perf_counter() - start < 5

    def test_of_ten_megabytes_are_not_read(self, tmp_path: Path) -> None:
        """The bound lies far above what a record can carry."""
        path = tmp_path / "large.yaml"
        path.write_bytes(b"version: 1\n#" + b"x" * 10_000_000)
        (line,) = check_file(path).lines()
        assert f"{path}:1:1: the file has more than {FILE_BYTES_MAX} bytes" == line

    def test_cannot_smuggle_a_lone_surrogate(self) -> None:
        """It has no UTF-8 bytes and so no hash; JSON can write one."""
        content = check_text(GOOD)[0]
        assert content is not None
        assert findings(content.content.replace('"Basic"', '"\\ud800"'))

    def test_keep_the_text_of_what_looks_like_something_else(self) -> None:
        """YAML's yes, octals and dates are names like any others."""
        for name in ("yes", "010", "2026-01-01", "1_000", ".inf", "=", "<<"):
            catalogue, _ = check_text(GOOD.replace("code: basic", f"code: {name}"))
            assert catalogue is not None
            assert name == catalogue.plans[0].code
            assert from_json(catalogue.content)
