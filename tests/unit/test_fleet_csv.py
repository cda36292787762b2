# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet's CSV file: what every spreadsheet writes is read, anything else is named by its line."""

from __future__ import annotations

import csv
import errno
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.provision.fleet.csv_rows import CsvRows, Row
from evtool.provision.fleet.finding import Finding

GOOD = "serial,site,model\nSN-1,north,A\nSN-2,,B\n"


def read(
    data: str | bytes, delimiter: str | None = None
) -> tuple[list[dict[str, object]], list[str], CsvRows]:
    """The rows, what is wrong, and the reader."""
    raw = data.encode() if isinstance(data, str) else data
    reader = CsvRows("f.csv", io.BytesIO(raw), frozenset({"site"}), delimiter)
    found = list(reader)
    rows = [
        dict(each.values) | {"line": each.where.line} for each in found if isinstance(each, Row)
    ]
    return rows, [str(each) for each in found if isinstance(each, Finding)], reader


GOOD_ROWS = [
    {"serial_number": "SN-1", "site": "north", "model": "A", "line": 2},
    {"serial_number": "SN-2", "model": "B", "line": 3},
]


@pytest.mark.parametrize(
    "data",
    [
        GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        GOOD.encode("utf-8-sig"),
        GOOD.removesuffix("\n"),
        GOOD.replace(",", ";"),
        GOOD.replace(",", "\t"),
        GOOD.replace(",", "|"),
        GOOD.replace("SN-1", '"SN-1"'),
        GOOD + ",,\n,,\n",
        GOOD + "\n# a remark, with a comma\n",
    ],
)
def test_what_spreadsheets_write_is_read(data: str | bytes) -> None:
    rows, problems, _ = read(data)
    assert problems == []
    assert rows == GOOD_ROWS


def test_excels_line_that_names_the_separator_is_heeded() -> None:
    rows, problems, reader = read("\ufeffsep=;\r\nserial;site\r\nSN-1;a,b\r\n")
    assert problems == []
    assert rows == [{"serial_number": "SN-1", "site": "a,b", "line": 3}]
    assert reader.separator == ";"


def test_the_separator_that_was_named_wins_and_a_contradiction_is_named() -> None:
    rows, problems, _ = read("serial|site;x\nSN-1|a;b\n", "|")
    assert (
        problems == ["f.csv:1: site;x: unknown column; is site meant?"] or "site;x" in problems[0]
    )
    assert rows == []
    _, problems, _ = read("sep=;\nserial;site\nSN-1;a\n", ",")
    assert problems == ["f.csv:1: says ';', and --delimiter another; leave one of them out"]


