# SPDX-License-Identifier: GPL-3.0-or-later
"""The console's lines: any chunking, any garbage, and the records in between."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evtool.protocol.can_frame import Malformed
from evtool.protocol.console import (
    FIELDS,
    MAX_LINE_BYTES,
    LineSplitter,
    Record,
    Value,
    parse_line,
    render_record,
)


def parse(line: str) -> Record:
    record = parse_line(line)
    assert isinstance(record, Record), record
    return record


def test_a_bms_record_comes_out_in_integers_with_units() -> None:
    record = parse(
        "[bms] v=72.00V i=30.00A switch=on mode=charging soc=55.1% age=120ms"
        " raw=02 D0 01 2C 00 00 00 00"
    )
    assert record.name == "bms"
    assert record.fields == {
        "voltage_mv": 72000,
        "current_ma": 30000,
        "switch": "on",
        "mode": "charging",
        "soc_permille": 551,
        "age_ms": 120,
        "raw": "02 D0 01 2C 00 00 00 00",
    }


def test_the_other_records() -> None:
    assert parse(
        "[power_module] state=on set_v=72.00V set_i=30.00A heartbeat=alive age=90ms"
    ).fields == {
        "state": "on",
        "setpoint_mv": 72000,
        "setpoint_ma": 30000,
        "heartbeat": "alive",
        "age_ms": 90,
    }
    assert parse("[output] v=71.95V i=-0.50A temp=-4.5C m79=12 m83=1.5 age=200ms").fields == {
        "voltage_mv": 71950,
        "current_ma": -500,
        "temperature_mdegc": -4500,
        "m79": 12,
        "m83_milli": 1500,
        "age_ms": 200,
    }
    assert parse("[terminal] p=2139.0W energy=12.345kWh session=0.456kWh").fields == {
        "power_mw": 2139000,
        "energy_mwh": 12345000,
        "session_mwh": 456000,
    }


def test_an_event_has_a_kind_and_words() -> None:
    record = parse("[event] boot version=0.1.0 build=1a2b3c4d charge_point=CP=1 reset=power_on")
    assert (record.name, record.kind) == ("event", "boot")
    assert record.fields["charge_point"] == "CP=1"
    assert record.fields["version"] == "0.1.0"


def test_the_names_in_an_event_stay_text_whatever_they_look_like() -> None:
    line = "[event] boot version=1.5s build=12A charge_point=72V reset=100% id_tag=7kWh reason=-5C"
    assert parse(line).fields == {
        "version": "1.5s",
        "build": "12A",
        "charge_point": "72V",
        "reset": "100%",
        "id_tag": "7kWh",
        "reason": "-5C",
    }
    assert render_record(parse(line)) == line


def test_unknown_is_none_in_every_field() -> None:
    for name, known in FIELDS.items():
        line = " ".join([f"[{name}]", *(["x"] if name == "event" else [])])
        line += "".join(f" {key}=-" for key in known) + " raw=-"
        assert set(parse(line).fields.values()) == {None}


def test_fields_of_a_newer_firmware_are_kept() -> None:
    record = parse("[bms] v=72.00V pack=12.5kWh cells=20 name=x new=-")
    assert record.fields == {
        "voltage_mv": 72000,
        "pack_mwh": 12500000,
        "cells": "20",
        "name": "x",
        "new": None,
    }
    assert parse("[fan] speed=80% state=on").fields == {"speed_permille": 800, "state": "on"}


@pytest.mark.parametrize(
    "line",
    [
        "[bms] v=72.00V i=30",  # cut off: no unit
        "[bms] v=72.00A",
        "[bms] v=7\\xff.00V",
        "[bms] v=72.0001V",
        "[bms] v",
        "[bms] v=",
        "[bms] v=1.00V v=2.00V",
        "[bms] soc=1e3%",
        "[output] m79=1.5",
        "[event]",
        "[event] =x",
    ],
)
def test_a_broken_record_is_malformed(line: str) -> None:
    assert isinstance(parse_line(line), Malformed)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "hello",
        "[",
        "[bms",
        "[BMS] v=1.00V",
        " [bms] v=1.00V",
        "[wifi] connected",
        "[]",
        "[I] x=1",
    ],
)
def test_other_lines_are_text(line: str) -> None:
    assert parse_line(line) is None


_WORDS = st.text(st.characters(codec="ascii", min_codepoint=0x21, max_codepoint=0x7E), min_size=1)


@st.composite
def records(draw: st.DrawFn) -> Record:
    name = draw(st.sampled_from(sorted(FIELDS)))
    fields: dict[str, Value] = {}
    for field, quantity in FIELDS[name].values():
        if quantity is None:
            value: st.SearchStrategy[Value] = _WORDS.filter(lambda word: word != "-")
        else:
            step = 10 ** max(0, quantity.power - quantity.decimals)
            value = st.integers(-(10**9), 10**9).map(step.__mul__)
        if draw(st.booleans()):
            fields[field] = draw(st.none() | value)
    if draw(st.booleans()):
        hex_bytes = st.binary(min_size=1, max_size=8).map(lambda data: data.hex(" ").upper())
        fields["raw"] = draw(st.none() | hex_bytes)
    return Record(name, fields, "plug" if name == "event" else "")


@given(records())
def test_render_and_parse_are_inverse(record: Record) -> None:
    assert parse_line(render_record(record)) == record


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"voltage_mv": 5}, "[bms] v=0.01V"),
        ({"voltage_mv": 4}, "[bms] v=0.00V"),
        ({"voltage_mv": -4}, "[bms] v=0.00V"),
        ({"voltage_mv": -5}, "[bms] v=-0.01V"),
        ({"soc_permille": 1000}, "[bms] soc=100.0%"),
    ],
)
def test_rendering_rounds_half_away_from_zero(fields: dict[str, Value], line: str) -> None:
    assert render_record(Record("bms", fields)) == line


def test_render_refuses_what_would_not_come_back() -> None:
    for value in ("a b", "", "-"):
        with pytest.raises(ValueError, match="switch"):
            render_record(Record("bms", {"switch": value}))


def split(data: bytes, cuts: list[int]) -> list[str]:
    splitter = LineSplitter()
    lines = []
    start = 0
    for cut in sorted({cut % (len(data) + 1) for cut in cuts} | {len(data)}):
        lines += splitter.feed(data[start:cut])
        start = cut
    return lines + splitter.finish()


_STREAMS = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from([b"\r\n", b"\n", b"\r", b"[bms] v=72.00V", b"\x1b[0;32m", "é€".encode()]),
        st.integers(MAX_LINE_BYTES - 3, MAX_LINE_BYTES + 3).map(lambda n: b"x" * n),
    ),
    max_size=12,
).map(b"".join)


@given(_STREAMS, st.lists(st.integers(0, 10_000), max_size=12))
@example(b"x" * (MAX_LINE_BYTES - 1) + b"\r\0\n", [])
def test_chunking_does_not_matter(data: bytes, cuts: list[int]) -> None:
    assert split(data, cuts) == split(data, [])
    assert split(data, list(range(len(data)))) == split(data, [])


@given(_STREAMS)
def test_garbage_never_raises_and_never_reaches_the_terminal(data: bytes) -> None:
    for line in split(data, []):
        parse_line(line)
        assert not any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in line)


@given(st.text())
def test_parse_never_raises(line: str) -> None:
    parse_line(line)
    parse_line("[bms] " + line)
    parse_line("[event] x v=" + line)


def test_lines_that_end_in_cr_lf_and_lf() -> None:
    assert split(b"a\r\nb\n\nc", []) == ["a", "b", "", "c"]


def test_a_line_without_end_is_bounded() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"x" * 5_000_000) == ["x" * MAX_LINE_BYTES]
    assert splitter.feed(b"y" * 5_000_000) == []
    assert splitter.feed(b"z\nnext\n") == ["next"]


def test_colours_go_and_other_control_bytes_show() -> None:
    assert split(b"\x1b[0;32mI (12) wifi\x1b[0m\x07\tx\xff\n", []) == ["I (12) wifi\\x07 x\\xff"]


DOCS = Path(__file__).parents[2] / "docs"


def test_the_consoles_document_and_this_parser_agree() -> None:
    document = (DOCS / "serial-console.md").read_text(encoding="utf-8")
    examples = [line for line in document.splitlines() if line.startswith("[")]
    assert len(examples) == len(FIELDS) - 1
    for text in examples:
        record = parse(text)
        names = [name for name, _ in FIELDS[record.name].values()]
        assert [name for name in record.fields if name != "raw"] == names
        assert render_record(record) == text


def test_the_document_names_every_field() -> None:
    document = (DOCS / "monitor.md").read_text(encoding="utf-8")
    for name, known in FIELDS.items():
        if name != "event":
            fields = [field for field, _ in known.values()]
            raw = ["raw"] if name in ("bms", "power_module") else []
            assert f"| `{name}` | {' '.join(f'`{f}`' for f in fields + raw)} |" in document
