# SPDX-License-Identifier: GPL-3.0-or-later
"""The generator's CSV, read strictly: what it takes in silence is an error with its place."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evtool.errors import EvtoolError
from evtool.protocol.nvs import NvsEntry
from evtool.provision.nvs_build import CsvFaults, build_from_csv
from evtool.provision.nvs_csv import CsvContent, CsvFault, read_nvs_csv
from evtool.provision.nvs_size import parse_nvs_size

HEADER = "key,type,encoding,value\n"
START = HEADER + "n,namespace,,\n"


def _no_file(name: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory", name)


def _read(text: str | bytes) -> CsvContent:
    return read_nvs_csv(text if isinstance(text, bytes) else text.encode(), _no_file)


Bad = tuple[str, str | bytes, int, str, str, int | None]

# What Espressif's generator 0.3.0 was run with: silence, a traceback, or an error without a
# line. Then as many more. name, CSV, line, column, part of the rule, previous line.
TABLE: list[Bad] = [
    ("key of 16", START + "k" * 16 + ",data,u8,1\n", 3, "key", "16 characters; at most 15", None),
    ("namespace of 16", HEADER + "n" * 16 + ",namespace,,\nk,data,u8,1\n", 2, "key", "16", None),
    ("15 times e acute", START + "é" * 15 + ",data,u8,1\n", 3, "key", "not ASCII (30 bytes)", None),
    ("key twice", START + "k,data,u8,1\nj,data,u8,1\nk,data,u8,2\n", 5, "key", "n.k is th", 3),
    (
        "namespace again",
        HEADER + "a,namespace,,\nk,data,u8,1\nb,namespace,,\nk,data,u8,1\na,namespace,,\n"
        "j,data,u8,1\n", 6, "key", "put its rows together", 2,
    ),
    ("no namespace first", HEADER + "k,data,u8,1\n", 2, "key", "no namespace yet", None),
    ("a comma", START + "p,data,string,pa,ss,word\n", 3, "value", "6 cells in a row of 4", None),
    ("type dta", START + "k,dta,u8,1\n", 3, "type", "unknown type", None),
    ("encoding STRING", START + "k,data,STRING,x\n", 3, "encoding", "is string meant", None),
    ("empty key", START + ",data,u8,1\n", 3, "key", "empty", None),
    ("empty file", "", 1, "", "the file is empty", None),
    ("only a header", HEADER, 1, "", "holds no key", None),
    ("encoding float", START + "k,data,float,1.0\n", 3, "encoding", "unknown encoding", None),
    ("odd hex", START + "k,data,hex2bin,abc\n", 3, "value", "3 hexadecimal digits", None),
    ("u8 of 300", START + "k,data,u8,300\n", 3, "value", "u8 holds 0 to 255", None),
    ("u8 of abc", START + "k,data,u8,abc\n", 3, "value", "not an integer", None),
    ("bad hex", START + "k,data,hex2bin,zz\n", 3, "value", "not hexadecimal", None),
    ("hex with 0x", START + "k,data,hex2bin,0x1234\n", 3, "value", "without 0x", None),
    ("bad base64", START + "k,data,base64,a\n", 3, "value", "not base64", None),
    ("Latin-1", START.encode() + b"k,data,string,caf\xe9\n", 3, "", "byte 18 of the line", None),
    ("no header", "n,namespace,,\nk,data,u8,1\n", 1, "", "names no column", None),
    ("no encoding column", "key,type,value\nn,namespace,\n", 1, "encoding", "no such col", None),
    ("no value cell", START + "k,data,string\n", 3, "value", "the cell is missing", None),
    ("no such file", START + "k,file,binary,gone.bin\n", 3, "value", "read gone.bin: No", None),
    ("string of 4000", START + f"k,data,string,{'x' * 4000}\n", 3, "value", "at most 3999", None),
    # as many more
    ("i8 of -129", START + "k,data,i8,-129\n", 3, "value", "i8 holds -128 to 127", None),
    ("u64 too large", START + f"k,data,u64,{2**64}\n", 3, "value", "out of range", None),
    ("10000 digits", START + f"k,data,u8,{'1' * 10_000}\n", 3, "value", "out of range", None),
    ("u8 with underscore", START + "k,data,u8,1_0\n", 3, "value", "not an integer", None),
    ("u8 in other digits", START + "k,data,u8,٣\n", 3, "value", "not an integer", None),
    ("u8 with blanks", START + "k,data,u8, 1\n", 3, "value", "without blanks", None),
    ("u8 of 1.0", START + "k,data,u8,1.0\n", 3, "value", "looks like a fraction", None),
    ("u32 as 1E+05", START + "k,data,u32,1E+05\n", 3, "value", "spreadsheet's notation", None),
    ("u8 empty", START + "k,data,u8,\n", 3, "value", "empty", None),
    ("hex empty", START + "k,data,hex2bin,\n", 3, "value", "empty; leave the row out", None),
    ("base64 with junk", START + "k,data,base64,QU!JD\n", 3, "value", "not base64", None),
    ("key with blanks", START + " k,data,u8,1\n", 3, "key", "blanks around it", None),
    ("key with a tab", START + "a\tb,data,u8,1\n", 3, "key", "control character", None),
    ("type with a blank", START + "k, data,u8,1\n", 3, "type", "is data meant", None),
    ("type empty", START + "k,,u8,1\n", 3, "type", "no type", None),
    ("encoding empty", START + "k,data,,1\n", 3, "encoding", "no encoding", None),
    ("encoding str", START + "k,data,str,x\n", 3, "encoding", "is string meant", None),
    ("namespace with a value", HEADER + "n,namespace,,x\nk,data,u8,1\n", 2, "value", "must", None),
    ("namespace without keys", START + "m,namespace,,\nk,data,u8,1\n", 2, "key", "no key", None),
    ("namespace twice", START + "k,data,u8,1\nn,namespace,,\n", 4, "key", "is there already", 2),
    ("empty namespace", HEADER + ",namespace,,\nk,data,u8,1\n", 2, "key", "empty", None),
    ("semicolons", HEADER.replace(",", ";") + "n;namespace;;\n", 1, "", "separated by ';'", None),
    ("tabs", HEADER.replace(",", "\t"), 1, "", "separated by '\\t'", None),
    ("column twice", "key,type,encoding,value,key\n", 1, "key", "stands there 2 times", None),
    ("column unknown", "key,type,encoding,value,x\n", 1, "", "column 5 is unknown", None),
    ("open quote", START + 'k,data,string,"x\nj,data,u8,1\n', 3, "", "never closed", None),
    ("text behind a quote", START + 'k,data,string,"x"y\n', 3, "", "behind a closing", None),
    ("NUL byte", START.encode() + b"k,data,string,a\0b\n", 3, "", "NUL byte", None),
    ("UTF-16", (START + "k,data,u8,1\n").encode("utf-16"), 1, "", "UTF-16", None),
    ("no file named", START + "k,file,binary,\n", 3, "value", "a row of type file names", None),
    ("huge cell", START + f"k,data,base64,{'A' * 140_000}\n", 3, "", "longer than 131072", None),
    ("fill too short", START + "k,data,blob_fill(2;0xFF),abc\n", 3, "value", "at most 2", None),
    ("xlsx", b"PK\x03\x04" + bytes(40), 1, "", "is a spreadsheet", None),
    ("base64 cut", START + "k,data,base64,YR==\n", 3, "value", "bits that belong to no", None),
    ("fill malformed", START + "k,data,blob_fill(2;0xFF)x,a\n", 3, "encoding", "unknown", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "column", "rule", "previous"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_a_bad_row_is_named_with_line_column_and_rule(
    text: str | bytes, line: int, column: str, rule: str, previous: int | None
) -> None:
    faults = _read(text).faults
    assert [(fault.line, fault.column) for fault in faults[:1]] == [(line, column)]
    assert rule in faults[0].rule
    assert faults[0].previous == previous
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(CsvFaults, match=rf"^unit\.csv:{line}: ") as caught:
        build_from_csv("unit.csv", data, 0x6000, read_file=_no_file)
    assert caught.value.exit_code == 2


def test_a_file_without_its_first_line_gives_no_value_away() -> None:
    for text in ("auth_key,data,string,hunter2hunter2\n", "key,data,string,hunter2hunter2\n"):
        assert "hunter2" not in str([fault.rule + fault.column for fault in _read(text).faults])


def test_the_screen_stays_bounded_and_json_has_all() -> None:
    rows = "".join(f"k{n},data,u8,300\n" for n in range(500))
    with pytest.raises(CsvFaults) as caught:
        build_from_csv("u.csv", (START + rows).encode(), 0x6000, read_file=_no_file)
    assert len(str(caught.value).splitlines()) < 45
    assert "... and 460 more; --json has all" in str(caught.value)
    assert len(caught.value.as_dict()["faults"]) == 500  # type: ignore[arg-type]  # a list


def test_every_bad_row_is_named_in_one_run() -> None:
    text = START + "a,data,u8,300\nb,data,u8,1\nb,dta,STRING,2\nc,data,hex2bin,0\nd,data,u8,1\n"
    assert [(each.line, each.column) for each in _read(text).faults] == [
        (3, "value"), (5, "type"), (5, "key"), (5, "encoding"), (6, "value"),
    ]  # fmt: skip


def test_no_message_holds_a_value() -> None:
    secret = "hunter2hunter2hunter2"
    rows = [
        f"k,data,{encoding},{secret}!"
        for encoding in ("u8", "i64", "hex2bin", "base64", secret, "blob_fill(3;0x00)")
    ]
    rows += [f"k,{secret},u8,1", f"k,data,string,{secret},{secret}", f'k,data,string,"{secret}"x']
    for row in rows:
        faults = _read(START + row + "\n").faults
        assert faults
        assert all(secret not in fault.rule for fault in faults), row


def test_bom_crlf_comments_quotes_and_hexadecimal_are_accepted() -> None:
    text = (
        b"\xef\xbb\xbfkey,type,encoding,value\r\n# a comment\r\n\r\nn,namespace,,\r\n"
        b'a,data,string,"x,""y""\r\n# not a comment"\r\nb,data,u8,0x10\r\nc,data,i16,-7\r\n'
    )
    content = _read(text)
    assert content.faults == ()
    assert content.entries == (
        NvsEntry("n", "a", "str", 'x,"y"\n# not a comment'),
        NvsEntry("n", "b", "u8", 16),
        NvsEntry("n", "c", "i16", -7),
    )
    assert content.lines == (5, 7, 8)


def test_columns_may_stand_in_any_order() -> None:
    content = _read("value,key,encoding,type\n,n,,namespace\n5,k,u8,data\n")
    assert content.entries == (NvsEntry("n", "k", "u8", 5),)


def test_files_are_read_as_their_encoding_says() -> None:
    files = {
        "text.pem": "-----BEGIN\nü\n".encode(),
        "raw.bin": bytes(range(256)),
        "hex.txt": b"00 ff\n10\n",
        "b64.txt": base64.encodebytes(bytes(100)),
        "number": b"7\n",
        "latin": b"\xe9",
    }
    text = START + (
        "a,file,string,text.pem\nb,file,binary,raw.bin\nc,file,hex2bin,hex.txt\n"
        "d,file,base64,b64.txt\ne,file,u8,number\n"
    )
    content = read_nvs_csv(text.encode(), files.__getitem__)
    assert [entry.value for entry in content.entries] == [
        "-----BEGIN\nü\n", bytes(range(256)), b"\x00\xff\x10", bytes(100), 7,
    ]  # fmt: skip
    bad = read_nvs_csv((START + "a,file,string,latin\n").encode(), files.__getitem__)
    assert bad.faults == (CsvFault(3, "value", "byte 1 is not UTF-8; use binary for bytes"),)


def test_a_string_may_have_3999_bytes_which_the_generator_cannot_place() -> None:
    for length in (3967, 3968, 3999):
        text = START + f"k,data,string,{'x' * length}\n"
        built = build_from_csv("u.csv", text.encode(), 0x6000, read_file=_no_file)
        assert len(built.image) == 0x6000


def test_what_does_not_fit_names_its_row_and_the_size_that_would_do() -> None:
    rows = "".join(f"k{n},data,u8,1\n" for n in range(300))
    with pytest.raises(CsvFaults, match=r"unit\.csv:254: value: .*all of them need 0x4000"):
        build_from_csv("unit.csv", (START + rows).encode(), 0x3000, read_file=_no_file)
    built = build_from_csv("unit.csv", (START + rows).encode(), 0x4000, read_file=_no_file)
    assert len(built.entries) == 300


def test_more_than_254_namespaces_are_refused_where_they_begin() -> None:
    rows = "".join(f"n{n},namespace,,\nk,data,u8,1\n" for n in range(256))
    faults = _read(HEADER + rows).faults
    assert [(each.line, each.column) for each in faults] == [(510, "key"), (512, "key")]


@pytest.mark.parametrize(
    ("text", "size"),
    [("24K", 24576), ("24k", 24576), ("0x6000", 24576), ("24576", 24576), ("1M", 1048576)],
)
def test_sizes_are_read_as_partition_tables_write_them(text: str, size: int) -> None:
    assert parse_nvs_size(text) == size


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("5000", "not a multiple of 4096"),
        ("abc", "is no size"),
        ("", "is no size"),
        ("-4096", "is no size"),
        ("24KB", "is no size"),
        ("0x2000", "too small: at least 0x3000"),
        ("0x1000", "only one flagged read-only is smaller"),
        ("0", "too small"),
        ("1024M", "more than any ESP32's flash"),
    ],
)
def test_bad_sizes_are_refused(text: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        parse_nvs_size(text)


def test_a_read_only_partition_may_be_small_and_has_its_whole_size() -> None:
    size = parse_nvs_size("0x2000", read_only=True)
    rows = (START + "k,data,u8,1\n").encode()
    built = build_from_csv("u.csv", rows, size, read_file=_no_file, read_only=True)
    assert len(built.image) == 0x2000


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    for text in (data, START.encode() + data):
        content = read_nvs_csv(text, _no_file)
        assert len(content.entries) == len(content.lines)


@settings(max_examples=200, deadline=None)
@given(st.text('abkn,"\n #;\r\té01', max_size=120))
def test_nothing_but_a_named_error_comes_of_any_rows(text: str) -> None:
    said = "u.csv:"
    try:
        build_from_csv("u.csv", (START + text).encode(), 0x3000, read_file=_no_file)
    except EvtoolError as error:
        said = str(error)
    assert said.startswith("u.csv:")


def test_faults_are_told_to_programs_too() -> None:
    data = (START + "k,data,u8,1\nk,data,u8,1\n").encode()
    with pytest.raises(CsvFaults) as caught:
        build_from_csv(str(Path("a") / "u.csv"), data, 0x3000, read_file=_no_file)
    assert caught.value.as_dict()["faults"] == [
        {
            "file": "a/u.csv",
            "line": 4,
            "column": "key",
            "rule": "n.k is there already",
            "previous": 3,
        }
    ]