def test_a_separator_that_is_not_clear_must_be_named() -> None:
    _, problems, _ = read("serial;x,site\nSN-1;y,z\n")
    assert problems == ["f.csv:1: what separates the cells is not clear; name it with --delimiter"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "f.csv:1: the file is empty"),
        (b"\n\n  \n# nothing\n", "f.csv:1: the file is empty"),
        (b"serial,site\n", "f.csv:1: the file holds no unit"),
        (GOOD.encode("utf-16"), "f.csv:1: the file is UTF-16; save it as CSV UTF-8"),
        (GOOD.encode("utf-32"), "f.csv:1: the file is UTF-32"),
        (GOOD.encode("utf-16-le"), "f.csv:1: holds a NUL byte"),
        (b"PK\x03\x04rest", "f.csv:1: the file is a spreadsheet"),
        (b"serial,site\nSN-1,S\xfcd\n", "f.csv:2: byte 7 of the line is not UTF-8"),
        (b"seri\xe4l,site\nSN-1,S\n", "f.csv:1: byte 5 of the line is not UTF-8"),
        (b"serial,site\nSN-1,a\0b\n", "f.csv:2: holds a NUL byte"),
        (b'serial,site\n"SN-1,a\nSN-2,b\n', "f.csv:2: a quote is opened and not closed"),
        (b'serial,site\n"SN-1"x,a\n', "f.csv:2: something stands behind a closing quote"),
        (b"serial,site\nSN-1,a,b\n", "f.csv:2: cells: 3, columns: 2; a value that holds a comma"),
        (b"serial,site\nSN-1\n", "f.csv:2: cells: 1, columns: 2; an empty cell needs"),
        (b"serial,sitee\nSN-1,a\n", "f.csv:1: sitee: unknown column; is site meant?"),
        (b"serial,xyzzy\nSN-1,a\n", "f.csv:1: xyzzy: unknown column; it is none of identity"),
        (b"SN-1,hunter2\nSN-2,b\n", "f.csv:1: the first line must name the columns: identity"),
        (
            b"Serial,SITE\nSN-1,a\n",
            "f.csv:1: the columns' names have small letters alone: serial, site",
        ),
        (
            b"SN-1,Hunter2,Site\nSN-2,b,c\n",
            "f.csv:1: the columns' names have small letters alone: site",
        ),
        (b"serial,Site\nSN-1,a\n", "f.csv:1: Site: unknown column; is site meant?"),
        (b"site,site\na,b\n", "f.csv:1: site: the column stands there twice"),
        (b"serial,serial_number\na,b\n", "the column stands there twice (as serial)"),
        (b"serial,\nSN-1,a\n", "f.csv:2: cell 2 holds something, and its column has no name"),
        (b"sep=x\nserial\n", "f.csv:1: 'x' separates no cells"),
        (b"serial\n" + b"x" * 300_000 + b"\n", "f.csv:2: the line is longer than 262144 bytes"),
        (b"serial,site\n" + b'"' + b"x" * 200_000 + b'",a\n', "f.csv:2: a cell is longer"),
    ],
)
def test_anything_else_is_refused_with_line_and_rule(data: bytes, said: str) -> None:
    rows, problems, _ = read(data)
    assert said in problems[0]
    assert len(problems) == 1
    # Bad lines spoil themselves and no other.
    assert all(row["serial_number"] == "SN-2" for row in rows)


def test_every_bad_line_is_named_in_one_run() -> None:
    data = b'serial,site\n"a,b\nSN-2,b\nc\nd,e,f\n\xff,g\nSN-2,h\n'
    rows, problems, _ = read(data)
    assert [problem.split(":")[1] for problem in problems] == ["2", "4", "5", "6"]
    assert [row["line"] for row in rows] == [3, 7]


def test_a_file_that_stops_being_readable_is_named_with_its_line() -> None:
    class Stick(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            line = super().readline(size)
            if not line:
                raise OSError(errno.EIO, "Input/output error")
            return line

    found = list(CsvRows("f.csv", Stick(GOOD.encode()), frozenset({"site"})))
    assert str(found[-1]) == "f.csv:4: cannot be read: Input/output error"
    assert len(found) == 3


def test_units_are_numbered_as_they_stand_also_behind_a_bad_line() -> None:
    reader = CsvRows("f.csv", io.BytesIO(b"serial\nSN-1\nb,c\n\nSN-3\n"))
    assert [row.number for row in reader if isinstance(row, Row)] == [1, 3]


CELL = st.text(
    st.characters(
        codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\u2028\u2029"
    ),
    max_size=12,
)


@given(
    st.lists(st.tuples(CELL, CELL).filter(any), min_size=1, max_size=6),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_whatever_pythons_writer_writes_is_read_back(
    cells: list[tuple[str, str]], delimiter: str, end: str, bom: bool
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("serial", "site"), *cells])
    rows, problems, reader = read(text.getvalue().encode("utf-8-sig" if bom else "utf-8"))
    assert problems == []
    assert reader.separator == delimiter
    wanted = [{"serial_number": one, "site": two} for one, two in cells]
    assert [{k: v for k, v in row.items() if k != "line"} for row in rows] == [
        {name: cell for name, cell in each.items() if cell} for each in wanted
    ]


@given(st.binary(max_size=400), st.sampled_from([b"", b"serial,site\n", b"sep=;\nserial;site\n"]))
def test_no_bytes_make_it_fail(data: bytes, head: bytes) -> None:
    for found in CsvRows("f.csv", io.BytesIO(head + data), frozenset({"site"})):
        assert isinstance(found, Row | Finding)
        assert found.where.line >= 1
